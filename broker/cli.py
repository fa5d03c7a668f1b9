"""`python -m broker`: the command line."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Any, Literal

import click
import uvloop
from click.core import ParameterSource

from broker.admin import admin as admin_group
from broker.backup import back_up
from broker.config import Config, Limits, admin_beside, choose_keys, parse_admin, parse_bind, parse_store
from broker.keyring import OWN, has_keys, read_secret, what_is_there
from broker.keys_cli import Shared, keys_command
from broker.net.ping import ping
from broker.net.service import BrokerService
from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.options import MANY, HostPortType, Number, check_config_option, config_option
from tsudoi.protocol.errors import InvalidName, SettingError, StoreError
from tsudoi.protocol.names import room_name

DEFAULT_BIND = "tcp://127.0.0.1:9003"

logger = logs.get("broker")


def _setting(parse: Any) -> Any:
    """Return a click callback that turns a SettingError into click's one line and exit status 2."""

    def callback(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        try:
            if value is not None:
                parse(value)
        except SettingError as exc:
            raise click.BadParameter(str(exc)) from exc
        return value

    return callback


def _room_names(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(room_name(value) for value in values))
    except InvalidName as exc:
        raise click.BadParameter(str(exc)) from exc


@click.group(invoke_without_command=True, context_settings={"auto_envvar_prefix": "TSUDOI", "show_default": True})
@click.option(
    "--bind",
    default=DEFAULT_BIND,
    metavar="ENDPOINT",
    callback=_setting(parse_bind),
    show_envvar=True,
    help="Where gateways connect: tcp://HOST:PORT, whose next port sends the news (0: any two), or on one machine"
    " ipc://PATH.",
)
@click.option(
    "--store",
    default="sqlite:data/tsudoi.sqlite",
    metavar="memory|sqlite:PATH",
    callback=_setting(parse_store),
    show_envvar=True,
    help="What keeps rooms, members and logs. memory keeps nothing beyond this process.",
)
@click.option(
    "--durability",
    type=click.Choice(["process", "full"]),
    default="process",
    show_envvar=True,
    help="process: accepted messages survive kill -9. full: a power cut as well (each batch is synced to disk).",
)
@click.option(
    "--log-entries",
    type=click.IntRange(1, MANY),
    default=Limits.log_entries,
    show_envvar=True,
    help="Messages and events that each room's log keeps.",
)
@click.option(
    "--log-age",
    type=Number(1),
    default=Limits.log_age_s,
    metavar="SECONDS",
    show_envvar=True,
    help="Entries older than this leave the log too.",
)
@click.option(
    "--news-high-water",
    type=click.IntRange(1, MANY),
    default=Limits.news_high_water,
    metavar="FRAMES",
    show_envvar=True,
    help="News that wait for one slow gateway; more are dropped for it, and it asks the log.",
)
@click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    default="data/keys",
    show_envvar=True,
    help="The folder with the broker's key and the public keys of those who may come (see the command keys). If it is"
    " there, tcp is encrypted, and strangers stay outside.",
)
@click.option(
    "--insecure",
    is_flag=True,
    show_envvar=True,
    help="Use no keys: whoever reaches the tcp ports may read and write everything.",
)
@click.option(
    "--http",
    type=HostPortType(),
    default=None,
    envvar="TSUDOI_BROKER_HTTP",
    show_envvar=True,
    help="Serve GET /healthz and /metrics there. [default: nowhere]",
)
@click.option(
    "--log-level",
    default="info",
    type=click.Choice(logs.LEVELS),
    show_envvar=True,
    help="SIGUSR1 switches between debug and this.",
)
@click.option(
    "--log-format",
    default="human",
    type=click.Choice(logs.FORMATS),
    show_envvar=True,
    help="Lines for people, or JSON for machines.",
)
@click.option(
    "--room-members",
    type=click.IntRange(1, MANY),
    default=Limits.room_members,
    show_envvar=True,
    help="Members of one room; who comes beyond that is refused.",
)
@click.option(
    "--rooms",
    type=click.IntRange(1, MANY),
    default=Limits.rooms,
    show_envvar=True,
    help="Rooms; beyond that none is created.",
)
@click.option(
    "--rooms-per-address",
    type=click.IntRange(0, MANY),
    default=Limits.rooms_per_address,
    show_envvar=True,
    help="Rooms whose hosts come from one IP address; 0: any number.",
)
@click.option(
    "--host-leaves",
    type=click.Choice(["close", "inherit"]),
    default=Limits.host_leaves,
    show_envvar=True,
    help="What becomes of a room whose host leaves. inherit: the member that was there longest is the host then.",
)
@click.option(
    "--persistent",
    multiple=True,
    metavar="ROOM",
    callback=_room_names,
    show_envvar=True,
    help="A room that there always is, and that nobody is the host of; may be given several times.",
)
@click.option(
    "--admin",
    metavar="ENDPOINT",
    callback=_setting(parse_admin),
    show_envvar=True,
    help="Where operators connect (python -m broker admin): ipc://PATH, tcp://HOST:PORT (with an operator's"
    " key, unless it is on this machine) or none."
    " [default: a socket beside the store]",
)
@click.option("--exit-with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
@config_option("broker")
@check_config_option()
@click.pass_context
def main(
    context: click.Context,
    /,
    bind: str,
    store: str,
    keys: Path,
    insecure: bool,
    admin: str | None,
    log_format: logs.Format,
    check_config: bool,
    **_: object,
) -> None:
    """Keep the rooms: who is in them, the one order of what is said, and its log.

    Gateways (python -m gateway --broker ENDPOINT) connect to it; clients never do. Every option can also be given as an
    environment variable, for example TSUDOI_BIND. Prints `ready ENDPOINT` when gateways may come; SIGTERM or Ctrl-C
    stops it.
    """
    context.obj = Shared(bind, keys, insecure, parse_admin(admin) if admin else admin_beside(parse_store(store)))
    if context.invoked_subcommand is not None:
        return
    try:
        config = configure(context)
        if check_config:
            click.echo("broker: all settings are fine")
            return
        logs.set_up(config.log_level, log_format)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(run(config)))
    except (SettingError, StoreError) as exc:
        click.echo(f"broker: {exc}", err=True)
        sys.exit(2)


def configure(context: click.Context) -> Config:
    """Return what flags, environment and file have settled on; raises SettingError if they do not go together."""
    but = ("log_format", "check_config", "config")
    keys_given = context.get_parameter_source("keys") is not ParameterSource.DEFAULT
    return _configure(keys_given, **{name: value for name, value in context.params.items() if name not in but})


def _configure(
    keys_given: bool,
    /,
    bind: str,
    store: str,
    durability: Literal["process", "full"],
    log_entries: int,
    log_age: float,
    room_members: int,
    rooms: int,
    rooms_per_address: int,
    host_leaves: Literal["close", "inherit"],
    news_high_water: int,
    keys: Path,
    insecure: bool,
    persistent: tuple[str, ...],
    admin: str | None,
    http: HostPort | None,
    log_level: str,
    exit_with_parent: bool,
) -> Config:
    limits = Limits(
        log_entries=log_entries,
        log_age_s=log_age,
        news_high_water=news_high_water,
        room_members=room_members,
        rooms=rooms,
        rooms_per_address=rooms_per_address,
        host_leaves=host_leaves,
    )
    guarded_by = None
    if bind.startswith("tcp://") and not insecure:
        guarded_by = choose_keys(bind, keys, what_is_there(keys), keys_given)
    store_path = parse_store(store)
    admin_endpoint = parse_admin(admin) if admin else admin_beside(store_path)
    return Config(
        bind,
        store_path,
        durability,
        limits,
        guarded_by,
        exit_with_parent,
        http,
        log_level,
        admin_endpoint,
        persistent,
    )


main.add_command(keys_command)


@main.command("ping")
@click.option("--bind", default=None, metavar="ENDPOINT", callback=_setting(parse_bind), help="Where it listens.")
@click.option("--timeout", default=3.0, type=Number(0.1), metavar="SECONDS", help="How long to wait.")
@click.pass_context
def ping_command(context: click.Context, bind: str | None, timeout: float) -> None:
    """Ask a running broker whether it answers: exit status 0 or 1."""
    shared: Shared = context.obj
    endpoint = bind or shared.bind
    try:
        guarded_by = None if shared.insecure or not has_keys(shared.keys) else shared.keys
        key = read_secret(guarded_by / OWN) if guarded_by and endpoint.startswith("tcp://") else None
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc
    if not ping(endpoint, timeout, key):
        click.echo(f"broker: no answer from {endpoint} within {timeout:g} s", err=True)
        sys.exit(1)
    click.echo(f"{endpoint} answers")


main.add_command(admin_group)


@main.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def backup_command(context: click.Context, file: Path) -> None:
    """Copy the store (--store sqlite:PATH) to FILE while its broker runs."""
    assert context.parent is not None
    path = parse_store(context.parent.params["store"])
    if path is None:
        raise click.UsageError("a store in memory can not be copied")
    try:
        back_up(path, file)
    except SettingError as exc:
        raise click.UsageError(str(exc)) from exc
    click.echo(f"{file} has all that {path} had")


async def run(config: Config) -> int:
    """Serve until a signal (returns 0) or until nothing can be kept any more (returns 1)."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(status: int) -> None:
        if not stopped.done():
            stopped.set_result(status)

    loop.add_signal_handler(signal.SIGUSR1, _toggle_debug, config.log_level)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, 0)
    service = await BrokerService.open(config, lambda: stop(1))
    try:
        loop.add_signal_handler(signal.SIGHUP, _reload, service)
        if config.exit_with_parent:
            loop.add_reader(sys.stdin.fileno(), lambda: stop(0))
        with contextlib.suppress(BrokenPipeError):
            click.echo(f"ready {service.endpoint}")
        logger.info("ready", endpoint=service.endpoint, http=config.http)
        status = await stopped
        logger.info("stopping", status=status, entries=service.entries)
        return status
    finally:
        service.stop()


def _read_again() -> Config:
    """Return what the settings are now, with the flags of the start; raises SettingError or click.ClickException."""
    return configure(main.make_context("python -m broker", sys.argv[1:]))


def _reload(service: BrokerService) -> None:
    """Read the settings again, and change what can be changed while gateways are there."""
    try:
        new = _read_again()
    except (SettingError, click.ClickException) as exc:
        why = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
        logger.error("not reloaded, all stays as it was", why=why)
        return
    changed, fixed = service.reload(new)
    logs.set_level(new.log_level)
    logger.info("reloaded", changed=", ".join(changed) or "nothing", needs_restart=", ".join(fixed) or "nothing")


def _toggle_debug(level: str) -> None:
    logger.warning("log level changed", to=logs.toggle_debug(level))  # `level` is the line's own


def run_program() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        main.main(prog_name="python -m broker", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message())
        sys.exit(exc.exit_code)
    except click.ClickException as exc:
        click.echo(f"broker: {exc.format_message()}", err=True)
        sys.exit(exc.exit_code)
    except click.Abort:
        sys.exit(130)
