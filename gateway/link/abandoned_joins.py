"""Clean up after creates and joins whose answers did not come in time; their clients were told to try again.

Such a request may still create a member. No client has its token, so this gateway makes the member leave.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Answer, Granted, Item, Request, Resume
from tsudoi.protocol.codes import EntryKind, LeaveReason

from ..counters import Counters

ABANDONED = 1_000
"""Requests that are followed up at a time; beyond that the oldest is given up."""
FOLLOW_UP_S = 10.0
"""How long an abandoned request may still create a member: its password may wait to be hashed."""


@dataclass(slots=True)
class _Abandoned:
    token_hash: bytes
    until: float
    ask_at: float
    pause_s: float = 1.0
    """From that question to the next; doubled each time."""
    left: int = 0
    """The member that it created, and that was made to leave."""


@dataclass(slots=True, eq=False)
class AbandonedJoins:
    """Asks the directory about abandoned requests; `now` is monotonic seconds."""

    counters: Counters
    send: Callable[[Request], None]
    publish: Callable[[Item], bool]
    _abandoned: dict[int, _Abandoned] = field(default_factory=dict)
    """By the id of the request; the directory is asked for its token under the same id."""

    def add(self, request_id: int, token_hash: bytes, now: float) -> None:
        """Follow up a request."""
        self._abandoned[request_id] = _Abandoned(token_hash, now + FOLLOW_UP_S, now)
        if len(self._abandoned) > ABANDONED:
            del self._abandoned[next(iter(self._abandoned))]
            self.counters.requests_not_cleared_up += 1

    def tick(self, now: float) -> None:
        """Ask about them; frames keep their order, so the broker takes the requests themselves first."""
        for request_id, abandoned in self._abandoned.items():
            if abandoned.ask_at <= now:
                abandoned.ask_at = now + abandoned.pause_s
                abandoned.pause_s *= 2
                self.send(Request(request_id, Resume(abandoned.token_hash)))

    def handle_reply(self, request_id: int, body: Answer, now: float) -> bool:
        """Make the member leave that a request created; forget a request that created none.

        Return False if the request is not followed up here.
        """
        abandoned = self._abandoned.get(request_id)
        if abandoned is None:
            return False
        if not isinstance(body, Granted):
            if now >= abandoned.until:
                del self._abandoned[request_id]
        elif body.member != abandoned.left:
            abandoned.left = body.member
            self.publish(Item(EntryKind.LEFT, body.room, body.member, "", LeaveReason.LEFT))
        return True
