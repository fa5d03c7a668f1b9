"""gateway/net/stream.py: a gateway's end, against a broker's end that is read and written by hand."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.net import stream
from gateway.net.stream import StreamBackbone
from tsudoi.protocol.backbone import own_topic, unpack_frames_untrusted
from tsudoi.protocol.backbone.stream import STREAM, Kind, Reader, head

PATIENCE_S = 5.0
INSTANCE = "east/1"
ROOM, OTHER = b"r12345678", b"r87654321"
OPENING = [(Kind.INSTANCE, INSTANCE.encode()), (Kind.SUBSCRIBE, own_topic(INSTANCE))]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0.002)


class Broker:
    """The other end: one connection at a time, written down whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener: socket.socket | None = None
        self.connection: socket.socket | None = None
        self.frames: list[tuple[int, bytes]] = []

    def listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._listener.setblocking(False)

    async def accept(self) -> None:
        assert self._listener is not None
        async with asyncio.timeout(PATIENCE_S):
            self.connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        self._reader = Reader()
        self.frames = []

    async def read_until(self, holds: Callable[[list[tuple[int, bytes]]], bool]) -> list[tuple[int, bytes]]:
        assert self.connection is not None
        async with asyncio.timeout(PATIENCE_S):
            while not holds(self.frames):
                data = await asyncio.get_running_loop().sock_recv(self.connection, 2**16)
                assert data, "it was closed"
                self.frames += self._reader.feed_untrusted(data)
        return self.frames

    def write(self, kind: int, content: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(head(kind, len(content)) + content)

    def die(self) -> None:
        for end in (self.connection, self._listener):
            if end is not None:
                end.close()
        self._path.unlink(missing_ok=True)


class Gateway:
    """What is tested, and what it heard."""

    def __init__(self, path: Path) -> None:
        self.news: list[bytes] = []
        self.answers: list[bytes] = []
        self.backbone = StreamBackbone(f"{STREAM}{path}", INSTANCE, self.news.extend, self.answers.extend)


@asynccontextmanager
async def staged(path: Path, *, is_there: bool = True) -> AsyncIterator[tuple[Gateway, Broker]]:
    gateway, broker = Gateway(path), Broker(path)
    if is_there:
        broker.listen()
    gateway.backbone.start()
    try:
        if is_there:
            await broker.accept()
        yield gateway, broker
    finally:
        gateway.backbone.close()
        broker.die()


def said(frames: list[tuple[int, bytes]]) -> list[bytes]:
    """All that was said, taken out of what carries several."""
    return [each for kind, content in frames if kind == Kind.SAY for each in unpack_frames_untrusted(content)]


def test_a_connection_begins_with_who_it_is_and_what_it_hears(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with staged(tmp_path / "b") as (gateway, broker):
            gateway.backbone.subscribe(ROOM)
            gateway.backbone.send([b"one"])
            gateway.backbone.unsubscribe(ROOM)
            gateway.backbone.send([b"two"])
            assert await broker.read_until(lambda frames: len(frames) == 6) == [
                *OPENING,
                (Kind.SUBSCRIBE, ROOM),
                (Kind.SAY, b"one"),
                (Kind.UNSUBSCRIBE, ROOM),
                (Kind.SAY, b"two"),
            ]

    asyncio.run(scenario())


def test_what_is_heard_is_told_apart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with staged(tmp_path / "b") as (gateway, broker):
            broker.write(Kind.NEWS, ROOM + b"first")
            broker.write(Kind.SAY, b"answer")
            broker.write(200, b"from the future")
            broker.write(Kind.NEWS, ROOM + b"second")
            await until(lambda: len(gateway.news) == 2 and len(gateway.answers) == 1)
            assert gateway.news == [ROOM + b"first", ROOM + b"second"]
            assert gateway.answers == [b"answer"]

    asyncio.run(scenario())


def test_a_broker_that_comes_later_hears_what_waited(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with staged(tmp_path / "b", is_there=False) as (gateway, broker):
            gateway.backbone.subscribe(ROOM)
            gateway.backbone.send([b"hello"])
            broker.listen()
            await broker.accept()
            frames = await broker.read_until(lambda frames: bool(said(frames)))
            assert frames[0] == OPENING[0]
            assert sorted(frames[1:3]) == sorted([OPENING[1], (Kind.SUBSCRIBE, ROOM)])
            assert said(frames) == [b"hello"]

    asyncio.run(scenario())


def test_a_broker_that_was_started_again_is_told_all_topics(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with staged(tmp_path / "b") as (gateway, broker):
            gateway.backbone.subscribe(ROOM)
            gateway.backbone.subscribe(OTHER)
            gateway.backbone.unsubscribe(OTHER)
            gateway.backbone.send([b"before"])
            await broker.read_until(lambda frames: bool(said(frames)))
            broker.die()
            broker.listen()
            await broker.accept()
            gateway.backbone.send([b"after"])
            frames = await broker.read_until(lambda frames: b"after" in said(frames))
            topics = [content for kind, content in frames if kind == Kind.SUBSCRIBE]
            assert sorted(topics) == sorted([own_topic(INSTANCE), ROOM])
            assert said(frames) == [b"after"]

    asyncio.run(scenario())


def test_a_broker_that_talks_nonsense_is_left_and_tried_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with staged(tmp_path / "b") as (gateway, broker):
            assert broker.connection is not None
            nonsense = broker.connection
            nonsense.sendall(b"\xff" * 100)
            await broker.accept()
            await broker.read_until(lambda frames: frames == OPENING)
            nonsense.close()
            broker.write(Kind.SAY, b"sense")
            await until(lambda: gateway.answers == [b"sense"])

    asyncio.run(scenario())


def test_what_a_broker_that_does_not_read_is_told_is_bounded_and_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with staged(tmp_path / "b") as (gateway, broker):
            count = stream.COMMANDS_HIGH_WATER + 1_000
            sent = [b"%06d" % number + bytes(1_000) for number in range(count)]
            for frame in sent:
                gateway.backbone.send([frame])
            assert 0 < gateway.backbone.unsent < count
            heard = count - gateway.backbone.unsent
            frames = await broker.read_until(lambda frames: len(frames) == len(OPENING) + heard)
            # The newest were dropped, but for what the kernel had room for meanwhile.
            assert said(frames)[: stream.COMMANDS_HIGH_WATER] == sent[: stream.COMMANDS_HIGH_WATER]
            gateway.backbone.send([b"goes on"])
            assert said(await broker.read_until(lambda frames: said(frames)[-1] == b"goes on"))

    asyncio.run(scenario())


def test_what_was_said_together_goes_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with staged(tmp_path / "b") as (gateway, broker):
            for number in range(100):
                gateway.backbone.send([b"%d" % number])
            frames = await broker.read_until(lambda frames: len(said(frames)) == 100)
            assert said(frames) == [b"%d" % number for number in range(100)]

    asyncio.run(scenario())
