# make run      start the chat service          make test     everything that must hold before a commit
# make help     all targets

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

python := $(VENV)/bin/python
pip := $(python) -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test style types imports tests slow properties coverage container-test bench chaos chaos-cluster attack soak fuzz format lock settings clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

run: $(VENV)/run.stamp ## the whole service; ARGS='--tcp 127.0.0.1:9001' passes flags on
	@exec $(python) -m gateway $(ARGS)

test: style types imports tests ## the checks below, in this order: style types imports tests

style: $(VENV)/dev.stamp ## ruff: rules and format
	$(python) -m ruff check .
	$(python) -m ruff format --check .

types: $(VENV)/dev.stamp ## mypy --strict
	$(python) -m mypy --num-workers 2

imports: $(VENV)/dev.stamp ## who may import whom
	$(VENV)/bin/lint-imports

# Half of the tests' time is waiting for programs, so there are two workers more than processors; each has databases and services of its
# own, so there are 8 at most. They start hundreds of programs: Python keeps what it has compiled, whatever the environment says.
WORKERS ?= $(shell n=$$(nproc); echo $$((n < 6 ? n + 2 : 8)))
tests slow properties coverage: export PYTHONDONTWRITEBYTECODE :=
tests: $(VENV)/dev.stamp ## pytest; ARGS='-k names -x' passes flags on
	$(python) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

slow: $(VENV)/dev.stamp ## pytest, the slow tests only, without those of `make attack`
	$(python) -m pytest -n $(WORKERS) --dist worksteal -m slow --ignore tests/attacks $(ARGS)

properties: $(VENV)/dev.stamp ## the property tests, with thirty times as many examples, new ones at every run
	$(python) -m pytest -n $(WORKERS) -m 'hypothesis and not slow' --timeout 1800 --hypothesis-profile thorough $(ARGS)

coverage: $(VENV)/dev.stamp ## pytest, and the lines it missed
	$(python) -m pytest --cov --cov-report=term --cov-report=html $(ARGS)

container-test: $(VENV)/dev.stamp ## build the image, run docker-compose.yml, chat through it
	$(python) -m pytest -m container $(ARGS)

bench: $(VENV)/dev.stamp ## measure on this machine, write benchmarks/RESULTS.md; QUICK=1 in under two minutes
	$(python) -m benchmarks $(if $(QUICK),--quick) $(ARGS)

SEED ?= 1
RUNS ?= 20
chaos: $(VENV)/dev.stamp ## real processes under faults, histories checked; SEED=7 RUNS=1 plays seed 7 again
	$(python) -m tests.chaos --seed $(SEED) --runs $(RUNS) $(ARGS)

chaos-cluster: $(VENV)/dev.stamp ## the same with PostgreSQL on several machines, which are network namespaces
	$(python) -m tests.chaos.cluster --seed $(SEED) --runs $(RUNS) $(ARGS)

MINUTES ?= 10
attack: $(VENV)/dev.stamp ## real processes under attack, while people chat: what they lose, how late they hear
	$(python) -m pytest -m slow -s tests/attacks $(ARGS)

soak: $(VENV)/dev.stamp ## rooms come and go for MINUTES=10; memory and files must stay flat; writes docs/soak.md
	$(python) -m tests.soak --minutes $(MINUTES) $(ARGS)

fuzz: $(VENV)/dev.stamp $(VENV)/fuzz.stamp ## parsers and cores under fuzzing for MINUTES=10 in all; ARGS=--keep adds what was found to the corpus
	@$(python) -m tests.fuzz --minutes $(MINUTES) $(ARGS)

format: $(VENV)/dev.stamp ## let ruff rewrite what it can
	$(python) -m ruff check --fix .
	$(python) -m ruff format .

# One resolution for every Python and platform. What runs is constrained by what tests it; `make fuzz` adds one library to that.
# With their extras: older pips look for a `coverage[toml]` of its own, and find one newer than what is locked here.
compile = $(python) -m uv pip compile pyproject.toml -qq --universal --python-version 3.11 --generate-hashes \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
lock: $(VENV)/dev.stamp ## newest versions that pyproject.toml allows, into requirements*.txt
	$(pip) install -qq uv
	$(compile) --upgrade --extra auth --extra postgres --extra scenario --extra dev --output-file requirements-dev.txt
	$(compile) --constraint requirements-dev.txt --extra auth --extra postgres --extra scenario --output-file requirements.txt
	$(compile) --extra fuzz --no-deps --no-emit-package cryptography --no-emit-package msgspec --output-file requirements-fuzz.txt

settings: $(VENV)/dev.stamp ## write the tables of docs/settings.md and docs/settings.ja.md, from the settings' fields
	$(python) -m docs.settings_tables

clean: ## remove what the targets above made (not data/)
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed again only when the lock file is newer than the stamp, so the second `make run` starts at once. Where Debian's python3-venv is
# missing, `venv` fails and leaves an environment without pip.
$(VENV)/run.stamp: requirements.txt
$(VENV)/dev.stamp: requirements-dev.txt
$(VENV)/fuzz.stamp: requirements-fuzz.txt
$(VENV)/%.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "tsudoi needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo not found)." >&2; \
		echo "Name one that is:  make $(MAKECMDGOALS) PYTHON=python3.13" >&2; exit 1; }
	@$(pip) --version >/dev/null 2>&1 || { echo "Making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing what $< locks"
	@$(pip) install -qq --require-hashes --requirement $<
	@touch $@
