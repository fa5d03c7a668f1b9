"""The two sockets for gateways: ROUTER for commands and answers, XPUB for news.

Over tcp:// keys guard them (`zap.py`), over ipc:// the mode of the socket's file; inproc:// is this process.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable

import zmq

from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Owner, Role
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import SettingError

from . import socket_files
from .zap import COMMANDS, NEWS, ZapHandler

logger = logs.get("broker.zeromq")

# As plain numbers: pyzmq's enumerations cost a microsecond at each use.
NOBLOCK, EVENTS, POLLIN = int(zmq.NOBLOCK), int(zmq.EVENTS), int(zmq.POLLIN)

FRAMES_A_TURN = 512
SUBSCRIPTIONS_A_TURN = 2048
MAX_FRAME_SIZE = 4 * 2**20
"""Bytes of a gateway's frame; the largest is a Reconcile of some hundred thousand members."""
ANSWERS_WAITING = 64 * 2**20
"""Bytes of answers that wait for the gateways of one key; more are dropped and counted, and the gateway asks again."""
REPLIES_HIGH_WATER = 32
"""Answers that ZeroMQ holds for each connection: it counts frames and not bytes, so most wait in this process."""
COMMANDS_HIGH_WATER = 4_000
"""Frames of one gateway that wait in ZeroMQ; beyond that they wait in its own socket."""
MAX_SUBSCRIPTION_SIZE = 1_024
"""Bytes of a frame to the news socket: a topic has nine, CURVE's handshake some hundred more."""
REBIND_S, REBIND_FOR_S = 0.005, 5.0
"""libzmq releases an address a moment after its socket is closed."""
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is noticed within two seconds."""

HasRoom = Callable[[str], bool]
"""Called with an account: says whether more of its frames may wait."""
OnFrame = Callable[[str, bytes, Role | None, str], object]
"""Called with a gateway's instance, its frame, its key's role (None without keys), and the account: the key's owner, or
the instance without keys."""


class GatewaySockets:
    """Receives gateways' frames, sends answers and news; never blocks."""

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        bind: str,
        news_high_water: int,
        zap: ZapHandler | None,
    ) -> None:
        """Bind both sockets; raise SettingError if an address can not be bound.

        Args:
            context: for inproc:// the one that the gateway uses too.
            bind: tcp://HOST:PORT (0 for any two free ports in a row), ipc://PATH or inproc://NAME.
            news_high_water: frames of news that wait for one slow gateway; more are dropped for it.
            zap: decides which keys may connect; None: every connection may.
        """
        self._context = context
        self._news_high_water = news_high_water
        self._zap = zap
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._owners: dict[str, Owner] = {}
        """Gateway instance → owner of the first key that used it: no other key may use the name."""
        self.impostors = 0
        """Frames of a revoked key, or of one that may not use that name."""
        self.undeliverable = 0
        """Answers to gateways that are gone, or read too slowly."""
        self.overrun = 0
        """Frames dropped because gateways of one key sent more than is handled in time."""
        self._waiting: dict[str, deque[bytes]] = {}
        """Gateway instance → answers for which its connection has no room now."""
        self._sizes: dict[str, int] = {}
        """Account → bytes of these."""
        self._may_have_frames = self._may_have_topics = True
        """The descriptor was readable, and no receive has failed since."""
        self._announced = 0
        """Frames that the gateway in this process has sent, and that were not received yet."""
        self._answered = self._published = 0
        """Frames that were sent since the last look at the socket's events: the descriptors are edge-triggered, and
        sending may consume an edge. Or since the gateway in this process was called."""
        self.wake_gateway: Callable[[int, int], None] | None = None
        """Of the gateway in this process; called with the numbers of answers and of news for it."""
        self.is_open = False
        """Whether the sockets are bound; while a revoked key is cut off they are not, for a moment."""
        self.has_gateways = False
        """A gateway is connected: all of them subscribe to the same topic."""
        self.endpoint, self._router, self._xpub = self._bind(bind)

    def start(self, on_readable: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """Call `on_readable` when frames have come, `on_failure` if the sockets can not be bound again."""
        self._on_readable = on_readable
        self._on_failure = on_failure
        self._listen()

    def close(self, linger_ms: int) -> None:
        """Close the sockets; frames that are sent go out for `linger_ms` more."""
        self._closed = True
        self._shut(linger_ms)

    # --- frames ---------------------------------------------------------------------------------------------------

    def receive(self, has_room: HasRoom, on_frame: OnFrame) -> None:
        """Give a bounded number of frames to `on_frame`, in order for each gateway; drop those without room."""
        most = FRAMES_A_TURN
        if not self._may_have_frames:
            most = min(self._announced, most)
            self._announced -= most
        router, zap = self._router, self._zap
        try:
            for count in range(most):
                # Without load one frame comes alone, and the exception after it would cost as much as it does.
                if count == 1 and self._may_have_frames and not is_readable(router):
                    self._may_have_frames, self._announced = False, 0
                    return
                if zap is not None:
                    # A frame is copied only if it is taken, so that dropping large ones is cheap.
                    self._take_guarded(zap, router.recv_multipart(NOBLOCK, copy=False), has_room, on_frame)
                    continue
                peer = router.recv(NOBLOCK).decode("latin-1")
                frame = _frame_after_name(router)
                if has_room(peer):
                    on_frame(peer, frame, None, peer)
                else:
                    self.overrun += 1
        except zmq.Again:
            self._may_have_frames, self._announced = False, 0

    def _take_guarded(self, zap: ZapHandler, frames: list[zmq.Frame], has_room: HasRoom, on_frame: OnFrame) -> None:
        """Take a frame if its key is still allowed, and may use the instance that its socket names."""
        owner = zap.owner(frames[-1])
        peer = frames[0].bytes.decode("latin-1")
        name = backbone.gateway_name(peer)
        if owner is None or self._owners.get(peer, owner) != owner or not owner.may_be_called(name):
            self.impostors += 1
        elif not has_room(account := str(owner)):
            self.overrun += 1
        else:
            self._owners.setdefault(peer, owner)
            on_frame(peer, frames[1].bytes if len(frames) == 2 else b"", owner.role, account)

    def subscribed(self) -> list[bytes]:
        """Return the topics whose subscriptions have become live since the last call."""
        topics: list[bytes] = []
        if not self._may_have_topics:
            return topics
        xpub = self._xpub
        try:
            for _ in range(SUBSCRIPTIONS_A_TURN):
                message = xpub.recv(NOBLOCK)
                if message[:1] == b"\x01":
                    topics.append(message[1:])
                if message[1:] == backbone.CLUSTER_TOPIC:  # its end comes with the last connection
                    self.has_gateways = message[:1] == b"\x01"
        except zmq.Again:
            self._may_have_topics = False
        return topics

    def publish(self, topic: bytes, body: bytes) -> None:
        """Send news to all subscribers of a topic; they are dropped only for those that do not read."""
        self._published += 1
        self._xpub.send(topic + body, NOBLOCK)

    def answer(self, instance: str, frame: bytes) -> bool:
        """Send a frame to one gateway; False if it is not connected."""
        if instance in self._waiting:
            self._keep(instance, frame)
            return True
        self._answered += 1
        try:
            self._router.send_multipart((instance.encode("latin-1"), frame), NOBLOCK)
        except zmq.Again:
            self._keep(instance, frame)
        except zmq.ZMQError as exc:
            self.undeliverable += 1
            return exc.errno != zmq.EHOSTUNREACH
        return True

    def is_behind(self, instance: str) -> bool:
        """Return whether an answer to this gateway would be dropped, because too much waits for those of its key."""
        return bool(self._waiting) and self._sizes.get(self._account(instance), 0) >= ANSWERS_WAITING

    def _account(self, instance: str) -> str:
        owner = self._owners.get(instance)
        return instance if owner is None else str(owner)

    def _keep(self, instance: str, frame: bytes) -> None:
        """Queue an answer until its connection has room, unless too much waits already."""
        account = self._account(instance)
        size = self._sizes.get(account, 0) + len(frame)
        if size > ANSWERS_WAITING:
            self.undeliverable += 1
            return
        self._sizes[account] = size
        self._waiting.setdefault(instance, deque()).append(frame)

    def flush(self) -> None:
        """Send answers that had to wait, as far as their connections have room now."""
        if not self._waiting:
            return
        for instance, frames in list(self._waiting.items()):
            account = self._account(instance)
            try:
                while frames:
                    self._router.send_multipart((instance.encode("latin-1"), frames[0]), NOBLOCK)
                    self._answered += 1
                    self._sizes[account] -= len(frames.popleft())
            except zmq.Again:
                continue
            except zmq.ZMQError:
                # The gateway is gone; when it is back it asks again.
                self.undeliverable += len(frames)
                self._sizes[account] -= sum(map(len, frames))
            del self._waiting[instance]
            if not self._sizes[account]:
                del self._sizes[account]

    def has_more(self) -> bool:
        """Return whether frames or topics wait that no descriptor will announce."""
        if self.wake_gateway is not None:
            return self._may_have_frames or self._may_have_topics or self._announced > 0  # it says when it sends
        if self._answered:
            self._answered = 0
            self._may_have_frames |= is_readable(self._router)
        if self._published:
            self._published = 0
            self._may_have_topics |= is_readable(self._xpub)
        return self._may_have_frames or self._may_have_topics

    def note(self, frames: int) -> None:
        """Note that the gateway in this process has sent so many frames; none: it has changed its subscriptions."""
        self._announced += frames
        if not frames:
            self._may_have_topics = True

    def hand_over(self) -> None:
        """Let the gateway in this process, if there is one, receive what was sent."""
        if self.wake_gateway is not None and (self._published or self._answered):
            answers, self._answered = self._answered, 0
            news, self._published = self._published, 0
            self.wake_gateway(answers, news)

    # --- revoked keys ---------------------------------------------------------------------------------------------

    def expel_revoked(self) -> list[Owner]:
        """Cut all connections if a key that had connected was revoked; return the owners of revoked keys.

        libzmq can not cut a single connection. The other gateways reconnect in a moment; frames that are lost show in
        positions and numbers, and are repaired. Call it several times a second.
        """
        if self._zap is None or self._closed or not self._zap.refresh() & self._zap.admitted:
            return []
        expelled = set(self._owners.values()) - set(self._zap.allow_list.owners.values())
        for owner in expelled:
            logger.warning("a connected key was revoked; other gateways may take over its members", owner=owner)
        self._owners = {peer: owner for peer, owner in self._owners.items() if owner not in expelled}
        # Waiting answers would come after a gap; gateways that still need them ask again.
        self.undeliverable += sum(map(len, self._waiting.values()))
        self._waiting.clear()
        self._sizes.clear()
        self._zap.admitted.clear()
        self._shut(linger_ms=0)
        self._bind_again(self._loop.time() + REBIND_FOR_S)
        return list(expelled)

    def _bind_again(self, deadline: float) -> None:
        if self._closed:
            return
        try:
            self.endpoint, self._router, self._xpub = self._bind(self.endpoint)
        except SettingError as exc:
            if self._loop.time() < deadline:
                self._loop.call_later(REBIND_S, self._bind_again, deadline)
                return
            logger.error("stopping, as gateways can not connect", why=exc)
            self._on_failure()
            return
        self._listen()
        self._loop.call_soon(self._on_readable)

    # --- sockets --------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._may_have_frames = self._may_have_topics = True
        self._loop.add_reader(self._router, self._note_frames)
        self._loop.add_reader(self._xpub, self._note_topics)

    def _note_frames(self) -> None:
        self._may_have_frames = True
        self._on_readable()

    def _note_topics(self) -> None:
        self._may_have_topics = True
        self._on_readable()

    def _shut(self, linger_ms: int) -> None:
        self.is_open = False
        for socket in (self._router, self._xpub):
            if not socket.closed:
                self._loop.remove_reader(socket)
                socket.close(linger_ms)
        self.has_gateways = False

    def _bind(self, bind: str) -> "tuple[str, zmq.Socket[bytes], zmq.Socket[bytes]]":
        """Return the endpoint, with the port that was chosen, and both sockets; raise SettingError."""
        any_port = backbone.is_tcp(bind) and bind.endswith(":0")
        # Two free ports in a row are not promised: try until they are found.
        for _ in range(50 if any_port else 1):
            endpoint, made = bind, list[zmq.Socket[bytes]]()
            try:
                made.append(router := self._socket(zmq.ROUTER))
                made.append(xpub := self._socket(zmq.XPUB))
                if self._zap is not None:
                    self._zap.protect(router, COMMANDS)
                    self._zap.protect(xpub, NEWS)
                socket_files.bind(router, bind[:-1] + "*" if any_port else bind)
                if any_port:
                    endpoint = bind[:-1] + router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2]
                socket_files.bind(xpub, backbone.publish_endpoint(endpoint))
            except (zmq.ZMQError, SettingError) as exc:
                for socket in made:
                    socket.close(0)
                if isinstance(exc, SettingError):
                    raise
                if not any_port or exc.errno != zmq.EADDRINUSE:
                    # libzmq takes a name for that of a network interface.
                    is_unknown = exc.errno == errno.ENODEV
                    why = "its host is no address of this machine" if is_unknown else zmq.strerror(exc.errno or 0)
                    raise SettingError(f"can not listen on {endpoint} and the next port: {why}") from exc
            else:
                self.is_open = True
                return endpoint, router, xpub
        raise SettingError(f"can not listen on {bind}: no two free ports in a row")

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        """Return a ROUTER or an XPUB that is not bound yet."""
        options = {
            zmq.IPV6: 1,
            zmq.LINGER: 0,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
            zmq.HANDSHAKE_IVL: 2000,
        }
        if kind == zmq.ROUTER:
            options |= {zmq.MAXMSGSIZE: MAX_FRAME_SIZE, zmq.ROUTER_HANDOVER: 1, zmq.ROUTER_MANDATORY: 1}
            options |= {zmq.SNDHWM: REPLIES_HIGH_WATER, zmq.RCVHWM: COMMANDS_HIGH_WATER}
        else:
            options |= {zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_SIZE, zmq.XPUB_VERBOSE: 1, zmq.SNDHWM: self._news_high_water}
            # A gateway subscribes to each of its rooms, however many it has.
            options |= {zmq.RCVHWM: 0}
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        for option, value in options.items():
            socket.setsockopt(option, value)
        return socket


def _frame_after_name(router: "zmq.Socket[bytes]") -> bytes:
    """Receive the rest of a message; empty, which is counted as malformed, if that has several parts.

    Faster than `recv_multipart`, which asks after each part whether there is another one.
    """
    part = router.recv(NOBLOCK, copy=False)
    is_one = not part.more
    while part.more:
        part = router.recv(NOBLOCK, copy=False)
    return part.bytes if is_one else b""


def is_readable(socket: "zmq.Socket[bytes]") -> bool:
    """Return whether a message waits in a socket; this costs half as much as a receive that finds none and raises."""
    return bool(int(socket.getsockopt(EVENTS)) & POLLIN)
