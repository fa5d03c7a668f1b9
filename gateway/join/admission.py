"""Decide whether a client may enter a room, and make it a member once the directory has granted it.

Checks in this order: the rate of requests, of new rooms, the number of members of its address, its signed token, and
the rate of password attempts. The broker's directory decides the rest: it knows the room and its password. No I/O:
`now` is monotonic seconds, `wall_now` seconds since 1970.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from tsudoi.protocol.backbone import Answer, Create, Granted, Join, Refused, Replay, place_of
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import LeaveReason, Operation, Status
from tsudoi.protocol.errors import PeerError
from tsudoi.protocol.names import RoomName, hash_token
from tsudoi.protocol.sealed.lines import member_number

from ..chat.dispatch import ChatCore
from ..chat.history import history_question, history_rows
from ..chat.members import CatchUpState, Member
from ..counters import TOKEN_REFUSED, Counters
from ..listeners import sockaddr
from ..listeners.options import Listener
from ..sealed.suite_choice import choose_suite
from ..settings import Settings
from .chosen_options import choose_options
from .password_attempts import PasswordAttempts, was_wrong
from .quotas import Quotas, Verdict
from .room_list import RoomList
from .session_tokens import SessionTokens
from .signed_tokens import TokenVerifier
from .steps import AskToEnter, Declined, Entered

_STATUSES = frozenset(Status)


@dataclass(eq=False, slots=True)
class AdmissionRules:
    """What the decisions for all connections of a gateway share."""

    settings: Settings
    counters: Counters
    core: ChatCore
    tokens: SessionTokens
    verifier: TokenVerifier | None
    """None: users may choose any name."""
    quotas: Quotas = field(init=False)
    rooms: RoomList = field(init=False)
    passwords: PasswordAttempts = field(init=False)

    def __post_init__(self) -> None:
        self.quotas = Quotas(self.settings, self.counters, self.core.rate_keys)
        self.rooms = RoomList(self.core.routes)
        self.passwords = PasswordAttempts(self.settings, self.counters, self.core.rate_keys)


class Admission:
    """The requests to enter that a client makes on one connection; one at a time."""

    def __init__(self, rules: AdmissionRules, listener: Listener, ip: str, verdict: Verdict) -> None:
        """Begin for a connection from `ip` that was accepted with `verdict`."""
        self.is_secure = False
        """The client speaks TLS."""
        self._session: bytes | None = None
        """Of version 2."""
        self._before: CatchUpState | None = None
        """Of a member of version 2 that is to be told of the time before its join: where that ends."""
        self._rules = rules
        self._listener = listener
        self._ip = ip
        self._verdict = verdict
        self._requests = 0
        self._pending: Create | Join | None = None
        """The request that the directory has not answered."""
        self._token = ""
        self._member: Member | None = None
        self._undelivered: Member | None = None
        """A member whose client has not been sent its token."""

    @property
    def member(self) -> Member | None:
        """Return the member that the client is, once it has entered."""
        return self._member

    @property
    def is_within_rates(self) -> bool:
        """Whether the client may have the room list, or send packets of version 2."""
        return self._verdict is Verdict.SERVE

    def decide(
        self, request: AskToEnter, now: float, wall_now: float, token: str = ""
    ) -> Create | Join | Declined | None:
        """Return what to ask the directory, or why the client is refused; None: close its connection unanswered.

        `token` is the member's, if the client has chosen it; empty: it gets a fresh one.
        """
        rules, creates = self._rules, request.operation is Operation.CREATE
        self._requests += 1
        if self._requests > 1:
            # The first request was counted with the connection.
            self._verdict = rules.quotas.request(self._ip, now)
        if self._verdict is Verdict.CLOSE:
            return None
        if self._verdict is Verdict.ANSWER_BUSY:
            return Declined(Status.BUSY, close=True)
        suite = ""
        if request.dialect is TSUDOI_2:
            suite, why = choose_suite(request.suites, self.is_secure, self._may_be_plain)
            if not suite:
                return Declined(Status.BAD_REQUEST, why)
        if creates and not rules.quotas.may_create(self._ip, now):
            return Declined(Status.BUSY)
        if not rules.core.may_enter(self._ip, request.room, now):
            most = rules.settings.address_members
            return Declined(Status.BUSY, f"your address has its most members ({most})")
        user, password, rights = request.user, request.password, 0
        if rules.verifier is not None:
            try:
                identity = rules.verifier.identify_untrusted(request.operation, request.room, user, password, wall_now)
            except PeerError as exc:
                return Declined(exc.status, str(exc), counted_as=TOKEN_REFUSED)
            user, password, rights = identity.user, identity.password, int(identity.rights)
        is_guess = bool(password) and not creates
        known_only = is_guess and not rules.passwords.begin(self._ip, request.room, user, now)
        is_shared = not rules.core.rate_keys.of(self._ip)
        options = choose_options(
            rules.settings, self._listener, request.dialect, request.language, creates=creates, is_shared=is_shared
        )
        self._session = self._before = None
        if suite:
            keys, room = rules.core.sealed_sender.keys, request.room
            self._session = keys.new(suite, place_of(RoomName(room)), rules.tokens.routing(room))
            token = keys.token(self._session)
        self._token = token or rules.tokens.new(request.room)
        self._pending = (Create if creates else Join)(
            request.room,
            user,
            password,
            hash_token(self._token.encode()),
            request.dialect.name,
            self._ip.partition("%")[0],
            int(rules.settings.idle_timeout_s * 1000),
            rights,
            int(options),
            known_only,
        )
        return self._pending

    def answered(self, answer: Answer | None, now: float) -> Entered | Declined:
        """Handle the directory's answer, None if none came in time; serve the member if it was granted."""
        rules, asked = self._rules, self._pending
        assert asked is not None
        self._pending = None
        is_create = not isinstance(asked, Join)  # not `isinstance(asked, Create)`: Join is a subclass
        if asked.password and not is_create and not asked.known_only:
            rules.passwords.end(self._ip, asked.room, asked.user, was_wrong(answer), now)
        if isinstance(answer, Refused):
            # Where a password was given it may have been hashed, which costs as much as the room.
            if is_create and answer.status == Status.ROOM_EXISTS and not asked.password:
                rules.quotas.not_created(self._ip)
            return Declined(Status(answer.status) if answer.status in _STATUSES else Status.BAD_REQUEST, answer.detail)
        if not isinstance(answer, Granted):
            return Declined(Status.BUSY)
        rules.counters.handshakes_admitted += 1
        rules.tokens.note_size(asked.room, answer.size)
        if is_create:
            rules.rooms.forget(asked.room)
        # Entries that the room gets from now on reach the member even if this gateway's subscription to the room
        # begins later: the missing ones show as a gap, which is repaired from the log.
        self._member = self._undelivered = rules.core.join(answer, self._token.encode(), now)
        if self._session is not None and rules.settings.history and not is_create:
            self._before = CatchUpState(answer.offset, rules.settings.history)
        return Entered(answer.room_name, answer.user, self._token, self._begin_session(answer))

    @property
    def question_before(self) -> Replay | None:
        """Return what to ask the broker before the member of version 2 is answered; None: nothing."""
        if self._before is None or self._member is None:
            return None
        return history_question(self._member, self._before)

    def with_earlier_lines(self, entered: Entered, answer: Answer | None) -> Entered:
        """Return the answer to the client with what the broker has answered to `question_before`."""
        assert self._before is not None
        assert entered.session is not None
        found = history_rows(answer, self._before)
        return msgspec.structs.replace(entered, session=entered.session | {"history": found}) if found else entered

    @property
    def _may_be_plain(self) -> bool:
        return self._rules.settings.plain or sockaddr.is_loopback(sockaddr.parse_ip(self._ip.partition("%")[0]))

    def _begin_session(self, granted: Granted) -> dict[str, Any] | None:
        """Return what the client of a session is told; None if it has none."""
        session, member = self._session, self._member
        if session is None or member is None:
            return None
        self._rules.core.link_session(member, session)
        keys = self._rules.core.sealed_sender.keys
        about: dict[str, Any] = {"session": session.hex(), "suite": keys.suite_of(session)}
        for name, key in {**keys.keys(session)._asdict(), "check": keys.check_key(session)}.items():
            if key:
                about[name] = key.hex()
        if not granted.options & MemberOptions.COMMANDS:
            about["commands"] = False
        position = {"epoch": granted.epoch, "offset": granted.offset}
        return {**about, "name": granted.user, "member": member_number(granted.member), **position}

    def announce(self, address: bytes | None, now: float, is_guess: bool = False) -> None:
        """Send the member's datagrams to an address of its client's host (`sockaddr.beside`), if there is one.

        `is_guess`: the client has not said that it receives there.
        """
        if self._member is not None and address is not None:
            self._rules.core.announce(self._member, address, now, is_guess)

    def token_sent(self) -> None:
        """Note that the client has been sent its token, if it has one."""
        self._undelivered = None

    def abandon(self, now: float) -> bool:
        """Remove the member, and return True, if its token was never sent: no client can use it."""
        member, self._undelivered = self._undelivered, None
        if member is None or member.leaving:
            return False
        self._rules.core.leave(member, LeaveReason.LEFT, now)
        return True
