"""Tell a member that a long text of it was cut, and refuse a command that was; PROTOCOL.md, "Limits"."""

from dataclasses import dataclass

from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.downlink_encoder import fits_every_form
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.client.slash_commands import SLASHES, escaped_text

from . import render
from .command_answers import speaks_japanese
from .members import Member
from .outbound import Component
from .rate_limits import warning_is_due

SURELY_WHOLE = 1_000
"""Bytes of a text up to which no form needs to cut it: an invalid byte becomes three (U+FFFD), the longest name takes
510 in JSON, and marks of further lines 200."""
_HEARS = MemberOptions.COMMANDS | MemberOptions.NOTICES


@dataclass(slots=True, eq=False)
class LongTexts(Component):
    """Decides about texts of more than `SURELY_WHOLE` bytes."""

    def allows(self, member: Member, text: str, was_cut: bool, now: float) -> bool:
        """Return False for a command that was cut: its rest might have been what mattered, such as a password's end.

        A message goes on as far as its datagram, or the receiver's form of datagram, carries it; the sender is told.
        """
        if text[0] in SLASHES and member.options & MemberOptions.COMMANDS and not escaped_text(text):
            if was_cut:
                self._notify(member, Phrase.TOO_LONG, str(MAX_UP), now)
            return not was_cut
        if was_cut or not fits_every_form(member.room.name, member.name, text):
            self._notify(member, Phrase.CUT, "", now)
        return True

    def _notify(self, member: Member, which: Phrase, about: str, now: float) -> None:
        # A listener without commands and notices has clients that expect nothing but messages.
        if member.options & _HEARS and warning_is_due(member.sender_state(), now):
            style = member.dialect.down
            self.send_to(member, render.answer(style, member.room.name, which, speaks_japanese(member), about))
