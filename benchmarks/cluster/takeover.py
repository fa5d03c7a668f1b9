"""What members notice when a broker goes, and how long a large shard takes."""

import gc
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from benchmarks.cluster.servers import Broker, Gateway, Together, database, members
from benchmarks.joining import seats
from benchmarks.load import Run
from benchmarks.processes import BenchmarkError, proportional_size
from benchmarks.runner import Row, Runner
from broker.config import Limits
from broker.core import Core
from broker.rooms.ids import Ids
from broker.store.interface import Batch, Chunk, MemberRow, RoomRow
from broker.store.postgres import PostgresStore
from broker.store.sharing import Broker as Registered
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import SHARDS, Entry, News

ROOMS, RATE = 64, 200
"""Rooms of two members each, and their messages a second."""
GOES_AT_S, SECONDS = 2.0, 9.0
LARGE_ROOMS, LARGE_MEMBERS = 10_000, 10
FIRST_ID = 1 << 50
BATCH = 1_000
"""Rooms in one commit of the filling."""


def spread(brokers: list[Broker], patience_s: float = 30.0) -> None:
    """Wait until these brokers own all shards, and each has some."""
    deadline = time.monotonic() + patience_s
    while True:
        owned = [broker.gauge("tsudoi_broker_shards") for broker in brokers]
        if sum(owned) == SHARDS and min(owned) > 0:
            return
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the brokers own {owned} shards")
        time.sleep(0.1)


def takeover(runner: Runner) -> list[Row]:
    """How long the slowest message takes while a broker is killed, or stopped in good order."""
    ways: list[tuple[str, str, Callable[[Broker], None]]] = [
        ("is killed (kill -9)", "pg takeover", Broker.kill),
        ("is stopped in good order", "pg orderly", Broker.stop),
    ]
    runs: dict[str, list[Run]] = {title: [] for title, _, _ in ways}
    with ExitStack() as stack:
        base = stack.enter_context(database())
        brokers = [stack.enter_context(Broker(base.url)) for _ in range(2)]
        spread(brokers)
        gateway = stack.enter_context(Gateway(brokers))
        load = stack.enter_context(members(gateway, seats(ROOMS, 2)))
        for _ in range(runner.rounds):
            for number, (title, _, end) in enumerate(ways):
                goes = threading.Timer(GOES_AT_S, end, (brokers[number],))
                goes.start()
                everything = Together([gateway, base])
                made = load.run(RATE, SECONDS, everything.family(), warm=0.5, drain=4.0)
                goes.join()
                runner.log(f"a broker {title}: {made.slowest / 1e3:.0f} ms; {made.verdict}")
                runs[title].append(made)
                brokers[number].start()
                spread(brokers)
    rows = []
    for title, aim, _ in ways:
        slowest = sorted(run.slowest / 1e6 for run in runs[title])
        lost = sum(run.lost + run.doubled + run.disordered for run in runs[title])
        rows.append(
            Row(
                f"one of two brokers {title}: the slowest message in {ROOMS} rooms",
                f"{statistics.median(slowest):.2f} s",
                note=f"{slowest[0]:.2f} to {slowest[-1]:.2f} s in {len(slowest)} runs of {RATE} messages/s;"
                f" {lost} lost, doubled or out of order",
                aim=aim,
                figure=statistics.median(slowest),
            )
        )
    return rows


def large_shard(runner: Runner) -> list[Row]:
    """How long a shard with many members takes from the database to a core that serves it."""
    count = LARGE_ROOMS * LARGE_MEMBERS
    took: list[tuple[float, float, float, float]] = []
    with database() as base, closing(PostgresStore(base.url)) as store:
        store.register(Registered("", "tcp://192.0.2.1:9003", "", False), lambda view: None, lambda reason: None)
        store.take([1])
        store.load(1)
        _fill(store)
        size = int(base.primary.sql("SELECT pg_total_relation_size('tsudoi.members')"))
        room_size = int(base.primary.sql("SELECT pg_total_relation_size('tsudoi.rooms')"))
        memory, kept = 0, list[Core]()
        for _ in range(runner.rounds + 1):
            store.give([1])
            kept.clear()
            before = proportional_size()
            used = time.process_time()
            gc.disable()  # as the broker does
            with _pauses() as pauses:
                begun = time.perf_counter()
                store.take([1])
                snapshot = store.load(1)
                loaded = time.perf_counter()
                kept.append(Core(snapshot, "b", Limits(), time.monotonic(), Ids(0, 1, SHARDS)))
                done = time.perf_counter()
            gc.enable()
            took.append((done - begun, loaded - begun, max(pauses), time.process_time() - used))
            del snapshot
            memory = max(memory, proportional_size() - before)
            runner.log(f"a large shard: {done - begun:.2f} s, of which the database {loaded - begun:.2f} s")
    whole, database_s, pause, used_s = (statistics.median(each) for each in zip(*took[1:], strict=True))
    return [
        Row(
            f"takeover of a shard with {LARGE_ROOMS:,} rooms and {count:,} members, from the database to its core",
            f"{whole:.2f} s, of which {database_s:.2f} s are the database and its rows",
            note=f"{used_s:.2f} s CPU of the broker; its other threads wait {1e3 * pause:.0f} ms at most meanwhile;"
            f" {memory / count:.0f} bytes of memory a member, its share of a room of {LARGE_MEMBERS} included;"
            f" in the database {size / count:.0f} bytes a member, {room_size / LARGE_ROOMS:.0f} a room",
            aim="pg shard",
            figure=whole,
        )
    ]


def _fill(store: PostgresStore) -> None:
    now_ms = int(time.time() * 1000)
    for first in range(0, LARGE_ROOMS, BATCH):
        batch = Batch(shard=1)
        for number in range(first, first + BATCH):
            room = FIRST_ID + number * SHARDS * 16 + 1
            batch.rooms[room] = RoomRow(room, f"room {number}", 1, room + SHARDS, "", now_ms)
            for at in range(LARGE_MEMBERS):
                member, gateway = room + SHARDS * (at + 1), f"gateway-{at % 4}/0123456789abcdef"
                batch.members[member] = MemberRow(
                    *(member, room, f"user-{at}", secrets.token_bytes(16), "tsudoi", "192.0.2.1", b"192.0.2.1:40000"),
                    *(gateway, 600_000, True, 1),
                    wished=f"user-{at}",
                )
                batch.delivered[room, gateway] = 1
            entry = Entry(1, 1, room + SHARDS, "user-0", "x" * 100, 0, now_ms)
            batch.chunks.append(Chunk(room, 1, 1, now_ms, backbone.encode(News(1, 1, [entry]))))
        store.commit(batch)
    store.trim(10_000, 0)


@contextmanager
def _pauses() -> Iterator[list[float]]:
    """Fill a list with how long another thread of this process was kept from running each time, in seconds."""
    pauses, ended = [0.0], threading.Event()

    def look() -> None:
        at = time.perf_counter()
        while not ended.wait(0.001):
            now = time.perf_counter()
            pauses.append(now - at)
            at = now

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield pauses
    finally:
        ended.set()
        thread.join()
