"""To the broker by ZeroMQ: DEALER for commands and answers, SUB for news; bounded drains, no await per frame."""

import asyncio
from collections.abc import Callable

import zmq

from gateway.net.backbone import OnFrames
from gateway.net.monitor import Monitor
from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol.backbone import own_topic, pack_frames, publish_endpoint

FRAMES_A_DRAIN = 512
COMMANDS_HIGH_WATER = 10_000
NEWS_HIGH_WATER = 200_000
"""News that wait here while we are busy; beyond that they are dropped, and the positions show it."""
MAX_FRAME_SIZE = 16 * 2**20
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
RECONNECT_MS, RECONNECT_MAX_MS = 50, 500

# As plain numbers: pyzmq's enumerations cost a microsecond at each use.
NOBLOCK, EVENTS, POLLIN = int(zmq.NOBLOCK), int(zmq.EVENTS), int(zmq.POLLIN)


class ZeromqBackbone:
    """A `Backbone` of two ZeroMQ sockets."""

    def __init__(
        self, endpoint: str, instance: str, on_news: OnFrames, on_answers: OnFrames, key: SecretKey | None = None
    ) -> None:
        """Connect; it does not matter whether the broker is there yet.

        Args:
            endpoint: tcp://HOST:PORT or ipc://PATH of its command socket.
            instance: this run of the gateway, as the broker shall know it.
            on_news: called with the frames that a drain of the SUB socket found.
            on_answers: likewise for the DEALER socket.
            key: what to show the broker, and how to know that it is the broker; None: nothing is encrypted.
        """
        self._key = key
        self._loop = asyncio.get_running_loop()
        self._on_news = on_news
        self._on_answers = on_answers
        self._again: dict[Callable[[], None], asyncio.Handle] = {}
        self._context = zmq.Context()
        self._dealer = self._socket(zmq.DEALER)
        self._dealer.setsockopt(zmq.IDENTITY, instance.encode())
        self._dealer.setsockopt(zmq.SNDHWM, COMMANDS_HIGH_WATER)
        self._monitors = [Monitor(self._context, self._dealer, endpoint, key is not None, "commands")]
        self._sub = self._socket(zmq.SUB)
        # Subscriptions above the high water mark are dropped in silence: there must be none.
        self._sub.setsockopt(zmq.SNDHWM, 0)
        self._sub.setsockopt(zmq.RCVHWM, NEWS_HIGH_WATER)
        self._monitors.append(Monitor(self._context, self._sub, publish_endpoint(endpoint), key is not None, "news"))
        self._sub.setsockopt(zmq.SUBSCRIBE, own_topic(instance))
        self.unsent = 0

    def start(self) -> None:
        """See `Backbone.start`."""
        self._loop.add_reader(self._dealer, self._hear_answers)
        self._loop.add_reader(self._sub, self._hear_news)
        self._hear_answers()
        self._hear_news()
        for monitor in self._monitors:
            monitor.start()

    @property
    def trouble(self) -> str:
        """See `Backbone.trouble`."""
        return next((monitor.trouble for monitor in self._monitors if monitor.trouble), "")

    def close(self) -> None:
        """See `Backbone.close`."""
        for handle in self._again.values():
            handle.cancel()
        for monitor in self._monitors:
            monitor.close()
        for socket in (self._dealer, self._sub):
            self._loop.remove_reader(socket)
        self._dealer.close(linger=250)
        self._sub.close(linger=0)
        self._context.term()

    def send(self, frames: list[bytes]) -> None:
        """See `Backbone.send`."""
        for frame in pack_frames(frames):
            try:
                self._dealer.send(frame, NOBLOCK)
            except zmq.Again:
                self.unsent += 1
        if frames:
            self._look_again(self._dealer, self._hear_answers)

    def subscribe(self, topic: bytes) -> None:
        """See `Backbone.subscribe`."""
        self._sub.setsockopt(zmq.SUBSCRIBE, topic)
        self._look_again(self._sub, self._hear_news)

    def unsubscribe(self, topic: bytes) -> None:
        """See `Backbone.unsubscribe`."""
        self._sub.setsockopt(zmq.UNSUBSCRIBE, topic)
        self._look_again(self._sub, self._hear_news)

    def _look_again(self, socket: "zmq.Socket[bytes]", hear: Callable[[], None]) -> None:
        # The descriptors are edge-triggered, and any call on a socket may swallow the edge. A drain that found it empty
        # need not look: what comes after that shows.
        if hear not in self._again and int(socket.getsockopt(EVENTS)) & POLLIN:
            self._again[hear] = self._loop.call_soon(hear)

    def _hear_answers(self) -> None:
        self._hear(self._dealer, self._hear_answers, self._on_answers)

    def _hear_news(self) -> None:
        self._hear(self._sub, self._hear_news, self._on_news)

    def _hear(self, socket: "zmq.Socket[bytes]", hear: Callable[[], None], on_frames: OnFrames) -> None:
        if again := self._again.pop(hear, None):
            again.cancel()
        frames = _drain(socket)
        if frames:
            on_frames(frames)
        if len(frames) == FRAMES_A_DRAIN:
            self._look_again(socket, hear)

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_SIZE)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        if self._key is not None:
            socket.curve_publickey = self._key.public.encode()
            socket.curve_secretkey = self._key.secret.encode()
            socket.curve_serverkey = self._key.broker.encode()
        return socket


def _drain(socket: "zmq.Socket[bytes]") -> list[bytes]:
    frames: list[bytes] = []
    try:
        while len(frames) < FRAMES_A_DRAIN:
            frames.append(socket.recv(NOBLOCK))
    except zmq.Again:
        pass
    return frames
