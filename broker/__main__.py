"""Start the broker."""

import sys

try:
    from .cli import run_program
except ModuleNotFoundError as exc:
    sys.exit(f"broker: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m broker")

run_program()
