"""Take lines from members with streams: they are answered when they are kept; PROTOCOL.md, "WebSocket".

A message, and a command that changes something, is a question to the broker (`Say`) and not an item: its client waits
for the answer, and repeats the line with the same number where none comes. What only asks is answered as everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec.structs import replace

from tsudoi.protocol.backbone import Answer, HashPassword, Posted, Refused, Say
from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.downlink_encoder import SURELY_WHOLE, fits_every_form
from tsudoi.protocol.client.lines import bound_lines
from tsudoi.protocol.client.refusals import MUTED
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.client.slash_commands import Lock, parse_untrusted
from tsudoi.protocol.codes import LeaveReason, Status
from tsudoi.protocol.names import MAX_NAME_SIZE, TOKEN_SIZE
from tsudoi.protocol.web.codes import Error

from .commands import Commands, Giver, as_command, is_answered_here, locking
from .leave import Leaving
from .members import Member
from .outbound import Component
from .rate_limits import QUESTION, RateLimits

MAX_TEXT = MAX_UP - 2 - MAX_NAME_SIZE - TOKEN_SIZE
"""Bytes of a text: what a datagram can carry to the room with the longest name."""


class LineRefusal(NamedTuple):
    """Why a line is not said."""

    code: Error
    why: str


OnOutcome = Callable[[Posted | LineRefusal], None]
"""Called once."""

COMMAND_TOO_FAST = LineRefusal(Error.TOO_MANY, "too many commands: it was not carried out, send it again later")
TOO_FAST = LineRefusal(Error.TOO_MANY, "too fast: nothing was said, send it again later")
BUSY = LineRefusal(Error.INTERNAL, "busy with your last command: send it again")
NOT_IN_ROOM = LineRefusal(Error.PERMISSION_DENIED, "you are not in that room")
NOT_KNOWN = LineRefusal(Error.INTERNAL, "whether this was said is not known: send it again with the same number")
NO_ANSWER = LineRefusal(Error.INTERNAL, "the broker does not answer: send it again with the same number")
"""Whether it was said is not known."""


def text_of(raw: str) -> str:
    """Return the text of a line, as it is said."""
    if raw.isprintable():
        return raw  # the usual one: it has no line feed either
    return bound_lines(clean(raw)).rstrip("\n")


def _fault(member: Member, text: str) -> LineRefusal | None:
    """Return why a text can not be said; None: it can."""
    if not text.strip():
        return LineRefusal(Error.BAD_REQUEST, "the text is empty")
    size = len(text.encode())
    if size > MAX_TEXT or (size > SURELY_WHOLE and not fits_every_form(member.room.name, member.name, text)):
        return LineRefusal(Error.BAD_REQUEST, f"the text is too long, {MAX_TEXT} bytes at most are said: shorten it")
    return None


def _done(member: Member) -> Posted:
    """Return the outcome of a command that no broker keeps."""
    return Posted(member.name, member.room.epoch, 0, True)


@dataclass(slots=True, eq=False)
class Speak(Component):
    """Decides on lines."""

    limits: RateLimits
    commands: Commands
    leaving: Leaving

    def say(self, member: Member, raw: str, number: int, now: float, on_outcome: OnOutcome) -> None:
        """Say a text, or carry out a command, of a client that waits for the outcome."""
        text = text_of(raw)
        if (refusal := self.refusal(member, text, now)) is not None:
            on_outcome(refusal)
        elif text in member.dialect.leave_words:
            self.leaving.leave(member, LeaveReason.LEFT, now)
            on_outcome(_done(member))
        else:
            self._take(member, text, number, now, on_outcome)

    def refusal(self, member: Member, text: str, now: float) -> LineRefusal | None:
        """Count a line, and return why it is refused; None: it is not."""
        return self.allowed(member, (text,), now)[1]

    def allowed(self, member: Member, texts: Sequence[str], now: float) -> tuple[int, LineRefusal | None]:
        """Count lines; return how many of them are said, from the first on, and why the next one is refused."""
        sender, refusal, count = member.sender_state(), None, len(texts)
        if 4 * max(map(len, texts)) > SURELY_WHOLE or not all(map(str.strip, texts)):
            faults = enumerate(_fault(member, text) for text in texts)
            count, refusal = next((found for found in faults if found[1] is not None), (count, None))
            if not count:
                return 0, refusal
        if sender.muted_until > now:
            self.counters.rate_limited += 1
            return 0, TOO_FAST
        allowed = self.limits.allowed_messages(member, sender, count, now)
        if allowed < count:
            return allowed, TOO_FAST
        return (count, refusal) if sender.held is None else (0, BUSY)

    def _take(self, member: Member, text: str, number: int, now: float, on_outcome: OnOutcome) -> None:
        is_command, text = as_command(member, text)
        if is_command:
            command = parse_untrusted(text)
            if isinstance(command, Lock) and command.password:
                line = Say(member.room.id, member.id, "", True, number)
                if not self.lock(member, command.password, line, now, on_outcome):
                    on_outcome(COMMAND_TOO_FAST)
                return
            if is_answered_here(command):
                is_within_limit = self.commands.answer_here(Giver(member), command, now)
                on_outcome(_done(member) if is_within_limit else COMMAND_TOO_FAST)
                return
            if (refusal := self.command_refusal(member, now)) is not None:
                on_outcome(refusal)
                return
        self.ask(member.room.shard, Say(member.room.id, member.id, text, is_command, number), now, on_outcome)

    def command_refusal(self, member: Member, now: float) -> LineRefusal | None:
        """Count a command for the broker, and return why it is refused; None: it is not."""
        if not self.limits.allows_command(member, 1.0, now):
            return COMMAND_TOO_FAST
        self.counters.commands += 1
        return None

    def lock(self, member: Member, password: str, line: Say, now: float, on_outcome: OnOutcome) -> bool:
        """Have a new password hashed, then ask the broker to set it: as a line with a number it is kept once.

        Args:
            line: is given its text here.

        Returns:
            False if it is beyond the member's limit: then nothing is done.
        """
        if not self.limits.allows_command(member, QUESTION, now):
            return False
        self.counters.commands += 1
        sender, shard = member.sender_state(), member.room.shard
        sender.held = []  # what the member sends now takes effect after it

        def decided(outcome: Posted | LineRefusal) -> None:
            sender.held = None
            on_outcome(outcome)

        def hashed(answer: Answer | None, now: float) -> None:
            if text := locking(answer):
                self.ask(shard, replace(line, text=text), now, decided)
            else:
                decided(NO_ANSWER)

        self.routes.ask(shard, HashPassword(line.room, line.member, password), now, hashed)
        return True

    def ask(self, shard: int, line: Say, now: float, on_outcome: OnOutcome) -> None:
        """Ask the broker to keep a line, or to carry it out."""

        def answered(answer: Answer | None, _: float) -> None:
            match answer:
                case Posted():
                    self.counters.accepted_messages += not line.is_command
                    on_outcome(answer)
                case Refused(Status.BAD_REQUEST, detail):
                    code = Error.PERMISSION_DENIED if detail.startswith(MUTED) else Error.BAD_REQUEST
                    on_outcome(LineRefusal(code, detail or "the room does not take this"))
                case Refused(Status.ROOM_NOT_FOUND) if not line.number:
                    on_outcome(NOT_IN_ROOM)
                case Refused(Status.ROOM_NOT_FOUND):
                    # It may be a repeated line, which was kept before its member was removed, or went elsewhere.
                    on_outcome(NOT_KNOWN)
                case _:
                    on_outcome(NO_ANSWER)

        self.routes.ask(shard, line, now, answered)
