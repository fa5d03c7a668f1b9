"""Questions that the broker was asked: asked again when no answer comes, and given up after `--request-timeout`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Answer, Create, Granted, Join, Question, Request, Resume

from ..counters import Counters
from .abandoned_joins import AbandonedJoins

OnAnswer = Callable[[Answer | None, float], None]
"""Called once with the answer and the time; None: no answer came in time, or the broker is away."""

ASK_AGAIN_S = 1.0
"""A question may be lost with a connection. The broker's answers allow to repeat it."""
RESUMES = 1_000
"""Resumes that are remembered, so that an answer that comes late is known for what it is."""


@dataclass(slots=True)
class _Asked:
    body: Question
    on_answer: OnAnswer
    deadline: float
    again_at: float


@dataclass(slots=True, eq=False)
class Requests:
    """Numbers questions and finds them for their answers; `now` is monotonic seconds."""

    timeout_s: float
    counters: Counters
    abandoned: AbandonedJoins
    send: Callable[[Request], None]
    _last_id: int = 0
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _resumes: dict[int, bytes] = field(default_factory=dict)
    """Request id → the token's hash, of the last resumes."""
    in_doubt: bool = False
    """A resume was not answered: the directory may count on this gateway for a member that it does not know of."""

    def __len__(self) -> int:
        """Return how many questions have no answer yet."""
        return len(self._asked)

    def ask(self, body: Question, now: float, on_answer: OnAnswer) -> None:
        """Ask a question."""
        self._last_id += 1
        self._asked[self._last_id] = _Asked(body, on_answer, now + self.timeout_s, now + ASK_AGAIN_S)
        self.send(Request(self._last_id, body))
        if isinstance(body, Resume):
            self._resumes[self._last_id] = body.token_hash
            if len(self._resumes) > RESUMES:
                del self._resumes[next(iter(self._resumes))]

    def handle_reply(self, request_id: int, body: Answer, now: float) -> None:
        """Take an answer."""
        asked = self._asked.pop(request_id, None)
        if asked is not None:
            asked.on_answer(body, now)
        else:
            self.abandoned.handle_reply(request_id, body, now)

    def late_resume(self, message: backbone.Downward) -> bytes:
        """Return the token's hash if this grants a member whose datagrams wait no more; empty otherwise.

        The question was asked more than once, or its answer took too long. The directory counts on this gateway for
        the member all the same.
        """
        if not isinstance(message, backbone.Reply) or message.id in self._asked:
            return b""
        return self._resumes.get(message.id, b"") if isinstance(message.body, Granted) else b""

    def tick(self, now: float) -> None:
        """Ask again what has no answer, and give up what has had none for too long."""
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
                self.abandoned.add(request_id, asked.body.token_hash, now)
            asked.on_answer(None, now)
