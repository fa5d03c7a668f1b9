"""Members by WebSocket beside a bare loop of `write` in C: the CPU of a delivery, and the memory of a connection."""

import asyncio
import json
import os
import secrets
import socket
import statistics
from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.processes import LOAD_CORE, SERVICE_CORE, Service, Tsudoi, build
from benchmarks.runner import Row, Runner

MEMBERS = 1_000
RATE = 20.0
"""Messages a second: 20,000 deliveries."""
TEXT = "x" * 100
FRAME_SIZE = 190
"""Bytes of such a message's frame, about."""
AT_ONCE = 50

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

    def __init__(self) -> None:
        self.transport: Any = None
        self.messages = 0
        self.size = 0
        self.entered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.size += len(data)
        self.messages += data.count(b'"from"')
        if b'"subscribe"' in data and not self.entered.done():
            self.entered.set_result(None)

    def say(self, **command: Any) -> None:
        raw = json.dumps(command).encode()
        size = bytes((0x80 | len(raw),)) if len(raw) < 126 else b"\xfe" + len(raw).to_bytes(2, "big")
        self.transport.write(b"\x81" + size + bytes(4) + raw)


def websocket(runner: Runner) -> list[Row]:
    """One room of 1000 members by WebSocket; one member talks."""
    seconds = runner.pick(5.0, 1.0)
    costs: list[float] = []
    with TemporaryDirectory() as folder:
        flags = ("--web", "127.0.0.1:0", "--notices", "off", "--unlimited", "127.0.0.0/8")
        with Tsudoi(Path(folder, "data"), *flags, cores=(SERVICE_CORE,)) as ours, Writes(FRAME_SIZE) as bare:
            place = _place(ours, "web")
            memory, costs, floors = _run(lambda: _measure(runner, ours, place, bare, seconds))
    ratio = statistics.median(cost / floor for cost, floor in zip(costs, floors, strict=True))
    return [
        Row(
            "WebSocket, one room of 1000, 20,000 deliveries/s",
            f"{statistics.median(costs):.2f} µs CPU a delivery",
            f"C write loop {statistics.median(floors):.2f} µs",
            ratio,
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


def _place(service: Service, kind: str) -> tuple[str, int]:
    host, _, port = service.doors[kind].rpartition(":")
    return host, int(port)


def _run(main: Callable[[], Coroutine[Any, Any, tuple[float, list[float], list[float]]]]) -> Any:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, (LOAD_CORE,))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main())
    finally:
        os.sched_setaffinity(0, cores)


async def _measure(
    runner: Runner, ours: Tsudoi, place: tuple[str, int], bare: Writes, seconds: float
) -> tuple[float, list[float], list[float]]:
    first = await _enter(place, 0)
    before = ours.memory()
    members = [first]
    for start in range(1, MEMBERS, AT_ONCE):
        members += await asyncio.gather(*(_enter(place, n) for n in range(start, min(start + AT_ONCE, MEMBERS))))
    await asyncio.sleep(1.0)
    memory = (ours.memory() - before) / 1024 / (MEMBERS - 1)
    loop = asyncio.get_running_loop()
    ears = [(await loop.create_connection(Reader, *_place(bare, "tcp")))[1] for _ in range(MEMBERS)]
    costs, floors = [], []
    for _ in range(runner.rounds):
        bare_before, size_before = bare.cpu_s(), sum(ear.size for ear in ears)
        await asyncio.to_thread(bare.ask, f"run {RATE} {seconds}", seconds + 30)
        await asyncio.sleep(0.2)
        count = (sum(ear.size for ear in ears) - size_before) / FRAME_SIZE
        floors.append(1e6 * (bare.cpu_s() - bare_before) / count)
        heard, used = sum(member.messages for member in members), ours.cpu_s()
        begun = loop.time()
        for number in range(int(RATE * seconds)):
            first.say(id=10 + number, publish={"channel": "den", "data": {"text": TEXT}})
            await asyncio.sleep(max(begun + (number + 1) / RATE - loop.time(), 0))
        await asyncio.sleep(0.5)
        costs.append(1e6 * (ours.cpu_s() - used) / (sum(member.messages for member in members) - heard))
    return memory, costs, floors


async def _enter(place: tuple[str, int], number: int) -> Reader:
    _, member = await asyncio.get_running_loop().create_connection(Reader, *place)
    member.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    member.transport.write(UPGRADE)
    member.say(id=1, connect={"data": {"name": f"m{number}", "session": secrets.token_hex(16)}})
    member.say(id=2, subscribe={"channel": "den", "data": {"create": True}})
    await asyncio.wait_for(member.entered, 30)
    return member
