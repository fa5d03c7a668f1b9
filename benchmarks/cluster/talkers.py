"""Load for brokers: gateways without clients, which publish as much as they are told and receive all news.

`python -m benchmarks.cluster.talkers SETUP` reads lines of JSON from standard input and answers each with one. The way
to the brokers is the gateway's own code (`gateway/link/`); only the members are invented.
"""

import asyncio
import contextlib
import gc
import json
import os
import random
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.request import urlopen

import msgspec
import uvloop

from gateway.counters import Counters
from gateway.link.broker_pool import BrokerPool
from gateway.link.canary import CANARY_S
from gateway.link.routes import Routes, unpack_untrusted
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Item, News
from tsudoi.protocol.codes import EntryKind

TEXT_SIZE = 100
STAMP = 16
"""Characters at the beginning of a text: when it was published, in nanoseconds, hexadecimal."""
WORDS = ["".join(random.choices("etaoin shrdlu", k=TEXT_SIZE - STAMP)) for _ in range(5_000)]
"""What follows it: texts that can be compressed about as well as those of people."""
STEP_S = 0.001
REPORT_S = 0.25
"""Time between two reports of deliveries, as a gateway with many active rooms makes them."""
UNACCEPTED = 20_000
START_S = 30.0
FIRST_ROOM = 1 << 56
AT_ONCE = 200
"""Creates that wait for their answers at once."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What there is to talk in."""

    endpoints: list[str]
    gateways: int = 4
    rooms: int = 200
    """Each has a member at two of the gateways."""


@dataclass(slots=True)
class Seat:
    """A member, and how far its gateway has received its room."""

    shard: int
    room: int
    member: int
    epoch: int
    last: int


class Talker:
    """One gateway: its routes, its sockets, and what it has sent and received."""

    def __init__(self, endpoints: list[str], name: str) -> None:
        self.seats: dict[int, Seat] = {}
        """By room."""
        self._seats: list[Seat] = []
        self._moved: dict[int, Seat] = {}
        """Those with deliveries since the last report."""
        self.routes = Routes(endpoints, UNACCEPTED, START_S, Counters())
        instance = backbone.new_instance(name, f"{os.getpid()}")
        self._pool = BrokerPool(self.routes, instance, self._on_news, self._on_answers, self._topics_of)
        self.gaps = self.heard = self.full = self.made = 0
        self.latencies = array("d")
        self._sent_at = 0.0
        self._pool.start()

    def close(self) -> None:
        self._pool.close()

    def _topics_of(self, shard: int) -> Iterator[bytes]:
        return (backbone.room_topic(seat.room) for seat in self._seats if seat.shard == shard)

    @property
    def is_welcome(self) -> bool:
        """Whether each shard has a broker that knows this gateway."""
        now = time.monotonic()
        return all(link.is_alive(now) for link in self.routes.links)

    @property
    def accepted(self) -> int:
        """Messages that brokers have acknowledged."""
        return self.made - self.full - self.routes.unaccepted

    def enter(self, question: backbone.Create, answers: list[backbone.Answer | None]) -> None:
        """Create or join a room; the member talks from then on."""
        shard = self.routes.shard_named(question.room) or 0

        def granted(answer: backbone.Answer | None, _: float) -> None:
            if isinstance(answer, backbone.Granted):
                seat = Seat(shard, answer.room, answer.member, answer.epoch, answer.offset)
                self.seats[answer.room] = seat
                self._seats.append(seat)
                self.subscribe(shard, answer.room)
            answers.append(answer)

        self.routes.ask(shard, question, time.monotonic(), granted)

    def subscribe(self, shard: int, room: int) -> None:
        """Subscribe to a room of a shard."""
        self._pool.subscribe(shard, backbone.room_topic(room))

    def publish(self, count: int) -> None:
        """Say `count` messages in rooms of this gateway."""
        stamp = f"{time.monotonic_ns():016x}"
        for seat, words in zip(random.choices(self._seats, k=count), random.choices(WORDS, k=count), strict=True):
            text = stamp + words
            self.full += not self.routes.publish(seat.shard, Item(EntryKind.SAID, seat.room, seat.member, text, 0))
        self.made += count

    def send(self, now: float) -> None:
        """Send what is due."""
        self._pool.follow()
        is_due = self.routes.waiting and now - self._sent_at >= self.routes.gather_s
        if is_due:
            self._sent_at = now
        for endpoint, frames in self.routes.frames(now, publish=is_due):
            self._pool.send(endpoint, frames)

    def report(self) -> None:
        """Tell the brokers how far this gateway has delivered."""
        by_shard: dict[int, list[tuple[int, int, int]]] = {}
        for seat in self._moved.values():
            by_shard.setdefault(seat.shard, []).append((seat.room, seat.epoch, seat.last))
        self._moved.clear()
        for shard, positions in by_shard.items():
            self.routes.notify(shard, backbone.Delivered(positions))

    def _on_answers(self, endpoint: str, frames: list[bytes]) -> None:
        now = time.monotonic()
        for frame in frames:
            for _ in self.routes.receive_untrusted(endpoint, frame, now):
                pass
        self.send(now)

    def _on_news(self, endpoint: str, frames: list[bytes]) -> None:
        now, size = time.monotonic(), backbone.TOPIC_SIZE
        for frame in frames:
            topic, body = frame[:size], frame[size:]
            if (room := backbone.topic_room(topic)) is not None:
                self._take(room, backbone.parse_news_untrusted(body))
            elif topic == backbone.CLUSTER_TOPIC:
                cluster = backbone.parse_downward_untrusted(body)
                assert isinstance(cluster, backbone.Cluster)
                self.routes.take_cluster(endpoint, cluster, now)
            else:
                for shard, each in unpack_untrusted(body):
                    self._take_bundle(shard or 0, backbone.parse_bundle_untrusted(each), now)
        self.send(now)

    def _take_bundle(self, shard: int, bundle: backbone.Bundle, now: float) -> None:
        if bundle.accepted:
            self.routes.handle_accepted(shard, bundle.broker, bundle.accepted, now)
        for number in bundle.canaries:
            self.routes.handle_canary(shard, bundle.broker, number, now)
        for room, news in bundle.news:
            self._take(room, news)

    def _take(self, room: int, news: News) -> None:
        if (seat := self.seats.get(room)) is None:
            return  # the answer to the Create or Join comes later
        now = time.monotonic_ns()
        for entry in news.entries:
            self.gaps += entry.offset != seat.last + 1
            seat.last = entry.offset
            if entry.kind == EntryKind.SAID:
                self.heard += 1
                self.latencies.append((now - int(entry.text[:STAMP], 16)) / 1e3)
        seat.epoch = news.epoch
        if news.entries:
            self._moved[room] = seat


class Company:
    """All gateways, moved by one loop."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self.talkers = [Talker(setup.endpoints, f"talker{at}") for at in range(setup.gateways)]
        self._ticked_at = self._reported_at = 0.0

    async def settle(self) -> None:
        """Wait for the brokers, and enter all rooms."""
        await self._until(lambda: all(talker.is_welcome for talker in self.talkers))
        for place, kind in ((0, backbone.Create), (1, backbone.Join)):
            for first in range(0, self._setup.rooms, AT_ONCE):
                answers: list[backbone.Answer | None] = []
                numbers = range(first, min(first + AT_ONCE, self._setup.rooms))
                for number in numbers:
                    talker = self.talkers[(number + place) % len(self.talkers)]
                    # Rooms of an earlier run may still be there.
                    name, token = f"{os.getpid()}-{number}", os.urandom(16)
                    talker.enter(kind(name, f"user{place}", None, token, "classic", "", 3_600_000), answers)
                await self._until(partial(_has_all, answers, len(numbers)))
                if refused := [answer for answer in answers if not isinstance(answer, backbone.Granted)]:
                    raise SystemExit(f"a room can not be made: {refused[0]}")
        await self.rest(0.5)

    async def _until(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not is_done():
            if time.monotonic() > deadline:
                raise SystemExit("no answer from the brokers")
            await self.step()

    async def step(self) -> None:
        """Send what is due, and receive for a millisecond."""
        now = time.monotonic()
        if now - self._ticked_at > CANARY_S:
            self._ticked_at = now
            for talker in self.talkers:
                talker.routes.tick(now)
        if now - self._reported_at > REPORT_S:
            self._reported_at = now
            for talker in self.talkers:
                talker.report()
        for talker in self.talkers:
            talker.send(now)
        await asyncio.sleep(STEP_S)

    async def rest(self, seconds: float) -> None:
        """Publish nothing for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.step()

    async def run(
        self, rate: float, warm: float, seconds: float, drain: float, pids: list[int], urls: list[str]
    ) -> dict[str, Any]:
        """Publish `rate` messages a second in all; return what became of them in the window after `warm`."""
        begun, made = time.monotonic(), 0

        async def talk(until: float) -> None:
            nonlocal made
            while (now := time.monotonic()) < until:
                due = int(rate * (now - begun)) - made
                for at, talker in enumerate(self.talkers):
                    talker.publish((due + at) // len(self.talkers))
                made += due
                await self.step()

        await talk(begun + warm)
        before = self._reading(pids, urls)
        for talker in self.talkers:
            del talker.latencies[:]
        await talk(begun + warm + seconds)
        after = self._reading(pids, urls)
        latencies = sorted(each for talker in self.talkers for each in talker.latencies)
        await self.rest(drain)
        both = zip(before["brokers"], after["brokers"], strict=True)
        return {
            **{name: after[name] - before[name] for name in ("at", "accepted", "heard", "own_cpu")},
            "cpu": [max(b - a, 0.0) for a, b in zip(before["cpu"], after["cpu"], strict=True)],
            "brokers": [[b - a for a, b in zip(*broker, strict=True)] for broker in both],
            "p50": _quantile(latencies, 0.5),
            "p99": _quantile(latencies, 0.99),
            "slowest": _quantile(latencies, 1.0),
            "full": sum(talker.full for talker in self.talkers),
            "gaps": sum(talker.gaps for talker in self.talkers),
            "unaccepted": sum(talker.routes.unaccepted for talker in self.talkers),
            "unheard": sum(2 * (talker.made - talker.full) - talker.heard for talker in self.talkers),
        }

    async def subscribe(self, topics: int) -> dict[str, Any]:
        """Subscribe to topics of rooms that do not exist, divided among the gateways."""
        for number in range(topics):
            talker = self.talkers[number % len(self.talkers)]
            # Ids begin with the time at which a room was created: here one every two minutes.
            talker.subscribe(number % len(talker.routes.links), FIRST_ROOM + (number << 23))
            if not number % 1_000:
                await self.step()
        await self.rest(5.0)
        return {}

    def _reading(self, pids: list[int], urls: list[str]) -> dict[str, Any]:
        return {
            "at": time.monotonic(),
            "accepted": sum(talker.accepted for talker in self.talkers),
            "heard": sum(talker.heard for talker in self.talkers),
            "own_cpu": time.process_time(),
            "cpu": [_cpu_s(pid) for pid in pids],
            "brokers": [_commits(url) for url in urls],
        }


def _has_all(answers: list[backbone.Answer | None], count: int) -> bool:
    return len(answers) == count


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, 0 if it has ended: some of PostgreSQL's are short."""
    with contextlib.suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


def _commits(url: str) -> tuple[int, float]:
    """Return a broker's number of commits, and the seconds that they took."""
    with urlopen(url, timeout=5) as answer:
        found = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[:1] != "#")
    name = "tsudoi_broker_commit_seconds"
    return int(float(found[f"{name}_count"])), float(found[f"{name}_sum"])


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


async def main() -> None:
    """Set up, say that all is ready, and make the runs that are asked for."""
    company = Company(msgspec.json.decode(sys.argv[1], type=Setup))
    await company.settle()
    gc.freeze()
    print(json.dumps({"seats": sum(len(talker.seats) for talker in company.talkers)}), flush=True)
    lines: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    while True:
        await company.step()
        if not lines.empty():
            line = lines.get_nowait()
            if not line:
                return
            ((name, asked),) = json.loads(line).items()
            print(json.dumps(await getattr(company, name)(**asked)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
