"""broker/net/stream.py: what differs from ZeroMQ; tests/broker/test_server.py has what both must do."""

import asyncio
import errno
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from broker.net import stream
from broker.net.ask import ping
from broker.net.stream import STALLED_LOOKS, StreamTransport
from tsudoi.protocol.backbone.stream import STREAM, Kind, Reader, head
from tsudoi.protocol.errors import SettingError

PATIENCE_S = 5.0
TOPIC = b"r12345678"


class Peer:
    """A gateway's end, written and read by hand."""

    def __init__(self, path: Path, instance: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(path))
        self.socket.setblocking(False)
        self._reader = Reader()
        self.write(Kind.INSTANCE, instance)

    def write(self, kind: int, content: bytes) -> None:
        self.socket.sendall(head(kind, len(content)) + content)

    def close(self) -> None:
        self.socket.close()

    def read(self) -> list[tuple[int, bytes]]:
        """What has come; raises ConnectionError if that is the end."""
        data = self.socket.recv(2**20)
        if not data:
            raise ConnectionResetError
        return self._reader.feed_untrusted(data)


class Stage:
    """A transport whose loop goes on until something holds."""

    def __init__(self, path: Path, news_high_water: int = 100) -> None:
        self.path = path
        self.transport = StreamTransport(f"{STREAM}{path}", news_high_water)
        self.heard: list[tuple[str, bytes]] = []
        self.topics: list[bytes] = []
        self.has_room = True
        self.transport.start(self.read, lambda: None)

    def read(self) -> None:
        self.transport.receive(lambda _: self.has_room, lambda peer, frame, *_: self.heard.append((peer, frame)))
        self.topics += self.transport.subscribed()

    async def connect(self, instance: bytes = b"/one", topic: bytes = TOPIC) -> Peer:
        peer, known = Peer(self.path, instance), len(self.topics)
        peer.write(Kind.SUBSCRIBE, topic)
        await self.until(lambda: len(self.topics) > known)
        return peer

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 (the transport tells nobody)
                await asyncio.sleep(0.001)

    async def closed(self, peer: Peer) -> None:
        def is_closed() -> bool:
            try:
                peer.read()
            except BlockingIOError:
                return False
            except ConnectionError:
                return True
            return False

        await self.until(is_closed)


@contextmanager
def staged(path: Path, news_high_water: int = 100) -> Iterator[Stage]:
    stage = Stage(path, news_high_water)
    try:
        yield stage
    finally:
        stage.transport.close(0)


def test_the_file_is_for_our_own_user_alone_and_goes_with_us(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "b"
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as killed:
            killed.bind(str(path))
        with staged(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_ISSOCK(path.stat().st_mode)
        assert not path.exists()

    asyncio.run(scenario())


def test_a_place_where_nothing_can_be_is_a_setting_error_of_one_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(SettingError, match=r"can not listen on unix://.*/none/b: No such file or directory$"):
            StreamTransport(f"{STREAM}{tmp_path}/none/b", 1)
        with pytest.raises(SettingError, match=r"can not listen on unix://.*: AF_UNIX path too long$"):
            StreamTransport(f"{STREAM}{tmp_path}/{'b' * 200}", 1)

    asyncio.run(scenario())


def test_news_go_to_those_who_subscribe_for_as_long_as_they_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b") as stage:
            one, other = await stage.connect(b"/one"), await stage.connect(b"/other", b"r87654321")
            with closing(one), closing(other):
                stage.transport.publish(TOPIC, b"news")
                assert stage.transport.answer("/other", b"answer")
                stage.transport.flush()
                assert one.read() == [(Kind.NEWS, TOPIC + b"news")]
                assert other.read() == [(Kind.SAY, b"answer")]
                one.write(Kind.UNSUBSCRIBE, TOPIC)
                one.write(Kind.SAY, b"done")
                await stage.until(lambda: stage.heard == [("/one", b"done")])
                stage.transport.publish(TOPIC, b"more")
                stage.transport.answer("/one", b"last")
                stage.transport.flush()
                assert one.read() == [(Kind.SAY, b"last")]
                assert not stage.transport.answer("/nobody", b"")
                assert stage.transport.undeliverable == 1

    asyncio.run(scenario())


def test_who_comes_again_takes_the_place_of_its_old_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b") as stage:
            old = await stage.connect()
            new = await stage.connect()
            with closing(old), closing(new):
                stage.transport.publish(TOPIC, b"news")
                stage.transport.flush()
                assert new.read() == [(Kind.NEWS, TOPIC + b"news")]
                await stage.closed(old)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "wrong",
    [
        head(Kind.SAY, stream.MAX_FRAME_SIZE + 1),
        head(Kind.INSTANCE, 4) + b"/two",
        head(Kind.NEWS, 1) + b"x",
        head(200, 0),
    ],
)
def test_who_says_what_is_not_to_be_said_is_cut_off_alone(tmp_path: Path, wrong: bytes) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b") as stage:
            bad, good = await stage.connect(b"/bad"), await stage.connect(b"/good")
            with closing(bad), closing(good):
                bad.socket.sendall(wrong)
                await stage.closed(bad)
                good.write(Kind.SAY, b"still here")
                await stage.until(lambda: stage.heard == [("/good", b"still here")])

    asyncio.run(scenario())


def test_a_stranger_who_does_not_say_who_it_is_is_not_heard(tmp_path: Path) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b") as stage, closing(Peer(stage.path, b"")) as stranger:
            stranger.write(Kind.SAY, b"hello")
            await stage.closed(stranger)
            assert stage.heard == []

    asyncio.run(scenario())


def test_news_for_one_who_does_not_read_are_dropped_for_it_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b", news_high_water=8) as stage:
            slow, fast = await stage.connect(b"/slow"), await stage.connect(b"/fast")
            with closing(slow), closing(fast):
                body, heard = bytes(2**17), 0
                for _ in range(40):
                    stage.transport.publish(TOPIC, body)
                    stage.transport.flush()
                    goal = heard + 1

                    def read_on() -> bool:
                        nonlocal heard
                        try:
                            heard += len(fast.read())
                        except BlockingIOError:
                            return False
                        return heard == goal  # noqa: B023 (called before the next round)

                    await stage.until(read_on)
                assert stage.transport.dropped > 20
                # It is given a second and a half to go on; then its connection is cut, and what waits is dropped.
                for _ in range(STALLED_LOOKS - 1):
                    assert stage.transport.look() == []
                assert stage.transport.answer("/slow", b"x")
                assert stage.transport.look() == []
                assert not stage.transport.answer("/slow", b"x")
                assert stage.transport.answer("/fast", b"x")

    asyncio.run(scenario())


def test_what_is_more_than_the_kernel_takes_arrives_whole_and_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b") as stage, closing(await stage.connect()) as peer:
            for number in range(40):
                stage.transport.publish(TOPIC, bytes([number]) * 2**16)
            stage.transport.flush()
            heard: list[bytes] = []

            def read_on() -> bool:
                try:
                    heard.extend(content for _, content in peer.read())
                except BlockingIOError:
                    return False
                return len(heard) == 40

            await stage.until(read_on)
            assert heard == [TOPIC + bytes([number]) * 2**16 for number in range(40)]
            assert stage.transport.dropped == 0

    asyncio.run(scenario())


def test_a_ping_is_answered_only_where_a_broker_is(tmp_path: Path) -> None:
    assert not ping(f"{STREAM}{tmp_path}/b", 0.2)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as mute:
        mute.bind(str(tmp_path / "b"))
        mute.listen()
        assert not ping(f"{STREAM}{tmp_path}/b", 0.2)


def test_what_one_said_before_it_went_is_heard_though_it_can_not_be_answered_any_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b") as stage:
            peer = await stage.connect()
            # Nobody reads for a moment: a turn is being kept.
            for connection in stage.transport._gateways:
                asyncio.get_running_loop().remove_reader(connection)
            peer.write(Kind.SAY, b"goodbye")
            peer.close()
            for _ in range(3):
                stage.transport.answer("/one", b"x" * 100)
                stage.transport.flush()
            stage.read()
            assert stage.heard == [("/one", b"goodbye")]
            stage.read()
            assert not stage.transport.answer("/one", b"x")

    asyncio.run(scenario())


def test_only_sockets_are_replaced_and_that_of_a_successor_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        precious = tmp_path / "precious"
        precious.write_text("not ours")
        with pytest.raises(SettingError, match="Address already in use"):
            StreamTransport(f"{STREAM}{precious}", 1)
        assert precious.read_text() == "not ours"
        first = Stage(tmp_path / "b")
        with staged(tmp_path / "b") as second:
            first.transport.close(0)
            peer = await second.connect()
            peer.close()
        assert not (tmp_path / "b").exists()

    asyncio.run(scenario())


def test_without_a_descriptor_it_waits_until_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        with staged(tmp_path / "b") as stage:

            class NoRoom(socket.socket):
                def accept(self) -> tuple[socket.socket, object]:
                    raise OSError(errno.EMFILE, "Too many open files")

            listener = stage.transport._listener
            stage.transport._listener = NoRoom(fileno=listener.fileno())
            with closing(Peer(stage.path, b"/one")) as peer:
                peer.write(Kind.SUBSCRIBE, TOPIC)
                await stage.until(lambda: stage.transport._is_deaf)
                stage.transport._listener.detach()
                stage.transport._listener = listener
                stage.transport.look()
                await stage.until(lambda: stage.topics == [TOPIC])

    asyncio.run(scenario())
