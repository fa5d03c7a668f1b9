"""Run gateway and broker in one process. Only this module knows both.

They share an event loop and a ZeroMQ context, and connect over inproc:// with the same sockets and frames as elsewhere.
If the process dies, both end; after a restart the store still has all accepted items.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from tsudoi.ops.program import import_program
from tsudoi.ops.reload import Apply
from tsudoi.protocol.backbone.endpoint import INPROC
from tsudoi.protocol.errors import SettingError, StoreError

from .broker_process import broker_arguments

if TYPE_CHECKING:
    import click

    from broker.config import Config as BrokerConfig
    from broker.net.service import BrokerService

    from .service import Service

ENDPOINT = f"{INPROC}broker"


class LocalBroker:
    """A broker in this process, for the gateway that connects with `context`."""

    def __init__(self, data: Path | None, config: Path | None, log_format: str, on_failure: Callable[[], None]) -> None:
        """Prepare it; see `broker_arguments`.

        `on_failure` is called once if the store can not be written any more: the process must end then.
        """
        self.endpoint = ENDPOINT
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        """One I/O thread, for operators' ipc:// or tcp:// connections; inproc:// uses none."""
        self._configure = partial(_configure, broker_arguments(ENDPOINT, data, config, log_format))
        self._on_failure = on_failure
        self._service: BrokerService | None = None

    async def start(self) -> None:
        """Open the store and serve; raise SettingError if the settings or the store can not be used."""
        # As with `--log-level warning` in a process of its own.
        logging.getLogger("broker").setLevel(logging.WARNING)
        try:
            config = self._configure()
            service: type[BrokerService] = import_program("broker.net.service").BrokerService
            self._service = await service.open(config, self._on_failure, self.context)
        except StoreError as exc:
            raise SettingError(str(exc)) from exc

    def join(self, gateway: "Service") -> None:
        """Let this broker and a gateway call each other when they have sent something, and at each tick."""
        assert self._service is not None
        server = self._service.server
        server.sockets.wake_gateway = gateway.stay_in_process(ENDPOINT, server.turns.wake)
        server.before_tick = gateway.tick

    def prepare_reload(self) -> Apply:
        """Read its settings again, and return the function that applies them; raise SettingError for a mistake."""
        assert self._service is not None
        return partial(self._service.reload, self._configure())

    async def stop(self) -> None:
        """Run a last turn with all frames from the gateway, and close."""
        if self._service is not None:
            await self._service.leave()
            self._service.stop()
        self.context.term()  # if the service did not begin


def check_settings(data: Path | None, config: Path | None, log_format: str) -> None:
    """Raise SettingError if the settings of such a broker are no good."""
    _configure(broker_arguments(ENDPOINT, data, config, log_format))


def _configure(arguments: Sequence[str]) -> "BrokerConfig":
    """Return the broker's settings from its arguments, the environment and its table of the file."""
    cli = import_program("broker.cli")
    try:
        context: click.Context = cli.main.make_context("python -m broker", list(arguments))
        config: BrokerConfig = cli.configure(context)
    except Exception as exc:
        if isinstance(exc, SettingError) or not hasattr(exc, "format_message"):
            raise
        raise SettingError(f"the broker's settings: {exc.format_message()}") from exc
    return config
