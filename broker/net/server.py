"""The broker's event loop: drain, decide, commit, publish, answer; ARCHITECTURE.md, "Backbone".

A turn is all that has arrived when its commit begins. Nothing of it is published or answered before the store has it,
and at most one commit runs at a time, so the order on the wire is the order of offsets. Frames that arrive during a
commit are decided at once, and belong to the next turn.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence

import zmq

from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Role
from tsudoi.ops.net.descriptors import raise_descriptors
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import SettingError, StoreError

from ..admin.server import AdminServer
from ..admin.service import AdminService
from ..config import Limits
from ..core import Core
from ..fair_queue import EACH, FairQueue
from ..keys.allow_list import AllowList
from ..rooms import replays
from ..steady_clock import HOLDS_MS, SteadyClock
from ..store.interface import Store
from ..turn import Moment, PasswordJob, Turn
from . import socket_files
from .committer import Committer
from .gateway_log import GatewayLog
from .password_hashing import PasswordHashing
from .zap import ZapHandler
from .zeromq import GatewaySockets, is_readable

logger = logs.get("broker.server")

_Frame = tuple[bytes, Role | None, str, bool]
"""(frame, its key's role and account as in `zeromq.OnFrame`, whether another frame carried it)."""

TICK_S = 0.25
FILES_S = 1.0
"""How often the files of ipc:// sockets are looked for."""
TURN_S = 0.01
"""How long a turn decides on frames; the rest waits for the next, so that timers run in time."""
REPLAYS_S = 0.01
"""The same for reading logs, which follows."""
GATHER_S = 0.002
"""The longest that a turn which changes rooms or members waits for others: a transaction costs as much for one join as
for ten. It waits only while each round of the event loop brings more frames."""
WAITING = 32 * 2**20
"""Bytes of waiting frames from gateways of one key; more are dropped, and the gateways repeat the important ones. They
send so much at once only after a lost connection."""
REPLAYS_WAITING = 20_000
"""Replays that gateways of one key wait for; more are dropped, and asked for again."""
ANSWERS_SIZE = 2**17
"""Bytes of answers in one frame."""
DESCRIPTORS = 65_536
"""Wanted: each connection without a valid key holds one during its handshake of two seconds."""
HEALTHY_S = 2.0
"""Health is red when the event loop has not run for this time."""
TRIM_S = 10.0


class Server:
    """The broker's sockets, and the loop around its core."""

    def __init__(
        self,
        core: Core,
        store: Store,
        limits: Limits,
        bind: str,
        on_failure: Callable[[], None],
        allow_list: AllowList | None = None,
        context: "zmq.Context[zmq.Socket[bytes]] | None" = None,
        newest_ms: int = 0,
    ) -> None:
        """Bind the sockets for gateways, or raise SettingError.

        Args:
            core: decides on frames.
            store: keeps each turn.
            limits: bounds that may change meanwhile.
            bind: see `GatewaySockets`.
            on_failure: called once if the store fails; the broker must then end.
            allow_list: the keys that may connect to tcp ports; None: every client may.
            context: of the gateway in the same process, for inproc://; None: one of our own.
            newest_ms: see `SteadyClock`.
        """
        self._core = core
        self._store = store
        self._limits = limits
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._owns_context = context is None
        self._context = zmq.Context() if context is None else context
        allow_list = allow_list if backbone.is_tcp(bind) else None
        self._zap = ZapHandler(self._context, allow_list) if allow_list else None
        raise_descriptors(DESCRIPTORS)
        try:
            self.sockets = GatewaySockets(self._context, bind, limits.news_high_water, self._zap)
        except SettingError:
            if self._owns_context:
                self._context.destroy(linger=0)
            raise
        self._committer = Committer(store)
        self._passwords = PasswordHashing()
        self._gateway_log = GatewayLog()
        self.checked_at = time.monotonic()
        """When `_tick` last ran."""
        self.queue: FairQueue[_Frame] = FairQueue(WAITING)
        """Frames that are not handled yet."""
        self._replays: FairQueue[tuple[int, backbone.Replay]] = FairQueue(REPLAYS_WAITING * EACH)
        self._replaying: set[tuple[str, int]] = set()
        """(gateway instance, request id) of these: a gateway repeats a request that has waited long."""
        self._clock = SteadyClock(*_clocks_ms(), newest_ms)
        self._clock_doubted = False
        """As last logged."""
        self._moment = self._read_clocks()
        self._gather_until = 0.0
        """Above zero while a turn waits for other joins."""
        self._has_arrived = False
        """Frames have arrived since `_gather` last checked."""
        self._trim_due = False
        self._admin: AdminServer | None = None
        self._files_lost: set[str] = set()
        """Endpoints whose file is gone and could not be made anew, as last logged."""
        self._is_asked = False
        """Operators may have sent something."""
        self._is_stopping = False
        """Only the last turn may still begin."""
        self._stopped = False
        """Nothing is received or sent any more."""
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def endpoint(self) -> str:
        """Where gateways connect."""
        return self.sockets.endpoint

    @property
    def denied(self) -> int:
        """Connections that were denied: their key is not on the list, or they have none."""
        return self._zap.denied if self._zap else 0

    @property
    def core(self) -> Core:
        """Decides on frames."""
        return self._core

    @property
    def store(self) -> Store:
        """Keeps each turn."""
        return self._store

    @property
    def committer(self) -> Committer:
        """Runs the commits."""
        return self._committer

    @property
    def admin(self) -> AdminServer | None:
        """The operators' socket; None: there is none."""
        return self._admin

    @property
    def hashing(self) -> int:
        """Passwords that are being hashed or wait for it."""
        return self._passwords.jobs

    def illness(self) -> str:
        """Return why the broker is unhealthy, empty if it is healthy. Another thread may call this."""
        silent_s = time.monotonic() - self.checked_at
        return f"the event loop has not moved for {silent_s:.1f} s" if silent_s > HEALTHY_S else self._store.illness()

    def open_admin(self, endpoint: str, service: AdminService) -> AdminServer:
        """Listen for operators too.

        Raises:
            SettingError: the address can not be bound, or other machines could give orders without a key.
        """
        zap = self._zap if backbone.is_tcp(endpoint) else None
        if zap is None and not backbone.is_loopback(endpoint):
            raise SettingError(f"{endpoint} is open to other machines: operators come there with keys only (--keys)")
        self._admin = AdminServer(self._context, endpoint, service, zap)
        return self._admin

    def start(self) -> None:
        """Serve from now on."""
        self.sockets.start(self._pump, self._give_up)
        if self._admin is not None:
            self._loop.add_reader(self._admin.socket, self._note_operators)
        if self._zap is not None:
            self._expel_removed(self._zap.names())
            self._loop.add_reader(self._zap.socket, self._admit)
            self._admit()
        self._every(TICK_S, self._tick)
        self._every(TRIM_S, self._note_trim)
        self._every(FILES_S, self._look_for_files)
        self._pump()

    def stop(self) -> None:
        """Run a last turn with all received frames, and close the sockets; answers go out for half a second more."""
        for timer in self._timers:
            timer.cancel()
        self._finish_turns()
        self._stopped = True
        self.sockets.close(linger_ms=500)
        if self._admin is not None:
            self._loop.remove_reader(self._admin.socket)
            self._admin.socket.close(linger=500)
        if self._zap is not None:
            self._loop.remove_reader(self._zap.socket)
            self._zap.close()
        self._passwords.close()
        self._committer.close()
        if self._owns_context:
            self._context.term()

    def _finish_turns(self) -> None:
        self._is_stopping = True
        self._committer.wait()
        if not self._stopped and self.sockets.is_open:
            self._drain()
            self._core.reports_due, self._trim_due = True, False
            self._take_turn()
            self._committer.wait()

    # --- a turn ---------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Drain and decide; then commit, publish and answer, unless a commit is running or the turn waits for more."""
        if not self._is_serving:
            return
        self._drain()
        if not self._committer.is_busy and not self._gathers():
            self._take_turn()
        self._look_again()

    def _look_again(self) -> None:
        """Run again in the loop's next round if frames wait that no descriptor will signal."""
        if not self._is_serving:
            return
        waits_for_store = (self._is_asked or self._replays) and not self._committer.is_busy and not self._gather_until
        if self.queue or waits_for_store or self.sockets.has_more():
            self._loop.call_soon(self._pump)

    @property
    def _is_serving(self) -> bool:
        return not self._stopped and not self._is_stopping and self.sockets.is_open

    def _drain(self) -> None:
        """Receive a bounded number of frames, and let the core decide on them."""
        self._moment = self._read_clocks()
        self.sockets.receive(self.queue.has_room, self._enqueue)
        self.queue.serve(self._moment.now + TURN_S, time.monotonic, self._handle)
        for topic in self.sockets.subscribed():
            self._core.subscribed(topic)

    def _enqueue(self, instance: str, frame: bytes, role: Role | None, account: str) -> None:
        self._has_arrived = True
        self.queue.add(account, instance, (frame, role, account, False), len(frame))

    def _handle(self, peer: str, queued: _Frame) -> Sequence[tuple[_Frame, int]]:
        """Handle a gateway's frame, or return the frames that it carries: one may carry very many."""
        frame, role, account, is_part = queued
        if role is not None and role is not Role.GATEWAY:
            self._core.refuse(peer)
        elif not is_part and (parts := self._core.parts_untrusted(frame)):
            return [((part, role, account, True), len(part)) for part in parts]
        else:
            self._core.handle_untrusted(peer, frame, self._moment, account if role is not None else "")
        return ()

    def _gathers(self) -> bool:
        """Return whether the next turn waits for other joins; then it is taken by `_gather`."""
        if not self._gather_until and self._core.changes_rows:
            self._gather_until = self._moment.now + GATHER_S
            self._has_arrived = True
            self._loop.call_soon(self._gather)
        return bool(self._gather_until)

    def _gather(self) -> None:
        """Wait one more round of the loop if the last one brought frames; else take the turn."""
        if self._has_arrived and time.monotonic() < self._gather_until:
            self._has_arrived = False
            self._loop.call_soon(self._gather)
            return
        self._gather_until = 0.0
        if self._is_serving:
            if not self._committer.is_busy:
                self._take_turn()
            self._look_again()

    def _take_turn(self) -> None:
        """Commit what was decided, then publish and answer it."""
        try:
            if self._trim_due:
                self._trim()
                return
            if self._admin is not None and self._is_asked:
                self._admin.read(self._moment)
            turn = self._core.take_turn(self._moment)
            if turn.batch and self._committer.is_slow:
                commit = functools.partial(self._committer.commit, turn.batch)
                self._committer.start(commit, functools.partial(self._committed, turn))
                return
            if turn.batch:
                self._committer.commit(turn.batch)
            self._publish(turn)
        except StoreError as exc:
            self._fail(exc)

    def _committed(self, turn: Turn, error: BaseException | None) -> None:
        """Publish a turn that the thread has committed, and continue with frames that have arrived meanwhile."""
        if self._has_failed(error):
            return
        try:
            self._publish(turn)
        except StoreError as exc:
            self._fail(exc)
        finally:
            self._pump()

    def _has_failed(self, error: BaseException | None) -> bool:
        """Return whether the thread has failed; end then."""
        if isinstance(error, StoreError):
            self._fail(error)
        elif error is not None:
            self._give_up()
            raise error
        return error is not None

    def _publish(self, turn: Turn) -> None:
        """Publish and answer a turn that is kept, then read logs; raise StoreError if that fails."""
        for topic, body in turn.news:
            self.sockets.publish(topic, body)
        answers: dict[str, list[bytes]] = {}
        for peer, answer in turn.replies:
            answers.setdefault(peer, []).append(backbone.encode(answer))
        for peer, frames in answers.items():
            for frame in backbone.pack_frames(frames, ANSWERS_SIZE):
                self._send(peer, frame)
        for peer, request_id, replay in turn.replays:
            account = self._core.gateways.account(peer) or peer
            if (peer, request_id) not in self._replaying and self._replays.has_room(account):
                self._replays.add(account, peer, (request_id, replay))
                self._replaying.add((peer, request_id))
        if self._replays:
            self._replays.serve(time.monotonic() + REPLAYS_S, time.monotonic, self._replay)
        self.sockets.flush()
        if self._admin is not None and self._is_asked:
            self._admin.answer()
            self._is_asked = is_readable(self._admin.socket)
        for job in turn.passwords:
            self._hash(job)

    def _replay(self, peer: str, asked: tuple[int, backbone.Replay]) -> list[tuple[tuple[int, backbone.Replay], int]]:
        request_id, replay = asked
        self._replaying.discard((peer, request_id))
        if self.sockets.is_behind(peer):
            self.sockets.undeliverable += 1
        else:
            answer = replays.answer(self._core.directory, replay, self._store.read)
            self._send(peer, backbone.encode(backbone.Reply(request_id, answer)))
        return []

    def _send(self, peer: str, frame: bytes) -> None:
        if not self.sockets.answer(peer, frame):
            self._core.ownership.unreachable(peer, time.monotonic())

    def _hash(self, job: PasswordJob) -> None:
        if self._passwords.jobs >= self._limits.password_jobs:
            self._core.requests.busy(job)
            self._loop.call_soon(self._pump)
        else:
            self._passwords.start(job, self._hashed)

    def _hashed(self, job: PasswordJob, result: str | bool) -> None:
        self._core.requests.hashed(job, result, self._read_clocks())
        self._pump()

    # --- operators and new connections ------------------------------------------------------------------------------

    def _note_operators(self) -> None:
        # Not in each turn: a check costs a system call.
        self._is_asked = True
        self._pump()

    def _admit(self) -> None:
        """Answer libzmq's questions about connections that are being made."""
        if self._zap is not None and not self._stopped and self._zap.answer():
            self._loop.call_soon(self._admit)

    def _expel_removed(self, names: set[str]) -> None:
        """Expel gateways whose keys were revoked while no broker ran: of these the store knows the names only."""
        for instance in self._core.gateways.known:
            name = backbone.gateway_name(instance)
            if name and name not in names:
                self._core.expel(name, f"{Role.GATEWAY} {name}", self._moment)

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
        moment = self._read_clocks()
        self._log_clock()
        self._core.tick(moment)
        if self._admin is not None:
            self._is_asked = True
            self._admin.service.tick(moment)
        self._gateway_log.log_changes(self._core.gateways.known)
        for owner in self.sockets.expel_revoked():
            account = str(owner)
            self.queue.forget(account)
            self._replays.forget(account)
            self._replaying = {(peer, request_id) for peer, (request_id, _) in self._replays.waiting()}
            self._core.expel(owner.name, account, moment)
        self._pump()

    def _read_clocks(self) -> Moment:
        return Moment(time.monotonic(), self._clock.read(*_clocks_ms()))

    def _log_clock(self) -> None:
        """Log a step of the system's clock, and what became of it."""
        if self._clock.is_doubted == self._clock_doubted:
            return
        self._clock_doubted = self._clock.is_doubted
        if self._clock_doubted:
            logger.warning("the system's clock was set; this is followed if it lasts", seconds=HOLDS_MS // 1000)
        else:
            logger.warning("the system's clock is followed again")

    def _look_for_files(self) -> None:
        """Make the files of ipc:// sockets anew if they are gone."""
        sockets = self.sockets.files() if self.sockets.is_open else []
        if self._admin is not None:
            sockets.append((self._admin.socket, self._admin.endpoint))
        for socket, endpoint in sockets:
            try:
                if socket_files.renew(socket, endpoint):
                    self._files_lost.discard(endpoint)
                    logger.warning("a socket's file was gone, and is made anew", endpoint=endpoint)
            except (SettingError, zmq.ZMQError) as exc:
                if endpoint not in self._files_lost:
                    self._files_lost.add(endpoint)
                    logger.error("a socket's file is gone: nothing can connect", endpoint=endpoint, why=exc)

    def _note_trim(self) -> None:
        # The next turn does it: no commit may be running.
        self._trim_due = True
        self._pump()

    def _trim(self) -> None:
        """Trim the logs, in the thread; the next turn is taken after that."""
        self._trim_due = False
        before_ms = max(self._clock.deletes_by(*_clocks_ms()) - int(self._limits.log_age_s * 1000), 0)
        firsts: dict[int, int] = {}

        def trim() -> None:
            firsts.update(self._store.trim(self._limits.log_entries, before_ms))

        def trimmed(error: BaseException | None) -> None:
            if not self._has_failed(error):
                self._core.trimmed(firsts)
                self._pump()

        self._committer.start(trim, trimmed)

    # --- the end --------------------------------------------------------------------------------------------------

    def _fail(self, exc: StoreError) -> None:
        """End, and publish nothing more: stored entries must not follow entries that were not stored."""
        logger.error("stopping, as the store failed", why=exc)
        self._give_up()

    def _give_up(self) -> None:
        self._stopped = True
        self._on_failure()


def _clocks_ms() -> tuple[int, int]:
    """Return the arguments of `SteadyClock`."""
    return int(time.time() * 1000), time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
