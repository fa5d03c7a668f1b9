"""Serve until a signal, reload the settings on SIGHUP."""

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial

from tsudoi.ops import logs, standard_streams
from tsudoi.ops.hangup import OnHangup
from tsudoi.ops.net import signals
from tsudoi.ops.reload import Apply, Report, reload

from .config import Config
from .net.service import BrokerService

logger = logs.get("broker")


async def run(config: Config, configure_again: Callable[[], Config]) -> int:
    """Serve until a signal (returns 0) or until nothing can be stored any more (returns 1)."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(status: int) -> None:
        if not stopped.done():
            stopped.set_result(status)

    signals.handle(signal.SIGUSR1, partial(logs.toggle_debug, logger))
    for number in (signal.SIGINT, signal.SIGTERM):
        signals.handle(number, partial(stop, 0))
    on_hangup = OnHangup(logger, partial(stop, 0))
    signals.handle(signal.SIGHUP, on_hangup)
    service = await BrokerService.open(config, partial(stop, 1))
    try:
        on_hangup.when_ready(partial(_reload, service, configure_again))
        if config.exit_with_parent:
            loop.add_reader(sys.stdin.fileno(), stop, 0)
        standard_streams.print_line(f"ready {service.server.endpoint}")
        logger.info("ready", endpoint=service.server.endpoint, http=service.http)
        status = await stopped
        if not status:
            await service.leave()
        logger.info("stopping", status=status, entries=service.server.counters.entries)
        return status
    finally:
        service.stop()
        signals.ignore()


def _reload(service: BrokerService, configure_again: Callable[[], Config]) -> None:
    def prepare() -> Apply:
        new = configure_again()

        def apply() -> Report:
            report = service.reload(new)
            if logs.change_level(new.log_level):
                report.changed.append("log-level")
            return report

        return apply

    reload(logger, [("settings", prepare)])
