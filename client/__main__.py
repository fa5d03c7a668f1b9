"""Start the client."""

import sys

try:
    from .cli import main
except ModuleNotFoundError as exc:
    sys.exit(f"client: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m client")

main(prog_name="python -m client")
