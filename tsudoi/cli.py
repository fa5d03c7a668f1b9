"""`tsudoi PROGRAM …`: start one of the programs, which is imported only then.

`pip install tsudoi` brings this command and the SDK. What a program needs beyond that comes with its extra.
"""

import sys
from dataclasses import dataclass
from importlib import import_module

from .ops.program import module_name
from .version import __version__


@dataclass(frozen=True, slots=True)
class Program:
    """A word behind `tsudoi`."""

    package: str
    extra: str
    """The extra with what it needs."""
    help: str
    command: tuple[str, ...] = ()
    """What goes before the arguments on the package's own command line."""


PROGRAMS = {
    "serve": Program("gateway", "serve", "a whole chat service in one command"),
    "gateway": Program("gateway", "serve", "the same command line, to serve clients for a running broker"),
    "broker": Program("broker", "serve", "keep rooms for gateways; its operator's commands"),
    "chat": Program("client", "chat", "create or join a room in the terminal or a pipe"),
    "rooms": Program("client", "chat", "list a server's rooms", ("rooms",)),
    "scenario": Program("client", "scenario", "act out a chat story written as YAML", ("scenario",)),
}


def main() -> None:
    """Run the command `tsudoi`."""
    name, *arguments = sys.argv[1:] or [""]
    if name == "--version":
        print(f"tsudoi {__version__}")
    elif name in ("", "--help", "-h"):
        print(usage())
        sys.exit(0 if name else 2)
    elif name in PROGRAMS:
        start(name, arguments)
    else:
        sys.exit(_error(f"there is no program {name!r}; there are {', '.join(PROGRAMS)}"))


def usage() -> str:
    """Return the text of `tsudoi --help`."""
    lines = (f"  {name:<10}{program.help}" for name, program in PROGRAMS.items())
    return "\n".join(("usage: tsudoi PROGRAM [OPTIONS]", "", *lines, "", "tsudoi PROGRAM --help tells more."))


def start(name: str, arguments: list[str]) -> None:
    """Run a program's command line with these arguments, as if it had been called by name."""
    program = PROGRAMS[name]
    called = f"tsudoi {name}" if not program.command else "tsudoi"
    # A reload and the workers read the command line again.
    sys.argv = [called, *program.command, *arguments]
    try:
        module = import_module(f"{module_name(program.package)}.cli")
    except ModuleNotFoundError as exc:
        sys.exit(_error(f"{name} needs {exc.name}, which is not installed: pip install 'tsudoi[{program.extra}]'", 1))
    module.run_program(called)


def _error(text: str, status: int = 2) -> int:
    print(f"tsudoi: {text}", file=sys.stderr)
    return status
