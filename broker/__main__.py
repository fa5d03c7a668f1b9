"""Start the broker."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback until `main` handles that
from tsudoi.ops import hangup

hangup.hold()
try:
    from .cli import main
except ModuleNotFoundError as exc:
    sys.exit(f"broker: {exc.name} is not installed here; `make run` installs all: then .venv/bin/python -m broker")

main(prog_name="python -m broker")
