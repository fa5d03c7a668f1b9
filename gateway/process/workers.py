"""Several gateways on the same ports, each on a core of its own: `--workers`; ARCHITECTURE.md, "Processes".

We hold the sockets and hand them down: one TCP socket that all accept from, and a UDP socket for each worker in a
SO_REUSEPORT group, of which the kernel gives a room's datagrams to one (`reuseport_routing.py`), or else each
client's. A worker's sockets outlive it: what comes while it is started again waits in them, and nobody's datagrams go
to another than before.
"""

import asyncio
import secrets
import signal
import socket
import sys
from dataclasses import replace

from tsudoi.ops import logs
from tsudoi.ops.program import program_command
from tsudoi.protocol.errors import SettingError

from ..config import Config, Door, Inherited
from ..listeners.bpf import attach_reuseport
from ..listeners.reuseport_routing import program
from ..listeners.tcp import bind_tcp
from ..listeners.udp import bind_udp
from .child import Child

logger = logs.get("gateway.workers")

START_S, STOP_S = 40.0, 6.0


class Workers:
    """The processes that do the work, and their sockets."""

    def __init__(self, config: Config, endpoint: str) -> None:
        """Bind all doors.

        Args:
            config: of all of them; its `workers` says how many.
            endpoint: of the broker that they share.

        Raises:
            SettingError: a door can not be bound.
        """
        self._sockets: list[socket.socket] = []
        try:
            self.doors: list[str] = []
            tcp = [self._tcp(door) for door in config.tcp]
            udp = [self._udp(door, config.workers) for door in config.udp]
            is_steered = set(map(steer, udp)) == {True}
        except SettingError:
            self._close()
            raise
        # Those of one name take over from each other.
        name = config.name or ("" if config.key else f"workers-{secrets.token_hex(4)}")
        self._children = []
        for number in range(config.workers):
            mine = tuple(group[number].fileno() for group in udp)
            inherited = Inherited(tuple(tcp), mine, config.workers if is_steered else 1)
            more = ["--workers", "1", "--inherited", str(inherited), "--broker", endpoint, "--name", name]
            if config.http is not None:
                place = replace(config.http, port=config.http.port and config.http.port + number)
                more += ["--http", str(place)]
            command = (*program_command("gateway"), *sys.argv[1:], *more)
            what, descriptors = f"worker {number + 1}", (*inherited.tcp, *inherited.udp)
            self._children.append(Child(what, command, descriptors=descriptors, start_s=START_S, stop_s=STOP_S))

    async def start(self) -> None:
        """Start all of them and wait until they are ready.

        Raises:
            SettingError: one did not start.
        """
        async with asyncio.TaskGroup() as group:
            started = [group.create_task(_outcome(child)) for child in self._children]
        for task in started:
            if why := task.result():
                raise why

    def send_signal(self, number: signal.Signals) -> None:
        """Pass a signal on to all."""
        for child in self._children:
            child.send_signal(number)

    async def stop(self) -> None:
        """End all of them, and close the doors."""
        await asyncio.gather(*(child.stop() for child in self._children))
        self._close()

    def _close(self) -> None:
        for sock in self._sockets:
            sock.close()

    def _tcp(self, door: Door) -> int:
        sock = bind_tcp(door)
        self._sockets.append(sock)
        self.doors.append(f"{door.kind} {replace(door, port=sock.getsockname()[1])}")
        return sock.fileno()

    def _udp(self, door: Door, count: int) -> list[socket.socket]:
        group: list[socket.socket] = []
        for _ in range(count):
            sock = bind_udp(door, is_shared=True)
            self._sockets.append(sock)
            door = replace(door, port=sock.getsockname()[1])
            group.append(sock)
        self.doors.append(f"udp {door}")
        return group


def steer(group: list[socket.socket]) -> bool:
    """Let datagrams go by their tokens to the sockets of a group; False where the kernel knows no such thing."""
    return attach_reuseport(group[0], program(len(group)))


async def _outcome(child: Child) -> SettingError | None:
    try:
        await child.start()
    except SettingError as exc:
        return exc
    return None
