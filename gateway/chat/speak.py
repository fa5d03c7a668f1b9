"""Take lines from members with streams: they are answered when they are kept; PROTOCOL.md, "WebSocket".

A message, and a command that changes something, is a question to the broker (`Say`) and not an item: its client waits
for the answer, and repeats the line with the same number where none comes. What only asks is answered as everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tsudoi.protocol.backbone import MUTED, Answer, Posted, Refused, Say
from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.downlink_encoder import fits_every_form
from tsudoi.protocol.client.lines import bound_lines
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.client.slash_commands import SLASHES, escaped_text
from tsudoi.protocol.codes import LeaveReason, Status
from tsudoi.protocol.names import MAX_NAME_SIZE, TOKEN_SIZE
from tsudoi.protocol.web.codes import Error

from .commands import Commands
from .leave import Leaving
from .members import Member
from .outbound import Component
from .rate_limits import RateLimits

MAX_TEXT = MAX_UP - 2 - MAX_NAME_SIZE - TOKEN_SIZE
"""Bytes of a text: what a datagram can carry to the room with the longest name."""

OnOutcome = Callable[[Posted | None, Error, str], None]
"""Called once: with the broker's answer; or with None, the error and its words."""


@dataclass(slots=True, eq=False)
class Speak(Component):
    """Decides on lines."""

    limits: RateLimits
    commands: Commands
    leaving: Leaving

    def say(self, member: Member, raw: str, number: int, now: float, on_outcome: OnOutcome) -> None:
        """Say a text, or carry out a command."""
        sender = member.sender_state()
        text = bound_lines(clean(raw)).rstrip("\n")
        if not text.strip():
            on_outcome(None, Error.BAD_REQUEST, "the text is empty")
        elif len(text.encode()) > MAX_TEXT or not fits_every_form(member.room.name, member.name, text):
            on_outcome(None, Error.BAD_REQUEST, f"the text is too long, {MAX_TEXT} bytes at most are said: shorten it")
        elif sender.muted_until > now or not self.limits.allows_message(member, sender, now):
            self.counters.rate_limited += sender.muted_until > now
            on_outcome(None, Error.TOO_MANY, "too fast: nothing was said, send it again later")
        elif sender.held is not None:
            on_outcome(None, Error.INTERNAL, "busy with your last command: send it again")
        elif text in member.dialect.leave_words:
            self.leaving.leave(member, LeaveReason.LEFT, now)
            on_outcome(Posted(member.name, member.room.epoch, 0, True), Error.INTERNAL, "")
        else:
            self._take(member, text, number, now, on_outcome)

    def _take(self, member: Member, text: str, number: int, now: float, on_outcome: OnOutcome) -> None:
        is_command = text[0] in SLASHES and bool(member.options & MemberOptions.COMMANDS)
        if is_command and (escaped := escaped_text(text)):
            is_command, text = False, escaped
        if is_command:
            if self.commands.is_answered_here(text):
                self.commands.take(member, text, now)
                on_outcome(Posted(member.name, member.room.epoch, 0, True), Error.INTERNAL, "")
                return
            if not self.limits.allows_command(member, 1.0, now):
                on_outcome(None, Error.TOO_MANY, "too many commands: it was not carried out, send it again later")
                return
            self.counters.commands += 1
        self._ask(member.room.shard, Say(member.room.id, member.id, text, is_command, number), now, on_outcome)

    def _ask(self, shard: int, line: Say, now: float, on_outcome: OnOutcome) -> None:
        def answered(answer: Answer | None, _: float) -> None:
            match answer:
                case Posted():
                    self.counters.accepted_messages += not line.is_command
                    on_outcome(answer, Error.INTERNAL, "")
                case Refused(Status.BAD_REQUEST, detail):
                    code = Error.PERMISSION_DENIED if detail == MUTED else Error.BAD_REQUEST
                    on_outcome(None, code, detail or "the room does not take this")
                case Refused(Status.ROOM_NOT_FOUND):
                    on_outcome(None, Error.PERMISSION_DENIED, "you are not in that room")
                case _:
                    # Whether it was said is not known if the broker was asked.
                    on_outcome(None, Error.INTERNAL, "the broker does not answer: send it again with the same number")

        self.out.ask(shard, line, now, answered)
