"""Run the command `tsudoi`, also as `python -m tsudoi`."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback until a program handles that

from .cli import main

if __name__ == "__main__":
    main()
