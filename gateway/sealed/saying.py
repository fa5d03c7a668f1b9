"""Publish members' numbered lines, and ask the broker about commands and doubtful lines.

A message is published as an item, and is kept when it comes back in the room's order. A command, and a line that is
repeated although the broker has accepted it, are questions (`Say`), because the answer says more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tsudoi.protocol.backbone import Item, Posted, Say
from tsudoi.protocol.client.slash_commands import SLASHES, Lock, parse_untrusted
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.sealed.lines import DownLine, UpLine, serialize
from tsudoi.protocol.web.codes import Error

from ..chat.commands import Commands, Giver, as_command, is_answered_here
from ..chat.leave import Leaving
from ..chat.members import Member, Room
from ..chat.outbound import Component
from ..chat.speak import COMMAND_TOO_FAST, LineRefusal, OnOutcome, Speak, text_of
from .link import SealedLink
from .numbered import LineAction, NumberedLines, before


@dataclass(slots=True, eq=False)
class Saying(Component):
    """Decides on numbered lines."""

    speak: Speak
    commands: Commands
    leaving: Leaving

    def say(self, link: SealedLink, run: bytes, lines: Sequence[UpLine], now: float) -> bool:
        """Publish, hold or answer numbered lines (`say`) of a client; `now` is monotonic seconds.

        `run` is the link's `head` when their packet came.

        Returns:
            Whether anything goes to the broker for them, or a line has ended the run.
        """
        member = link.member
        numbered = _numbered(member)
        former = numbered.last, numbered.asking
        at = 0
        while at < len(lines) and not member.leaving and link.head == run:
            line = lines[at]
            match numbered.judge(line):
                case LineAction.TAKE:
                    at += self._take(link, numbered, numbered.together(lines[at:]), now)
                    if numbered.held and numbered.last == lines[at - 1].number:
                        self._go_on(link, numbered, now)
                    continue
                case LineAction.ASK:
                    self._ask_again(link, numbered, line, now)
                case LineAction.KEPT:
                    _answer_kept(link, numbered)
                case LineAction.REFUSED:
                    _answer_refused(link, line.number, numbered.refused[line.number], again=False)
                case LineAction.WAIT:
                    pass
            at += 1
        return (numbered.last, numbered.asking) != former or member.leaving or link.head != run

    def note_kept(self, room: Room, numbers: dict[int, int], now: float) -> None:
        """Note that numbered lines have come back in their room's order: of each member the last one, by its id."""
        for member_id, number in numbers.items():
            member = room.members.get(member_id)
            if member is None or member.sender is None or (numbered := member.sender.numbered) is None:
                continue
            numbered.note_kept(number)
            if numbered.held and member.sealed is not None and not member.leaving:
                self._go_on(member.sealed, numbered, now)

    def _go_on(self, link: SealedLink, numbered: NumberedLines, now: float) -> None:
        """Take the lines whose turn has come."""
        while (line := numbered.next()) is not None:
            self._take(link, numbered, [line], now)
            if numbered.last != line.number:
                return

    def _take(self, link: SealedLink, numbered: NumberedLines, lines: Sequence[UpLine], now: float) -> int:
        """Take lines whose turn has come, as many as can be published together; return how many are done with."""
        member, first = link.member, lines[0]
        texts, text = list[str](), ""
        for line in lines:
            text = text_of(line.say or "")
            if text.startswith(SLASHES):
                is_command, text = as_command(member, text)
                if is_command:
                    break
            texts.append(text)
        if not texts:
            self._take_command(link, numbered, first, text, now)
            return 1
        count, refusal = self.speak.allowed(member, texts, now)
        if count:
            room, more = member.room, tuple(texts[1:count])
            item = Item(EntryKind.SAID, room.id, member.id, texts[0], first.number, before(first), more)
            if not self.routes.publish(room.shard, item):
                self.counters.window_full += 1
                return 1  # the others are held
            self.counters.accepted_messages += count
            numbered.published(first.number, first.number + count - 1, self.routes.published(room.shard))
        if refusal is not None:
            if refusal.code is not Error.INTERNAL:
                self._refuse(link, numbered, first.number + count, refusal.why, again=refusal.code.is_temporary)
            count += 1
        return count

    def _take_command(self, link: SealedLink, numbered: NumberedLines, line: UpLine, text: str, now: float) -> None:
        if not numbered.are_all_kept:
            numbered.hold(line)
        elif (refusal := self.speak.refusal(link.member, text, now)) is None:
            self._carry_out(link, numbered, line, text, now)
        elif refusal.code is not Error.INTERNAL:
            self._refuse(link, numbered, line.number, refusal.why, again=refusal.code.is_temporary)

    def _carry_out(self, link: SealedLink, numbered: NumberedLines, line: UpLine, text: str, now: float) -> None:
        member = link.member
        if text in member.dialect.leave_words:
            self.leaving.leave(member, LeaveReason.LEFT, now)
            return
        command = parse_untrusted(text)
        if isinstance(command, Lock) and command.password:
            locking = Say(member.room.id, member.id, "", True, line.number, before(line))
            on_outcome = self._on_outcome(link, numbered, line.number, now)
            if not self.speak.lock(member, command.password, locking, now, on_outcome):
                numbered.asking = 0
                self._refuse(link, numbered, line.number, COMMAND_TOO_FAST.why, again=True)
            return
        if is_answered_here(command):
            if not self.commands.answer_here(Giver(member, line.number), command, now):
                self._refuse(link, numbered, line.number, COMMAND_TOO_FAST.why, again=True)
                return
            text = ""  # only its number is kept
        elif (refusal := self.speak.command_refusal(member, now)) is not None:
            self._refuse(link, numbered, line.number, refusal.why, again=True)
            return
        if not member.leaving:
            self._ask(link, numbered, Say(member.room.id, member.id, text, True, line.number, before(line)), now)

    def _ask_again(self, link: SealedLink, numbered: NumberedLines, line: UpLine, now: float) -> None:
        """Ask about a line that was published, if the broker has decided on it by now."""
        member = link.member
        if self.routes.settled(member.room.shard) >= numbered.item_of(line.number):
            _, text = as_command(member, text_of(line.say or ""))
            self._ask(link, numbered, Say(member.room.id, member.id, text, False, line.number, before(line)), now)

    def _ask(self, link: SealedLink, numbered: NumberedLines, say: Say, now: float) -> None:
        self.speak.ask(link.member.room.shard, say, now, self._on_outcome(link, numbered, say.number, now))

    def _on_outcome(self, link: SealedLink, numbered: NumberedLines, number: int, now: float) -> OnOutcome:
        """Note that the broker is asked about a line; return what takes its answer."""
        run, numbered.asking = link.run, number

        def on_outcome(outcome: Posted | LineRefusal) -> None:
            if link.run != run or numbered.asking != number:
                return  # its client has resumed, and sends it again
            numbered.asking = 0
            if isinstance(outcome, Posted):
                numbered.note_kept(number)
                _answer_kept(link, numbered)
                self._go_on(link, numbered, now)
            elif outcome.code is not Error.INTERNAL:
                self._refuse(link, numbered, number, outcome.why, again=False)

        return on_outcome

    def _refuse(self, link: SealedLink, numbered: NumberedLines, number: int, why: str, *, again: bool) -> None:
        numbered.refuse(number, why, for_good=not again)
        _answer_refused(link, number, why, again=again)


def _numbered(member: Member) -> NumberedLines:
    sender = member.sender_state()
    if sender.numbered is None:
        sender.numbered = NumberedLines(0)
    return sender.numbered


def _answer_kept(link: SealedLink, numbered: NumberedLines) -> None:
    link.send(serialize(DownLine(kept=numbered.kept)))


def _answer_refused(link: SealedLink, number: int, why: str, *, again: bool) -> None:
    link.send(serialize(DownLine(refused=number, again=again, text=why)))
