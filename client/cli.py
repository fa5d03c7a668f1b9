"""`python -m client`: the command line."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.net.pipes import chat_by_lines
from client.net.processes import Site
from client.net.stage import StoryResult, act_out
from client.net.terminal import chat_in_terminal
from client.net.top import WIDE, watch
from client.scenario.report import Report
from client.scenario.sentences import LANGUAGE
from client.scenario.story import StoryError, read
from tsudoi.errors import ClientError
from tsudoi.net.chat import ChatClient, create, join, rooms
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.server_address import Server

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


def _to_server(context: click.Context, parameter: click.Parameter, value: str) -> Server:
    try:
        return Server.parse(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


class OneLineGroup(click.Group):
    """Says what is wrong in one line: status 2 for what was typed, 1 for what could not be done."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and exit; never a traceback for what a user or a server did."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A terminal that can not show a character gets its escape, not an error.
                stream.reconfigure(errors="backslashreplace")
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as exc:
            click.echo(exc.format_message())
            status = 2
        except click.ClickException as exc:
            click.echo(f"client: {exc.format_message()}", err=True)
            status = exc.exit_code
        except ClientError as exc:
            click.echo(f"client: {exc}", err=True)
            status = 1
        except (click.Abort, KeyboardInterrupt):
            status = 128 + signal.SIGINT
        except asyncio.CancelledError:
            status = 128 + signal.SIGTERM
        except BrokenPipeError:
            # Whoever read our output has gone; so do we, and the interpreter must not try to flush.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 128 + signal.SIGPIPE
        sys.exit(status if isinstance(status, int) else 0)


def _server_options(command: _F) -> _F:
    for option in (
        click.option(
            "--dialect",
            type=click.Choice(list(DIALECTS)),
            default="tsudoi",
            envvar="TSUDOI_DIALECT",
            show_envvar=True,
            metavar="DIALECT",
            help=f"What to speak with the server, which must listen for it: {', '.join(DIALECTS)}.",
        ),
        click.option(
            "--server",
            metavar="HOST[:TCP[:UDP]]",
            callback=_to_server,
            default="127.0.0.1:9001:9002",
            envvar="TSUDOI_SERVER",
            show_envvar=True,
            help="Where to go; an IPv6 address stands in brackets.",
        ),
        click.option(
            "--tls-ca",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="TSUDOI_SERVER_CA",
            show_envvar=True,
            help="File with the authorities that --tls trusts (PEM). [default: the system's]",
        ),
        click.option(
            "--tls",
            is_flag=True,
            envvar="TSUDOI_SERVER_TLS",
            show_envvar=True,
            help="HOST:TCP speaks TLS, and must have a certificate for HOST. What is said goes by UDP, in clear text.",
        ),
    ):
        command = option(command)
    return command


def _chat_options(command: _F) -> _F:
    for option in (
        click.option(
            "--linger",
            type=click.FloatRange(0),
            default=1.0,
            envvar="TSUDOI_LINGER",
            show_envvar=True,
            metavar="SECONDS",
            help="How long to listen on when standard input has ended (not in a terminal).",
        ),
        click.option("--ask-password", is_flag=True, help="Ask for the room's password."),
        click.option(
            "--password",
            envvar="TSUDOI_PASSWORD",
            show_envvar=True,
            help="The room's password. Others on this machine can read a command line: use the variable.",
        ),
        click.option(
            "--signed-token",
            envvar="TSUDOI_SIGNED_TOKEN",
            show_envvar=True,
            metavar="JWT",
            help="What a website gave you to show who you are, for servers that trust it; goes in the name's place.",
        ),
        click.option("--name", envvar="TSUDOI_NAME", show_envvar=True, help="Your name in the room."),
        click.argument("room"),
    ):
        command = option(command)
    return _server_options(command)


@click.group(cls=OneLineGroup, context_settings={"show_default": True, "max_content_width": 100})
def main() -> None:
    """Chat in rooms.

    In a terminal, lines are typed below while what others say scrolls by above. On pipes, the lines of standard input
    are said, what is heard goes to standard output, and notices go to standard error.
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
    server: Server,
    tls: bool,
    tls_ca: Path | None,
    dialect: str,
) -> None:
    server = _over_tls(server, tls, tls_ca)
    # Either may be closed, and is None then.
    by_hand = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    if name is None and not signed_token:
        if not by_hand:
            raise click.UsageError("say who you are: --name NAME (or the variable TSUDOI_NAME)")
        name = click.prompt("Your name", type=str)
    if ask_password:
        password = click.prompt("Password", hide_input=True, type=str, err=True)

    async def chat() -> int:
        async with await enter(
            room,
            name=name or "",
            server=server,
            dialect=dialect,
            password=password or None,
            signed_token=signed_token or None,
        ) as place:
            if by_hand:
                await chat_in_terminal(place, greeting.format(room=place.room, name=place.name))
                return 0
            source = os.open(os.devnull, os.O_RDONLY) if sys.stdin is None else sys.stdin.fileno()
            all_said = await chat_by_lines(place, source, sys.stdout, sys.stderr, linger)
            return 0 if all_said else 1

    status = _run(chat())
    if status:
        sys.exit(status)


def _over_tls(server: Server, tls: bool, authorities: Path | None) -> Server:
    if authorities is not None and not tls:
        raise click.UsageError("--tls-ca is for --tls")
    return replace(server, tls=tls, tls_ca=authorities)


@main.command("rooms")
@_server_options
def rooms_command(server: Server, tls: bool, tls_ca: Path | None, dialect: str) -> None:
    """List the server's rooms; on pipes, one name a line."""
    server = _over_tls(server, tls, tls_ca)
    names = _run(rooms(server=server, dialect=dialect))
    if not sys.stdout.isatty():
        for name in names:
            click.echo(name)
        return
    if not names:
        click.echo(f"There are no rooms at {server}.")
        return
    click.echo(f"{len(names)} room{'s' if len(names) > 1 else ''} at {server}")
    table = Table("room", box=box.ROUNDED, header_style="dim")
    for name in names:
        table.add_row(Text(name))
    Console().print(table)


def _to_doors(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    doors: dict[str, int] = {}
    for value in values:
        dialect, _, port = value.partition("=")
        if dialect not in DIALECTS or not port.isdecimal() or not 0 < int(port) < 65536:
            raise click.BadParameter(f"{value!r} is not DIALECT=PORT, such as tcrp=9101")
        doors[dialect] = int(port)
    return doors


@main.command("scenario")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="FILE|DIRECTORY...")
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="HOST[:TCP[:UDP]]",
    envvar="TSUDOI_SERVER",
    show_envvar=True,
    callback=lambda context, parameter, values: [_to_server(context, parameter, value) for value in values],
    help="Act at this running server instead of starting processes. Given again: the story's second server, and so on.",
)
@click.option(
    "--door",
    "doors",
    multiple=True,
    metavar="DIALECT=PORT",
    callback=_to_doors,
    help="A TCP port of the running servers at which only this dialect is spoken.",
)
@click.option("--language", is_flag=True, help="Describe how scenarios are written, and exit.")
def scenario_command(files: tuple[Path, ...], servers: list[Server], doors: dict[str, int], language: bool) -> None:
    """Act out scenarios, and report what was expected and what came instead.

    Without --server each scenario starts the broker and the gateways that it asks for, and clears them away. Exit
    status 1 when one fails.
    """
    if language:
        click.echo(LANGUAGE, nl=False)
        return
    if not files:
        raise click.UsageError("name a scenario's file, or a directory of them (--language tells how to write one)")
    try:
        stories = [read(path.read_text("utf-8"), str(path)) for path in _scenario_files(files)]
    except StoryError as exc:
        raise click.UsageError(str(exc)) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise click.UsageError(f"can not be read: {exc}") from exc
    sites = [Site(server.host, server.tcp, server.udp, doors) for server in servers]
    report = Report(Console(highlight=False, emoji=False))

    async def act_all() -> list[StoryResult]:
        results = []
        for story in stories:
            report.begin(story)
            results.append(await act_out(story, sites, report.step))
            report.end(results[-1])
        return results

    results = _run(act_all())
    report.summary(results)
    if any(result.failed for result in results):
        sys.exit(1)


def _to_url(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[str]:
    urls = []
    for value in values:
        url = value if "://" in value else f"http://{value}"
        try:
            place = urlsplit(url)
            if place.scheme != "http" or not place.hostname or not place.port:
                raise ValueError("no HOST:PORT")
        except ValueError:
            raise click.BadParameter(f"{value!r} is not http://HOST:PORT") from None
        urls.append(url)
    return urls


@main.command("top")
@click.argument("urls", nargs=-1, metavar="[HOST:PORT]...", callback=_to_url)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    metavar="SECONDS",
    help="Between two looks.",
)
@click.option("--once", is_flag=True, help="Print one table and end: exit status 0, or 1 if one does not answer.")
@click.pass_context
def top_command(context: click.Context, urls: list[str], interval: float, once: bool) -> None:
    """Watch running gateways and brokers: rooms, rates, latency, drops.

    Name the --http of each; without any, 127.0.0.1:9080 is asked. Ctrl-C ends it.
    """
    console = Console()
    if not console.is_terminal:
        console.width = WIDE
    with suppress(KeyboardInterrupt):
        if not watch(urls or ["http://127.0.0.1:9080"], interval, once or not console.is_terminal, console):
            context.exit(1)


def _scenario_files(paths: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        if not inside:
            raise click.UsageError(f"there is no scenario (*.yaml) in {path}")
        found += inside
    return found


def _run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run it; SIGTERM ends it as Ctrl-C does, so that the room is left and not only abandoned."""

    async def run() -> _T:
        task = asyncio.current_task()
        assert task is not None
        if sys.platform != "win32":
            # SIGHUP: the terminal's window was closed.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await coroutine

    return asyncio.run(run())
