"""Gateways of this machine, each on a stream of its own: a Unix socket that both event loops read and write themselves.

ZeroMQ takes every frame through a thread of its own at either end, and that hand-over costs more than all else that a
message needs when there are few (benchmarks/RESULTS.md). Where there is no network it buys nothing.
"""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable

from broker.net.transport import HasRoom, Hear
from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Owner
from tsudoi.protocol.backbone import TOPIC_SIZE
from tsudoi.protocol.backbone.stream import NEWS, SAY, STREAM, Kind, Reader, Writer
from tsudoi.protocol.errors import MalformedMessage, SettingError

logger = logs.get("broker.stream")

MAX_FRAME_SIZE = 4 * 2**20
"""Of what gateways say; as over ZeroMQ."""
READ_SIZE = 2**18
READS_A_TURN = 16
NEWS_WAITING = 256 * 2**20
"""Bytes that wait for one slow gateway, beyond which news are dropped whatever their number."""
ANSWERS_WAITING = 64 * 2**20
"""Bytes beyond these, after which answers are dropped too, and it asks again."""
TOPICS = 300_000
"""Topics that one gateway may hear; with more it is cut off."""
STALLED_LOOKS = 6
"""A gateway that has taken nothing of what waits for it for so many looks, 1.5 s, is cut off, and that is dropped.
When it goes on it connects again, and reads the log."""
FRAMES_A_TURN = 4_096
"""After so many no more is read in a turn."""
BACKLOG = 64


class StreamTransport:
    """A `Transport` over a Unix socket, for gateways that may open its file: those of our own user."""

    def __init__(self, bind: str, news_high_water: int) -> None:
        """Listen at unix://PATH.

        Args:
            bind: where. The socket of a broker before us is replaced.
            news_high_water: frames that wait for one slow gateway; beyond that news are dropped for it.

        Raises:
            SettingError: that can not be.
        """
        self.endpoint = bind
        self._path = bind.removeprefix(STREAM)
        self._high_water = news_high_water
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._gateways: dict[socket.socket, _Gateway] = {}
        """All connections, also those that have not said yet whose they are."""
        self._by_instance: dict[str, _Gateway] = {}
        self._by_topic: dict[bytes, list[_Gateway]] = {}
        self._topics: list[bytes] = []
        self._unfinished = False
        """Somebody has said more than a turn takes."""
        self.undeliverable = 0
        self.impostors = self.shut_out = self.overrun = 0
        self.dropped = 0
        self._is_deaf = False
        """No descriptor was left for one who wanted to connect."""
        self._listener = _listen(self._path)
        self._inode = os.stat(self._path).st_ino

    @property
    def is_open(self) -> bool:
        """See `Transport.is_open`: always."""
        return True

    def start(self, on_readable: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """See `Transport.start`."""
        self._on_readable = on_readable
        self._loop.add_reader(self._listener, self._accept)

    def close(self, linger_ms: int) -> None:
        """See `Transport.close`. What the kernel has taken is the gateway's to read; nothing else is waited for."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:  # else it is that of one who came after us
                os.unlink(self._path)
        for gateway in list(self._gateways.values()):
            self._write(gateway)
            self._part(gateway)

    # --- what comes -----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as exc:
            logger.error("no gateway can connect: it is tried again", why=exc.strerror)
            self._loop.remove_reader(self._listener)
            self._is_deaf = True
            return
        connection.setblocking(False)
        self._gateways[connection] = _Gateway(connection)
        self._loop.add_reader(connection, self._on_readable)

    def receive(self, has_room: HasRoom, hear: Hear) -> None:
        """See `Transport.receive`. All are read, whoever made us look: one commit serves them all.

        Of whom no more can wait, nothing is read: here nobody is disturbed by what stays where it is.
        """
        self._unfinished = False
        for gateway in list(self._gateways.values()):
            if gateway.instance and not has_room(gateway.instance):
                self._unfinished = True
                continue
            try:
                self._read(gateway, hear)
            except (MalformedMessage, OSError) as exc:
                logger.debug("a gateway's connection ended", gateway=gateway.instance, why=exc)
                self._part(gateway)

    def _read(self, gateway: "_Gateway", hear: Hear) -> None:
        """Take what one has said; raises MalformedMessage or OSError when nothing more can come."""
        heard = 0
        for _ in range(READS_A_TURN):
            try:
                size = gateway.connection.recv_into(self._buffer)
            except BlockingIOError:
                return
            if not size:
                raise ConnectionResetError("it was closed")
            for kind, content in gateway.reader.feed_untrusted(self._buffer[:size]):
                if kind == SAY and gateway.instance:
                    hear(gateway.instance, content, None, gateway.instance)
                    heard += 1
                else:
                    self._administer(gateway, kind, content)
            if size < READ_SIZE:
                return
            if heard > FRAMES_A_TURN:
                break
        self._unfinished = True

    def _administer(self, gateway: "_Gateway", kind: int, content: bytes) -> None:
        if kind == Kind.INSTANCE and not gateway.instance and content:
            instance = content.decode("latin-1")
            if before := self._by_instance.get(instance):
                self._part(before)
            gateway.instance = instance
            self._by_instance[instance] = gateway
        elif kind == Kind.SUBSCRIBE and gateway.instance:
            if content not in gateway.topics:
                if len(gateway.topics) >= TOPICS or len(content) > TOPIC_SIZE:
                    raise MalformedMessage(f"{len(gateway.topics)} topics, and one of {len(content)} bytes")
                gateway.topics.add(content)
                self._by_topic.setdefault(content, []).append(gateway)
            self._topics.append(content)
        elif kind == Kind.UNSUBSCRIBE and content in gateway.topics:
            gateway.topics.discard(content)
            self._unsubscribe(gateway, content)
        elif kind not in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE):
            raise MalformedMessage(f"kind {kind} is not what comes here")

    def _unsubscribe(self, gateway: "_Gateway", topic: bytes) -> None:
        subscribers = self._by_topic[topic]
        subscribers.remove(gateway)
        if not subscribers:
            del self._by_topic[topic]

    def subscribed(self) -> list[bytes]:
        """See `Transport.subscribed`."""
        topics, self._topics = self._topics, []
        return topics

    def has_more(self) -> bool:
        """See `Transport.has_more`: the event loop looks at the descriptors' levels, so mostly it will come by."""
        return self._unfinished

    # --- what goes ------------------------------------------------------------------------------------------------

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `Transport.publish`."""
        for gateway in self._by_topic.get(topic, ()):
            if len(gateway.waiting) < self._high_water and gateway.waiting.size < NEWS_WAITING:
                gateway.waiting.add(NEWS, topic + body)
            else:
                self.dropped += 1

    def answer(self, instance: str, frame: bytes) -> bool:
        """See `Transport.answer`."""
        gateway = self._by_instance.get(instance)
        if gateway is not None and gateway.waiting.size < NEWS_WAITING + ANSWERS_WAITING:
            gateway.waiting.add(SAY, frame)
        else:
            self.undeliverable += 1
        return gateway is not None

    def is_behind(self, instance: str) -> bool:
        """See `Transport.is_behind`."""
        gateway = self._by_instance.get(instance)
        return gateway is not None and gateway.waiting.size >= NEWS_WAITING + ANSWERS_WAITING

    def flush(self) -> None:
        """See `Transport.flush`."""
        for gateway in list(self._by_instance.values()):
            if gateway.waiting and not gateway.is_blocked:
                self._write(gateway)

    def _write(self, gateway: "_Gateway") -> None:
        """Give the kernel what waits, as far as it takes it; the rest when it has room again."""
        waiting = gateway.waiting
        try:
            while waiting:
                waiting.sent(gateway.connection.send(waiting.next_bytes()))
                gateway.stalled = 0
        except BlockingIOError:
            if not gateway.is_blocked:
                gateway.is_blocked = True
                self._loop.add_writer(gateway.connection, self._write, gateway)
            return
        except OSError:
            # It has gone. What it said last may be there to be read still: the end comes after that.
            waiting.clear()
        if gateway.is_blocked:
            gateway.is_blocked = False
            self._loop.remove_writer(gateway.connection)

    # --- ends -----------------------------------------------------------------------------------------------------

    def look(self) -> list[Owner]:
        """See `Transport.look`: who takes nothing is cut off, and there may be a descriptor again."""
        if self._is_deaf:
            self._is_deaf = False
            self._loop.add_reader(self._listener, self._accept)
        for gateway in list(self._by_instance.values()):
            if gateway.is_blocked:
                gateway.stalled += 1
                if gateway.stalled >= STALLED_LOOKS:
                    logger.debug("a gateway reads nothing", gateway=gateway.instance, frames=len(gateway.waiting))
                    self._part(gateway)
        return []

    def _part(self, gateway: "_Gateway") -> None:
        """A connection is over; its gateway may be back on another."""
        if self._gateways.pop(gateway.connection, None) is None:
            return
        self._loop.remove_reader(gateway.connection)
        self._loop.remove_writer(gateway.connection)
        gateway.connection.close()
        if self._by_instance.get(gateway.instance) is gateway:
            del self._by_instance[gateway.instance]
        for topic in gateway.topics:
            self._unsubscribe(gateway, topic)
        gateway.topics.clear()


class _Gateway:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.reader = Reader(MAX_FRAME_SIZE)
        self.instance = ""
        """Whose it is; empty until it has said so."""
        self.topics: set[bytes] = set()
        self.waiting = Writer()
        """What the kernel has not taken."""
        self.is_blocked = False
        self.stalled = 0
        """Looks since it last took something."""


def _listen(path: str) -> socket.socket:
    """Return a listening socket whose file is for our own user alone, from its first moment on."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise SettingError(f"can not listen on {STREAM}{path}: {exc.strerror or exc}") from exc
    finally:
        os.umask(mask)
    return listener
