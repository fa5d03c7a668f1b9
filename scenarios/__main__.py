"""Run scenarios."""

import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends the program without a traceback
try:
    from .cli import main
except ModuleNotFoundError as exc:
    sys.exit(
        f"scenarios: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m scenarios"
    )

signal.signal(signal.SIGINT, signal.default_int_handler)
main(prog_name="python -m scenarios")
