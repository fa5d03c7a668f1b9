"""`tsudoi PROGRAM …`: start one of the programs, which is imported only then.

`pip install tsudoi` brings this command and the SDK; an extra brings what a program needs beyond that.
"""

import sys
from dataclasses import dataclass

from .ops import hangup, standard_streams
from .ops.program import import_program
from .version import __version__


@dataclass(frozen=True, slots=True)
class Program:
    """A subcommand of `tsudoi`."""

    package: str
    extra: str
    """The extra with what the program needs."""
    help: str
    command: tuple[str, ...] = ()
    """The package's own subcommand to run."""


PROGRAMS = {
    "serve": Program("gateway", "serve", "run the whole chat service"),
    "gateway": Program("gateway", "serve", "the same, to serve clients for a --broker elsewhere"),
    "identify": Program("gateway", "serve", "show what a client sends, and how it is read", ("identify",)),
    "broker": Program("broker", "serve", "keep rooms for gateways; administer them"),
    "chat": Program("client", "chat", "create or join a room, in a terminal or a pipe"),
    "rooms": Program("client", "chat", "list a server's rooms", ("rooms",)),
    "scenario": Program("scenarios", "scenario", "act out chat stories written in YAML"),
}
SERVICES = ("gateway", "broker")
"""Packages of programs that serve until a signal."""


def main() -> None:
    """Run the command `tsudoi`."""
    name, *arguments = sys.argv[1:] or [""]
    if name in PROGRAMS:
        start(name, arguments)
        return
    standard_streams.prepare()
    status, text = 0, ""
    if name == "--version":
        text = f"tsudoi {__version__}"
    elif name in ("", "--help", "-h"):
        status, text = 0 if name else 2, usage()
    else:
        standard_streams.complain(f"tsudoi: there is no program {name!r}; there are {', '.join(PROGRAMS)}")
        status = 2
    sys.exit(standard_streams.finish("tsudoi", status, text))


def usage() -> str:
    """Return the text of `tsudoi --help`."""
    programs = (f"  {name:<10}{program.help}" for name, program in PROGRAMS.items())
    return "\n".join(
        ("usage: tsudoi PROGRAM ...", "       tsudoi --version", "", *programs, "", "tsudoi PROGRAM --help says more.")
    )


def start(name: str, arguments: list[str]) -> None:
    """Run a program's command line with these arguments."""
    program = PROGRAMS[name]
    if program.package in SERVICES and not program.command:
        hangup.hold()
    prog_name = "tsudoi" if program.command else f"tsudoi {name}"
    # A reload reads the command line again, and workers are started with it.
    sys.argv = [prog_name, *program.command, *arguments]
    try:
        module = import_program(f"{program.package}.cli")
    except ModuleNotFoundError as exc:
        sys.exit(f"tsudoi {name}: {exc.name} is not installed: pip install 'tsudoi[{program.extra}]'")
    module.main(prog_name=prog_name)
