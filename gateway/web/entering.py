"""Find or make the member that a session is in a room: here, at another gateway, or new; one attempt.

A member is found by its token, which follows from the session's secret, so that an attempt may be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tsudoi.protocol.backbone import Answer, Create, Granted, Refused, Resume
from tsudoi.protocol.client.dialects import WEB
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.names import hash_token
from tsudoi.protocol.web.codes import Error
from tsudoi.protocol.web.commands import SubscribeData

from ..chat.members import Member
from ..join.account import Outcome
from ..join.admission import Admission, AdmissionRules
from ..join.steps import AskToEnter, Declined
from .refusals import why_declined
from .rules import LISTENER

_CODES = {
    Status.ROOM_NOT_FOUND: Error.UNKNOWN_CHANNEL,
    Status.WRONG_PASSWORD: Error.PERMISSION_DENIED,
    # Names are checked before: what is left is a ban, in words.
    Status.BAD_REQUEST: Error.PERMISSION_DENIED,
    Status.ROOM_EXISTS: Error.INTERNAL,
    Status.BUSY: Error.TOO_MANY,
}


@dataclass(frozen=True, slots=True)
class WebClient:
    """Who enters."""

    ip: str
    name: str
    """In normal form; may be empty if there is a signed token."""
    signed: str
    """A signed token, or empty."""
    language: Literal["", "en", "ja"]
    """Empty: the listener's."""


@dataclass(slots=True, eq=False)
class Entering:
    """One attempt; one of two callbacks is called once, at once or when the broker has answered."""

    rules: AdmissionRules
    who: WebClient
    room: str
    token: str
    data: SubscribeData
    on_member: Callable[[Member, Outcome, float], None]
    """Is told the member, whether it is new or returned, and the time."""
    on_error: Callable[[Error, str], None]
    _wall_now: float = 0.0
    _may_create: bool = field(init=False)
    """Once: another client may create the room between the answers to Join and Create."""

    def __post_init__(self) -> None:
        self._may_create = self.data.create

    def begin(self, now: float, wall_now: float) -> None:
        """Begin; `wall_now` is seconds since 1970."""
        self._wall_now = wall_now
        token = self.token.encode()
        member = self.rules.core.streams.find(token)
        if member is None:
            # Without an IP address: a secret that came over a connection is not forged, and phones change theirs.
            self.rules.core.routes.ask_about(self.room, Resume(hash_token(token)), now, self._resumed)
        else:
            self._returned(member, now)

    def _returned(self, member: Member | None, now: float) -> None:
        if member is None or member.leaving:
            self.on_error(Error.INTERNAL, "you are still leaving this room: try again in a moment")
        else:
            self.on_member(member, Outcome.RETURNED, now)

    def _resumed(self, answer: Answer | None, now: float) -> None:
        match answer:
            case Granted():
                self._returned(self.rules.core.streams.resume(answer, self.token.encode(), now), now)
            case Refused(Status.ROOM_NOT_FOUND):
                self._enter(Operation.JOIN, now)
            case _:
                self.on_error(Error.INTERNAL, "the broker is away or busy: try again")

    def _enter(self, operation: Operation, now: float) -> None:
        rules, who, password = self.rules, self.who, self.data.password or None
        if who.signed and rules.verifier is not None:
            # In front of the password, so that a token without a name goes with the one that the client has given.
            password = f"{who.signed} {password or ''}"
        verdict = rules.quotas.request(who.ip, now)
        admission = Admission(rules, LISTENER, who.ip, verdict)
        request = AskToEnter(WEB, operation, self.room, who.name, password, language=who.language)
        question = admission.decide(request, now, self._wall_now, self.token)
        if isinstance(question, Create):  # or Join
            self.rules.core.routes.ask_about(
                self.room, question, now, lambda answer, now: self._answered(admission, operation, answer, now)
            )
        elif question is None:
            self.on_error(Error.TOO_MANY, "your address asks too often")
        else:
            self._decline(question)

    def _answered(self, admission: Admission, operation: Operation, answer: Answer | None, now: float) -> None:
        outcome = admission.answered(answer, now)
        if admission.member is not None:
            admission.token_sent()  # its client knows the token: it follows from the session
            created = operation is Operation.CREATE
            self.on_member(admission.member, Outcome.CREATED if created else Outcome.JOINED, now)
            return
        assert isinstance(outcome, Declined)
        if outcome.status is Status.ROOM_NOT_FOUND and self._may_create:
            self._may_create = False
            self._enter(Operation.CREATE, now)
        elif outcome.status is Status.ROOM_EXISTS and operation is Operation.CREATE:
            self._enter(Operation.JOIN, now)
        else:
            self._decline(outcome)

    def _decline(self, declined: Declined) -> None:
        reason = declined.counted_as or declined.status.name.lower()
        self.rules.counters.refusals[reason] += 1
        why = why_declined(declined, gave_password=bool(self.data.password))
        self.on_error(_CODES[declined.status], why)
