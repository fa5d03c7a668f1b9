"""Gateways' frames in, store, news and answers out: carries out what the core decides; ARCHITECTURE.md, "Backbone".

A turn: drain what has arrived (bounded, so that no peer holds the loop), let the core decide, commit once, publish,
answer. There is no await from the first to the last, so the order on the wire is the order of offsets.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import zmq

from broker.config import Limits
from broker.core import Core
from broker.keyring import Keyring
from broker.lines import EACH, Lines
from broker.net.desk import Desk
from broker.net.security import Guard
from broker.net.stream import StreamTransport
from broker.net.transport import Transport
from broker.net.zeromq import ZeromqTransport, is_readable
from broker.office import Office
from broker.passwords import check_hash, make_hash
from broker.store import Store
from broker.turn import Moment, PasswordJob, Turn
from tsudoi.ops import logs
from tsudoi.ops.histogram import SECONDS, Histogram
from tsudoi.ops.keyfiles import Role
from tsudoi.ops.net.descriptors import raise_descriptors
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import is_loopback
from tsudoi.protocol.backbone.stream import STREAM
from tsudoi.protocol.errors import SettingError, StoreError

logger = logs.get("broker.server")

_Frame = tuple[bytes, Role | None, str, bool]
"""(what came, as in `transport.Heard`: role and account, whether another frame carried it)."""

TICK_S = 0.25
TURN_S = 0.01
"""After this, what has come waits for the next turn: others have said something meanwhile, and time has its duties."""
REPLAYS_S = 0.01
"""The same for reading logs, which comes after."""
WAITING = 32 * 2**20
"""Bytes of what gateways of one key have said that are not handled yet; what is more is dropped, and they say again
what matters. They have so much to say at once only after they were out of touch."""
REPLAYS_WAITING = 20_000
"""Replays that gateways of one key wait for; what is more is dropped, and asked for again."""
ANSWERS_SIZE = 2**17
"""Bytes of answers in one frame."""
DESCRIPTORS = 65_536
"""Wanted: strangers have one each for the two seconds in which they may show a key."""
LINES_A_TICK = 20
"""Gateways that came, or are gone, of which each tick tells by name."""
HEALTHY_S = 2.0
"""An event loop that has not moved for so long turns health red."""
TRIM_S = 10.0


class Server:
    """The broker's way to its gateways, and the loop around its core."""

    def __init__(
        self,
        core: Core,
        store: Store,
        limits: Limits,
        bind: str,
        on_failure: Callable[[], None],
        keyring: Keyring | None = None,
    ) -> None:
        """Let gateways connect.

        Args:
            core: what decides.
            store: what keeps.
            limits: see there.
            bind: tcp://HOST:PORT (0 for any two free ports in a row), ipc://PATH or unix://PATH.
            on_failure: called once if the store fails; the broker must then end.
            keyring: who may come to tcp ports; None: everyone. Elsewhere the file system decides.

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
        keyring = keyring if bind.startswith("tcp://") else None
        self._guard = Guard(self._context, keyring) if keyring else None
        raise_descriptors(DESCRIPTORS)
        self.commit_s = Histogram(SECONDS)
        """How long commits took."""
        self.checked_at = time.monotonic()
        """When the event loop last came by."""
        self._transport: Transport
        try:
            if bind.startswith(STREAM):
                self._transport = StreamTransport(bind, limits.news_high_water)
            else:
                self._transport = ZeromqTransport(
                    self._context, bind, limits.news_high_water, self._guard, keyring, limits.rooms
                )
        except SettingError:
            self._context.destroy(linger=0)
            raise
        self.lines: Lines[_Frame] = Lines(WAITING)
        """What gateways have said and is not handled yet."""
        self._replays: Lines[tuple[int, backbone.Replay]] = Lines(REPLAYS_WAITING * EACH)
        self._replaying: set[tuple[str, int]] = set()
        """(gateway instance, request id) of these: who has waited for long asks again."""
        self._moment = _read_clocks()
        self._there: set[str] = set()
        """Gateways of which was told that they came."""
        self._desk: Desk | None = None
        self._is_asked = False
        """Something may have come to the desk."""
        self._stopped = False
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def endpoint(self) -> str:
        """Where gateways connect."""
        return self._transport.endpoint

    @property
    def transport(self) -> Transport:
        """How they do."""
        return self._transport

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
        self._transport.start(self._pump, self._give_up)
        if self._desk is not None:
            self._loop.add_reader(self._desk.socket, self._hear_operators)
        if self._guard is not None:
            self._expel_removed(self._guard.names())
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
        self._transport.close(linger_ms=500)
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
        """Take one turn, and look again until nothing is left."""
        if self._stopped or not self._transport.is_open:
            return
        moment = self._moment = _read_clocks()
        transport, core, lines = self._transport, self._core, self.lines
        transport.receive(lines.has_room, self._hear)
        lines.serve(moment.now + TURN_S, time.monotonic, self._handle)
        for topic in transport.subscribed():
            core.subscribed(topic)
        if self._desk is not None and self._is_asked:
            self._desk.read(moment)
        self._carry_out(core.take_turn(moment))
        transport.flush()
        if self._desk is not None and self._is_asked and not self._stopped:
            self._desk.answer()
            self._is_asked = is_readable(self._desk.socket)
        if self._is_asked or lines or self._replays or transport.has_more():
            self._loop.call_soon(self._pump)

    def _hear(self, instance: str, frame: bytes, role: Role | None, account: str) -> None:
        self.lines.add(account, instance, (frame, role, account, False), len(frame))

    def _handle(self, peer: str, said: _Frame) -> Sequence[tuple[_Frame, int]]:
        """Handle what a gateway has said, or return what it is made of: one frame may carry very much."""
        frame, role, account, is_part = said
        if role is not None and role is not Role.GATEWAY:
            self._core.handle_untrusted(peer, frame, self._moment, role)
        elif not is_part and (parts := self._core.parts_untrusted(frame)):
            return [((part, role, account, True), len(part)) for part in parts]
        else:
            self._core.handle_part_untrusted(peer, frame, self._moment, account if role is not None else "")
        return ()

    def _hear_operators(self) -> None:
        # Not in each turn: to find nothing there is an exception in ZeroMQ's binding.
        self._is_asked = True
        self._pump()

    def _carry_out(self, turn: Turn) -> None:
        try:
            if turn.batch:
                begun = time.monotonic()
                self._store.commit(turn.batch)
                self.commit_s.note(time.monotonic() - begun)
            for topic, body in turn.news:
                self._transport.publish(topic, body)
            answers: dict[str, list[bytes]] = {}
            for peer, answer in turn.replies:
                answers.setdefault(peer, []).append(backbone.encode(answer))
            for peer, frames in answers.items():
                for frame in backbone.pack_frames(frames, ANSWERS_SIZE):
                    self._send(peer, frame)
            for peer, request_id, replay in turn.replays:
                account = self._core.custody.account(peer) or peer
                if (peer, request_id) not in self._replaying and self._replays.has_room(account):
                    self._replays.add(account, peer, (request_id, replay))
                    self._replaying.add((peer, request_id))
            if self._replays:
                self._replays.serve(time.monotonic() + REPLAYS_S, time.monotonic, self._replay)
        except StoreError as exc:
            self._fail(exc)
            return
        for job in turn.passwords:
            self._hash(job)

    def _replay(self, peer: str, asked: tuple[int, backbone.Replay]) -> list[tuple[tuple[int, backbone.Replay], int]]:
        request_id, replay = asked
        self._replaying.discard((peer, request_id))
        if self._transport.is_behind(peer):
            self._transport.undeliverable += 1
        else:
            chunks = self._store.read(replay.room, self._core.replay_after(replay), replay.limit)
            self._send(peer, backbone.encode(backbone.Reply(request_id, self._core.replayed(replay, chunks))))
        return []

    def _send(self, peer: str, frame: bytes) -> None:
        if not self._transport.answer(peer, frame):
            self._core.custody.unreachable(peer)

    def _hash(self, job: PasswordJob) -> None:
        if self._hashing >= self._limits.password_jobs:
            self._core.requests.busy(job)
            self._loop.call_soon(self._pump)
            return
        self._hashing += 1
        future = self._loop.run_in_executor(self._hashers, _hash, job)

        def hashed(done: "asyncio.Future[str | bool]") -> None:
            self._hashing -= 1
            if not done.cancelled():
                self._core.requests.hashed(job, done.result(), _read_clocks())
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
            self._is_asked = True
            self._desk.office.tick(moment)
        self._tell_who_is_there()
        for owner in self._transport.look():
            account = str(owner)
            self.lines.forget(account)
            self._replays.forget(account)
            self._replaying = {(peer, request_id) for peer, (request_id, _) in self._replays.waiting()}
            self._core.expel(owner.name, account, moment)
        self._pump()

    def _expel_removed(self, names: set[str]) -> None:
        """Keys may have been taken away while nobody looked: what the store knows of their gateways is what is left."""
        for instance in self._core.custody.gateways:
            name = backbone.gateway_name(instance)
            if name and name not in names:
                self._core.expel(name, f"{Role.GATEWAY} {name}", self._moment)

    def _tell_who_is_there(self) -> None:
        """Write a line for each gateway that came or is gone."""
        gateways = self._core.custody.gateways
        there = {name for name, gateway in gateways.items() if gateway.greeted and not gateway.gone}
        came, left = sorted(there - self._there), sorted(self._there - there)
        for name in came[:LINES_A_TICK]:
            logger.info("gateway came", gateway=name)
        if more := len(came[LINES_A_TICK:]) + len(left[LINES_A_TICK:]):
            logger.warning("more gateways came or are gone than are told", gateways=more)
        for name in left[:LINES_A_TICK]:
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
        self._give_up()

    def _give_up(self) -> None:
        self._stopped = True
        self._on_failure()

    def _admit(self) -> None:
        """Somebody connects, and libzmq asks whether it may."""
        if self._guard is not None and not self._stopped and self._guard.answer():
            self._loop.call_soon(self._admit)


def _hash(job: PasswordJob) -> str | bool:
    return check_hash(job.stored, job.password) if job.stored else make_hash(job.password)


def _read_clocks() -> Moment:
    return Moment(time.monotonic(), int(time.time() * 1000))
