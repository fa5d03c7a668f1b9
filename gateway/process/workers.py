"""Run several gateways on the same ports, each on a core of its own: `--workers`; ARCHITECTURE.md, "Processes".

The parent process binds the sockets and passes them down: one TCP socket that all accept from, and for each worker a
UDP socket in a SO_REUSEPORT group. The kernel gives all datagrams of a room to one of them
(`listeners/reuseport_routing.py`), or if it can not, all of a client. A worker's sockets outlive it: while it is
restarted, its datagrams wait in them, and those for other workers still go to these.
"""

import asyncio
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tsudoi.ops import logs
from tsudoi.ops.program import program_command
from tsudoi.protocol.errors import SettingError

from ..config import Config
from ..listeners.options import HttpListener, Listener
from ..listeners.reuseport_routing import route_by_token
from ..listeners.stream_server import bind_tcp
from ..listeners.udp import bind_udp
from .http_listeners import warn_of_no_page
from .inherited import Inherited
from .supervisor import Supervisor

logger = logs.get("gateway")

START_S, STOP_S = 40.0, 6.0
"""Longer than a gateway waits for its broker at the start (`run.STARTING_S`), and than it takes to stop."""


class Workers:
    """The worker processes, and their sockets."""

    def __init__(self, config: Config, endpoints: Sequence[str], session_file: Path | None) -> None:
        """Bind all listeners for `config.workers` gateways with the brokers at `endpoints`.

        They serve each other's sessions, so all read `session_file`.

        Raises:
            SettingError: an address can not be bound.
        """
        self._sockets: list[socket.socket] = []
        self.listeners: list[str] = []
        """Kind and address of each, for the `ready` line."""
        self.web: list[HttpListener] = []
        try:
            tcp = tuple(self._bind_tcp(listener) for listener in config.tcp)
            udp = [self._bind_udp(listener, config.workers) for listener in config.udp]
            webhook = tuple(self._bind_tcp(listener) for listener in config.webhook)
            web = self._bind_web(config)
        except BaseException:
            self._close()
            raise
        routed = [route_by_token(group) for group in udp]  # each, also after one that can not be: else it gets nothing
        is_routed = all(routed)
        # Workers with one name take over each other's members.
        name = config.name or ("" if config.key else f"workers-{secrets.token_hex(4)}")
        self._children = []
        stop_s = STOP_S + config.settings.drain_s
        if not is_routed:
            for group in udp:
                for sock in reversed(group[config.workers :]):
                    sock.close()
        for number in range(config.workers):
            own = tuple(group[number].fileno() for group in udp)
            pings = tuple(group[config.workers + number].fileno() for group in udp if is_routed)
            inherited = Inherited(tcp, own, config.workers if is_routed else 1, number + 1, webhook, web, pings)
            more = ["--workers", "1", "--inherited", str(inherited), "--name", name]
            more += ["--session-secret", str(session_file)]
            for endpoint in endpoints:
                more += ["--broker", endpoint]
            if config.web_is_default and web:
                more += ["--web", *map(str, config.web)]
            if config.http is not None:
                place = replace(config.http, port=config.http.port and config.http.port + number)
                more += ["--http", str(place)]
            command = (*program_command("gateway"), *sys.argv[1:], *more)
            descriptors = (*tcp, *own, *webhook, *web, *pings)
            child = Supervisor(f"worker {number + 1}", command, descriptors=descriptors, start_s=START_S, stop_s=stop_s)
            self._children.append(child)

    async def start(self) -> None:
        """Start all workers and wait until they are ready; raise SettingError if one did not start."""
        for outcome in await asyncio.gather(*(child.start() for child in self._children), return_exceptions=True):
            if outcome is not None:
                raise outcome

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to all workers."""
        for child in self._children:
            child.send_signal(number)

    async def stop(self) -> None:
        """Stop all workers, and close their sockets."""
        await asyncio.gather(*(child.stop() for child in self._children))
        self._close()

    def _close(self) -> None:
        for sock in self._sockets:
            sock.close()

    def _bind_web(self, config: Config) -> tuple[int, ...]:
        try:
            return tuple(self._bind_tcp(listener) for listener in config.web if listener is not None)
        except SettingError as exc:
            if not config.web_is_default:
                raise
            warn_of_no_page(exc)
            return ()

    def _bind_tcp(self, listener: Listener | HttpListener) -> int:
        sock = bind_tcp(listener)
        self._sockets.append(sock)
        bound = replace(listener, port=sock.getsockname()[1])
        self.listeners.append(f"{bound.kind} {bound}")
        if isinstance(bound, HttpListener) and bound.kind == "web":
            self.web.append(bound)
        return sock.fileno()

    def _bind_udp(self, listener: Listener, count: int) -> list[socket.socket]:
        """Return a socket for each worker, then one for the pings of each."""
        group: list[socket.socket] = []
        for _ in range(2 * count):
            sock = bind_udp(listener, is_shared=True)
            self._sockets.append(sock)
            group.append(sock)
            listener = replace(listener, port=sock.getsockname()[1])
        self.listeners.append(f"udp {listener}")
        return group
