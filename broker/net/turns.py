"""The broker's turns: drain, decide, commit, publish, answer; ARCHITECTURE.md, "Backbone".

A turn is all that has arrived when its commit begins, in all shards that this broker serves. Nothing of it is published
or answered before the store has it, and at most one commit runs at a time, so the order on the wire is the order of
offsets. Frames that arrive during a commit are decided at once, and belong to the next turn.
"""

import asyncio
import functools
import time
from collections.abc import Callable

from tsudoi.ops import logs
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import StoreError

from ..admin.server import AdminServer
from ..config import Limits
from ..core import Core
from ..counters import Counters
from ..rooms import replays
from ..shards.cores import Cores
from ..shards.merge import merged_news
from ..store.interface import Batch, Chunk, Store
from ..turn import PasswordJob, Turn
from .clock import Clock
from .committer import Committer
from .incoming import Incoming
from .password_hashing import PasswordHashing
from .replay_queue import Asked, ReplayQueue
from .zeromq import GatewaySockets, is_readable

logger = logs.get("broker.server")

GATHER_S = 0.002
"""The longest that a turn which changes rooms or members waits for others: a transaction costs as much for one join as
for ten. It waits only while each round of the event loop brings more frames."""
ANSWERS_SIZE = 2**17
"""Bytes of answers in one frame."""


_Work = list[tuple[Core, Turn]]
"""The turns of all cores that go into one commit."""


class Turns:
    """Carries out turns, one after the other, in the order in which they were committed."""

    def __init__(
        self,
        cores: Cores,
        store: Store,
        limits: Limits,
        sockets: GatewaySockets,
        clock: Clock,
        counters: Counters,
        on_failure: Callable[[], None],
    ) -> None:
        """Begin; `on_failure` is called once if the store fails. The other arguments are those of `Server`."""
        self.cores = cores
        self._store = store
        self._limits = limits
        self._sockets = sockets
        self._clock = clock
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self.incoming = Incoming(cores, sockets, counters)
        self.committer = Committer(store)
        self._trimmer = Committer(store) if store.shards > 1 else self.committer
        """Runs the trims."""
        self._reader = Committer(store) if store.shards > 1 else None
        """Reads logs beside commits, because each read is a round trip; None: the loop reads them, between commits."""
        self.passwords = PasswordHashing(limits.password_jobs)
        self.replays = ReplayQueue(self._replay)
        self.admin: AdminServer | None = None
        """The operators' socket."""
        self.operators_wait = False
        """Operators may have sent something."""
        self.trim_due = False
        """The next turn trims the logs first."""
        self._era = 0
        """Changes when all shards are dropped: a commit that runs then is one of the past."""
        self._ending: list[Callable[[], None]] = []
        """To be called when the last turns of ending cores are published."""
        self._moment = clock.read()
        self._gather_until = 0.0
        """Above zero while a turn waits for other joins."""
        self._is_woken = False
        """`_woken` will be called."""
        self._is_stopping = False
        """Only the last turn may still begin."""
        self.stopped = False
        """Nothing is received or sent any more."""

    def finish(self) -> None:
        """Run a last turn with all received frames; begin none after it."""
        self._is_stopping = True
        self._trimmer.wait()
        if self._reader is not None:
            self._reader.wait()
        self.committer.wait()
        if not self.stopped and self._sockets.is_open:
            self._drain()
            for core in self.cores:
                core.reports_due = True
            self.cores.touch_all()
            self.trim_due = False
            self._take_turn()
            self.committer.wait()
        self.stopped = True

    def close(self) -> None:
        self.passwords.close()
        self.committer.close()
        self._trimmer.close()
        if self._reader is not None:
            self._reader.close()

    def give_up(self) -> None:
        """Receive and send nothing more, and let the broker end."""
        self.stopped = True
        self._on_failure()

    # --- shards that come and go ------------------------------------------------------------------------------------

    def end_shard(self, shard: int, on_ended: Callable[[], None]) -> None:
        """Serve a shard no more; call `on_ended` when its last turn is committed and published."""
        self.cores.end(shard)
        self._ending.append(on_ended)
        self.pump()

    def drop_shards(self) -> None:
        """Serve no shard any more, at once: publish and answer nothing of theirs, not even what is being committed."""
        self._era += 1
        self.cores.drop_all()
        self._ending.clear()
        if self.admin is not None:
            self.admin.refuse_all(
                "the broker has lost its shards meanwhile: ask again, as it may be carried out or not"
            )

    # --- a turn ---------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Drain and decide; then commit, publish and answer, unless a commit is running or the turn waits for more."""
        if not self._is_serving:
            return
        self._drain()
        if not self.committer.is_busy and not self._gathers():
            self._take_turn()
        self._look_again()

    def _drain(self) -> None:
        self._moment = self._clock.read()
        self.incoming.drain(self._moment)

    def _look_again(self) -> None:
        """Run again in the loop's next round if frames wait that no descriptor will signal."""
        if not self._is_serving:
            return
        wait_for_store = self.operators_wait or (self.replays.accounts and self._reader is None)
        if (
            self.incoming.queue.accounts
            or self._sockets.has_more()
            or (wait_for_store and not self.committer.is_busy and not self._gather_until)
        ):
            self._loop.call_soon(self.pump)
        self._sockets.hand_over()

    def wake(self, frames: int) -> None:
        """Receive in the loop's next round: the gateway in this process has sent `frames`; 0: it has (un)subscribed."""
        self._sockets.note(frames)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._woken)

    def _woken(self) -> None:
        self._is_woken = False
        if self._sockets.has_more():  # else a turn since then has had all of it
            self.pump()

    @property
    def _is_serving(self) -> bool:
        return not self.stopped and not self._is_stopping and self._sockets.is_open

    def _gathers(self) -> bool:
        """Return whether the next turn waits for other joins; then it is taken by `_gather`."""
        if not self._gather_until and self.cores.have_rows:
            self._gather_until = self._moment.now + GATHER_S
            self.incoming.has_arrived = True
            self._loop.call_soon(self._gather)
        return bool(self._gather_until)

    def _gather(self) -> None:
        """Wait one more round of the loop if the last one brought frames; else take the turn."""
        if self.incoming.has_arrived and time.monotonic() < self._gather_until:
            self.incoming.has_arrived = False
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
            ending, self._ending = self._ending, []
            work = self.cores.take_turns(self._moment)
            batches = []
            for _, turn in work:
                if turn.batch:
                    batches.append(turn.batch)
            if batches and self.committer.is_slow:
                self._commit_in_thread(batches, work, ending)
                return
            if batches:
                self.committer.commit(*batches)
            self._publish(work, ending)
        except StoreError as exc:
            self._fail(exc)

    def _commit_in_thread(self, batches: list[Batch], work: _Work, ending: list[Callable[[], None]]) -> None:
        """Commit a turn in the thread; then publish it, and continue with frames that have arrived meanwhile."""
        era = self._era

        def committed(error: BaseException | None) -> None:
            if self._has_failed(error, era):
                return
            try:
                if era == self._era:
                    self._publish(work, ending)
            except StoreError as exc:
                self._fail(exc)
            finally:
                self.pump()

        self.committer.start(functools.partial(self.committer.commit, *batches), committed)

    def _has_failed(self, error: BaseException | None, era: int) -> bool:
        """Return whether the thread has failed at work that it began in an era; end then, or drop all shards."""
        if isinstance(error, StoreError):
            if era == self._era:
                self._fail(error)
            else:
                self.pump()  # the shards are dropped already
        elif error is not None:
            self.give_up()
            raise error
        return error is not None

    def _fail(self, exc: StoreError) -> None:
        """Publish nothing more: stored entries must not follow entries that were not stored."""
        if self.incoming.membership is not None:
            self.incoming.membership.lose(str(exc))
        else:
            logger.error("stopping, as the store failed", why=exc)
            self.give_up()

    def _may_go_out(self) -> bool:
        """Return whether something may be published; drop all shards if not: another broker may own them soon."""
        membership = self.incoming.membership
        if membership is None or membership.may_serve():
            return True
        membership.lose("the lease was not renewed in time")
        return False

    def _publish(self, work: _Work, ending: list[Callable[[], None]]) -> None:
        """Publish and answer a turn that is kept, then read logs; raise StoreError if that fails."""
        is_alone = self.cores.alone is not None
        if work and not is_alone and not self._may_go_out():
            return
        for topic, body in work[0][1].news if is_alone else merged_news((core.shard, turn) for core, turn in work):
            self._sockets.publish(topic, body)
        answers: dict[str, list[bytes]] = {}
        for core, turn in work:
            for job in turn.passwords:
                self._hash(core, job)
            for peer, answer in turn.replies:
                frame = backbone.encode(answer)
                answers.setdefault(peer, []).append(frame if is_alone else backbone.for_shard(core.shard, frame))
            for peer, request_id, replay in turn.replays:
                self.replays.add(core.gateways.account(peer) or peer, peer, (core, request_id, replay))
        for peer, frames in answers.items():
            for frame in backbone.pack_frames(frames, ANSWERS_SIZE):
                self._send(peer, frame)
        if self.replays.accounts:
            self._serve_replays()
        self._sockets.flush()
        if self.admin is not None and self.operators_wait:
            self.admin.answer()
            self.operators_wait = is_readable(self.admin.socket)
        for on_ended in ending:
            on_ended()

    # --- replays ----------------------------------------------------------------------------------------------------

    def _serve_replays(self) -> None:
        if self._reader is None:
            self.replays.serve()
            return
        while self.replays.accounts and not self._reader.is_busy and self._is_serving:
            self.replays.serve_next()

    def _replay(self, peer: str, asked: Asked) -> None:
        core, _, question = asked
        if core not in self.cores:
            return  # its shard is another broker's now, which the gateway asks again
        if self._sockets.is_behind(peer):
            self._sockets.undeliverable += 1
        elif self._reader is None:
            self._answer_replay(peer, asked, replays.answer(core.directory, question, self._store.read))
        else:
            steps = replays.steps(core.directory, question)
            self._read_in_thread(self._reader, peer, asked, steps, next(steps))

    def _read_in_thread(
        self, reader: Committer, peer: str, asked: Asked, steps: replays.Steps, part: tuple[int, int, int]
    ) -> None:
        """Read a part of a log in the thread, go on to the answer, and serve the next replay."""
        core, era = asked[0], self._era
        chunks: list[Chunk] = []

        def read() -> None:
            chunks.extend(self._store.read(*part, shard=core.shard))

        def done(error: BaseException | None) -> None:
            is_served = core in self.cores
            # The store refuses to read a shard that was given away meanwhile.
            if (is_served or not isinstance(error, StoreError)) and self._has_failed(error, era):
                return
            if is_served:
                try:
                    self._read_in_thread(reader, peer, asked, steps, steps.send(chunks))
                    return
                except StopIteration as answered:
                    self._answer_replay(peer, asked, answered.value)
            self._serve_replays()
            self._look_again()  # an answer may have consumed an edge of the socket's descriptor

        reader.start(read, done)

    def _answer_replay(self, peer: str, asked: Asked, answer: backbone.Replayed) -> None:
        core, request_id, _ = asked
        frame = backbone.encode(backbone.Reply(request_id, answer))
        if self._may_go_out():
            self._send(peer, frame if core is self.cores.alone else backbone.for_shard(core.shard, frame))

    def _send(self, peer: str, frame: bytes) -> None:
        if not self._sockets.answer(peer, frame):
            self.cores.unreachable(peer, time.monotonic())

    # --- besides turns --------------------------------------------------------------------------------------------

    def _hash(self, core: Core, job: PasswordJob) -> None:
        account = core.gateways.account(job.peer) or job.peer
        if not self.passwords.start(account, job, functools.partial(self._hashed, core)):
            core.requests.busy(job)
            self.cores.find(core.shard)
            self._loop.call_soon(self.pump)

    def _hashed(self, core: Core, job: PasswordJob, result: str | bool) -> None:
        if core in self.cores:
            core.requests.hashed(job, result, self._clock.read())
            self.cores.find(core.shard)
            self.pump()

    def note_trim(self) -> None:
        """Trim the logs with the next turn, or at once where that needs no turn."""
        if self._trimmer is not self.committer:
            if not self._trimmer.is_busy and self._is_serving:
                self.trim()
            return
        # The next turn does it: no commit may be running.
        self.trim_due = True
        self.pump()

    def trim(self) -> None:
        """Trim the logs, in a thread. In the committer's no commit may be running; the next turn is taken after it."""
        self.trim_due = False
        before_ms = self._clock.deletes_before_ms(self._limits.log_age_s)
        firsts: dict[int, int] = {}
        era = self._era

        def trim() -> None:
            firsts.update(self._store.trim(self._limits.log_entries, before_ms))

        def trimmed(error: BaseException | None) -> None:
            if not self._has_failed(error, era):
                self.cores.trimmed(firsts)
                self.pump()

        self._trimmer.start(trim, trimmed)
