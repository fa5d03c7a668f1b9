"""Serve until a signal, reload the settings on SIGHUP."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable

import click

from tsudoi.ops import logs
from tsudoi.ops.reload import reload

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

    loop.add_signal_handler(signal.SIGUSR1, logs.toggle_debug, logger, config.log_level)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, 0)
    service = await BrokerService.open(config, lambda: stop(1))
    try:
        loop.add_signal_handler(signal.SIGHUP, reload, logger, configure_again, service.reload)
        if config.exit_with_parent:
            loop.add_reader(sys.stdin.fileno(), lambda: stop(0))
        with contextlib.suppress(BrokenPipeError):
            click.echo(f"ready {service.server.endpoint}")
        logger.info("ready", endpoint=service.server.endpoint, http=config.http)
        status = await stopped
        logger.info("stopping", status=status, entries=service.server.core.counters.entries)
        return status
    finally:
        service.stop()
