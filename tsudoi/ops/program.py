"""Find and run the programs under either name: `gateway` in the tree is `tsudoi.gateway` where it is installed."""

import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from . import hangup


def module_name(program: str) -> str:
    """Return the name of a program's package beside this one."""
    installed = f"tsudoi.{program}"
    return installed if find_spec(installed) else program


def import_program(module: str) -> ModuleType:
    """Import a module of another program, `broker.core` for example, under the name that it has here."""
    program, _, rest = module.partition(".")
    return import_module(f"{module_name(program)}.{rest}")


def program_command(program: str) -> tuple[str, ...]:
    """Return the command that starts a program from the same tree or the same site-packages as this one."""
    module = module_name(program)
    # -P: an installed program must not import what lies in the working directory, as a user's own client.py.
    return (sys.executable, "-P", "-m", module) if "." in module else (sys.executable, "-m", module)


def run_program(program: str, is_service: bool = False) -> None:
    """Run a program's command line as `python -m PROGRAM`; say in one line which library is missing."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback until `main` handles that
    if is_service:
        hangup.hold()
    command = f"python -m {program}"
    try:
        main = import_program(f"{program}.cli").main
    except ModuleNotFoundError as exc:
        sys.exit(f"{program}: {exc.name} is not installed here; `make run` installs all: then .venv/bin/{command}")
    main(prog_name=command)
