"""Accept or drop a datagram: by its token, room, address, text and limits; then publish its message to the broker.

Dropped datagrams are counted, and not answered except as PROTOCOL.md, "Datagrams", says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tsudoi.protocol import names
from tsudoi.protocol.backbone import Item
from tsudoi.protocol.client.datagram import (
    MAX_UP,
    MIN_UP,
    REPLACEMENT,
    cut_off,
    decode_text,
    parse_untrusted,
    was_cut_before,
)
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.downlink_encoder import SURELY_WHOLE, fits_every_form
from tsudoi.protocol.client.lines import bound_lines
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.own_name import without_own_name
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.client.signed_token import without_token
from tsudoi.protocol.client.slash_commands import SLASHES
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import InvalidName, MalformedMessage

from ..sealed.keys import is_meant
from .address_moves import AddressMoves
from .commands import Commands, Giver, as_command
from .dropped_log import Drop
from .flooding import Flooding
from .leave import Leaving
from .members import Member, Room, SenderState
from .outbound import Component
from .rate_limits import TOO_FAST, RateLimits, warning_is_due
from .unknown_tokens import UnknownTokens

LEAVE_WORDS = frozenset(word.encode() for dialect in DIALECTS.values() for word in dialect.leave_words)
"""Of all dialects, as bytes: a member can leave even while its datagrams are ignored."""
_SAID = int(EntryKind.SAID)
"""A plain int: one is sent for each message."""
LATE_S = 1.0
"""How long a packet of version 2 may wait in the kernel of a gateway that is behind. The client of one that is older
has repeated it, or will; to answer all in turn would keep the gateway behind, and each client without an answer."""
_IS_TOLD = MemberOptions.COMMANDS | MemberOptions.NOTICES
"""Clients of a listener without these expect nothing but messages."""
HELD_LINES = 100
"""Lines of one member that wait while its `/password` is being hashed, some 30 ms; more are dropped."""


@dataclass(slots=True, eq=False)
class Receiver(Component):
    """Handles members' datagrams."""

    moves: AddressMoves
    limits: RateLimits
    flooding: Flooding
    commands: Commands
    leaving: Leaving
    unknown_tokens: UnknownTokens
    sealed: Callable[[int, bytes, bytes, float], None]
    """Takes the packets of version 2. No datagram of version 1 begins with the byte 0: no room's name is empty."""

    def __post_init__(self) -> None:
        self.unknown_tokens.receive = self.receive
        self.unknown_tokens.handle_datagrams = self.handle_datagrams
        self.commands.take_line = self.take_line

    def handle_datagrams(
        self, listener: int, datagrams: Sequence[tuple[bytes, bytes]], now: float, waited_s: float = 0.0
    ) -> None:
        """Handle a batch of datagrams, (data, source address) each, from one listener.

        They have waited for so long there; 0.0: not for long.
        """
        by_token, counters = self.members.by_token, self.counters
        counters.datagrams += len(datagrams)
        for data, source in datagrams:
            if data and not data[0] and is_meant(data):
                if waited_s < LATE_S:
                    self.sealed(listener, data, source, now)
                else:
                    counters.sealed_dropped["late"] += 1
                continue
            try:
                room_name, token, text = parse_untrusted(data)
            except MalformedMessage:
                if len(data) < MIN_UP:
                    counters.malformed_datagrams += 1
                    self.out.log_datagram(source, Drop.SHORT, now)
                else:
                    self.unknown_tokens.handle(listener, data, b"", source, now)
                continue
            member = by_token.get(token)
            if member is None:
                self.unknown_tokens.handle(listener, data, token, source, now)
            else:
                self.receive(member, listener, room_name, text, source, now)

    def receive(
        self, member: Member, listener: int, room_name: bytes, raw: bytes, source: bytes, now: float, data: bytes = b""
    ) -> None:
        """Handle a member's datagram: the room's name and the raw text.

        `data`: the whole datagram, for the log, if its sizes are not right.
        """
        room, sender = member.room, member.sender
        if member.leaving:
            self.counters.unknown_tokens += 1
            return
        if sender is not None and sender.muted_until > now and raw not in LEAVE_WORDS:
            self.counters.rate_limited += 1
            self.flooding.ignored(member, source, now)
            return
        if room_name != room.raw_name and not _is_name_of(room, room_name):
            self.counters.wrong_rooms += 1
            self.out.log_datagram(source, Drop.OTHER_ROOM, now, data or _datagram(member, room_name, raw))
            self.flooding.ignored(member, source, now)
            return
        if source != member.source or listener != member.listener:
            is_first = member.address is None
            if not self.moves.follow(member, listener, source, now):
                if raw:
                    self.limits.warn_of_moves(member, listener, source, now)
                self.flooding.ignored(member, source, now)
                return
            if is_first and not raw:
                member.seen = now
                return
        member.seen = now
        if not raw:
            # It only shows that the client is alive; too many of these are a flood.
            self.flooding.ignored(member, source, now)
            return
        if sender is None:
            sender = member.sender_state()
        dialect = member.dialect
        is_long, was_cut = len(raw) > SURELY_WHOLE, False
        if is_long and (beginning := cut_off(room_name, raw)) is not None:
            raw, was_cut = beginning, True
        elif dialect.up_keys is not None and was_cut_before(raw, dialect):
            is_long = was_cut = True
        text = decode_text(raw, dialect, was_cut)
        if REPLACEMENT in text:
            self.out.log_datagram(source, None, now, _datagram(member, room_name, raw))
        if self.settings.auth != "off":
            # Clients may write a signed token where others write their names.
            text = without_token(text)
        text = without_own_name(text, sender.own_names)
        if "\n" in text:
            text = bound_lines(text)
        if not text or text in dialect.register_words:
            self.flooding.ignored(member, source, now)  # as above
        elif text in dialect.leave_words or (
            self.limits.allowed_messages(member, sender, 1, now)
            and (not is_long or self._allows_long(member, text, was_cut, now))
        ):
            self.take_line(member, sender, text, now)

    def _allows_long(self, member: Member, text: str, was_cut: bool, now: float) -> bool:
        """Return False for a command that was cut: its rest might have been what mattered, such as a password's end.

        A message goes on as far as its datagram, or the receiver's form of datagram, carries it; the sender is told.
        """
        is_command, _ = as_command(member, text)
        if was_cut or not (is_command or fits_every_form(member.room.name, member.name, text)):
            which, about = (Phrase.TOO_LONG, str(MAX_UP)) if is_command else (Phrase.CUT, "")
            if member.options & _IS_TOLD and warning_is_due(member.sender_state(), now):
                self.commands.answer(Giver(member), which, about)
        return not (is_command and was_cut)

    def take_line(self, member: Member, sender: SenderState, text: str, now: float) -> None:
        """Leave, carry out a command, or publish a message; hold the line if one before it is not done yet."""
        if sender.held is not None:
            if len(sender.held) < HELD_LINES:
                sender.held.append(text)
            else:
                self.counters.window_full += 1
                self.limits.warn(member, sender, TOO_FAST, now)
            return
        if text in member.dialect.leave_words:
            self.leaving.leave(member, LeaveReason.LEFT, now)
            return
        if text[0] in SLASHES:
            is_command, text = as_command(member, text)
            if is_command:
                self.commands.take(member, text, now)
                return
        room = member.room
        if self.routes.publish(room.shard, Item(_SAID, room.id, member.id, text, 0)):
            self.counters.accepted_messages += 1
        else:
            self.counters.window_full += 1


def _datagram(member: Member, room_name: bytes, raw: bytes) -> bytes:
    """Return a member's datagram with the right sizes."""
    return bytes((len(room_name), len(member.token))) + room_name + member.token + raw


def _is_name_of(room: Room, raw: bytes) -> bool:
    """Return whether the name in a datagram is the room's in any normal form of Unicode."""
    try:
        return names.room_name(raw.decode()) == room.name
    except (UnicodeDecodeError, InvalidName):
        return False
