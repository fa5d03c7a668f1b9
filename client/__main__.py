"""Start the client."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback until `main` handles that
try:
    from .cli import main
except ModuleNotFoundError as exc:
    sys.exit(f"client: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m client")

main(prog_name="python -m client")
