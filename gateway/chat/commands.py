"""Carry out members' commands, texts that begin with a slash; PROTOCOL.md, "Commands".

A command that changes something or reaches another member is published like a message, and takes effect in the room's
order. A question is answered to the member alone, by this gateway or by the broker.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, TypeGuard, TypeVar

from tsudoi.protocol.backbone import (
    Answer,
    Banned,
    Bans,
    Browsed,
    Done,
    Entry,
    GetTime,
    Hashed,
    HashPassword,
    Item,
    Present,
    Question,
    Replay,
    Replayed,
    ServerTime,
    Who,
)
from tsudoi.protocol.client import slash_commands
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import HELP, Phrase
from tsudoi.protocol.client.slash_commands import (
    HISTORY_SIZE,
    PAGE_SIZE,
    SLASHES,
    Command,
    Misused,
    Unknown,
    escaped_text,
)
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.sealed.lines import with_cause

from ..link import merging
from . import audience, command_answers, render
from .command_answers import speaks_japanese
from .leave import Leaving
from .members import Member, SenderState
from .outbound import Component
from .rate_limits import QUESTION, RateLimits, warning_is_due

PORTION, PORTIONS = 500, 4
"""Log entries in one question, and most questions: only few of the entries may be messages."""

Asking = command_answers.LONG | slash_commands.Time | Unknown | Misused
AnsweredHere = Asking | slash_commands.Leave | slash_commands.Lock

_Answer = TypeVar("_Answer", bound=Answer)


class Giver(NamedTuple):
    """Who gave a command, and by which line; its answers name that line."""

    member: Member
    number: int = 0
    """In version 2; 0: the line has none."""


def as_command(member: Member, text: str) -> tuple[bool, str]:
    """Return whether a text is a command, and the text that is said or carried out."""
    if text[:1] not in SLASHES or not member.options & MemberOptions.COMMANDS:
        return False, text
    if escaped := escaped_text(text):
        return False, escaped
    return True, text


def is_answered_here(command: Command | Unknown | Misused) -> TypeGuard[AnsweredHere]:
    """Return whether the gateway does all for a command: it only asks, leaves, or sets a password."""
    return bool(command.password) if isinstance(command, slash_commands.Lock) else isinstance(command, AnsweredHere)


def locking(answer: Answer | None) -> str:
    """Return the command that sets the password of which the hash was asked for; empty: no answer came.

    If the member may not set it (Done), there is no hash in it, and the broker answers so.
    """
    if not isinstance(answer, Hashed | Done):
        return ""
    return slash_commands.serialize(slash_commands.Lock(answer.password_hash if isinstance(answer, Hashed) else "-"))


@dataclass(slots=True, eq=False)
class Commands(Component):
    """Takes members' commands."""

    limits: RateLimits
    leaving: Leaving
    take_line: Callable[[Member, SenderState, str, float], None] = field(init=False)
    """Set by `Receiver`: a member's held lines go back to it."""

    def take(self, member: Member, line: str, now: float) -> None:
        """Carry out a command."""
        command = slash_commands.parse_untrusted(line)
        if is_answered_here(command):
            is_within_limit = self.answer_here(Giver(member), command, now)
        else:
            self.counters.commands += 1
            if is_within_limit := self.limits.allows_command(member, 1.0, now):
                self._publish(line, Giver(member))
        if not is_within_limit:
            self._warn(member, now)

    def answer_here(self, giver: Giver, command: AnsweredHere, now: float) -> bool:
        """Do all for a command for which `is_answered_here`; return False if it is beyond the member's limit."""
        self.counters.commands += 1
        member = giver.member
        match command:
            case slash_commands.Leave():
                self.answer(giver, Phrase.LEFT_ROOM, member.room.name)
                self.leaving.leave(member, LeaveReason.LEFT, now)
            case _ if not self.limits.allows_command(member, QUESTION, now):
                return False
            case slash_commands.Lock(password):
                self._set_password(giver, password, now)
            case _:
                self._answer_question(giver, command, now)
        return True

    def _set_password(self, giver: Giver, password: str, now: float) -> None:
        """Have a password hashed, then publish the command. Hold what the member sends meanwhile: it comes after it."""
        member = giver.member
        sender = member.sender_state()
        held: list[str] = []
        sender.held = held

        def answered(answer: Answer | None, now: float) -> None:
            sender.held = None
            if member.leaving:
                return
            if line := locking(answer):
                self._publish(line, giver)
            else:
                self.answer(giver, Phrase.BUSY)
            for line in held:
                if not member.leaving:
                    self.take_line(member, sender, line, now)

        self.routes.ask(member.room.shard, HashPassword(member.room.id, member.id, password), now, answered)

    def _publish(self, line: str, giver: Giver) -> None:
        room = giver.member.room
        if not self.routes.publish(room.shard, Item(EntryKind.COMMANDED, room.id, giver.member.id, line, 0)):
            self.counters.window_full += 1
            self.answer(giver, Phrase.BUSY)

    def _warn(self, member: Member, now: float) -> None:
        """Tell a member now and then that its command was beyond its limit."""
        if warning_is_due(member.sender_state(), now):
            self.counters.told_to_slow_down += 1
            self.answer(Giver(member), Phrase.TOO_FAST)

    def _answer_question(self, giver: Giver, command: Asking, now: float) -> None:
        member = giver.member
        room, sender = member.room, member.sender_state()
        if self.settings.check_ip == "strict" and command_answers.is_withheld(member, command):
            if warning_is_due(sender, now):
                self.answer(giver, Phrase.MOVED_AWAY)
            return
        match command:
            case Unknown(word):
                self.answer(giver, Phrase.UNKNOWN_COMMAND, word)
            case Misused(word):
                usage, *does = HELP[word]
                self.answer(giver, Phrase.USAGE, f"{usage} — {does[speaks_japanese(member)]}")
            case slash_commands.Help():
                self._send(giver, command_answers.help_datagrams(member))
            case slash_commands.Who(page):
                self._ask_page(giver, Who(room.id, (page - 1) * PAGE_SIZE, PAGE_SIZE), Present, page, now)
            case slash_commands.Rooms(page):
                self._ask_rooms(giver, page, now)
            case slash_commands.Bans(page):
                self._ask_page(giver, Bans(room.id, member.id, (page - 1) * PAGE_SIZE, PAGE_SIZE), Banned, page, now)
            case slash_commands.History(count, before):
                newest = max(room.known_last, member.cursor)
                end = min(newest, before - 1) if before else newest
                self._look_back(giver, min(count, HISTORY_SIZE), end, [], PORTIONS, now, before=before)
            case slash_commands.Time():

                def told(answer: ServerTime) -> None:
                    self.answer(giver, Phrase.TIME_IS, f"{command_answers.utc(answer.at_ms):%Y-%m-%d %H:%M:%S}")

                self._ask(giver, GetTime(), ServerTime, now, told)

    def _ask(
        self,
        giver: Giver,
        question: Question,
        kind: type[_Answer],
        now: float,
        on_answer: Callable[[_Answer], None],
    ) -> None:
        """Ask the broker. On `kind` call `on_answer`; Done: only a host may ask for bans; else answer busy."""

        def answered(answer: Answer | None, now: float) -> None:
            if giver.member.leaving:
                return
            if isinstance(answer, kind):
                on_answer(answer)
            elif isinstance(answer, Done):
                self.answer(giver, Phrase.NOT_HOST, "/bans")
            else:
                self.answer(giver, Phrase.BUSY)

        self.routes.ask(giver.member.room.shard, question, now, answered)

    def _ask_page(self, giver: Giver, question: Question, kind: type[Present | Banned], page: int, now: float) -> None:
        self._ask(giver, question, kind, now, lambda answer: self._send_page(giver, answer, page))

    def _send_page(self, giver: Giver, answer: Present | Browsed | Banned, page: int) -> None:
        pages = max(-(-answer.count // PAGE_SIZE), 1)
        if page > pages:
            self.answer(giver, Phrase.NO_SUCH_PAGE, str(pages))
        else:
            self._send(giver, command_answers.page_datagrams(giver.member, answer, page, pages))

    def _ask_rooms(self, giver: Giver, page: int, now: float) -> None:
        """Ask all shards for a page of the rooms. If one does not answer, answer busy."""
        skip = (page - 1) * PAGE_SIZE
        question = merging.page_of_each(skip, PAGE_SIZE, len(self.members.by_shard))

        def answered(answers: list[Answer | None], now: float) -> None:
            if giver.member.leaving:
                return
            if (rooms := merging.merge_page(answers, question, skip, PAGE_SIZE)) is not None:
                self._send_page(giver, rooms, page)
            else:
                self.answer(giver, Phrase.BUSY)

        self.routes.ask_all(question, now, answered)

    def _look_back(
        self, giver: Giver, count: int, end: int, found: list[Entry], portions: int, now: float, *, before: int
    ) -> None:
        """Search the log backwards from the offset `end` for `count` messages at most, by so many questions.

        `found`: those that were found after it. `before`: the offset that all are before; 0: none. `now`: when the
        member asked, as all questions together share one time-out.
        """
        member = giver.member
        epoch, after = member.room.epoch, max(end - PORTION, 0)

        def looked(answer: Replayed) -> None:
            # A log that was cut may begin with what has been found already.
            limit = found[0].offset if found else before or inf
            messages = [e for e in answer.entries if e.kind in audience.BY_MEMBERS and e.offset < limit] + found
            # Of long entries one answer has the last ones only.
            reached = answer.entries[0].offset - 1 if answer.entries else after
            goes_on = reached > 0 and answer.first == after + 1 and answer.epoch == epoch
            if len(messages) < count and goes_on and portions > 1:
                self._look_back(giver, count, reached, messages, portions - 1, now, before=before)
            elif messages:
                self._send(giver, command_answers.history_datagrams(member, messages[-count:], before))
            else:
                self.answer(giver, Phrase.NO_HISTORY)

        question = Replay(member.room.id, epoch, after, max(end - after, 1), newest=True)
        self._ask(giver, question, Replayed, now, looked)

    def answer(self, giver: Giver, which: Phrase, about: str = "") -> None:
        """Answer a member alone."""
        member = giver.member
        style = member.dialect.down
        self._send(giver, (render.answer(style, member.room.name, which, speaks_japanese(member), about),))

    def _send(self, giver: Giver, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            caused = with_cause(datagram, giver.member.id, giver.number) if giver.number else datagram
            self.send_to(giver.member, caused)
