"""Gateways by ZeroMQ: ROUTER for commands and answers, XPUB for news; over tcp with keys (`security.py`), over ipc."""

import asyncio
import os
from collections import deque
from collections.abc import Callable

import zmq

from broker.config import Limits
from broker.keyring import Keyring
from broker.net.security import COMMANDS, NEWS, Guard
from broker.net.transport import HasRoom, Hear
from broker.topics import TopicCounts
from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Owner
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import SettingError

logger = logs.get("broker.zeromq")

# As plain numbers: pyzmq's enumerations cost a microsecond at each use.
NOBLOCK, EVENTS, POLLIN = int(zmq.NOBLOCK), int(zmq.EVENTS), int(zmq.POLLIN)

FRAMES_A_TURN = 512
DROPPED_A_TURN = 2_048
"""Frames that are read in one turn, with those for which there is no room: these cost little, and must not pile up."""
SUBSCRIPTIONS_A_TURN = 2048
MAX_FRAME_SIZE = 4 * 2**20
"""Of what gateways say; the largest that they have reason to is a roll of some hundred thousand members."""
ANSWERS_WAITING = 64 * 2**20
"""Bytes of answers that wait for the gateways of one key; beyond that they are dropped and counted, and it asks
again."""
REPLIES_HIGH_WATER = 32
"""Frames of these that ZeroMQ holds for each connection: it counts frames and not bytes, so most wait with us."""
COMMANDS_HIGH_WATER = 4_000
"""Frames of one gateway that wait for us; beyond that its own socket keeps them back."""
MAX_SUBSCRIPTION_SIZE = 1_024
"""Of what comes to the news' port: a topic has nine bytes, what CURVE shakes hands with some hundred more."""
TOPICS_A_ROOM = 3
"""Topics that gateways of one key may hear at most, for each room that there may be: a key with more is shut out. A
random one costs 2 kB in libzmq's trie."""
SHUT_OUT_S = 60.0
"""How long."""
REBIND_S, REBIND_FOR_S = 0.005, 5.0
"""libzmq lets go of an address a moment after its socket is closed."""
INSTANCES = 1_000
"""Gateways' runs of one key that are remembered; beyond that its oldest may be taken up by another key."""
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
        rooms: int = Limits.rooms,
    ) -> None:
        """Bind both sockets.

        Args:
            context: whose sockets they are.
            bind: tcp://HOST:PORT (0 for any two free ports in a row) or ipc://PATH.
            news_high_water: news that wait for one slow gateway; beyond that they are dropped for it.
            guard: who asks whether a key may come; None: everyone may.
            keyring: the keys that it knows.
            rooms: that there may be: gateways of one key hear no more than so many topics, and some.

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
        self._runs: dict[Owner, dict[str, None]] = {}
        """Whose key → the instances above, in the order in which they came."""
        self.dropped = self.impostors = 0
        self.undeliverable = 0
        self.overrun = 0
        self.shut_out = 0
        """Times that a key was shut out for a while, as its gateways subscribed to too much."""
        self._waiting: dict[str, deque[bytes]] = {}
        """Gateway instance → answers that its connection has no room for now."""
        self._sizes: dict[str, int] = {}
        """Account → bytes of these."""
        self.topics = TopicCounts(TOPICS_A_ROOM * rooms * backbone.TOPIC_SIZE)
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

    def receive(self, has_room: HasRoom, hear: Hear) -> None:
        """See `Transport.receive`."""
        router, left = self._router, FRAMES_A_TURN
        try:
            if self._guard is None:
                for _ in range(FRAMES_A_TURN):
                    parts = router.recv_multipart(NOBLOCK)
                    peer = parts[0].decode("latin-1")
                    if not has_room(peer):
                        self.overrun += 1
                    else:
                        # What is not one frame is nothing that anybody can read, and is counted as that.
                        hear(peer, parts[1] if len(parts) == 2 else b"", None, peer)
            else:
                for _ in range(DROPPED_A_TURN):
                    # Not copied before it is known whether it is taken: else who sends most would hold us up most.
                    frames = router.recv_multipart(NOBLOCK, copy=False)
                    left -= self._hear_known(self._guard, frames, has_room, hear)
                    if not left:
                        break
        except zmq.Again:
            pass

    def _hear_known(self, guard: Guard, frames: list[zmq.Frame], has_room: HasRoom, hear: Hear) -> bool:
        """Take a frame if its key is still let in, and may speak in the name that its socket gave itself."""
        owner = guard.owner(frames[-1])
        peer = frames[0].bytes.decode("latin-1")
        if (
            owner is None
            or self._owners.get(peer, owner) != owner
            or not owner.may_be_called(backbone.gateway_name(peer))
        ):
            self.impostors += 1
            return False
        account = str(owner)
        if not has_room(account):
            self.overrun += 1
            return False
        if peer not in self._owners:
            self._note_owner(peer, owner)
        hear(peer, frames[1].bytes if len(frames) == 2 else b"", owner.role, account)
        return True

    def _note_owner(self, peer: str, owner: Owner) -> None:
        self._owners[peer] = owner
        runs = self._runs.setdefault(owner, {})
        runs[peer] = None
        if len(runs) > INSTANCES:
            oldest = next(iter(runs))
            del runs[oldest], self._owners[oldest]

    def subscribed(self) -> list[bytes]:
        """See `Transport.subscribed`."""
        xpub, topics = self._xpub, list[bytes]()
        try:
            for _ in range(SUBSCRIPTIONS_A_TURN):
                frame = xpub.recv(NOBLOCK, copy=False)
                message = frame.bytes
                topic = message[1:]
                if message[:1] == b"\x01":
                    topics.append(topic)
                    if self._guard is not None and topic not in self.topics:
                        self.topics.add(topic, self._guard.owner(frame))
                elif self._guard is not None:
                    self.topics.discard(topic)
        except zmq.Again:
            pass
        return topics

    def publish(self, topic: bytes, body: bytes) -> None:
        """See `Transport.publish`."""
        self._xpub.send(topic + body, NOBLOCK)

    def answer(self, instance: str, frame: bytes) -> bool:
        """See `Transport.answer`."""
        if instance in self._waiting:
            self._keep(instance, frame)
            return True
        try:
            self._router.send_multipart((instance.encode("latin-1"), frame), NOBLOCK)
        except zmq.Again:
            self._keep(instance, frame)
        except zmq.ZMQError as exc:
            self.undeliverable += 1
            return exc.errno != zmq.EHOSTUNREACH
        return True

    def is_behind(self, instance: str) -> bool:
        """See `Transport.is_behind`."""
        return bool(self._waiting) and self._sizes.get(self._account(instance), 0) >= ANSWERS_WAITING

    def _account(self, instance: str) -> str:
        owner = self._owners.get(instance)
        return instance if owner is None else str(owner)

    def _keep(self, instance: str, frame: bytes) -> None:
        """Let an answer wait until its connection has room, if what waits already is not too much."""
        account = self._account(instance)
        size = self._sizes.get(account, 0) + len(frame)
        if size > ANSWERS_WAITING:
            self.undeliverable += 1
            return
        self._sizes[account] = size
        self._waiting.setdefault(instance, deque()).append(frame)

    def flush(self) -> None:
        """See `Transport.flush`: ZeroMQ's own thread sends at once, and takes what had to wait when there is room."""
        for instance, frames in list(self._waiting.items()):
            account = self._account(instance)
            try:
                while frames:
                    self._router.send_multipart((instance.encode("latin-1"), frames[0]), NOBLOCK)
                    self._sizes[account] -= len(frames.popleft())
            except zmq.Again:
                continue
            except zmq.ZMQError:
                # It has gone. Whoever is back asks again.
                self.undeliverable += len(frames)
                self._sizes[account] -= sum(map(len, frames))
            del self._waiting[instance]
            if not self._sizes[account]:
                del self._sizes[account]

    def has_more(self) -> bool:
        """See `Transport.has_more`: the descriptors are edge-triggered, so look again until nothing is left."""
        return is_readable(self._router) or is_readable(self._xpub)

    # --- keys -----------------------------------------------------------------------------------------------------

    def look(self) -> list[Owner]:
        """See `Transport.look`: keys may have been taken away."""
        if self._keyring is None or self._guard is None or self._closed:
            return []
        revoked = self._guard.refresh() & self._guard.admitted
        now = self._loop.time()
        for owner in self.topics.too_many():
            self.shut_out += 1
            self._guard.shut_out[owner] = now + SHUT_OUT_S
            logger.warning("a key hears too many topics: it is shut out for a while", owner=owner, seconds=SHUT_OUT_S)
            revoked.add(str(owner))
        for owner, until in list(self._guard.shut_out.items()):
            if now >= until:
                del self._guard.shut_out[owner]
        return self._revoke(self._guard, self._keyring) if revoked else []

    def _revoke(self, guard: Guard, keyring: Keyring) -> list[Owner]:
        """A key was taken away: cut every connection. Those who may, are back in a moment; what was lost with the cut
        shows in positions and numbers, and is repaired. libzmq can not cut the connection of one.
        """
        allowed = set(keyring.owners.values()).difference(guard.shut_out)
        expelled = [owner for owner in self._runs if owner not in allowed]
        for owner in expelled:
            if owner not in guard.shut_out:
                logger.warning("a key was taken away; its members are for others to take", owner=owner)
            for peer in self._runs.pop(owner):
                del self._owners[peer]
        # What waits for others would come with gaps; what they still want, they ask again.
        self.undeliverable += sum(map(len, self._waiting.values()))
        self._waiting.clear()
        self._sizes.clear()
        self.topics.clear()
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
            router, xpub = self._new_pair()
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

    def _new_pair(self) -> "tuple[zmq.Socket[bytes], zmq.Socket[bytes]]":
        """Return a ROUTER and an XPUB; raises SettingError if there is no descriptor for them."""
        sockets: list[zmq.Socket[bytes]] = []
        try:
            sockets += [self._socket(zmq.ROUTER)]
            sockets += [self._socket(zmq.XPUB)]
        except zmq.ZMQError as exc:
            for socket in sockets:
                socket.close(0)
            raise SettingError(f"can not make a socket: {zmq.strerror(exc.errno or 0)}") from exc
        router, xpub = sockets
        router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.SNDHWM, REPLIES_HIGH_WATER)
        router.setsockopt(zmq.RCVHWM, COMMANDS_HIGH_WATER)
        xpub.setsockopt(zmq.XPUB_VERBOSE, 1)
        # Subscriptions are a gateway's rooms, as many as it has.
        xpub.setsockopt(zmq.RCVHWM, 0)
        xpub.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_SIZE)
        xpub.setsockopt(zmq.SNDHWM, self._news_high_water)
        if self._guard is not None:
            self._guard.protect(router, COMMANDS)
            self._guard.protect(xpub, NEWS)
        return router, xpub

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
