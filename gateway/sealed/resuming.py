"""Serve sessions at the addresses and positions that their clients show; PROTOCOL.md, "Resuming".

A packet from another address or of another run is opened first, and answered with a cookie alone. With a valid cookie
the directory is asked for the member, also if it is served here: it knows the bans and the last kept line.
"""

from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from tsudoi.ops.bounded import drop_oldest
from tsudoi.protocol.backbone import Answer, Granted, Refused, Resume
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import hash_token
from tsudoi.protocol.sealed import lines
from tsudoi.protocol.sealed.packets import (
    BODY,
    CHECK_SIZE,
    COOKIE_SIZE,
    COUNT_AT,
    HEADER_SIZE,
    MARK,
    NO_RUN,
    PART,
    RUN_AT,
    SESSION_AT,
    Kind,
)
from tsudoi.protocol.sealed.suites import open_untrusted
from tsudoi.protocol.web.codes import Ending

from ..chat.members import Member
from ..chat.outbound import Component
from ..chat.recovery import Missed, recover
from ..chat.streams import Streams
from ..listeners import sockaddr
from .elsewhere import Elsewhere
from .keys import PLACE
from .link import SealedLink, check_packet
from .numbered import NumberedLines
from .sender import Sender
from .wants import resumed

RETRY_SIZE = HEADER_SIZE + CHECK_SIZE
"""A packet that is no larger is not answered: no address is sent more than comes from it."""
MOST_REMEMBERED = 20_000
"""Sessions whose last `resume` is remembered."""
RESUMES, WINDOW_S = 20, 10.0
"""Runs of a session that begin in this time: each asks the directory and the log. A client without an answer repeats
its `resume` each 2 s."""
REPEATED_S = 20.0
"""How long after the beginning of a run a `resume` like its own may come late, of a client that had no answer yet: as
long as packets wait where a gateway has too little of the processor. To remember it takes 250 bytes."""
MOST_PENDING = 4_096
"""Sessions that the directory is asked about at a time."""


@dataclass(slots=True)
class _Pending:
    """A session that the directory is asked about."""

    listener: int
    address: bytes
    asked: int
    """The count of the packet for which the directory is asked."""
    count: int
    """Of the newest packet that asks for it."""
    cookie: bytes
    resume: lines.Resume


class _Run(msgspec.Struct, frozen=True, gc=False):
    """A run that has begun a moment ago. All members of a gateway that was killed come at once, so it is small."""

    asked: int
    """The client's position."""
    offset: int
    """Where it is served from; what is between them is lost."""
    granted: int
    """The count of the packet for which the directory has granted it."""
    begun_at: float

    @property
    def missed(self) -> Missed:
        """What it was told."""
        lost = None if self.asked == self.offset else (self.asked + 1, self.offset)
        return Missed(self.offset, lost is None, lost)


@dataclass(slots=True, eq=False)
class Resuming(Component):
    """Begins runs: proves clients' addresses by cookies, and asks the directory for their sessions."""

    sender: Sender
    streams: Streams
    _pending: dict[bytes, _Pending] = field(default_factory=dict)
    _resumes: dict[bytes, int] = field(default_factory=dict)
    """Session → the highest count of a `resume` that was opened."""
    _elsewhere: Elsewhere = field(default_factory=Elsewhere)
    _counts: dict[bytes, int] = field(default_factory=dict)
    """Session → its runs that have begun in the present window; an idle member takes no place."""
    _window_ends: float = 0.0
    _runs: dict[bytes, _Run] = field(default_factory=dict)
    """Session → its run, if that has begun lately, and not with a *reset*; the oldest first."""

    def handle_untrusted(self, data: bytes, link: SealedLink | None, listener: int, source: bytes, now: float) -> None:
        """Handle a packet that is not of a run that is served at its source; its session's link, if there is one."""
        if self._elsewhere.is_muted(source, now):
            self.counters.sealed_dropped["limited"] += 1
        elif reason := self._open_untrusted(data, link, listener, source, now):
            self.counters.sealed_dropped[reason] += 1
            self._elsewhere.in_vain(source, now)

    def _open_untrusted(
        self, data: bytes, link: SealedLink | None, listener: int, source: bytes, now: float
    ) -> str | None:
        """Open a packet, and answer it; return which of `counters.SEALED_DROPS` it is if it is dropped."""
        # What costs least comes first; what attackers can make up, before a packet takes a place in any table.
        keys, header = self.sender.keys, data[:HEADER_SIZE]
        session, count, kind = data[SESSION_AT:RUN_AT], int.from_bytes(header[COUNT_AT:]), data[1]
        if data[0] != MARK or (kind != BODY and kind != PART):
            return "malformed"
        if link is not None:
            if link.window.has(count):
                return "replayed"
        elif keys.suite_of(session) is None:
            return "unknown"
        connection = source if listener == self.sender.carried.listener else b""
        if not self._elsewhere.may_open(session, connection, now):
            return "limited"
        try:
            cipher = keys.borrow(session).up
            body = open_untrusted(cipher.decrypt, header[RUN_AT:], data[HEADER_SIZE:], header)
            found = lines.parse_up_untrusted(body) if kind == BODY else []
        except MalformedMessage:
            return "forged"
        resume = next((line.resume for line in found if line.resume is not None), None)
        if link is not None:
            is_newest = count > link.window.highest
            link.window.add(count)
            if resume is None and not is_newest:
                return None  # it was late, or an attacker has kept it
        if link is not None and resume is not None and self._is_late(link, resume, listener, source, now):
            self._answer(link, count, self._runs[session].missed)
            self.sender.joined(link)  # Without an answer the client has dropped what followed it.
        elif len(data) > RETRY_SIZE:
            self.take(session, count, resume, listener, source, now)
        return None

    def _is_late(self, link: SealedLink, resume: lines.Resume, listener: int, source: bytes, now: float) -> bool:
        """Return whether a `resume` of another run repeats the one that began the link's run.

        Its client had no answer yet when it sent it. If each began a new run, a client with a long round trip would
        receive hardly anything else. A *reset* is not sent twice: it would move back a client that has got further.
        """
        run = self._runs.get(link.session)
        return (
            run is not None
            and link.run != NO_RUN
            and (link.listener, link.address) == (listener, source)
            and (resume.epoch, resume.offset) == (link.member.room.epoch, run.asked)
            and now < run.begun_at + REPEATED_S
        )

    def take(
        self, session: bytes, count: int, resume: lines.Resume | None, listener: int, source: bytes, now: float
    ) -> bool:
        """Answer a session's packet with a cookie; or ask for a run, and return True, if it shows a valid one."""
        if resume is not None:
            before = self._resumes.pop(session, 0)
            self._resumes[session] = max(count, before)
            if count <= before:
                self.counters.sealed_dropped["replayed"] += 1
                return False
            drop_oldest(self._resumes, MOST_REMEMBERED)
        cookie = _cookie(resume)
        if resume is None or not self.sender.cookies.is_valid(cookie, session, source, now):
            self.sender.retry(session, listener, source, now)
            return False
        if (pending := self._pending.get(session)) is not None:
            if count > pending.count:
                pending.listener, pending.address, pending.count = listener, source, count
                pending.cookie, pending.resume = cookie, resume
            return False
        if not self._may_begin(session, now):
            self.counters.questions_limited += 1
            return False
        if len(self._pending) >= MOST_PENDING:
            self.counters.held_dropped += 1
            return False
        self._pending[session] = _Pending(listener, source, count, count, cookie, resume)
        token = self.sender.keys.token(session).encode()
        ip = sockaddr.unpack(source)[0]
        question = Resume(hash_token(token), ip, 0, True, count)

        def answered(answer: Answer | None, now: float) -> None:
            pending = self._pending[session]
            match answer:
                case Granted():
                    self._granted(session, token, answer, now)
                case Refused(Status.ROOM_NOT_FOUND | Status.BAD_REQUEST):
                    del self._pending[session]
                    self._gone(session, pending)
                case _:
                    del self._pending[session]

        # The place leads to the shard of the room.
        self.routes.ask_patiently(session[PLACE] % len(self.members.by_shard), question, now, answered)
        return True

    def has_begun(self, link: SealedLink, count: int) -> bool:
        """Return whether the run of a link has begun lately, granted for the packet with this count."""
        run = self._runs.get(link.session)
        return run is not None and link.run != NO_RUN and run.granted == count

    def _may_begin(self, session: bytes, now: float) -> bool:
        if now >= self._window_ends:
            self._begin_window(now)
        count = self._counts[session] = self._counts.get(session, 0) + 1
        return count <= RESUMES

    def _begin_window(self, now: float) -> None:
        self._counts.clear()
        self._window_ends = now + WINDOW_S

    def tick(self, now: float) -> None:
        """Forget what is counted of clients, once it counts no more. Call it every `keys.TICK_S`."""
        self._elsewhere.tick(now)
        over = list(takewhile(lambda session: self._runs[session].begun_at + REPEATED_S <= now, self._runs))
        for session in over:
            del self._runs[session]
        if now >= self._window_ends:
            self._begin_window(now)

    def _gone(self, session: bytes, pending: _Pending) -> None:
        packet = check_packet(self.sender, session, Kind.GONE, pending.cookie)
        self.out.send(pending.listener, pending.address, packet)

    def _granted(self, session: bytes, token: bytes, granted: Granted, now: float) -> None:
        pending = self._pending[session]
        member = self.streams.find(token)
        is_new = member is None
        if member is None:
            member = self.streams.resume(granted, token, now)
        if member is None or member.leaving:
            # The end is on its way here, and the next `resume` is served up to it. *Gone* would hide what came before.
            del self._pending[session]
            return
        self.counters.sealed_resumes += 1
        link = self.link(member, session)
        if member.stream is not None:
            member.stream.end(member, Ending.ELSEWHERE)
        if not link.window.has(pending.count):
            link.window.add(pending.count)
        sender = member.sender_state() if granted.said else member.sender
        if sender is not None:
            if sender.numbered is None:
                sender.numbered = NumberedLines(granted.said)
            sender.numbered.begin_run(granted.said)
        # Others may have said something in a new epoch already.
        start = granted.offset if is_new else member.reached

        def on_missed(missed: Missed | None, now: float) -> None:
            pending = self._pending.pop(session)
            if missed is not None and 0 < granted.left <= missed.offset:
                missed = Missed(granted.left - 1, False)  # it hears its end next, wherever its client claims to be
            if missed is not None and not member.leaving and member.sealed is link:
                self._begin(link, pending, missed, now)

        resume = pending.resume
        # One entry tells whether the log still reaches back to the position; `catch_up` sends them.
        recover(self.routes.ask, member, str(resume.epoch), resume.offset, start, 1, now, on_missed)

    def _begin(self, link: SealedLink, pending: _Pending, missed: Missed, now: float) -> None:
        member = link.member
        link.bind(pending.listener, pending.address, pending.count)
        member.listener = pending.listener
        self.streams.attach(member, link, now)
        # Now, and not when the member has caught up: its client is recalled if this gateway is killed meanwhile.
        self.streams.groups.publish_address(member, missed.offset)
        self._runs.pop(link.session, None)
        if missed.is_complete or missed.lost is not None:
            self._runs[link.session] = _Run(pending.resume.offset, missed.offset, pending.asked, now)
            drop_oldest(self._runs, MOST_REMEMBERED)
        self._answer(link, pending.count, missed)
        self.streams.begin(member, missed.offset, now)

    def _answer(self, link: SealedLink, count: int, missed: Missed) -> None:
        state: lines.State = "complete" if missed.is_complete else "reset" if missed.lost is None else "gap"
        link.send_bodies([resumed(link, count, missed.offset, state, missed.lost)])

    def link(self, member: Member, session: bytes) -> SealedLink:
        """Return the link of a member; make it if there is none. A member's token is derived from its one session."""
        if member.sealed is None:
            member.sealed = SealedLink(self.sender, session, member)
            self.members.by_session[session] = member
        return member.sealed


def _cookie(resume: lines.Resume | None) -> bytes:
    if resume is None or len(resume.cookie) != 2 * COOKIE_SIZE:
        return b""
    try:
        return bytes.fromhex(resume.cookie)
    except ValueError:
        return b""
