"""`python -m gateway`: the command line."""

import asyncio
import contextlib
import signal
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Literal

import click
import uvloop
from click.core import ParameterSource

from gateway.config import (
    LOOPBACK,
    Config,
    Door,
    Network,
    Settings,
    TlsFiles,
    choose_key,
    parse_broker,
    parse_door,
    parse_inherited,
    parse_name,
    parse_network,
)
from gateway.join.signed_tokens import load_verifier
from gateway.listeners import tls
from gateway.net import metrics
from gateway.net.ask import ask
from gateway.net.embedded import EmbeddedBroker
from gateway.net.service import Service
from gateway.net.workers import Workers
from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.metrics import exposition
from tsudoi.ops.net.heap import give_back_often
from tsudoi.ops.net.http import HttpServer
from tsudoi.ops.options import MANY, HostPortType, Number, check_config_option, config_option
from tsudoi.protocol.backbone import MAX_IDLE_MS
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.errors import SettingError

logger = logs.get("gateway")

STARTING_S = 30.0
"""How long to wait at the start for a broker that is not there yet."""


class NetworkType(click.ParamType[Network]):
    """An IP network or address."""

    name = "NETWORK"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Network:
        """See click."""
        try:
            return parse_network(str(value))
        except SettingError as exc:
            self.fail(str(exc), param, ctx)


class DoorType(click.ParamType[Door]):
    """HOST:PORT, with =DIALECT,OPTION=VALUE… where a door has such."""

    def __init__(self, dialects: bool, tls: bool = False) -> None:
        self._dialects = dialects
        self._tls = tls
        self.name = "HOST:PORT[=DIALECT][,OPTION=VALUE...]" if dialects else "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Door:
        """See click."""
        if isinstance(value, Door):
            return value
        try:
            return replace(parse_door(str(value), self._dialects), tls=self._tls)
        except SettingError as exc:
            self.fail(str(exc), param, ctx)


def _check_broker(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return parse_broker(value) if value else None
    except SettingError as exc:
        raise click.BadParameter(str(exc)) from exc


def _check_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return parse_name(value) if value else ""
    except SettingError as exc:
        raise click.BadParameter(str(exc)) from exc


@click.group(invoke_without_command=True, context_settings={"auto_envvar_prefix": "TSUDOI", "show_default": True})
@click.option(
    "--tcp",
    type=DoorType(dialects=True),
    multiple=True,
    default=("0.0.0.0:9001",),
    show_envvar=True,
    help=f"Where clients create and join rooms; may be given several times. Port 0: any free one. DIALECT is auto (the"
    f" default) or one of {', '.join(DIALECTS)}. What --no-commands, --notices and --language say for all doors can"
    " differ for one: HOST:PORT=DIALECT,commands=off,notices=on,language=ja. With --tls there is no such door unless it"
    " is given.",
)
@click.option(
    "--tls",
    type=DoorType(dialects=True, tls=True),
    multiple=True,
    show_envvar=True,
    help="Like --tcp, for clients that speak TLS (1.2 or newer); may be given several times. Needs --tls-cert and"
    " --tls-key. Chat itself goes by UDP all the same, in clear text. [default: nowhere]",
)
@click.option(
    "--tls-cert",
    type=click.Path(dir_okay=False, path_type=Path),
    show_envvar=True,
    help="The server's certificate and those that lead to its authority (PEM). SIGHUP reads it again. [default: none]",
)
@click.option(
    "--tls-key",
    type=click.Path(dir_okay=False, path_type=Path),
    show_envvar=True,
    help="The certificate's key (PEM, mode 0600, no passphrase). [default: none]",
)
@click.option(
    "--udp",
    type=DoorType(dialects=False),
    multiple=True,
    default=("0.0.0.0:9002",),
    show_envvar=True,
    help="Where clients chat; may be given several times.",
)
@click.option(
    "--broker",
    metavar="ENDPOINT",
    callback=_check_broker,
    show_envvar=True,
    help="A running broker, tcp://HOST:PORT or unix://PATH. Without it the gateway starts one of its own.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    show_envvar=True,
    help="The file with this gateway's key for --broker (python -m broker keys add). [default: none]",
)
@click.option(
    "--insecure",
    is_flag=True,
    show_envvar=True,
    help="Use no key: whoever sees the way to --broker may read all, and write.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default="data",
    show_envvar=True,
    help="Where a broker of our own keeps rooms and messages between runs.",
)
@click.option(
    "--name",
    default="",
    callback=_check_name,
    show_envvar=True,
    help="Gateways of one name stand behind one address (or one is the other, started again): when one is gone, another"
    " goes on with its members at once, also with those who only listen. [default: none]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_envvar=True,
    help="Processes that share the ports, for as many cores. One that dies is started again. With --http, each serves"
    " its own, at ports in a row.",
)
@click.option("--inherited", default="", hidden=True, help="Descriptors of a worker's sockets.")
@click.option(
    "--idle-timeout",
    type=Number(0.5, MAX_IDLE_MS / 1000),
    default=Settings.idle_timeout_s,
    metavar="SECONDS",
    show_envvar=True,
    help="A member that sends nothing for so long is removed; a host's room closes.",
)
@click.option(
    "--check-ip",
    type=click.Choice(["strict", "off"]),
    default=Settings.check_ip,
    show_envvar=True,
    help="strict: datagrams must come from the host that made the handshake (loopback addresses count as one).",
)
@click.option(
    "--move-after",
    type=Number(0),
    default=Settings.move_after_s,
    metavar="SECONDS",
    show_envvar=True,
    help="Another host may take a member over when the old one has been silent for so long.",
)
@click.option(
    "--payload-limit",
    type=click.IntRange(64, 2**24),
    default=Settings.payload_limit,
    metavar="BYTES",
    show_envvar=True,
    help="What a request's payload may really have, whatever its header promises.",
)
@click.option(
    "--backlog",
    type=click.IntRange(0, 10_000),
    default=Settings.backlog,
    metavar="MESSAGES",
    show_envvar=True,
    help="What waits for a member whose UDP address is not known yet.",
)
@click.option(
    "--history",
    type=click.IntRange(0, 200),
    default=Settings.history,
    metavar="MESSAGES",
    show_envvar=True,
    help="What was said last before a member joined, told to it first.",
)
@click.option(
    "--replay-rate",
    type=Number(1),
    default=Settings.replay_rate,
    metavar="PER_SECOND",
    show_envvar=True,
    help="How fast a member is told what it has missed; half a second's worth comes at once.",
)
@click.option(
    "--rate",
    type=Number(0.1),
    default=Settings.rate,
    metavar="PER_SECOND",
    show_envvar=True,
    help="Messages that one member may send in the long run; more are dropped.",
)
@click.option(
    "--burst",
    type=Number(1),
    default=Settings.burst,
    metavar="MESSAGES",
    show_envvar=True,
    help="Messages that one member may send at once.",
)
@click.option(
    "--room-rate",
    type=Number(1),
    default=Settings.room_rate,
    metavar="PER_SECOND",
    show_envvar=True,
    help="Messages that all members here may send in one room in the long run.",
)
@click.option(
    "--unaccepted",
    type=click.IntRange(1, MANY),
    default=Settings.unaccepted,
    metavar="MESSAGES",
    show_envvar=True,
    help="What waits while the broker is away; more are dropped.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, MANY),
    default=Settings.connections,
    show_envvar=True,
    help="TCP connections at once.",
)
@click.option(
    "--address-connections",
    type=click.IntRange(1, MANY),
    default=Settings.address_connections,
    show_envvar=True,
    help="TCP connections at once from one address (of IPv6, from one network of 64 bits).",
)
@click.option(
    "--address-rate",
    type=Number(0.1),
    default=Settings.address_rate,
    metavar="PER_SECOND",
    show_envvar=True,
    help="TCP connections that one address may open in the long run, ten times as many at once; each further request "
    "on one counts like another.",
)
@click.option(
    "--address-members",
    type=click.IntRange(1, MANY),
    default=Settings.address_members,
    metavar="MEMBERS",
    show_envvar=True,
    help="Members here that one address may have.",
)
@click.option(
    "--address-messages",
    type=Number(1),
    default=Settings.address_messages,
    metavar="PER_SECOND",
    show_envvar=True,
    help="Messages that all members from one address may send in the long run, twice as many at once.",
)
@click.option(
    "--create-rate",
    type=Number(0.1),
    default=Settings.create_rate,
    metavar="PER_SECOND",
    show_envvar=True,
    help="Rooms that one address may create in the long run; ten times as many at once.",
)
@click.option(
    "--password-tries",
    type=click.IntRange(1, MANY),
    default=Settings.password_tries,
    show_envvar=True,
    help="Wrong passwords from one address before it has to wait; after each further one, twice as long.",
)
@click.option(
    "--room-password-rate",
    type=Number(0.01),
    default=Settings.room_password_rate,
    metavar="PER_SECOND",
    show_envvar=True,
    help="Wrong passwords that all addresses may try in one room in the long run; a minute's worth at once.",
)
@click.option(
    "--guess-rate",
    type=Number(0.1),
    default=Settings.guess_rate,
    metavar="PER_SECOND",
    show_envvar=True,
    help="Tokens of nobody that one address may show in the long run; twenty times as many at once.",
)
@click.option(
    "--unlimited",
    type=NetworkType(),
    multiple=True,
    default=tuple(map(str, LOOPBACK)),
    show_envvar=True,
    help="Networks whose addresses are not limited one by one; may be given several times.",
)
@click.option(
    "--handshake-wait",
    type=Number(1),
    default=Settings.first_byte_s,
    metavar="SECONDS",
    show_envvar=True,
    help="How long a TCP connection may stay silent before its request.",
)
@click.option(
    "--auth-key",
    type=click.Path(dir_okay=False, path_type=Path),
    show_envvar=True,
    help="Names may be signed tokens (JWT): the file with the issuer's public keys (PEM, JWK set) or shared secret."
    " [default: names are free]",
)
@click.option(
    "--auth",
    type=click.Choice(["optional", "required"]),
    default="optional",
    show_envvar=True,
    help="With --auth-key: whether strangers without a token may come in.",
)
@click.option(
    "--no-commands",
    is_flag=True,
    show_envvar=True,
    help="A text that begins with a slash is said like any other; else it is a command (/help lists them).",
)
@click.option(
    "--notices",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_envvar=True,
    help="Whether members are told who joins, leaves, is renamed and so on. auto: all but those who speak classic.",
)
@click.option(
    "--language",
    type=click.Choice(["en", "ja"]),
    default=Settings.language,
    show_envvar=True,
    help="What the server's own words in rooms are in: English or Japanese.",
)
@click.option(
    "--http",
    type=HostPortType(),
    default=None,
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
@config_option("gateway")
@check_config_option()
@click.pass_context
def main(context: click.Context, /, http: HostPort | None, check_config: bool, **_: object) -> None:
    """Let clients in: rooms are created and joined over TCP, chat goes by UDP.

    Without --broker this is a whole chat service: it starts a broker of its own, which keeps everything in --data.
    Every option can also be given as an environment variable, for example TSUDOI_TCP; several doors are separated by
    spaces there. Prints `ready tcp HOST:PORT udp HOST:PORT` when a probe has gone to the broker and back; SIGTERM or
    Ctrl-C stops it.
    """
    context.obj = http
    if context.invoked_subcommand is not None:
        return
    try:
        config = configure(context)
        if config.tls is not None:
            tls.load(config.tls)
        if check_config:
            if config.auth_key is not None:
                load_verifier(config.auth_key, config.settings.auth)
            click.echo("gateway: all settings are fine")
            return
        logs.set_up(config.log_level, config.log_format)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(config))
    except SettingError as exc:
        click.echo(f"gateway: {exc}", err=True)
        sys.exit(2)


def configure(context: click.Context) -> Config:
    """Return what flags, environment and file have settled on.

    Raises:
        SettingError, click.UsageError: they do not go together.
    """
    given = {name: value for name, value in context.params.items() if name != "check_config"}
    if given["tls"] and context.get_parameter_source("tcp") is ParameterSource.DEFAULT:
        given["tcp"] = ()
    return _configure(**given)


def _configure(
    tcp: tuple[Door, ...],
    tls: tuple[Door, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    udp: tuple[Door, ...],
    broker: str | None,
    key: Path | None,
    insecure: bool,
    data: Path,
    name: str,
    idle_timeout: float,
    check_ip: Literal["strict", "off"],
    move_after: float,
    payload_limit: int,
    backlog: int,
    history: int,
    replay_rate: float,
    rate: float,
    burst: float,
    room_rate: float,
    unaccepted: int,
    connections: int,
    address_connections: int,
    address_rate: float,
    address_members: int,
    address_messages: float,
    create_rate: float,
    password_tries: int,
    room_password_rate: float,
    guess_rate: float,
    unlimited: tuple[Network, ...],
    handshake_wait: float,
    no_commands: bool,
    notices: Literal["auto", "on", "off"],
    language: Literal["en", "ja"],
    auth_key: Path | None,
    auth: Literal["optional", "required"],
    http: HostPort | None,
    log_level: str,
    log_format: logs.Format,
    config: Path | None,
    workers: int,
    inherited: str,
) -> Config:
    settings = Settings(
        idle_timeout_s=idle_timeout,
        check_ip=check_ip,
        move_after_s=move_after,
        payload_limit=payload_limit,
        backlog=backlog,
        history=history,
        replay_rate=replay_rate,
        rate=rate,
        burst=burst,
        unaccepted=unaccepted,
        connections=connections,
        address_connections=address_connections,
        address_rate=address_rate,
        address_members=address_members,
        address_messages=address_messages,
        create_rate=create_rate,
        password_tries=password_tries,
        room_password_rate=room_password_rate,
        guess_rate=guess_rate,
        room_rate=room_rate,
        unlimited=unlimited,
        first_byte_s=handshake_wait,
        commands=not no_commands,
        notices=None if notices == "auto" else notices == "on",
        language=language,
        auth=auth if auth_key else "off",
    )
    if auth == "required" and auth_key is None:
        raise click.UsageError("--auth required needs --auth-key, the file with the keys that tokens are signed with")
    if bool(tls) != bool(tls_cert and tls_key) or bool(tls_cert) != bool(tls_key):
        raise click.UsageError("--tls, --tls-cert and --tls-key need each other")
    files = TlsFiles(tls_cert, tls_key) if tls_cert and tls_key else None
    # What our own broker has kept of an earlier run is ours to go on with.
    name = name if broker else name or "embedded"
    shown = choose_key(broker, key, name, insecure)
    received = parse_inherited(inherited) if inherited else None
    places = ((*tcp, *tls), udp, broker, data, http, name, auth_key, shown, files)
    return Config(*places, settings, log_level, log_format, config, workers, received)


@main.command("ping")
@click.option("--http", type=HostPortType(), default=None, help="Where it serves /healthz.")
@click.option("--timeout", default=3.0, type=Number(0.1), metavar="SECONDS", help="How long to wait.")
@click.pass_context
def ping_command(context: click.Context, http: HostPort | None, timeout: float) -> None:
    """Ask a running gateway (at --http) whether it is healthy: exit status 0 or 1."""
    place = http or context.obj
    if place is None:
        raise click.UsageError("name the gateway's --http HOST:PORT (or TSUDOI_HTTP)")
    healthy, text = ask(str(place), timeout)
    click.echo(text, err=not healthy)
    sys.exit(0 if healthy else 1)


async def run(config: Config) -> None:
    """Serve until a signal; raises SettingError if it can not begin."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    give_back_often()
    loop.add_signal_handler(signal.SIGUSR1, _toggle_debug, config.log_level)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    embedded: EmbeddedBroker | None = None
    endpoint = config.broker
    async with contextlib.AsyncExitStack() as stack:
        if endpoint is None:
            embedded = EmbeddedBroker(config.data, config.file, config.log_format)
            stack.push_async_callback(embedded.stop)
            await embedded.start()
            endpoint = embedded.endpoint
        if config.workers > 1:
            await _run_workers(config, endpoint, stopped, embedded)
            return
        if config.inherited is not None:
            # Who started us holds the other end, and says nothing on it.
            loop.add_reader(sys.stdin.fileno(), stopped.set)
        service = Service(config, endpoint)
        loop.add_signal_handler(signal.SIGHUP, _reload, service, embedded)
        stack.push_async_callback(service.stop)
        if config.http is not None:
            http = HttpServer(config.http, lambda: service.illness(monotonic()), exposition(metrics.rows(service)))
            stack.callback(http.close)
        starting = asyncio.create_task(service.start())
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({starting, stopping}, timeout=STARTING_S, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            if stopped.is_set():
                return
            raise SettingError(f"no broker answers at {endpoint}{service.trouble and f': {service.trouble}'}")
        doors = [f"{door.kind} {door}" for door in starting.result()]
        doors += [f"udp {server.listener}" for server in service.udp]
        logger.info("ready", doors=" ".join(doors), broker=endpoint, http=config.http)
        with contextlib.suppress(BrokenPipeError):
            click.echo(f"ready {' '.join(doors)}")
        await stopping
        logger.info("stopping", members=len(service.core.members))


async def _run_workers(config: Config, endpoint: str, stopped: asyncio.Event, embedded: EmbeddedBroker | None) -> None:
    """Let others serve until `stopped`; raises SettingError if they can not begin."""
    loop = asyncio.get_running_loop()
    workers = Workers(config, endpoint)
    try:
        starting, stopping = asyncio.create_task(workers.start()), asyncio.create_task(stopped.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        starting.result()
        loop.add_signal_handler(signal.SIGUSR1, workers.send_signal, signal.SIGUSR1)

        def reload() -> None:
            workers.send_signal(signal.SIGHUP)
            if embedded is not None:
                embedded.reload()

        loop.add_signal_handler(signal.SIGHUP, reload)
        logger.info("ready", doors=" ".join(workers.doors), broker=endpoint, workers=config.workers)
        with contextlib.suppress(BrokenPipeError):
            click.echo(f"ready {' '.join(workers.doors)}")
        await stopping
        logger.info("stopping")
    finally:
        await workers.stop()


def _read_again() -> Config:
    """Return what the settings are now, with the flags of the start; raises SettingError or click.ClickException."""
    return configure(main.make_context("python -m gateway", sys.argv[1:]))


def _reload(service: Service, embedded: EmbeddedBroker | None) -> None:
    """Read the settings again, and change what can be changed without losing anybody."""
    try:
        config = _read_again()
        changed, fixed = service.reload(config)
    except (SettingError, click.ClickException) as exc:
        why = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
        logger.error("not reloaded, all stays as it was", why=why)
        return
    logs.set_level(config.log_level)
    logger.info("reloaded", changed=", ".join(changed) or "nothing", needs_restart=", ".join(fixed) or "nothing")
    if embedded is not None:
        embedded.reload()


def _toggle_debug(level: str) -> None:
    logger.warning("log level changed", to=logs.toggle_debug(level))  # `level` is the line's own


def run_program() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        main.main(prog_name="python -m gateway", standalone_mode=False)
    except click.ClickException as exc:
        click.echo(f"gateway: {exc.format_message()}", err=True)
        sys.exit(exc.exit_code)
    except click.Abort:
        sys.exit(130)
