"""Start the gateway."""

import sys

try:
    from .cli import main
except ModuleNotFoundError as exc:
    sys.exit(f"gateway: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m gateway")

main(prog_name="python -m gateway")
