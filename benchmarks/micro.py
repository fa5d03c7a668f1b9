"""Parts measured alone: codec, fan-out, store, backbone frames. `python -m benchmarks --only micro`."""

import os
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from benchmarks.joining import seats, write_members
from benchmarks.load import Load
from benchmarks.processes import LOAD_CORE, SERVICE_CORE
from benchmarks.runner import Row, Runner
from broker.store.interface import Batch, Chunk, Store
from broker.store.memory import MemoryStore
from broker.store.sqlite import SqliteStore
from gateway.chat.members import Member
from gateway.listeners.portable_io import PortableIo
from gateway.listeners.sendmmsg import LinuxIo, is_supported
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Entry, Item, News, Publish
from tsudoi.protocol.client import datagram, downlink_encoder
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS
from tsudoi.protocol.codes import EntryKind

REPEATS = 5
TEXT = "x" * 100
TOKEN = "0123456789abcdef" * 2


def micro(runner: Runner) -> list[Row]:
    """Measure all parts, on the core where services are put."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, (SERVICE_CORE,))
    try:
        return [*_codec(runner), *_frames(runner), *_store(runner), *_fan_out(runner)]
    finally:
        os.sched_setaffinity(0, allowed)


def _ns(runner: Runner, action: Callable[[], object]) -> float:
    """Return nanoseconds for one call, the median over some repeats."""
    count, took = 1, 0.0
    while took < runner.pick(0.02, 0.005):
        count *= 2
        took = _timed(action, count)
    return statistics.median(_timed(action, count) for _ in range(REPEATS)) / count * 1e9


def _timed(action: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        action()
    return time.perf_counter() - start


def _codec(runner: Runner) -> list[Row]:
    raw = datagram.serialize("room-1", TOKEN, "user-1: " + TEXT)
    text = f"user-1: {TEXT}".encode()
    rows = [
        Row("parse a datagram", f"{_ns(runner, lambda: datagram.parse_untrusted(raw)):.0f} ns"),
        Row("read its text", f"{_ns(runner, lambda: datagram.decode_text(text, CLASSIC)):.0f} ns"),
    ]
    for name in ("classic", "tcrp-named", "tsudoi"):
        style = DIALECTS[name].down
        cost = _ns(runner, lambda style=style: downlink_encoder.encode_message(style, "room-1", 7, "user-1", TEXT))  # type: ignore[misc]
        rows.append(Row(f"encode a message for members who speak {name}", f"{cost:.0f} ns"))
    return rows


def _frames(runner: Runner) -> list[Row]:
    rows = []
    for count in (1, 32):
        publish = Publish(1, [Item(EntryKind.SAID, 1 << 56, 2 << 56, TEXT, 0) for _ in range(count)])
        said = [Entry(at, EntryKind.SAID, 2 << 56, "user-1", TEXT, 0, 1 << 40) for at in range(count)]
        news = News(1, count - 1, said)
        up, down = backbone.encode(publish), backbone.encode(news)
        for name, encode, decode in (
            ("publish", lambda: backbone.encode(publish), lambda: backbone.parse_upward_untrusted(up)),  # noqa: B023
            ("news", lambda: backbone.encode(news), lambda: backbone.parse_news_untrusted(down)),  # noqa: B023
        ):
            written, read = _ns(runner, encode) / count, _ns(runner, decode) / count
            rows.append(
                Row(
                    f"{name} frame of {count}",
                    f"write {written:.0f} ns, read {read:.0f} ns a message",
                    note="MessagePack",
                )
            )
    return rows


def _store(runner: Runner) -> list[Row]:
    rows = []
    with TemporaryDirectory() as folder:
        engines: tuple[tuple[str, Callable[[], Store]], ...] = (
            ("memory", MemoryStore),
            ("sqlite, process", lambda: SqliteStore(Path(folder, "process.sqlite"))),
            ("sqlite, full", lambda: SqliteStore(Path(folder, "full.sqlite"), "full")),
        )
        for name, make in engines:
            store, costs, offset = make(), [], 0
            for size in (1, 32, 512):
                body = backbone.encode(News(1, 1, [Entry(1, 1, 2 << 56, "user-1", TEXT, 0, 1 << 40)]))
                took, commits = 0.0, 0
                while took < runner.pick(0.4, 0.1):
                    offset += 1
                    chunks = [Chunk(room, offset, offset, 1 << 40, body) for room in range(1, size + 1)]
                    batch = Batch(chunks=chunks, accepted={"gateway": offset})
                    start = time.perf_counter()
                    store.commit(batch)
                    took += time.perf_counter() - start
                    commits += 1
                costs.append(f"{1e6 * took / commits / size:.1f}")
            store.close()
            rows.append(
                Row(f"append to the log, {name}", f"{' / '.join(costs)} µs a room's news", note="1 / 32 / 512 a turn")
            )
    return rows


def _fan_out(runner: Runner) -> list[Row]:
    if not is_supported():
        return []
    rows = []
    for count in (10,) if runner.quick else (10, 100, 1000):
        costs = {kind.name: _sending(runner, kind, count) for kind in (LinuxIo, PortableIo)}
        mmsg, portable = costs[LinuxIo.name], costs[PortableIo.name]
        rows.append(
            Row(
                f"fan-out to {count}",
                f"{mmsg:.2f} µs CPU a datagram ({LinuxIo.name})",
                f"{portable:.2f} µs ({PortableIo.name})",
                mmsg / portable,
            )
        )
    for together in (2,) if runner.quick else (2, 4, 8):
        burst = _sending(runner, LinuxIo, 1000, together)
        alone = _sending(runner, LinuxIo, 1000)
        rows.append(
            Row(
                f"fan-out to 1000, {together} messages of one size together",
                f"{burst:.2f} µs CPU a datagram (segments)",
                f"{alone:.2f} µs (one by one)",
                burst / alone,
            )
        )
    return rows


def _sending(runner: Runner, kind: type[LinuxIo] | type[PortableIo], count: int, together: int = 1) -> float:
    """Return the CPU time in µs for one datagram of a fan-out, which the load generator really receives."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**20)
        sock.bind(("127.0.0.1", 0))
        members = Path(folder, "members")
        write_members(members, seats(1, count), [TOKEN] * count)
        with Load(members, f"127.0.0.1:{sock.getsockname()[1]}", spin=True, core=LOAD_CORE) as ears:
            ears.say("register")
            io = kind(sock)
            group = kind.new_recipients()
            deadline = time.monotonic() + 10
            while len(group) < count and time.monotonic() < deadline:
                for _, address in io.receive():
                    group.add(cast(Member, _Slot()), address)
            ears.hear(10)
            payload = f"user-1: {TEXT}".encode()
            seconds = runner.pick(1.0, 0.4)
            ears.say(f"run 1 0 {seconds + 0.2} 0.1 0")
            sent, end, used = 0, time.monotonic() + seconds, time.process_time()
            while time.monotonic() < end:
                io.send_many([payload] * together, [-1] * together, group)  # type: ignore[arg-type]
                sent += count * together
            used = time.process_time() - used
            ears.hear(10)
            return 1e6 * used / sent


class _Slot:
    """All of a member that a group of recipients looks at."""

    slot = -1
