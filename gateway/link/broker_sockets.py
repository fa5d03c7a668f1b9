"""The two sockets to a broker: DEALER for commands and answers, SUB for news.

The same for every endpoint (inproc://, ipc://, tcp://). Each drain is bounded, and frames are sent at once. A broker in
the same process and thread is called directly after a send, and calls back when it has sent something. That saves
looking at the sockets' events after each call, and rounds of the event loop (benchmarks/RESULTS.md, row "a lone
message").
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable

import zmq

from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol.backbone import CLUSTER_TOPIC, own_topic, pack_frames, publish_endpoint
from tsudoi.protocol.backbone.endpoint import INPROC

from .connect_monitor import ConnectMonitor

FRAMES_A_DRAIN = 512
COMMANDS_HIGH_WATER = 10_000
MAX_FRAME_SIZE = 16 * 2**20
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
RECONNECT_MS, RECONNECT_MAX_MS = 50, 500
CONNECT_MS = 1_000
"""Then libzmq tries anew. Else the kernel does, and for a machine that was silent for long only once in a minute."""
LINGER_MS = 250

# As plain numbers: pyzmq's enumerations cost a microsecond at each use.
NOBLOCK, EVENTS, POLLIN = int(zmq.NOBLOCK), int(zmq.EVENTS), int(zmq.POLLIN)

OnFrames = Callable[[list[bytes]], None]
WakeBroker = Callable[[int], None]
"""Called with the number of frames that were sent; 0: subscriptions have changed."""
_numbers = itertools.count(1)
"""Makes the names of monitors unique."""


class BrokerSockets:
    """Carries frames and subscriptions to the broker, and its answers and news back.

    libzmq connects again and again as long as the sockets are open, whether the broker is there or not.
    """

    def __init__(
        self,
        endpoint: str,
        instance: str,
        on_news: OnFrames,
        on_answers: OnFrames,
        context: "zmq.Context[zmq.Socket[bytes]]",
        key: SecretKey | None = None,
        on_reconnected: Callable[[], None] = lambda: None,
    ) -> None:
        """Connect.

        Args:
            endpoint: of the broker's command socket.
            instance: the name of this run of the gateway.
            on_news: called with the frames that a drain of the SUB socket found.
            on_answers: likewise for the DEALER socket.
            context: of the broker in the same process, or of sockets to other brokers; its owner closes it.
            key: this gateway's key and the broker's public one; None: nothing is encrypted.
            on_reconnected: called when another connection carries commands and answers: the last ones may be lost.
        """
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._on_news = on_news
        self._on_answers = on_answers
        self._again: dict[Callable[[], None], asyncio.Handle] = {}
        self.wake_broker: WakeBroker | None = None
        """Of a broker in this process."""
        self._context = context
        self._monitors: list[ConnectMonitor] = []
        self._dealer = self._socket(zmq.DEALER)
        self._dealer.setsockopt(zmq.IDENTITY, instance.encode())
        self._dealer.setsockopt(zmq.SNDHWM, COMMANDS_HIGH_WATER)
        self._connect(self._dealer, endpoint, "commands", on_reconnected)
        self._sub = self._socket(zmq.SUB)
        # libzmq silently drops subscriptions above the high-water mark: set no mark.
        self._sub.setsockopt(zmq.SNDHWM, 0)
        self._connect(self._sub, publish_endpoint(endpoint), "news", lambda: None)
        self._sub.setsockopt(zmq.SUBSCRIBE, own_topic(instance))
        self._sub.setsockopt(zmq.SUBSCRIBE, CLUSTER_TOPIC)
        self.unsent = 0
        """Frames dropped because the socket was full: the broker is away for long. `Publisher` sends items again."""

    def start(self) -> None:
        """Receive from now on; what has come already is received soon."""
        self._loop.add_reader(self._dealer, self._receive_answers)
        self._loop.add_reader(self._sub, self._receive_news)
        self._look_again(self._dealer, self._receive_answers)
        self._look_again(self._sub, self._receive_news)
        for monitor in self._monitors:
            monitor.start()

    @property
    def connect_error(self) -> str:
        """The reason why the broker can not be reached; empty if none is known. Any thread may read it."""
        return next((monitor.connect_error for monitor in self._monitors if monitor.connect_error), "")

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close; the broker has a quarter of a second, or `linger_ms`, to take the last frames."""
        for handle in self._again.values():
            handle.cancel()
        for monitor in self._monitors:
            monitor.close()
        for socket in (self._dealer, self._sub):
            self._loop.remove_reader(socket)
        self._dealer.close(linger=linger_ms)
        self._sub.close(linger=0)

    def send(self, frames: list[bytes]) -> None:
        """Send frames, packed together; count and drop those that can not be sent now."""
        sent = 0
        for frame in frames if len(frames) == 1 else pack_frames(frames):
            try:
                self._dealer.send(frame, NOBLOCK)
                sent += 1
            except zmq.Again:
                self.unsent += 1
        if self.wake_broker is None:
            self._look_again(self._dealer, self._receive_answers)
        elif sent:
            self.wake_broker(sent)

    def receive(self, answers: int, news: int) -> None:
        """Receive what the broker in this process has sent: the numbers of answers and of news."""
        if self._sub.closed:
            return  # the broker goes on for a moment
        if answers:
            self._receive(self._dealer, self._receive_answers, self._on_answers, answers)
        if news:
            self._receive(self._sub, self._receive_news, self._on_news, news)

    def subscribe(self, topics: Iterable[bytes]) -> None:
        """Subscribe to the news of topics."""
        for topic in topics:
            self._sub.setsockopt(zmq.SUBSCRIBE, topic)
        self._subscriptions_changed()

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """End the subscriptions to the news of topics."""
        for topic in topics:
            self._sub.setsockopt(zmq.UNSUBSCRIBE, topic)
        self._subscriptions_changed()

    def _subscriptions_changed(self) -> None:
        if self.wake_broker is not None:
            self.wake_broker(0)
        self._look_again(self._sub, self._receive_news)

    def _look_again(self, socket: "zmq.Socket[bytes]", receive: Callable[[], None]) -> None:
        # The descriptors are edge-triggered, and any call on a socket may consume the edge. A drain that found the
        # socket empty need not look again.
        if receive not in self._again and _is_readable(socket):
            self._again[receive] = self._loop.call_soon(receive)

    def _receive_answers(self) -> None:
        self._receive(self._dealer, self._receive_answers, self._on_answers)

    def _receive_news(self) -> None:
        self._receive(self._sub, self._receive_news, self._on_news)

    def _receive(
        self, socket: "zmq.Socket[bytes]", receive: Callable[[], None], on_frames: OnFrames, announced: int = 0
    ) -> None:
        if again := self._again.pop(receive, None):
            again.cancel()
            announced = 0  # more wait than were announced: those that the last drain has left
        frames = _drain(socket, announced)
        if frames:
            on_frames(frames)
        if len(frames) == FRAMES_A_DRAIN and not socket.closed:
            self._look_again(socket, receive)

    def _connect(
        self, socket: "zmq.Socket[bytes]", endpoint: str, name: str, on_reconnected: Callable[[], None]
    ) -> None:
        # Inside one process a connection can not fail.
        if not endpoint.startswith(INPROC):
            name = f"{name}-{next(_numbers)}"
            has_key = self._key is not None
            self._monitors.append(ConnectMonitor(self._context, socket, endpoint, has_key, name, on_reconnected))
        socket.connect(endpoint)

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_SIZE)
        # At a mark libzmq reads no further, so it misses heartbeats too, connects again, and then ends the process
        # (4.3.5: "Assertion failed: _input_stopped"); two busy seconds were enough. Without a mark the lease bounds
        # what waits: it is over when news are 1.7 s late, and these are then hardly looked at.
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        if self._key is not None:
            socket.curve_publickey = self._key.public.encode()
            socket.curve_secretkey = self._key.secret.encode()
            socket.curve_serverkey = self._key.broker.encode()
        return socket


def _is_readable(socket: "zmq.Socket[bytes]") -> bool:
    return bool(int(socket.getsockopt(EVENTS)) & POLLIN)


def _drain(socket: "zmq.Socket[bytes]", announced: int) -> list[bytes]:
    """Receive a bounded number of frames: as many as were `announced`, or, if that is 0, all.

    After the first the socket is asked whether there is more: often there is not, and an exception costs as much as a
    frame.
    """
    frames: list[bytes] = []
    try:
        for count in range(min(announced, FRAMES_A_DRAIN) or FRAMES_A_DRAIN):
            if count == 1 and not announced and not _is_readable(socket):
                break
            frames.append(socket.recv(NOBLOCK))
    except zmq.Again:
        pass
    return frames
