"""`python -m client`: the command line."""

import functools
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from tsudoi import (
    ChatClient,
    ClientError,
    InvalidName,
    RoomExists,
    RoomNotFound,
    Server,
    Settings,
    WrongPassword,
    create,
    join,
    rooms,
)
from tsudoi.net.enter import ALL_DIALECTS, DEFAULT_DIALECT
from tsudoi.net.sockets import tls_context
from tsudoi.ops.command_line import ask, run_until_signal, to_server
from tsudoi.ops.missing_extra import advice
from tsudoi.ops.program import import_program
from tsudoi.protocol.client.words import Language

from . import help_text, words
from .error_words import explain, is_about_password
from .pipes import chat_by_lines

if TYPE_CHECKING:
    from .tui.sessions import Connect

PASSWORD_TRIES = 3
"""Times that a password is asked for."""


class _Group(help_text.Group):
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
            return _missing(cmd_name, text)
        return command


def _missing(name: str, text: str) -> click.Command:
    """Return what stands for a command whose package or library is not installed, so that the others work."""

    def fail(**given: object) -> None:
        raise click.ClickException(text)

    takes_all = {"ignore_unknown_options": True, "help_option_names": []}
    arguments = click.Argument(["words"], nargs=-1)
    return click.Command(name, takes_all, fail, [arguments], help=f"({text})")


_option = functools.partial(click.option, cls=help_text.Option, show_envvar=True)


_language_option = _option(
    "--language",
    type=click.Choice(list(words.LANGUAGES)),
    default=words.language_of,
    show_default=False,
    envvar=help_text.VARIABLE,
    help="The language of the client's own words: `en` or `ja`. [default: that of `LANG`]",
)


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the server's address; the command gets `server` and `dialect` from them."""

    @functools.wraps(command)
    def with_server(server: Server, tls: bool, tls_ca: Path | None, **options: Any) -> Any:
        if tls_ca is not None and not tls:
            raise click.UsageError(words.CA_WITHOUT_TLS.text(options["language"]))
        if tls_ca is not None:
            try:
                tls_context(tls_ca)
            except ClientError as exc:
                raise click.BadParameter(str(exc), param_hint="'--tls-ca'") from exc
        return command(server=replace(server, tls=tls, tls_ca=tls_ca), **options)

    return _with_options(
        with_server,
        _option(
            "--tls",
            is_flag=True,
            envvar="TSUDOI_SERVER_TLS",
            help="`HOST:TCP` is a port for TLS alone, and must have a certificate for `HOST`; without `--tls`, the "
            "first certificate that a server shows is remembered. Only in `tsudoi-2` are messages encrypted too.",
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
            type=click.Choice(list(ALL_DIALECTS)),
            default=DEFAULT_DIALECT,
            envvar="TSUDOI_DIALECT",
            metavar="DIALECT",
            help="The dialect to speak; the server must listen for it: "
            f"{', '.join(f'`{name}`' for name in ALL_DIALECTS)}.",
        ),
        _option(
            "--security",
            type=click.Choice(["sealed", "plain"]),
            default="sealed",
            envvar="TSUDOI_SECURITY",
            help="In `tsudoi-2`: whether messages are encrypted (`sealed`), or can be read and forged on their way. A "
            "server takes `plain` from its own machine, or where its operator allows it.",
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
        click.option("--ask-password", cls=help_text.Option, is_flag=True, help="Ask for the room's password."),
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
        _option(
            "--plain",
            is_flag=True,
            envvar="TSUDOI_CLIENT_PLAIN",
            help="In a terminal: lines that scroll by instead of a whole screen, as screen readers need them.",
        ),
        _option(
            "--no-mouse",
            is_flag=True,
            envvar="TSUDOI_NO_MOUSE",
            help="Leave the mouse to the terminal, which then selects text as it does elsewhere.",
        ),
        _language_option,
    )


def _with_options(command: Callable[..., Any], *options: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


@click.group("client", cls=_Group, context_settings={"show_default": True, "max_content_width": 100})
def main() -> None:
    """Chat in rooms.

    In a terminal it takes the whole screen: rooms, people, lines; F1 shows the keys. Several lines that are pasted at
    once are one message, and no command. On pipes, the lines of standard input are sent, commands too; messages go to
    standard output, and notices to standard error.
    """


@main.command("create")
@_chat_options
def create_command(room: str, **options: Any) -> None:
    """Create ROOM and chat in it. You are its host: it closes when you leave."""
    _chat(room, creates=True, **options)


@main.command("join")
@_chat_options
def join_command(room: str, **options: Any) -> None:
    """Join ROOM and chat in it."""
    _chat(room, creates=False, **options)


def _chat(
    room: str,
    creates: bool,
    name: str | None,
    password: str | None,
    ask_password: bool,
    signed_token: str | None,
    linger: float,
    no_commands: bool,
    plain: bool,
    no_mouse: bool,
    language: Language,
    server: Server,
    dialect: str,
    security: Literal["sealed", "plain"],
) -> None:
    in_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    on_screen = in_terminal and not plain and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    if name is None and not signed_token:
        if not in_terminal:
            raise click.UsageError(words.NO_NAME.text(language))
        name = ask(words.YOUR_NAME.text(language))
    if ask_password:
        if not _has_terminal():
            raise click.UsageError(words.NO_TERMINAL.text(language))
        password = ask(words.PASSWORD.text(language), is_secret=True)

    if in_terminal:
        # Imported where they are used, and before a room is entered: on pipes the client does without their libraries.
        if on_screen:
            from .tui.run import chat_on_screen
        else:
            from .plain_terminal import chat_in_terminal

    wished = "" if signed_token else name or ""

    async def connect(room: str, *, creates: bool, password: str | None, name: str) -> ChatClient:
        return await (create if creates else join)(
            room,
            name=name,
            server=server,
            dialect=dialect,
            password=password or None,
            signed_token=signed_token or None,
            # On pipes, lines that are not kept are waited for before the room is left.
            settings=Settings(language=language, security=security, flush_s=5.0 if in_terminal else 0.5),
        )

    program = click.get_current_context().find_root().info_name or "client"

    async def chat() -> int:
        try:
            place = await _enter(connect, room, creates, wished, password, language if in_terminal else None)
        except ClientError as exc:
            if isinstance(exc, WrongPassword) and is_about_password(exc) and not password:
                raise ClientError(words.NEEDS_PASSWORD.text(language, room=room)) from exc
            # Names stand on the command line.
            wrong = click.UsageError if isinstance(exc, InvalidName) else ClientError
            raise wrong(_why_not_entered(exc, room, server, program, language)) from exc
        async with place:
            if on_screen:
                await chat_on_screen(place, creates, connect, wished, language, mouse=not no_mouse)
                return 0
            if in_terminal:
                await chat_in_terminal(place, creates, wished, language)
                return 0
            all_said = await chat_by_lines(
                place, sys.stdin.fileno(), sys.stdout, sys.stderr, linger, not no_commands, language
            )
            return 0 if all_said else 1

    status = run_until_signal(chat())
    if status:
        sys.exit(status)


def _why_not_entered(exc: ClientError, room: str, server: Server, program: str, language: Language) -> str:
    """Return why a room was not entered, and the command line that does what may be meant."""
    said = str(exc) if language == "en" else explain(exc, room, str(server), language)
    if isinstance(exc, RoomExists):
        command, text = "join", words.COMMAND_JOINS
    elif isinstance(exc, RoomNotFound):
        command, text = "create", words.COMMAND_CREATES
    else:
        return said
    said += ": " if language == "en" else ""
    return said + text.text(language, command=f"{program} {command} {shlex.quote(room)}")


async def _enter(
    connect: "Connect", room: str, creates: bool, name: str, password: str | None, asks_in: Language | None
) -> ChatClient:
    """Enter a room; in a terminal, ask for its password if it needs one. `asks_in`: the language; None: do not ask."""
    question = words.PASSWORD_FOR
    for _ in range(PASSWORD_TRIES):
        try:
            return await connect(room, creates=creates, password=password, name=name)
        except WrongPassword as exc:
            if asks_in is None or not is_about_password(exc):
                raise
            if password is not None:
                question = words.PASSWORD_AGAIN
            password = ask(question.text(asks_in, room=room), is_secret=True)
    return await connect(room, creates=creates, password=password, name=name)


def _has_terminal() -> bool:
    """Return whether a password can be asked for: on standard input, or where it is a pipe, on the terminal itself."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True


@main.command("rooms")
@_server_options
@_language_option
def rooms_command(server: Server, dialect: str, security: Literal["sealed", "plain"], language: Language) -> None:
    """List the server's rooms; on pipes, one name a line."""
    try:
        names = run_until_signal(rooms(server=server, dialect=dialect, settings=Settings(security=security)))
    except ClientError as exc:
        if language == "en":
            raise
        raise ClientError(explain(exc, "", str(server), language)) from exc
    if sys.stdout.isatty():
        text = words.ROOMS_AT if names else words.NO_ROOMS
        click.echo(text.text(language, server=server, count=len(names)))
    for name in names:
        click.echo(name)
