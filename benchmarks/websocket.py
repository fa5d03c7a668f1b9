"""Members by WebSocket beside a bare loop of `write` in C and beside NATS: a delivery's CPU, a connection's memory."""

import asyncio
import json
import os
import secrets
import shutil
import socket
import statistics
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.peers import PATH, version_of
from benchmarks.processes import LOAD_CORE, SERVICE_CORE, Process, Service, Tsudoi, build
from benchmarks.runner import Row, Runner

MEMBERS = 1_000
RATE = 20.0
"""Messages a second: 20,000 deliveries."""
TEXT = "x" * 100
FRAME_SIZE = 190
"""Bytes of such a message's frame, about."""
AT_ONCE = 50

PING = b"\x81\x02{}"
UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


class Writes(Service):
    """The bare loop in C: `native/writes.c`."""

    def __init__(self, size: int) -> None:
        super().__init__((str(build("writes")), str(size)), (SERVICE_CORE,))


class Reader(asyncio.Protocol):
    """A connection that counts bytes, and messages."""

    def __init__(self, message: bytes = b'"from"', entered: bytes = b'"subscribe"') -> None:
        """Prepare; `message` is in each message, `entered` in what comes when it is in the room."""
        self.transport: Any = None
        self.messages = 0
        self.size = 0
        self.entered = asyncio.get_running_loop().create_future()
        self._message, self._entered = message, entered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        self.messages += data.count(self._message)
        if PING in data:
            self.send(b"{}")
        if not self.entered.done() and self._entered in data:
            self.entered.set_result(None)

    def say(self, **command: Any) -> None:
        self.send(json.dumps(command).encode())

    def send(self, raw: bytes, opcode: int = 1) -> None:
        """Send a frame, masked with zeros."""
        size = bytes((0x80 | len(raw),)) if len(raw) < 126 else b"\xfe" + len(raw).to_bytes(2, "big")
        self.transport.write(bytes((0x80 | opcode,)) + size + bytes(4) + raw)


@dataclass
class Server:
    """A server with one room; the first member talks."""

    process: Process
    enter: Callable[[int], Awaitable[Reader]]
    publish: Callable[[Reader, int], None]
    members: list[Reader] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    """µs of CPU a delivery, of each round."""

    async def fill(self, count: int) -> None:
        """Let members enter."""
        for start in range(len(self.members), count, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, count))
            self.members += await asyncio.gather(*(self.enter(number) for number in numbers))

    async def talk(self, seconds: float) -> None:
        """Measure a round."""
        loop = asyncio.get_running_loop()
        heard, used, begun = self._heard(), self.process.cpu_s(), loop.time()
        for number in range(int(RATE * seconds)):
            self.publish(self.members[0], number)
            await asyncio.sleep(max(begun + (number + 1) / RATE - loop.time(), 0))
        await asyncio.sleep(0.5)
        self.costs.append(1e6 * (self.process.cpu_s() - used) / (self._heard() - heard))

    def _heard(self) -> int:
        return sum(member.messages for member in self.members)


def websocket(runner: Runner) -> list[Row]:
    """One room of 1000 members by WebSocket; one member talks."""
    seconds = runner.pick(5.0, 1.0)
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        flags = ("--web", "127.0.0.1:0", "--notices", "off", "--unlimited", "127.0.0.0/8")
        service = stack.enter_context(Tsudoi(Path(folder, "data"), *flags, cores=(SERVICE_CORE,)))
        ours = Server(service, lambda number: _enter(_place(service, "web"), number), _publish)
        bare = stack.enter_context(Writes(FRAME_SIZE))
        nats = stack.enter_context(_nats(Path(folder))) if shutil.which("nats-server", path=PATH) else None
        memory, floors = _run(lambda: _measure(runner, ours, nats, bare, seconds))
    cost = f"{statistics.median(ours.costs):.2f} µs CPU a delivery"
    what = "WebSocket, one room of 1000, 20,000 deliveries/s"
    rows = [
        Row(
            what,
            cost,
            f"C write loop {statistics.median(floors):.2f} µs",
            statistics.median(cost / floor for cost, floor in zip(ours.costs, floors, strict=True)),
            aim="websocket steady",
        ),
        Row(
            "WebSocket, a member at rest, memory",
            f"{memory:.1f} KiB a member",
            note="its connection, the gateway's and the broker's member, in one process",
            aim="websocket memory",
            figure=memory,
        ),
    ]
    if nats is None:
        return [*rows, Row(f"{what}, beside nats", "not measured", note="nats-server is not installed here")]
    theirs = f"{statistics.median(nats.costs):.2f} µs"
    ratio = statistics.median(cost / other for cost, other in zip(ours.costs, nats.costs, strict=True))
    about = f"{version_of('nats-server', '--version')} over WebSocket; it keeps no log"
    return [*rows, Row(f"{what}, beside nats", cost, theirs, ratio, about, aim="websocket peer")]


def _place(service: Service, kind: str) -> tuple[str, int]:
    host, _, port = service.listeners[kind].rpartition(":")
    return host, int(port)


def _run(main: Callable[[], Coroutine[Any, Any, tuple[float, list[float]]]]) -> tuple[float, list[float]]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, (LOAD_CORE,))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    finally:
        os.sched_setaffinity(0, cores)


async def _measure(
    runner: Runner, ours: Server, nats: Server | None, bare: Writes, seconds: float
) -> tuple[float, list[float]]:
    """Return the KiB of a member at rest, and the µs of a bare write in each round."""
    await ours.fill(1)
    before = ours.process.memory()
    await ours.fill(MEMBERS)
    await asyncio.sleep(1.0)
    memory = (ours.process.memory() - before) / 1024 / (MEMBERS - 1)
    if nats is not None:
        await nats.fill(MEMBERS)
    loop = asyncio.get_running_loop()
    ears = [(await loop.create_connection(Reader, *_place(bare, "tcp")))[1] for _ in range(MEMBERS)]
    floors = []
    for _ in range(runner.rounds):
        bare_before, size_before = bare.cpu_s(), sum(ear.size for ear in ears)
        await asyncio.to_thread(bare.ask, f"run {RATE} {seconds}", seconds + 30)
        await asyncio.sleep(0.2)
        count = (sum(ear.size for ear in ears) - size_before) / FRAME_SIZE
        floors.append(1e6 * (bare.cpu_s() - bare_before) / count)
        for server in (ours, *filter(None, (nats,))):
            await server.talk(seconds)
    return memory, floors


async def _connect(place: tuple[str, int], reader: Callable[[], Reader]) -> Reader:
    _, member = await asyncio.get_running_loop().create_connection(reader, *place)
    member.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    member.transport.write(UPGRADE)
    return member


async def _enter(place: tuple[str, int], number: int) -> Reader:
    member = await _connect(place, Reader)
    member.say(id=1, connect={"data": {"name": f"m{number}", "session": secrets.token_hex(16)}})
    member.say(id=2, subscribe={"channel": "den", "data": {"create": True}})
    await asyncio.wait_for(member.entered, 30)
    return member


def _publish(first: Reader, number: int) -> None:
    first.say(id=10 + number, publish={"channel": "den", "data": {"text": TEXT}})


# --- NATS: its protocol in binary frames ------------------------------------------------------------------------------


@contextmanager
def _nats(folder: Path) -> Iterator[Server]:
    program = shutil.which("nats-server", path=PATH)
    assert program is not None
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])
    listener = f'{{\n host: "127.0.0.1"\n port: {ports[1]}\n no_tls: true\n}}'
    config = folder / "nats.conf"
    config.write_text(f"host: 127.0.0.1\nport: {ports[0]}\nwebsocket {listener}\n")
    with Process((program, "-c", str(config)), (SERVICE_CORE,), listen=False) as process:
        yield Server(process, lambda number: _enter_nats(("127.0.0.1", ports[1])), _publish_nats)


async def _enter_nats(place: tuple[str, int]) -> Reader:
    member: Reader | None = None
    while member is None:
        with suppress(ConnectionRefusedError):
            member = await _connect(place, lambda: Reader(b"MSG den", b"PONG"))
        # It has just been started; and frames must not come with the request.
        await asyncio.sleep(0.1)
    member.send(b'CONNECT {"verbose":false,"pedantic":false}\r\nSUB den 1\r\nPING\r\n', 2)
    await asyncio.wait_for(member.entered, 30)
    return member


def _publish_nats(first: Reader, number: int) -> None:
    first.send(f"PUB den {len(TEXT)}\r\n{TEXT}\r\n".encode(), 2)
