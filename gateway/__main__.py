"""Start the gateway."""

import sys

try:
    from .cli import run_program
except ModuleNotFoundError as exc:
    sys.exit(f"gateway: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m gateway")

run_program()
