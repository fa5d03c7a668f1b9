"""Seal and open the packets of one member; PROTOCOL.md, "Packets". It is the member's stream while it is served."""

import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tsudoi.protocol.sealed.lines import DownLine, bodies_of, offset_of, serialize
from tsudoi.protocol.sealed.packets import (
    COUNT_SIZE,
    NO_RUN,
    RUN_AT,
    RUN_SIZE,
    Kind,
    serialize_cookie_header,
)
from tsudoi.protocol.sealed.parts import MAX_WHOLE, Parts, divide
from tsudoi.protocol.sealed.replay_window import ReplayWindow
from tsudoi.protocol.sealed.suites import Cipher, check_of
from tsudoi.protocol.web.codes import Ending

from ..chat.kept_address import KeptAddress
from ..chat.members import Member, Recipients
from ..chat.replay_limiter import ReplayLimiter
from .farewells import AT_TICKS
from .group import SealedGroup
from .keys import Both, is_plain
from .packing import pack
from .seals import Seals

if TYPE_CHECKING:
    from .sender import Sender

_PLAIN_MARK = 1 << 16
ENDINGS = {
    Ending.LEFT: "left",
    Ending.CLOSED: "closed",
    Ending.KICKED: "kicked",
    Ending.BANNED: "banned",
    Ending.REMOVED: "removed",
    Ending.IDLE: "idle",
}


class SealedLink:
    """One session here: its run, the counts of both directions, and where its client is."""

    __slots__ = (
        "_loose",
        "address",
        "count",
        "head",
        "listener",
        "member",
        "parts",
        "seals",
        "sender",
        "session",
        "wants",
        "window",
    )

    def __init__(self, sender: "Sender", session: bytes, member: Member) -> None:
        """Begin unserved."""
        self.sender, self.session, self.member = sender, session, member
        self.address = b""
        self.listener = 0
        self.window = ReplayWindow()
        """Of the counts up of all runs here: a client never uses a count twice."""
        self.parts: Parts | None = None
        self.wants: ReplayLimiter | None = None
        """Limits what it wants again."""
        self.seals: Seals | None = None
        """Those of its group, while it is in one."""
        self.count = 0
        """Packets of the run; in a group, without those that all of it get (`Seals`), and perhaps below 0."""
        self.head = b""
        """The first bytes of each packet of this run; empty: it is not served."""
        self._loose: list[bytes] | None = None
        """Answers that wait for the end of the turn."""

    # --- the run -----------------------------------------------------------------------------------------------------

    @property
    def run(self) -> bytes:
        """The run's six bytes; `NO_RUN` while the session is not served here."""
        return self.head[RUN_AT:] or NO_RUN

    def bind(self, listener: int, address: bytes, count: int) -> None:
        """Begin a run at an address that has shown its cookie in the packet with this count.

        A client uses no count twice, and a cookie holds at one gateway, so no two runs of a session are the same. Six
        random bytes would repeat, and with them nonces, after 2^24 runs, which an attacker could cause.
        """
        self.unbind()
        self.listener, self.address = listener, address
        assert self.seals is None, "it is in no group before it is live"
        self.count = 0
        run = (count % 2**32).to_bytes(4) + secrets.token_bytes(RUN_SIZE - 4)
        self.head = bytes((0, Kind.BODY)) + self.session + run
        self.sender.carried.begin(self)

    def unbind(self) -> None:
        """End the run; nothing can be sealed before the next `bind`."""
        if self.head:
            self.sender.carried.end(self)
        self.head = b""
        self.parts = self._loose = None

    def seal(self, body: bytes, ciphers: Both[Cipher] | None = None) -> bytes:
        """Return the packet of a body of up to `MAX_WHOLE` bytes; `ciphers` are those of its session."""
        encrypt = (ciphers or self.sender.keys.borrow(self.session)).down.encrypt
        header = self.head + self._next_count(1).to_bytes(COUNT_SIZE, "big")
        return header + encrypt(header[RUN_AT:], body, header)

    def seal_all(self, body: bytes) -> list[bytes]:
        """Return the packets of a body of any size."""
        if len(body) <= MAX_WHOLE:
            return [self.seal(body)]
        encrypt, packets = self.sender.keys.borrow(self.session).down.encrypt, []
        head = bytes((0, Kind.PART)) + self.head[2:]
        parts = divide(body)
        for count, part in enumerate(parts, self._next_count(len(parts))):
            header = head + count.to_bytes(COUNT_SIZE, "big")
            packets.append(header + encrypt(header[RUN_AT:], part, header))
        return packets

    def _next_count(self, packets: int) -> int:
        """Return the first of as many counts, which are used from now on."""
        if self.seals is not None:
            return self.seals.next_count(self, packets)
        first = self.count + 1
        self.count += packets
        return first

    # --- `chat.members.Stream` ---------------------------------------------------------------------------------------

    @property
    def is_behind(self) -> bool:
        """Whether too much waits for a client by TCP; by UDP False, since the client asks for what is lost."""
        carried = self.sender.carried
        return self.listener == carried.listener and carried.is_behind(self.address)

    @property
    def group_mark(self) -> int:
        """What keeps members of the suite `plain` in groups of their own: their packets differ in size."""
        return _PLAIN_MARK if is_plain(self.session) else 0

    def send(self, payload: bytes) -> None:
        """Send a line to this member alone: an entry, in its place in the room's order, or an answer."""
        self.sender.send_line(self, payload)

    def send_entries(self, after: int, to: int, payloads: Sequence[bytes]) -> None:
        """Send the member the entries that it missed, in bodies that cover the offsets up to `to`."""
        lines = [(offset_of(payload), payload) for payload in payloads]
        self.send_bodies(pack(after, to, lines))

    def send_body(self, body: bytes) -> None:
        """Send a body of up to `MAX_WHOLE` bytes."""
        if self.head:
            self.sender.out.send(self.listener, self.address, self.seal(body))

    def send_bodies(self, bodies: Iterable[bytes]) -> None:
        """Send bodies, each in packets of its own."""
        if self.head:
            packets = [packet for body in bodies for packet in self.seal_all(body)]
            self.sender.send_packets(self, packets)

    def new_group(self) -> Recipients:
        """Return an empty group of members of its room."""
        return SealedGroup(self.sender, self.member.room)

    def end(self, member: Member, ending: Ending, why: str = "", last: int | None = None) -> None:
        """Tell the client that its membership has ended, behind all entries before the end; serve it no more.

        `INSUFFICIENT` and `ELSEWHERE`: another gateway serves it, so nothing is sent.
        """
        if (word := ENDINGS.get(ending)) is not None and self.head:
            if isinstance(group := member.recipients, SealedGroup):
                group.flush()
                if last is not None:
                    self.send_bodies(group.rest_of(member.id, last))
            body = serialize(DownLine(ended=word, text=why, last=last or 0))
            self.send_bodies([body])
            self.sender.repeat_ending(self, self._next_count(len(AT_TICKS)) - 1, body)
        self.sender.detach(self)

    def interrupt(self, member: Member) -> None:
        """End the run, so that the client resumes and learns which entries are lost to it."""
        self.sender.recall(self)

    def kept_address(self) -> str:
        """Return where its client is, as the directory keeps it; empty if another gateway could not send there."""
        if not self.head or self.listener == self.sender.carried.listener:
            return ""
        covered = self.sender.keys.cover(self.session)
        return KeptAddress(self.address, self.listener, session=covered).serialize()

    # --- answers -----------------------------------------------------------------------------------------------------

    def add_loose(self, line: bytes) -> bool:
        """Add an answer to the next body; return whether it is the first one."""
        if self._loose is None:
            self._loose = [line]
            return True
        self._loose.append(line)
        return False

    def flush(self) -> None:
        """Send the answers that wait."""
        loose, self._loose = self._loose, None
        if loose:
            self.send_bodies(bodies_of(loose))


def check_packet(sender: "Sender", session: bytes, kind: Kind, cookie: bytes) -> bytes:
    """Return a RETRY or GONE."""
    header = serialize_cookie_header(kind, session, cookie)
    return header + check_of(sender.keys.check_key(session), header)
