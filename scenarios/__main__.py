"""Run scenarios."""

import sys

try:
    from .cli import main
except ModuleNotFoundError as exc:
    sys.exit(
        f"scenarios: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m scenarios"
    )

main(prog_name="python -m scenarios")
