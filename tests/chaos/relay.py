"""Relays in this process that inject faults: TCP between gateways and broker, UDP between clients and gateways."""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Callable
from functools import partial

from scenarios.ports import steady_port
from tests.chaos.plan import UdpFaults
from tests.support.legacy.wire import Address

COMMANDS, NEWS = 1, 2
READ_SIZE = 65_536
RECEIVE_BUFFER = 4 * 2**20
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@ll")

OnDatagram = Callable[[float, bytes, Address], None]
OnUp = Callable[[float, bytes, Address, int], None]
OnDown = Callable[[float, bytes, Address, Address, Address], None]


def new_udp_socket(host: str = "127.0.0.1") -> socket.socket:
    """Return a socket at an address of this machine on which the kernel notes the time of each datagram."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def drain(sock: socket.socket, take: OnDatagram) -> None:
    """Pass each datagram that has come to `take`, with the kernel's time of arrival."""
    while True:
        try:
            raw, notes, _, source = sock.recvmsg(READ_SIZE, 64)
        except (BlockingIOError, ConnectionRefusedError):
            return
        at = time.time()
        for level, kind, data in notes:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                at = seconds + nanoseconds / 1e9
        take(at, raw, source)


class BackboneRelay:
    """Stands between one gateway and the broker: two ports in a row, for commands and for news."""

    def __init__(self, *, holds_little: bool = False) -> None:
        """Args:
        holds_little: the kernel takes a MiB or two from the broker while a connection is stalled, not up to 20.
        """
        self._holds_little = holds_little
        port = steady_port(2)
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self._listeners = {COMMANDS: _listening(port), NEWS: _listening(port + 1)}
        self._broker_port = 0
        self._servers: list[asyncio.Server] = []
        self._writers: dict[int, set[asyncio.StreamWriter]] = {kind: set() for kind in self._listeners}
        self.connections = dict.fromkeys(self._listeners, 0)
        """Connections carried to the broker since the start."""
        self._cut = 0
        self._gates = {COMMANDS: asyncio.Event(), NEWS: asyncio.Event()}
        self._tasks: set[asyncio.Task[None]] = set()
        for gate in self._gates.values():
            gate.set()

    async def start(self, broker: str) -> None:
        """Carry connections on to the broker at that endpoint."""
        self._broker_port = int(broker.rpartition(":")[2])
        for which, listener in self._listeners.items():
            self._servers.append(await asyncio.start_server(partial(self._serve, which), sock=listener))

    def cut(self, which: int) -> None:
        """End connections of these kinds, and refuse new ones; `which` is COMMANDS, NEWS or both."""
        self._cut |= which
        for kind, writers in self._writers.items():
            if kind & which:
                for writer in list(writers):
                    writer.transport.abort()

    def stall(self, which: int) -> None:
        """Stop carrying data over connections of these kinds; they stay open."""
        for kind, gate in self._gates.items():
            if kind & which:
                gate.clear()

    def heal(self) -> None:
        self._cut = 0
        for gate in self._gates.values():
            gate.set()

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, which: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        try:
            await self._gates[which].wait()
            if self._cut & which:
                return
            onward, back = await self._connect(self._broker_port + (which == NEWS))
            writers.append(back)
            self.connections[which] += 1
            self._writers[which].update(writers)
            ends = [
                asyncio.ensure_future(self._pump(reader, back, which)),
                asyncio.ensure_future(self._pump(onward, writer, which)),
            ]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
        except OSError:
            pass  # the broker is away
        finally:
            self._tasks.discard(task)
            self._writers[which].difference_update(writers)
            for one in writers:
                one.transport.abort()

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self._holds_little:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 2**10)
            # The broker's side sizes its own buffer by the segments.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, which: int) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_SIZE):
                await self._gates[which].wait()
                writer.write(data)
                await writer.drain()


def _listening(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


class UdpRelay:
    """Stands between clients and the UDP socket of one gateway."""

    def __init__(self, listener: Address, faults: UdpFaults, seed: str, on_up: OnUp, on_down: OnDown) -> None:
        """Relay to `listener`, with faults both ways.

        Args:
            on_up: called for each datagram that is sent on to the gateway, with the client's address and the port of
                the relay's socket for that client.
            on_down: called for each datagram from a gateway, before any fault, with the addresses of the client, of
                the gateway (it may be another one than `listener`) and of the relay's socket for that client.
        """
        self.faulty = True
        self._listener = listener
        self._faults = faults
        self._dice = random.Random(seed)
        self._on_up = on_up
        self._on_down = on_down
        self._loop = asyncio.get_running_loop()
        self._sock = new_udp_socket()
        self.address: Address = self._sock.getsockname()
        self.addresses: list[Address] = []
        """Its own, towards the gateway; one for each client's."""
        self._sessions: dict[Address, socket.socket] = {}
        self._loop.add_reader(self._sock, self._upward)

    def close(self) -> None:
        for sock in (self._sock, *self._sessions.values()):
            self._loop.remove_reader(sock)
            sock.close()

    def _upward(self) -> None:
        drain(self._sock, lambda _, raw, source: self._with_faults(lambda: self._send_up(raw, source)))

    def _send_up(self, raw: bytes, source: Address) -> None:
        session = self._sessions.get(source)
        if session is None:
            session = self._sessions[source] = new_udp_socket()
            self.addresses.append(session.getsockname())
            self._loop.add_reader(session, self._downward, session, source)
        self._on_up(time.time(), raw, source, session.getsockname()[1])
        with contextlib.suppress(OSError):
            session.sendto(raw, self._listener)

    def _downward(self, session: socket.socket, client: Address) -> None:
        def take(at: float, raw: bytes, source: Address) -> None:
            self._on_down(at, raw, client, source, session.getsockname())
            self._with_faults(lambda: self._send_down(raw, client))

        drain(session, take)

    def _send_down(self, raw: bytes, client: Address) -> None:
        with contextlib.suppress(OSError):
            self._sock.sendto(raw, client)

    def _with_faults(self, send: Callable[[], None]) -> None:
        """Drop, double or delay a datagram; others overtake a delayed one."""
        dice, faults = self._dice, self._faults
        if not self.faulty:
            send()
            return
        if dice.random() < faults.drop:
            return
        for _ in range(2 if dice.random() < faults.double else 1):
            if dice.random() < faults.delay:
                self._loop.call_later(dice.uniform(0.0, faults.delay_s), self._if_open, send)
            else:
                send()

    def _if_open(self, send: Callable[[], None]) -> None:
        if self._sock.fileno() >= 0:
            send()
