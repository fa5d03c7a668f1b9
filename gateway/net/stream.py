"""To a broker of this machine: one Unix socket, which our event loop reads and writes; see `broker/net/stream.py`.

It saves the two hand-overs to ZeroMQ's threads at either end, most of what a message costs when there are few.
"""

import asyncio
import socket

from gateway.net.backbone import OnFrames
from tsudoi.protocol.backbone import own_topic, pack_frames
from tsudoi.protocol.backbone.stream import NEWS, SAY, STREAM, Kind, Reader, Writer
from tsudoi.protocol.errors import MalformedMessage

READ_SIZE = 2**18
READS_AT_ONCE = 16
COMMANDS_HIGH_WATER = 10_000
"""Frames that wait for a broker that is away or does not read; beyond that new ones are dropped and counted."""
RECONNECT_S = 0.05
"""To find that nobody is there costs next to nothing on one machine, so there is no need to ask less and less often."""


class StreamBackbone:
    """A `Backbone` over one stream."""

    def __init__(self, endpoint: str, instance: str, on_news: OnFrames, on_answers: OnFrames) -> None:
        """Prepare to connect.

        Args:
            endpoint: unix://PATH.
            instance: this run of the gateway, as the broker shall know it.
            on_news: called with the news of each drain.
            on_answers: likewise for answers, before that.
        """
        self._path = endpoint.removeprefix(STREAM)
        self._instance = instance
        self._loop = asyncio.get_running_loop()
        self._on_news = on_news
        self._on_answers = on_answers
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._topics = {own_topic(instance)}
        self._socket: socket.socket | None = None
        self._reader = Reader()
        self._waiting = Writer()
        self._is_blocked = False
        self._flushing: asyncio.Handle | None = None
        self._flushed_at = 0.0
        """On the loop's clock."""
        self._again: asyncio.TimerHandle | None = None
        self.unsent = 0
        self.trouble = ""
        """See `Backbone.trouble`."""

    def start(self) -> None:
        """See `Backbone.start`."""
        self._connect()

    def close(self) -> None:
        """See `Backbone.close`. On one machine the kernel takes it at once, or the broker is not there."""
        self._flush()
        if self._again is not None:
            self._again.cancel()
        self._disconnect()

    # --- what goes ------------------------------------------------------------------------------------------------

    def send(self, frames: list[bytes]) -> None:
        """See `Backbone.send`."""
        for frame in pack_frames(frames):
            if len(self._waiting) < COMMANDS_HIGH_WATER:
                self._waiting.add(SAY, frame)
            else:
                self.unsent += 1
        if not self._waiting or self._is_blocked or self._flushing is not None:
            return
        now = self._loop.time()
        if now != self._flushed_at:
            self._flushed_at = now
            self._flush()
        else:
            # The loop's clock stands still while it goes through what came together: that goes together, too.
            self._flushing = self._loop.call_soon(self._flush)

    def subscribe(self, topic: bytes) -> None:
        """See `Backbone.subscribe`."""
        self._topics.add(topic)
        self._ask(Kind.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        """See `Backbone.unsubscribe`."""
        self._topics.discard(topic)
        self._ask(Kind.UNSUBSCRIBE, topic)

    def _ask(self, kind: Kind, topic: bytes) -> None:
        # While nobody is there it need not wait: a connection begins with all topics.
        if self._socket is not None:
            self._waiting.add(kind, topic)

    def _flush(self) -> None:
        """Give the kernel what waits, as far as it takes it; the rest when it has room again."""
        self._flushing = None
        if self._socket is None:
            return
        try:
            while self._waiting:
                self._waiting.sent(self._socket.send(self._waiting.next_bytes()))
        except BlockingIOError:
            if not self._is_blocked:
                self._is_blocked = True
                self._loop.add_writer(self._socket, self._flush)
        except OSError:
            self._lost()
        else:
            if self._is_blocked:
                self._is_blocked = False
                self._loop.remove_writer(self._socket)

    # --- what comes -----------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        answers: list[bytes] = []
        news: list[bytes] = []
        try:
            self._read(answers, news)
        except (MalformedMessage, OSError):
            self._lost()
        if answers:
            self._on_answers(answers)
        if news:
            self._on_news(news)

    def _read(self, answers: list[bytes], news: list[bytes]) -> None:
        """Take what has come; raises MalformedMessage or OSError when nothing more can come."""
        assert self._socket is not None
        for _ in range(READS_AT_ONCE):
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            if not size:
                raise ConnectionResetError("it was closed")
            for kind, content in self._reader.feed_untrusted(self._buffer[:size]):
                if kind == NEWS:
                    news.append(content)
                elif kind == SAY:
                    answers.append(content)
            if size < READ_SIZE:
                return

    # --- connections ----------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._again = None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            # A Unix socket connects at once or not at all.
            connection.connect(self._path)
        except OSError as exc:
            self.trouble = f"nobody listens at {self._path}: {exc.strerror}"
            connection.close()
            self._retry()
            return
        self.trouble = ""
        self._socket = connection
        self._reader = Reader()
        who = (Kind.INSTANCE, self._instance.encode("latin-1"))
        self._waiting.begin([who, *((Kind.SUBSCRIBE, topic) for topic in self._topics)])
        self._loop.add_reader(connection, self._readable)
        self._flush()

    def _retry(self) -> None:
        self._again = self._loop.call_later(RECONNECT_S, self._connect)

    def _lost(self) -> None:
        """The broker is gone, or has cut us off. What waited is of that connection; what must arrive is said again."""
        self._disconnect()
        self._waiting.clear()
        self._retry()

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
            self._is_blocked = False
