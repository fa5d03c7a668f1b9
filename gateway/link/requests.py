"""Ask the broker questions: again when no answer comes, until `Settings.request_timeout_s`.

A create or join that was given up may still make a member. No client has its token, so this gateway makes it leave.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Answer, Create, Granted, Item, Join, Question, Request, Resume, Say
from tsudoi.protocol.codes import EntryKind, LeaveReason

from ..counters import Counters

OnAnswer = Callable[[Answer | None, float], None]
"""Called once with the answer and the time; None: no answer came in time, or the broker is away."""

ASK_AGAIN_S = 1.0
"""A question may be lost with a connection; the broker accepts repeated ones, but for lines without a number."""
FOLLOW_UP_S = 10.0
"""How long a create or join that was given up may still make a member: its password may wait to be hashed."""
FOLLOW_UPS = 1_000
"""Such requests that are followed up at a time: a broker that is too slow is asked about each of them every
`ASK_AGAIN_S`. Beyond that the oldest is not; the member that it may have made goes when this gateway has ended."""


@dataclass(slots=True)
class _Asked:
    body: Question
    on_answer: OnAnswer
    deadline: float
    again_at: float
    """Infinite: never, as a line that its client has not numbered would be said twice."""


@dataclass(slots=True)
class _GivenUp:
    """A create or join that was given up."""

    token_hash: bytes
    until: float
    again_at: float


@dataclass(slots=True, eq=False)
class Requests:
    """Numbers questions and matches answers to them; `now` is monotonic seconds."""

    timeout_s: float
    counters: Counters
    publish: Callable[[Item], bool]
    send: Callable[[Request], None]
    _last_id: int = 0
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _given_up: dict[int, _GivenUp] = field(default_factory=dict)
    """By the id of the request: the directory is asked under the same id for the member that it may have made."""
    in_doubt: bool = False
    """A Resume was not answered in time or granted a second time, or there is another connection: so the directory may
    have given this gateway a member that it does not know of; `chat/fencing.py` reconciles."""

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, body: Question, now: float, on_answer: OnAnswer, timeout_s: float | None = None) -> None:
        """Ask a question; without `timeout_s`, it is given up after the usual time."""
        self._last_id += 1
        deadline = now + (self.timeout_s if timeout_s is None else timeout_s)
        is_repeatable = not isinstance(body, Say) or body.number > 0
        again_at = now + ASK_AGAIN_S if is_repeatable else math.inf
        self._asked[self._last_id] = _Asked(body, on_answer, deadline, again_at)
        self.send(Request(self._last_id, body))

    def handle_reply(self, request_id: int, body: Answer, now: float) -> None:
        """Handle an answer."""
        if asked := self._asked.pop(request_id, None):
            asked.on_answer(body, now)
        elif given_up := self._given_up.get(request_id):
            self._end_follow_up(request_id, given_up, body, now)
        else:
            self.in_doubt |= isinstance(body, Granted)

    def _end_follow_up(self, request_id: int, given_up: _GivenUp, body: Answer, now: float) -> None:
        """Make the member leave that the request has made, or note that it can not make one any more."""
        if isinstance(body, Granted):
            is_over = self.publish(Item(EntryKind.LEFT, body.room, body.member, "", LeaveReason.LEFT))
        else:
            is_over = now >= given_up.until
        if is_over:
            del self._given_up[request_id]

    def repeat(self, now: float) -> None:
        """Ask all questions again at the next tick: they may be lost with a connection, or with a former broker."""
        for asked in self._asked.values():
            if asked.again_at < math.inf:
                asked.again_at = now

    def give_up(self, now: float) -> None:
        """Give up all questions: the broker that was asked does not own the rooms any more."""
        asked, self._asked = self._asked, {}
        self._given_up.clear()
        for each in asked.values():
            each.on_answer(None, now)

    def postpone(self, seconds: float) -> None:
        """Wait longer for all answers; see `Link.postpone`."""
        for asked in self._asked.values():
            asked.deadline += seconds

    def tick(self, now: float) -> None:
        """Ask again questions without an answer, and give up those that have had none for too long."""
        for request_id, asked in list(self._asked.items()):
            if asked.deadline > now:
                if asked.again_at <= now:
                    asked.again_at = now + ASK_AGAIN_S
                    self.send(Request(request_id, asked.body))
                continue
            del self._asked[request_id]
            self.counters.requests_timed_out += 1
            self.in_doubt |= isinstance(asked.body, Resume)
            if isinstance(asked.body, Create | Join):
                self._given_up[request_id] = _GivenUp(asked.body.token_hash, now + FOLLOW_UP_S, now)
                if len(self._given_up) > FOLLOW_UPS:
                    del self._given_up[next(iter(self._given_up))]
                    self.counters.requests_not_followed_up += 1
            asked.on_answer(None, now)

    def follow_up(self, now: float) -> None:
        """Ask what became of creates and joins; frames keep their order, so the broker takes those first."""
        for request_id, given_up in self._given_up.items():
            if given_up.again_at <= now:
                given_up.again_at = now + ASK_AGAIN_S
                self.send(Request(request_id, Resume(given_up.token_hash)))
