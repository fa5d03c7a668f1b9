"""ROUTER in, store, XPUB out: carries out what the core decides; ARCHITECTURE.md, "Backbone".

A turn: drain what has arrived (bounded, so that no peer holds the loop), let the core decide, commit once, publish,
answer. There is no await from the first to the last, so the order on the wire is the order of offsets.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import zmq

from broker.config import Limits
from broker.core import Core, Moment, PasswordJob, Turn
from broker.keyring import Keyring
from broker.net.desk import Desk
from broker.net.security import Guard
from broker.office import Office
from broker.passwords import check_hash, make_hash
from broker.store import Store
from ops import logs
from ops.histogram import SECONDS, Histogram
from protocol import backbone
from protocol.errors import SettingError, StoreError
from protocol.keys import Owner, is_loopback

logger = logs.get("broker.server")

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
TICK_S = 0.25
HEALTHY_S = 2.0
"""An event loop that has not moved for so long turns health red."""
TRIM_S = 10.0
REBIND_S, REBIND_FOR_S = 0.005, 5.0
"""libzmq lets go of an address a moment after its socket is closed."""
INSTANCES = 10_000
"""Gateways' runs whose key is remembered; beyond that the oldest may be taken up by another key."""
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is noticed within two seconds."""


class Server:
    """The broker's two sockets and the loop around its core."""

    def __init__(
        self,
        core: Core,
        store: Store,
        limits: Limits,
        bind: str,
        on_failure: Callable[[], None],
        keyring: Keyring | None = None,
    ) -> None:
        """Bind both sockets.

        Args:
            core: what decides.
            store: what keeps.
            limits: see there.
            bind: tcp://HOST:PORT (0 for any two free ports in a row) or ipc://PATH.
            on_failure: called once if the store fails; the broker must then end.
            keyring: who may come to tcp ports; None: everyone. On ipc the file system decides.

        Raises:
            SettingError: an address can not be bound.
        """
        self._core = core
        self._store = store
        self._limits = limits
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._context = zmq.Context()
        self._hashers = ThreadPoolExecutor(2, "password")
        self._hashing = 0
        self._keyring = keyring if bind.startswith("tcp://") else None
        self._guard = Guard(self._context, self._keyring) if self._keyring else None
        self._owners: dict[str, Owner] = {}
        """Gateway instance → whose key it came with first: nobody else speaks in its name."""
        self.impostors = 0
        """Frames of a key that was taken away, or that may not speak in that name."""
        self.commit_s = Histogram(SECONDS)
        """How long commits took."""
        self.checked_at = time.monotonic()
        """When the event loop last came by."""
        self.undeliverable = 0
        """Answers to gateways that are not there (any more), or read too slowly."""
        try:
            self.endpoint, self._router, self._xpub = self._bind(bind)
        except SettingError:
            self._context.destroy(linger=0)
            raise
        self._there: set[str] = set()
        """Gateways of which was told that they came."""
        self._desk: Desk | None = None
        self._stopped = False
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def denied(self) -> int:
        """Connections that were let in to no port: their key is not on the list, or they have none."""
        return self._guard.denied if self._guard else 0

    @property
    def core(self) -> Core:
        """What decides."""
        return self._core

    @property
    def desk(self) -> Desk | None:
        """Where operators come; None: nowhere."""
        return self._desk

    @property
    def hashing(self) -> int:
        """Passwords that are being hashed or wait for it."""
        return self._hashing

    def illness(self) -> str:
        """Return why health is red, empty if it is green. May be called from another thread: it only reads."""
        silent_s = time.monotonic() - self.checked_at
        return f"the event loop has not moved for {silent_s:.1f} s" if silent_s > HEALTHY_S else ""

    def open_desk(self, endpoint: str, office: Office) -> Desk:
        """Listen for operators too.

        Raises:
            SettingError: that can not be, or strangers on other machines could give orders.
        """
        guard = self._guard if endpoint.startswith("tcp://") else None
        if guard is None and not is_loopback(endpoint):
            raise SettingError(f"{endpoint} is open to other machines: operators come there with keys only (--keys)")
        self._desk = Desk(self._context, endpoint, office, guard)
        return self._desk

    def start(self) -> None:
        """Serve from now on."""
        self._listen()
        if self._desk is not None:
            self._loop.add_reader(self._desk.socket, self._pump)
        if self._guard is not None:
            self._loop.add_reader(self._guard.socket, self._admit)
            self._admit()
        self._every(TICK_S, self._tick)
        self._every(TRIM_S, self._trim)
        self._pump()

    def stop(self) -> None:
        """Close the sockets; what was answered goes out still, for half a second at most."""
        self._stopped = True
        for timer in self._timers:
            timer.cancel()
        self._shut(linger_ms=500)
        if self._desk is not None:
            self._loop.remove_reader(self._desk.socket)
            self._desk.socket.close(linger=500)
        if self._guard is not None:
            self._loop.remove_reader(self._guard.socket)
            self._guard.close()
        self._hashers.shutdown(wait=False, cancel_futures=True)
        self._context.term()

    # --- a turn ---------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Take one turn. The sockets' descriptors are edge-triggered, so look again until nothing is left."""
        if self._stopped or self._router.closed:
            return
        moment = _read_clocks()
        router, xpub, core = self._router, self._xpub, self._core
        try:
            if self._guard is None:
                for _ in range(FRAMES_A_TURN):
                    parts = router.recv_multipart(NOBLOCK)
                    if len(parts) == 2:
                        core.handle_untrusted(parts[0].decode("latin-1"), parts[1], moment)
                    else:
                        core.counters.malformed += 1
            else:
                for _ in range(FRAMES_A_TURN):
                    self._hear_known(self._guard, router.recv_multipart(NOBLOCK, copy=False), moment)
        except zmq.Again:
            pass
        try:
            for _ in range(SUBSCRIPTIONS_A_TURN):
                message = xpub.recv(NOBLOCK)
                if message[:1] == b"\x01":
                    core.subscribed(message[1:])
        except zmq.Again:
            pass
        if self._desk is not None:
            self._desk.read(moment)
        self._carry_out(core.take_turn(moment))
        if self._desk is not None and not self._stopped:
            self._desk.answer()
        if _readable(router) or _readable(xpub) or (self._desk and _readable(self._desk.socket)):
            self._loop.call_soon(self._pump)

    def _hear_known(self, guard: Guard, frames: list[zmq.Frame], moment: Moment) -> None:
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
            self._core.handle_untrusted(peer, frames[1].bytes, moment, owner.role)
        else:
            self._core.counters.malformed += 1

    def _carry_out(self, turn: Turn) -> None:
        try:
            if turn.batch:
                begun = time.monotonic()
                self._store.commit(turn.batch)
                self.commit_s.note(time.monotonic() - begun)
            for topic, body in turn.news:
                self._xpub.send(topic + body, NOBLOCK)
            answers: dict[str, list[bytes]] = {}
            for peer, answer in turn.replies:
                answers.setdefault(peer, []).append(backbone.encode(answer))
            for peer, frames in answers.items():
                for frame in backbone.several(frames):
                    self._send(peer, frame)
            for peer, request_id, replay in turn.replays:
                chunks = self._store.read(replay.room, self._core.replay_after(replay), replay.limit)
                self._send(peer, backbone.encode(backbone.Reply(request_id, self._core.replayed(replay, chunks))))
        except StoreError as exc:
            self._fail(exc)
            return
        for job in turn.passwords:
            self._hash(job)

    def _send(self, peer: str, frame: bytes) -> None:
        try:
            self._router.send_multipart((peer.encode("latin-1"), frame), NOBLOCK)
        except zmq.ZMQError as exc:
            self.undeliverable += 1
            if exc.errno == zmq.EHOSTUNREACH:
                self._core.custody.unreachable(peer)

    def _hash(self, job: PasswordJob) -> None:
        if self._hashing >= self._limits.password_jobs:
            self._core.busy(job)
            self._loop.call_soon(self._pump)
            return
        self._hashing += 1
        future = self._loop.run_in_executor(self._hashers, _hash, job)

        def hashed(done: "asyncio.Future[str | bool]") -> None:
            self._hashing -= 1
            if not done.cancelled():
                self._core.hashed(job, done.result(), _read_clocks())
                self._pump()

        future.add_done_callback(hashed)

    # --- time -----------------------------------------------------------------------------------------------------

    def _every(self, interval_s: float, action: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.remove(timer)
            self._every(interval_s, action)
            action()

        timer = self._loop.call_later(interval_s, run)
        self._timers.append(timer)

    def _tick(self) -> None:
        self.checked_at = time.monotonic()
        moment = _read_clocks()
        self._core.tick(moment)
        if self._desk is not None:
            self._desk.office.tick(moment)
        self._tell_who_is_there()
        if self._keyring is not None and self._guard is not None:
            revoked = self._keyring.refresh()
            if revoked & self._guard.admitted:
                self._revoke()
        self._pump()

    def _tell_who_is_there(self) -> None:
        """Write a line for each gateway that came or is gone."""
        gateways = self._core.custody.gateways
        there = {name for name, gateway in gateways.items() if gateway.greeted and not gateway.gone}
        for name in sorted(there - self._there):
            logger.info("gateway came", gateway=name)
        for name in sorted(self._there - there):
            gateway = gateways.get(name)
            said_bye = gateway is not None and gateway.stopped
            if said_bye:
                logger.info("gateway stopped", gateway=name)
            else:
                logger.warning("gateway is gone", gateway=name)
        self._there = there

    def _trim(self) -> None:
        before_ms = int((time.time() - self._limits.log_age_s) * 1000)
        try:
            self._core.trimmed(self._store.trim(self._limits.log_entries, before_ms))
        except StoreError as exc:
            self._fail(exc)

    def _fail(self, exc: StoreError) -> None:
        """End, and take or tell nothing from now on: what was not kept must not be followed by what is."""
        logger.error("stopping, as nothing can be kept", why=exc)
        self._stopped = True
        self._on_failure()

    # --- keys -----------------------------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Somebody connects, and libzmq asks whether it may."""
        if self._guard is not None and not self._stopped and self._guard.answer():
            self._loop.call_soon(self._admit)

    def _revoke(self) -> None:
        """A key was taken away: cut every connection. Those who may, are back in a moment; what was lost with the cut
        shows in positions and numbers, and is repaired. libzmq can not cut the connection of one.
        """
        assert self._keyring is not None
        assert self._guard is not None
        allowed = set(self._keyring.owners.values())
        for peer, owner in list(self._owners.items()):
            if owner not in allowed:
                logger.warning("a key was taken away; its members are for others to take", owner=owner)
                del self._owners[peer]
                self._core.expel(peer, _read_clocks())
        self._guard.admitted.clear()
        self._shut(linger_ms=0)
        self._bind_again(self._loop.time() + REBIND_FOR_S)

    def _bind_again(self, deadline: float) -> None:
        if self._stopped:
            return
        try:
            self.endpoint, self._router, self._xpub = self._bind(self.endpoint)
        except SettingError as exc:
            if self._loop.time() < deadline:
                self._loop.call_later(REBIND_S, self._bind_again, deadline)
                return
            logger.error("stopping, as nobody can come any more", why=exc)
            self._stopped = True
            self._on_failure()
            return
        self._listen()
        self._pump()

    # --- sockets --------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        for socket in (self._router, self._xpub):
            self._loop.add_reader(socket, self._pump)

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
            xpub.setsockopt(zmq.SNDHWM, self._limits.news_high_water)
            if self._guard is not None:
                self._guard.protect(router)
                self._guard.protect(xpub)
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


def _hash(job: PasswordJob) -> str | bool:
    return check_hash(job.stored, job.password) if job.stored else make_hash(job.password)


def _readable(socket: "zmq.Socket[bytes]") -> bool:
    return bool(int(socket.getsockopt(EVENTS)) & POLLIN)


def _read_clocks() -> Moment:
    return Moment(time.monotonic(), int(time.time() * 1000))
