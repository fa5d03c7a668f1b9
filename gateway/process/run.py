"""Start what the settings ask for, reload them on SIGHUP, stop on a signal."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any

from tsudoi.ops import logs, standard_streams
from tsudoi.ops.hangup import OnHangup
from tsudoi.ops.net import signals
from tsudoi.ops.reload import reload
from tsudoi.protocol.errors import SettingError

from ..config import Config
from ..listeners.options import HttpListener
from . import metrics
from .broker_process import BrokerProcess
from .reload import prepare, prepare_parent
from .service import Service
from .session_files import Sessions, open_sessions, warn
from .single import LocalBroker
from .workers import Workers

logger = logs.get("gateway")

Broker = BrokerProcess | LocalBroker
"""The gateway's own broker."""

STARTING_S = 30.0
"""How long to wait at the start for the broker to answer."""


async def run(config: Config, configure_again: Callable[[], Config]) -> int:
    """Serve; return 0 after a signal, 1 if the broker in this process can not write its store.

    `configure_again` reads the settings once more; it raises SettingError or click.ClickException.

    Raises:
        SettingError: it can not begin.
    """
    stopped = asyncio.Event()
    signals.handle(signal.SIGUSR1, partial(logs.toggle_debug, logger))
    for number in (signal.SIGINT, signal.SIGTERM):
        signals.handle(number, stopped.set)
    on_hangup = OnHangup(logger, stopped.set)
    signals.handle(signal.SIGHUP, on_hangup)
    broker: Broker | None = None
    endpoints = config.broker
    status = 0

    def fail() -> None:
        nonlocal status
        status = 1
        stopped.set()

    async with contextlib.AsyncExitStack() as stack:
        stack.callback(signals.ignore)
        if not endpoints:
            if config.workers > 1:
                broker = BrokerProcess(config.data, config.file, config.log_format)
            else:
                broker = LocalBroker(config.data, config.file, config.log_format, fail)
            stack.push_async_callback(broker.stop)
            await broker.start()
            endpoints = (broker.endpoint,)
        sessions = open_sessions(config, stack)
        if config.workers > 1:
            await _run_workers(config, endpoints, sessions, stopped, broker, configure_again, on_hangup)
            return 0
        if config.inherited is not None:
            # A pipe from the parent process: it becomes readable when that ends.
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopped.set)
        service = Service(config, endpoints, sessions, broker.context if isinstance(broker, LocalBroker) else None)
        if isinstance(broker, LocalBroker):
            broker.join(service)
        if config.inherited is None:
            warn(config, sessions)
        on_hangup.when_ready(partial(_reload, service, broker, configure_again))
        stack.push_async_callback(service.stop)
        place = None
        if config.http is not None:
            from tsudoi.ops.exposition import exposition
            from tsudoi.ops.net.http import MonitoringServer

            exported = exposition(metrics.rows(service))
            http = MonitoringServer(config.http, lambda: service.unhealthy_reason(monotonic()), exported)
            stack.callback(http.close)
            place = http.place
        starting = asyncio.create_task(service.start())
        if not await _has_started(starting, stopped, STARTING_S):
            if stopped.is_set():
                return status
            raise SettingError(_why_not_started(service, endpoints))
        listeners = [f"{listener.kind} {listener}" for listener in starting.result()]
        listeners += [f"udp {server.listener}" for server in service.udp]
        listeners += [f"{listener.kind} {listener}" for listener in service.http.webhooks]
        listeners += [f"{listener.kind} {listener}" for listener in service.http.web]
        web = service.http.web if config.inherited is None else ()
        shown = "" if config.inherited else sessions.fingerprint
        # What lives as long as the process is no work for the garbage collector: it held up the event loop for 0.05 s.
        gc.freeze()
        _announce(listeners, web, shown, broker=" ".join(endpoints), http=place)
        await stopped.wait()
        if config.settings.drain_s and not status:
            logger.info("draining", members=len(service.core.members))
            stopped.clear()  # a second signal ends it
            draining = asyncio.create_task(service.drain())
            if await _has_started(draining, stopped, None):
                draining.result()
        logger.info("stopping", members=len(service.core.members))
    return status


async def _run_workers(
    config: Config,
    endpoints: Sequence[str],
    sessions: Sessions,
    stopped: asyncio.Event,
    broker: Broker | None,
    configure_again: Callable[[], Config],
    on_hangup: OnHangup,
) -> None:
    """Let worker processes serve until `stopped`; raise SettingError if they can not begin."""
    workers = Workers(config, endpoints, sessions.file)
    warn(config, sessions)

    def send_all() -> None:
        workers.send_signal(signal.SIGHUP)
        if isinstance(broker, BrokerProcess):
            broker.send_signal(signal.SIGHUP)

    def reload_all() -> None:
        # The workers and the broker read the settings themselves, and log what that did.
        reload(logger, [("the parent process", lambda: prepare_parent(config, configure_again, send_all))])

    try:
        starting = asyncio.create_task(workers.start())
        if not await _has_started(starting, stopped, None):
            return
        starting.result()
        signals.handle(signal.SIGUSR1, partial(workers.send_signal, signal.SIGUSR1))
        on_hangup.when_ready(reload_all)
        _announce(
            workers.listeners, workers.web, sessions.fingerprint, broker=" ".join(endpoints), workers=config.workers
        )
        await stopped.wait()
        logger.info("stopping")
    finally:
        await workers.stop()


async def _has_started(starting: asyncio.Task[Any], stopped: asyncio.Event, timeout_s: float | None) -> bool:
    """Wait until `starting` is done, and return True; cancel it on `stopped` or after the time, and return False."""
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({starting, stopping}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if starting.done():
        return True
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    return False


def _why_not_started(service: Service, endpoints: Sequence[str]) -> str:
    if service.routes.owners is not None:
        return f"not all rooms are served: {service.unhealthy_reason(monotonic())}"
    why = service.sockets.connect_error
    return f"no broker answers at {' or '.join(endpoints)}{': ' if why else ''}{why}"


def _announce(listeners: list[str], web: Sequence[HttpListener], fingerprint: str, **values: object) -> None:
    """Log the listeners, and print the line `ready`; more lines have the certificate's fingerprint and the page."""
    line = " ".join(listeners)
    about = {"certificate_sha256": fingerprint} if fingerprint else {}
    logger.info("ready", listeners=line, **values, **about)
    standard_streams.print_line(f"ready {line}")
    if fingerprint:
        standard_streams.print_line(f"certificate sha256 {fingerprint}")
    for listener in web[:1]:
        standard_streams.print_line(f"open {listener.url}")


def _reload(service: Service, broker: Broker | None, configure_again: Callable[[], Config]) -> None:
    parts = [("settings", lambda: prepare(service, configure_again))]
    if isinstance(broker, LocalBroker):
        parts.append(("the broker's settings", broker.prepare_reload))
    reload(logger, parts)
