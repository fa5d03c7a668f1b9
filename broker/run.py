"""Serve until a signal, reload the settings on SIGHUP."""

import asyncio
import signal
import sys
from collections.abc import Callable

from tsudoi.ops import hangup, logs, standard_streams
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

    loop.add_signal_handler(signal.SIGUSR1, logs.toggle_debug, logger)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, 0)
    is_stopped_by_hangup = hangup.means_stop()
    early = asyncio.Event()  # SIGHUP came before the broker was ready: it may have read its settings before
    loop.add_signal_handler(signal.SIGHUP, *((stop, 0) if is_stopped_by_hangup else (early.set,)))
    service = await BrokerService.open(config, lambda: stop(1))
    try:
        if not is_stopped_by_hangup:
            loop.add_signal_handler(signal.SIGHUP, _reload, service, configure_again)
            if early.is_set():
                _reload(service, configure_again)
        if config.exit_with_parent:
            loop.add_reader(sys.stdin.fileno(), lambda: stop(0))
        standard_streams.print_line(f"ready {service.server.endpoint}")
        logger.info("ready", endpoint=service.server.endpoint, http=config.http)
        status = await stopped
        logger.info("stopping", status=status, entries=service.server.core.counters.entries)
        return status
    finally:
        service.stop()


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
