"""The broker's turns: drain, decide, commit, publish, answer; ARCHITECTURE.md, "Backbone".

A turn is all that has arrived when its commit begins. Nothing of it is published or answered before the store has it,
and at most one commit runs at a time, so the order on the wire is the order of offsets. Frames that arrive during a
commit are decided at once, and belong to the next turn.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence

from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Role
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import StoreError

from ..admin.server import AdminServer
from ..config import Limits
from ..core import Core
from ..fair_queue import FairQueue
from ..rooms import replays
from ..store.interface import Store
from ..turn import PasswordJob, Turn
from .clock import Clock
from .committer import Committer
from .password_hashing import PasswordHashing
from .replay_queue import Asked, ReplayQueue
from .zeromq import GatewaySockets, is_readable

logger = logs.get("broker.server")

_Frame = tuple[bytes, Role | None, str, bool]
"""(frame, its key's role and account as in `zeromq.OnFrame`, whether another frame carried it)."""

TURN_S = 0.01
"""How long a turn decides on frames; the rest waits for the next, so that timers run in time."""
GATHER_S = 0.002
"""The longest that a turn which changes rooms or members waits for others: a transaction costs as much for one join as
for ten. It waits only while each round of the event loop brings more frames."""
WAITING = 32 * 2**20
"""Bytes of waiting frames from gateways of one key; more are dropped, and the gateways repeat the important ones. They
send so much at once only after a lost connection."""
ANSWERS_SIZE = 2**17
"""Bytes of answers in one frame."""


class Turns:
    """Carries out one turn after the other."""

    def __init__(
        self,
        core: Core,
        store: Store,
        limits: Limits,
        sockets: GatewaySockets,
        clock: Clock,
        on_failure: Callable[[], None],
    ) -> None:
        """Begin; `on_failure` is called once if the store fails. The other arguments are those of `Server`."""
        self.core = core
        self._store = store
        self._limits = limits
        self._sockets = sockets
        self._clock = clock
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self.committer = Committer(store)
        self.passwords = PasswordHashing()
        self.queue: FairQueue[_Frame] = FairQueue(WAITING)
        """Frames that are not handled yet."""
        self.replays = ReplayQueue(self._replay)
        self.admin: AdminServer | None = None
        """The operators' socket."""
        self.operators_wait = False
        """Operators may have sent something."""
        self.trim_due = False
        """The next turn trims the logs first."""
        self._moment = clock.read()
        self._gather_until = 0.0
        """Above zero while a turn waits for other joins."""
        self._has_arrived = False
        """Frames have arrived since `_gather` last checked."""
        self._is_stopping = False
        """Only the last turn may still begin."""
        self.stopped = False
        """Nothing is received or sent any more."""

    def finish(self) -> None:
        """Run a last turn with all received frames; begin none after it."""
        self._is_stopping = True
        self.committer.wait()
        if not self.stopped and self._sockets.is_open:
            self._drain()
            self.core.reports_due, self.trim_due = True, False
            self._take_turn()
            self.committer.wait()
        self.stopped = True

    def close(self) -> None:
        """End the threads."""
        self.passwords.close()
        self.committer.close()

    def give_up(self) -> None:
        """Receive and send nothing more, and let the broker end."""
        self.stopped = True
        self._on_failure()

    # --- frames in ------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Drain and decide; then commit, publish and answer, unless a commit is running or the turn waits for more."""
        if not self._is_serving:
            return
        self._drain()
        if not self.committer.is_busy and not self._gathers():
            self._take_turn()
        self._look_again()

    def _look_again(self) -> None:
        """Run again in the loop's next round if frames wait that no descriptor will signal."""
        if not self._is_serving:
            return
        waits_for_store = (
            (self.operators_wait or self.replays) and not self.committer.is_busy and not self._gather_until
        )
        if self.queue or waits_for_store or self._sockets.has_more():
            self._loop.call_soon(self.pump)

    @property
    def _is_serving(self) -> bool:
        return not self.stopped and not self._is_stopping and self._sockets.is_open

    def _drain(self) -> None:
        """Receive a bounded number of frames, and let the core decide on them."""
        self._moment = self._clock.read()
        self._sockets.receive(self.queue.has_room, self._enqueue)
        self.queue.serve(self._moment.now + TURN_S, time.monotonic, self._handle)
        for topic in self._sockets.subscribed():
            self.core.subscribed(topic)

    def _enqueue(self, instance: str, frame: bytes, role: Role | None, account: str) -> None:
        self._has_arrived = True
        self.queue.add(account, instance, (frame, role, account, False), len(frame))

    def _handle(self, peer: str, queued: _Frame) -> Sequence[tuple[_Frame, int]]:
        """Handle a gateway's frame, or return the frames that it carries: one may carry very many."""
        frame, role, account, is_part = queued
        if role is not None and role is not Role.GATEWAY:
            self.core.refuse(peer)
        elif not is_part and (parts := self.core.parts_untrusted(frame)):
            return [((part, role, account, True), len(part)) for part in parts]
        else:
            self.core.handle_untrusted(peer, frame, self._moment, account if role is not None else "")
        return ()

    # --- a turn out -----------------------------------------------------------------------------------------------

    def _gathers(self) -> bool:
        """Return whether the next turn waits for other joins; then it is taken by `_gather`."""
        if not self._gather_until and self.core.changes_rows:
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
            if not self.committer.is_busy:
                self._take_turn()
            self._look_again()

    def _take_turn(self) -> None:
        """Commit what was decided, then publish and answer it."""
        try:
            if self.trim_due:
                self.trim()
                return
            if self.admin is not None and self.operators_wait:
                self.admin.read(self._moment)
            turn = self.core.take_turn(self._moment)
            if turn.batch and self.committer.is_slow:
                commit = functools.partial(self.committer.commit, turn.batch)
                self.committer.start(commit, functools.partial(self._committed, turn))
                return
            if turn.batch:
                self.committer.commit(turn.batch)
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
            self.pump()

    def _has_failed(self, error: BaseException | None) -> bool:
        """Return whether the thread has failed; end then."""
        if isinstance(error, StoreError):
            self._fail(error)
        elif error is not None:
            self.give_up()
            raise error
        return error is not None

    def _fail(self, exc: StoreError) -> None:
        """End, and publish nothing more: stored entries must not follow entries that were not stored."""
        logger.error("stopping, as the store failed", why=exc)
        self.give_up()

    def _publish(self, turn: Turn) -> None:
        """Publish and answer a turn that is kept, then read logs; raise StoreError if that fails."""
        for topic, body in turn.news:
            self._sockets.publish(topic, body)
        answers: dict[str, list[bytes]] = {}
        for peer, answer in turn.replies:
            answers.setdefault(peer, []).append(backbone.encode(answer))
        for peer, frames in answers.items():
            for frame in backbone.pack_frames(frames, ANSWERS_SIZE):
                self._send(peer, frame)
        for peer, request_id, replay in turn.replays:
            self.replays.add(self.core.gateways.account(peer) or peer, peer, (request_id, replay))
        self.replays.serve()
        self._sockets.flush()
        if self.admin is not None and self.operators_wait:
            self.admin.answer()
            self.operators_wait = is_readable(self.admin.socket)
        for job in turn.passwords:
            self._hash(job)

    def _replay(self, peer: str, asked: Asked) -> None:
        request_id, replay = asked
        if self._sockets.is_behind(peer):
            self._sockets.undeliverable += 1
        else:
            answer = replays.answer(self.core.directory, replay, self._store.read)
            self._send(peer, backbone.encode(backbone.Reply(request_id, answer)))

    def _send(self, peer: str, frame: bytes) -> None:
        if not self._sockets.answer(peer, frame):
            self.core.ownership.unreachable(peer, time.monotonic())

    # --- besides turns --------------------------------------------------------------------------------------------

    def _hash(self, job: PasswordJob) -> None:
        if self.passwords.jobs >= self._limits.password_jobs:
            self.core.requests.busy(job)
            self._loop.call_soon(self.pump)
        else:
            self.passwords.start(job, self._hashed)

    def _hashed(self, job: PasswordJob, result: str | bool) -> None:
        self.core.requests.hashed(job, result, self._clock.read())
        self.pump()

    def trim(self) -> None:
        """Trim the logs, in the thread; no commit may be running. The next turn is taken after that."""
        self.trim_due = False
        before_ms = self._clock.deletes_before_ms(self._limits.log_age_s)
        firsts: dict[int, int] = {}

        def trim() -> None:
            firsts.update(self._store.trim(self._limits.log_entries, before_ms))

        def trimmed(error: BaseException | None) -> None:
            if not self._has_failed(error):
                self.core.trimmed(firsts)
                self.pump()

        self.committer.start(trim, trimmed)
