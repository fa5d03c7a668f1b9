"""Start the broker."""

import sys

try:
    from .cli import main
except ModuleNotFoundError as exc:
    sys.exit(f"broker: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m broker")

main(prog_name="python -m broker")
