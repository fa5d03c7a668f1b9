"""`python -m client`: the command line."""

import functools
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tsudoi import ChatClient, Server, create, join, rooms
from tsudoi.ops.command_line import OneLineGroup, ask, run_until_signal, to_server
from tsudoi.ops.missing_extra import advice
from tsudoi.ops.options import MarkdownOption
from tsudoi.ops.program import import_program
from tsudoi.protocol.client.dialects import DIALECTS

from .pipes import chat_by_lines


class _Group(OneLineGroup):
    """Adds `scenario`, which is imported only when it is used: it is a package beside this one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "scenario"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "scenario":
            return super().get_command(ctx, cmd_name)
        try:
            command: click.Command = import_program("scenarios.cli").main
        except ModuleNotFoundError as exc:
            if not (text := advice(exc)):
                raise
            return _Missing(cmd_name, text)
        return command


class _Missing(click.Command):
    """Stands for a command whose package or library is not installed, so that the others work."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(
            name, help=f"({text})", add_help_option=False, context_settings={"ignore_unknown_options": True}
        )
        self.params = [click.Argument(["words"], nargs=-1)]
        self._text = text

    def invoke(self, ctx: click.Context) -> None:
        """Say what is missing."""
        click.echo(f"client: {self._text}", err=True)
        ctx.exit(1)


_option = functools.partial(click.option, cls=MarkdownOption, show_envvar=True)


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the server's address; the command gets `server` and `dialect` from them."""

    @functools.wraps(command)
    def with_server(server: Server, tls: bool, tls_ca: Path | None, **options: Any) -> Any:
        if tls_ca is not None and not tls:
            raise click.UsageError("--tls-ca is for --tls")
        return command(server=replace(server, tls=tls, tls_ca=tls_ca), **options)

    return _with_options(
        with_server,
        _option(
            "--tls",
            is_flag=True,
            envvar="TSUDOI_SERVER_TLS",
            help="`HOST:TCP` speaks TLS, and must have a certificate for `HOST`. Messages go by UDP, in clear text.",
        ),
        _option(
            "--tls-ca",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="TSUDOI_SERVER_CA",
            help="File with the authorities that `--tls` trusts (PEM). [default: the system's]",
        ),
        _option(
            "--server",
            metavar="HOST[:TCP[:UDP]]",
            callback=to_server,
            default="127.0.0.1:9001:9002",
            envvar="TSUDOI_SERVER",
            help="Where the server is; an IPv6 address stands in brackets.",
        ),
        _option(
            "--dialect",
            type=click.Choice(list(DIALECTS)),
            default="tsudoi",
            envvar="TSUDOI_DIALECT",
            metavar="DIALECT",
            help=f"The dialect to speak; the server must listen for it: {', '.join(f'`{name}`' for name in DIALECTS)}.",
        ),
    )


def _chat_options(command: Callable[..., Any]) -> Callable[..., Any]:
    return _with_options(
        _server_options(command),
        click.argument("room"),
        _option("--name", envvar="TSUDOI_NAME", help="Your name in the room."),
        _option(
            "--signed-token",
            envvar="TSUDOI_SIGNED_TOKEN",
            metavar="JWT",
            help="A token in which a website says who you are, for servers that trust it; replaces the name.",
        ),
        _option(
            "--password",
            envvar="TSUDOI_PASSWORD",
            help="The room's password. Others on this machine can read a command line: use the variable.",
        ),
        click.option("--ask-password", is_flag=True, help="Ask for the room's password."),
        _option(
            "--linger",
            type=click.FloatRange(0),
            default=1.0,
            envvar="TSUDOI_LINGER",
            metavar="SECONDS",
            help="Seconds to receive on when standard input has ended (not in a terminal).",
        ),
        _option(
            "--no-commands",
            is_flag=True,
            help="Say lines of standard input that begin with a slash, instead of doing them (not in a terminal).",
        ),
    )


def _with_options(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


@click.group("client", cls=_Group, context_settings={"show_default": True, "max_content_width": 100})
def main() -> None:
    """Chat in rooms.

    In a terminal, lines are typed below while messages scroll by above; several lines that are pasted at once are one
    message, and no command. On pipes, the lines of standard input are sent, commands too; messages go to standard
    output, and notices to standard error.
    """


@main.command("create")
@_chat_options
def create_command(room: str, **options: Any) -> None:
    """Create ROOM and chat in it. You are its host: it closes when you leave."""
    _chat(create, room, "{room} is open, and you are its host, {name}: it closes when you leave.", **options)


@main.command("join")
@_chat_options
def join_command(room: str, **options: Any) -> None:
    """Join ROOM and chat in it."""
    _chat(join, room, "You are in {room}, {name}.", **options)


def _chat(
    enter: Callable[..., Awaitable[ChatClient]],
    room: str,
    greeting: str,
    name: str | None,
    password: str | None,
    ask_password: bool,
    signed_token: str | None,
    linger: float,
    no_commands: bool,
    server: Server,
    dialect: str,
) -> None:
    in_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if name is None and not signed_token:
        if not in_terminal:
            raise click.UsageError("say who you are: --name NAME (or the variable TSUDOI_NAME)")
        name = ask("Your name")
    if ask_password:
        if not _has_terminal():
            raise click.UsageError("--ask-password needs a terminal; a script sets the variable TSUDOI_PASSWORD")
        password = ask("Password", is_secret=True)

    if in_terminal:
        # Imported where it is used, and before a room is entered: on pipes the client does without its library.
        from .terminal import chat_in_terminal

    async def chat() -> int:
        async with await enter(
            room,
            name=name or "",
            server=server,
            dialect=dialect,
            password=password or None,
            signed_token=signed_token or None,
        ) as place:
            if in_terminal:
                await chat_in_terminal(place, greeting.format(room=place.room, name=place.name))
                return 0
            all_said = await chat_by_lines(place, sys.stdin.fileno(), sys.stdout, sys.stderr, linger, not no_commands)
            return 0 if all_said else 1

    status = run_until_signal(chat())
    if status:
        sys.exit(status)


def _has_terminal() -> bool:
    """Return whether a password can be asked for: on standard input, or where it is a pipe, on the terminal itself."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True


@main.command("rooms")
@_server_options
def rooms_command(server: Server, dialect: str) -> None:
    """List the server's rooms; on pipes, one name a line."""
    names = run_until_signal(rooms(server=server, dialect=dialect))
    if not sys.stdout.isatty():
        for name in names:
            click.echo(name)
        return
    if not names:
        click.echo(f"There are no rooms at {server}.")
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    click.echo(f"{len(names)} room{'s' if len(names) > 1 else ''} at {server}")
    table = Table("room", box=box.ROUNDED, header_style="dim")
    for name in names:
        table.add_row(Text(name))
    Console().print(table)
