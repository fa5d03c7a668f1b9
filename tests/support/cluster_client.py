"""A gateway reduced to its links: it speaks with brokers that share a store, for tests of these."""

import asyncio
import contextlib
import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import zmq

from gateway.counters import Counters
from gateway.link.canary import CANARY_S
from gateway.link.link import Link
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Answer, Cluster, Create, Granted, Item, Question, Replayed
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.names import RoomName

PATIENCE_S = 60.0
WATCH_S = 0.005


class ClusterGateway:
    """One link a shard, a DEALER a broker, one SUB. Serves no member."""

    def __init__(self, endpoint: str) -> None:
        self.instance = backbone.new_instance("", f"{next(_runs):016x}")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._dealers: dict[str, zmq.Socket[bytes]] = {}
        self._sub = self._context.socket(zmq.SUB)
        for topic in (backbone.own_topic(self.instance), backbone.CLUSTER_TOPIC, b"r"):
            self._sub.setsockopt(zmq.SUBSCRIBE, topic)
        self.owners: dict[int, tuple[int, str]] = {}
        """Shard → (term, endpoint of its owner)."""
        self.links: dict[int, Link] = {}
        self.news: dict[int, list[str]] = defaultdict(list)
        """Room id → texts as they were published."""
        self.clusters: dict[str, Cluster] = {}
        """By the endpoint that sent it: its last."""
        self._tokens = itertools.count(1)
        self._endpoint = endpoint

    async def __aenter__(self) -> "ClusterGateway":
        self._connect(self._endpoint)
        self._task = asyncio.create_task(self._go_on())
        await self.until(lambda: bool(self.owners))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._context.destroy(linger=0)

    # --- what a test does -------------------------------------------------------------------------------------------

    async def until(self, holds: Any, patience_s: float = PATIENCE_S) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(patience_s):
            while not holds():
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(WATCH_S)

    async def owned(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until all shards have owners that know this gateway."""
        await self.until(lambda: all(link.is_alive(time.monotonic()) for link in self.links.values()), patience_s)

    def shard(self, room: str) -> int:
        return backbone.shard_of(RoomName(room), len(self.owners))

    def owner(self, room: str) -> str:
        return self.owners[self.shard(room)][1]

    async def ask(self, shard: int, question: Question) -> Answer:
        """Ask the owner of a shard until it answers."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

                def done(answer: Answer | None, _: float, future: Any = answered) -> None:
                    if not future.done():
                        future.set_result(answer)

                self.links[shard].ask(question, time.monotonic(), done)
                if (answer := await answered) is not None:
                    return answer
                await asyncio.sleep(WATCH_S)

    async def create(self, room: str, user: str = "alice") -> Granted:
        """Create a room, whose host this gateway serves."""
        token = next(self._tokens).to_bytes(16, "big")
        granted = await self.ask(self.shard(room), Create(room, user, None, token, "tsudoi", "192.0.2.1", 100_000))
        assert isinstance(granted, Granted), granted
        return granted

    def say(self, member: Granted, text: str) -> None:
        """Publish a message; the link sends it until it is accepted."""
        item = Item(EntryKind.SAID, member.room, member.member, text, 0)
        assert self.links[self.shard(member.room_name)].publish(item)

    @property
    def unaccepted(self) -> int:
        return sum(len(link.publisher) for link in self.links.values())

    async def log(self, member: Granted) -> list[str]:
        """Read the texts in a room's log."""
        texts: list[str] = []
        after = epoch = 0
        while True:
            question = backbone.Replay(member.room, epoch, after, 1_000)
            told = await self.ask(self.shard(member.room_name), question)
            assert isinstance(told, Replayed)
            texts += [entry.text for entry in told.entries if entry.kind == EntryKind.SAID]
            if not told.entries or told.entries[-1].offset >= told.last:
                return texts
            epoch, after = told.epoch, told.entries[-1].offset

    # --- frames -----------------------------------------------------------------------------------------------------

    def _connect(self, endpoint: str) -> None:
        if endpoint in self._dealers:
            return
        dealer = self._dealers[endpoint] = self._context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.IDENTITY, self.instance.encode())
        for socket in (dealer, self._sub):
            socket.setsockopt(zmq.RECONNECT_IVL, 20)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
        dealer.connect(endpoint)
        self._sub.connect(backbone.publish_endpoint(endpoint))

    async def _go_on(self) -> None:
        ticked_at = 0.0
        while True:
            for socket in list(self._dealers.values()):
                for frame in drained(socket):
                    self._take_answer(frame)
            for frame in drained(self._sub):
                self._take_news(frame[: backbone.TOPIC_SIZE], frame[backbone.TOPIC_SIZE :])
            now = time.monotonic()
            if is_due := now - ticked_at >= CANARY_S:
                ticked_at = now
                for dealer in self._dealers.values():
                    self._send(dealer, [backbone.encode(backbone.Hello(backbone.VERSION))])
            by_owner: dict[str, list[bytes]] = defaultdict(list)
            for shard, link in self.links.items():
                if is_due:
                    link.tick(now)
                frames = link.frames(now)
                by_owner[self.owners[shard][1]] += [backbone.for_shard(shard, frame) for frame in frames]
            for endpoint, frames in by_owner.items():
                if endpoint:
                    self._send(self._dealers[endpoint], frames)
            await asyncio.sleep(WATCH_S)

    def send_raw(self, endpoint: str, frame: bytes) -> None:
        """Send a broker one frame."""
        self._dealers[endpoint].send(frame, zmq.NOBLOCK)

    def _send(self, dealer: "zmq.Socket[bytes]", frames: list[bytes]) -> None:
        for frame in backbone.pack_frames(frames):
            with contextlib.suppress(zmq.Again):
                dealer.send(frame, zmq.NOBLOCK)

    def _take_answer(self, carrier: bytes) -> None:
        for frame in backbone.unpack_frames_untrusted(carrier):
            shard, inner = backbone.split_shard_untrusted(frame)
            message = backbone.parse_downward_untrusted(inner)
            if isinstance(message, Cluster):
                self._learn(message)
            elif shard is not None:
                self.links[shard].handle(message, time.monotonic())

    def _take_news(self, topic: bytes, body: bytes) -> None:
        if topic == backbone.CLUSTER_TOPIC:
            told = backbone.parse_downward_untrusted(body)
            assert isinstance(told, Cluster)
            self._learn(told)
        elif (room := backbone.topic_room(topic)) is not None:
            self._hear(room, backbone.parse_news_untrusted(body))
        else:
            for part in backbone.unpack_frames_untrusted(body):
                shard, inner = backbone.split_shard_untrusted(part)
                assert shard is not None
                self._take_bundle(self.links[shard], backbone.parse_bundle_untrusted(inner))

    def _take_bundle(self, link: Link, bundle: backbone.Bundle) -> None:
        now = time.monotonic()
        if bundle.accepted:
            link.handle_accepted(bundle.broker, bundle.accepted, now)
        for number in bundle.canaries:
            link.handle_canary(number, now)
        for room, news in bundle.news:
            self._hear(room, news)

    def _hear(self, room: int, news: backbone.News) -> None:
        self.news[room] += [entry.text for entry in news.entries if entry.kind == EntryKind.SAID]

    def _learn(self, told: Cluster) -> None:
        """Of two owners the one in the later term is right; within a term a shard has an owner, and then none."""
        self.clusters[told.brokers[told.answers - 1]] = told
        for endpoint in told.brokers:
            self._connect(endpoint)
        for shard, (term, number) in enumerate(told.owners):
            before = self.owners.get(shard, (-1, ""))
            owner = told.brokers[number - 1] if number else ""
            if term > before[0] or (term == before[0] and not owner):
                self.owners[shard] = term, owner
                if owner and shard in self.links:
                    link = self.links[shard]
                    link._hello_at = float("-inf")
                    link.is_welcomed = False
                    link.tick(time.monotonic())
            if shard not in self.links:
                self.links[shard] = Link(20_000, 5.0, Counters())


def drained(socket: "zmq.Socket[bytes]") -> Iterator[bytes]:
    """Yield the frames that have come."""
    with contextlib.suppress(zmq.Again):
        while True:
            yield socket.recv(zmq.NOBLOCK)


_runs = itertools.count(1)
