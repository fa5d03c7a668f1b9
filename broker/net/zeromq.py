"""Gateways by ZeroMQ: ROUTER for commands and answers, XPUB for news; over tcp with keys (`security.py`), over ipc."""

import asyncio
import os
from collections.abc import Callable

import zmq

from broker.keyring import Keyring
from broker.net.security import COMMANDS, NEWS, Guard
from broker.net.transport import Heard
from ops import logs
from protocol import backbone
from protocol.errors import SettingError
from protocol.keys import Owner

logger = logs.get("broker.zeromq")

# As plain numbers: pyzmq's enumerations cost a microsecond at each use.
NOBLOCK, EVENTS, POLLIN = int(zmq.NOBLOCK), int(zmq.EVENTS), int(zmq.POLLIN)

FRAMES_A_TURN = 512
SUBSCRIPTIONS_A_TURN = 8192
MAX_FRAME_SIZE = 4 * 2**20
"""Of what gateways say; the largest that they have reason to is a roll of some hundred thousand members."""
REPLIES_HIGH_WATER = 20_000
"""Answers that wait for one slow gateway; beyond that they are dropped and counted, and it asks again."""
COMMANDS_HIGH_WATER = 20_000
"""Frames of one gateway that wait for us; beyond that its own socket keeps them back."""
REBIND_S, REBIND_FOR_S = 0.005, 5.0
"""libzmq lets go of an address a moment after its socket is closed."""
INSTANCES = 10_000
"""Gateways' runs whose key is remembered; beyond that the oldest may be taken up by another key."""
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is noticed within two seconds."""


class ZeromqTransport:
    """A `Transport` of two ZeroMQ sockets."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        bind: str,
        news_high_water: int,
        guard: Guard | None,
        keyring: Keyring | None,
    ) -> None:
        """Bind both sockets.

        Args:
            context: whose sockets they are.
            bind: tcp://HOST:PORT (0 for any two free ports in a row) or ipc://PATH.
            news_high_water: news that wait for one slow gateway; beyond that they are dropped for it.
            guard: who asks whether a key may come; None: everyone may.
            keyring: the keys that it knows.

        Raises:
            SettingError: an address can not be bound.
        """
        self._context = context
        self._news_high_water = news_high_water
        self._guard = guard
        self._keyring = keyring
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._owners: dict[str, Owner] = {}
        """Gateway instance → whose key it came with first: nobody else speaks in its name."""
        self.dropped = self.impostors = 0
        self.undeliverable = 0
        self.endpoint, self._router, self._xpub = self._bind(bind)

    @property
    def is_open(self) -> bool:
        """See `Transport.is_open`."""
        return not self._router.closed

    def start(self, on_readable: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """See `Transport.start`."""
        self._on_readable = on_readable
        self._on_failure = on_failure
        self._listen()

    def close(self, linger_ms: int) -> None:
        """See `Transport.close`."""
        self._closed = True
        self._shut(linger_ms)

    # --- frames ---------------------------------------------------------------------------------------------------

    def receive(self) -> list[Heard]:
        """See `Transport.receive`."""
        router, heard = self._router, list[Heard]()
        try:
            if self._guard is None:
                for _ in range(FRAMES_A_TURN):
                    parts = router.recv_multipart(NOBLOCK)
                    # What is not one frame is nothing that anybody can read, and is counted as that.
                    heard.append((parts[0].decode("latin-1"), parts[1] if len(parts) == 2 else b"", None))
            else:
                for _ in range(FRAMES_A_TURN):
                    self._hear_known(self._guard, router.recv_multipart(NOBLOCK, copy=False), heard)
        except zmq.Again:
            pass
        return heard

    def _hear_known(self, guard: Guard, frames: list[zmq.Frame], heard: list[Heard]) -> None:
        """Take a frame if its key is still let in, and may speak in the name that its socket gave itself."""
        owner = guard.owner(frames[-1])
        peer = frames[0].bytes.decode("latin-1")
        if (
            owner is None
            or self._owners.get(peer, owner) != owner
            or not owner.may_be_called(backbone.gateway_name(peer))
        ):
            self.impostors += 1
        elif len(frames) == 2:
            if peer not in self._owners:
                self._owners[peer] = owner
                if len(self._owners) > INSTANCES:
                    del self._owners[next(iter(self._owners))]
            heard.append((peer, frames[1].bytes, owner.role))
        else:
            heard.append((peer, b"", owner.role))

    def subscribed(self) -> list[bytes]:
        """See `Transport.subscribed`."""
        xpub, topics = self._xpub, list[bytes]()
        try:
            for _ in range(SUBSCRIPTIONS_A_TURN):
                message = xpub.recv(NOBLOCK)
                if message[:1] == b"\x01":
                    topics.append(message[1:])
        except zmq.Again:
            pass
        return topics

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `Transport.publish`."""
        self._xpub.send(topic + body, NOBLOCK)

    def answer(self, instance: str, frame: bytes) -> bool:
        """See `Transport.answer`."""
        try:
            self._router.send_multipart((instance.encode("latin-1"), frame), NOBLOCK)
        except zmq.ZMQError as exc:
            self.undeliverable += 1
            return exc.errno != zmq.EHOSTUNREACH
        return True

    def flush(self) -> None:
        """See `Transport.flush`: ZeroMQ's own thread sends at once."""

    def has_more(self) -> bool:
        """See `Transport.has_more`: the descriptors are edge-triggered, so look again until nothing is left."""
        return is_readable(self._router) or is_readable(self._xpub)

    # --- keys -----------------------------------------------------------------------------------------------------

    def look(self) -> list[str]:
        """See `Transport.look`: keys may have been taken away."""
        if self._keyring is None or self._guard is None or self._closed:
            return []
        revoked = self._guard.refresh()
        return self._revoke(self._guard, self._keyring) if revoked & self._guard.admitted else []

    def _revoke(self, guard: Guard, keyring: Keyring) -> list[str]:
        """A key was taken away: cut every connection. Those who may, are back in a moment; what was lost with the cut
        shows in positions and numbers, and is repaired. libzmq can not cut the connection of one.
        """
        allowed = set(keyring.owners.values())
        expelled = [peer for peer, owner in self._owners.items() if owner not in allowed]
        for peer in expelled:
            logger.warning("a key was taken away; its members are for others to take", owner=self._owners.pop(peer))
        guard.admitted.clear()
        self._shut(linger_ms=0)
        self._bind_again(self._loop.time() + REBIND_FOR_S)
        return expelled

    def _bind_again(self, deadline: float) -> None:
        if self._closed:
            return
        try:
            self.endpoint, self._router, self._xpub = self._bind(self.endpoint)
        except SettingError as exc:
            if self._loop.time() < deadline:
                self._loop.call_later(REBIND_S, self._bind_again, deadline)
                return
            logger.error("stopping, as nobody can come any more", why=exc)
            self._on_failure()
            return
        self._listen()
        self._loop.call_soon(self._on_readable)

    # --- sockets --------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        for socket in (self._router, self._xpub):
            self._loop.add_reader(socket, self._on_readable)

    def _shut(self, linger_ms: int) -> None:
        for socket in (self._router, self._xpub):
            if not socket.closed:
                self._loop.remove_reader(socket)
                socket.close(linger_ms)

    def _bind(self, bind: str) -> "tuple[str, zmq.Socket[bytes], zmq.Socket[bytes]]":
        any_port = bind.endswith(":0")
        # A socket file is for our own user alone, from its first moment on.
        umask = os.umask(0o177)
        try:
            return self._bind_both(bind, any_port)
        finally:
            os.umask(umask)

    def _bind_both(self, bind: str, any_port: bool) -> "tuple[str, zmq.Socket[bytes], zmq.Socket[bytes]]":
        # Two free ports in a row are not promised by anyone: try until they are found.
        for _ in range(50 if any_port else 1):
            router = self._socket(zmq.ROUTER)
            router.setsockopt(zmq.ROUTER_HANDOVER, 1)
            router.setsockopt(zmq.ROUTER_MANDATORY, 1)
            router.setsockopt(zmq.SNDHWM, REPLIES_HIGH_WATER)
            router.setsockopt(zmq.RCVHWM, COMMANDS_HIGH_WATER)
            xpub = self._socket(zmq.XPUB)
            xpub.setsockopt(zmq.XPUB_VERBOSE, 1)
            # Subscriptions are a gateway's rooms, as many as it has.
            xpub.setsockopt(zmq.RCVHWM, 0)
            xpub.setsockopt(zmq.SNDHWM, self._news_high_water)
            if self._guard is not None:
                self._guard.protect(router, COMMANDS)
                self._guard.protect(xpub, NEWS)
            endpoint = bind
            try:
                router.bind(bind[:-1] + "*" if any_port else bind)
                if any_port:
                    endpoint = bind[:-1] + router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
                xpub.bind(backbone.publish_endpoint(endpoint))
            except zmq.ZMQError as exc:
                router.close(0)
                xpub.close(0)
                if not any_port or exc.errno != zmq.EADDRINUSE:
                    why = zmq.strerror(exc.errno or 0)
                    raise SettingError(f"can not listen on {endpoint} and the next port: {why}") from exc
            else:
                return endpoint, router, xpub
        raise SettingError(f"can not listen on {bind}: no two free ports in a row")

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_SIZE)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        return socket


def is_readable(socket: "zmq.Socket[bytes]") -> bool:
    """Say whether something waits in a socket."""
    return bool(int(socket.getsockopt(EVENTS)) & POLLIN)
