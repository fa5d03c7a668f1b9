"""Send members again what they miss, from the room's log; PROTOCOL.md, "Version 2"."""

from dataclasses import dataclass

from tsudoi.protocol.backbone import Answer, Entry, Replay, Replayed
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.sealed.lines import DownLine, Resumed, State, serialize

from ..chat import audience, render
from ..chat.fencing import Fencing
from ..chat.outbound import Component
from ..chat.replay_limiter import ReplayLimiter
from .group import SealedGroup
from .link import SealedLink
from .packing import pack

MOST = 500
"""Entries that one `want` is answered with; its client wants the rest again."""


@dataclass(slots=True, eq=False)
class Wants(Component):
    """Answers the line `want`: a client asks again for entries that it missed."""

    fencing: Fencing

    def want(self, link: SealedLink, after: int, to: int, now: float) -> None:
        """Send a member its entries after an offset up to `to`, as far as the room has come here."""
        member = link.member
        room, to = member.room, min(to, member.room.position)
        if to <= after:
            return
        self.counters.sealed_wants += 1
        if isinstance(group := member.recipients, SealedGroup):
            group.flush()
            group.note_missed()
        if link.wants is None:
            link.wants = ReplayLimiter(self.settings.replay_rate, room.position, now)
        portion = min(link.wants.portion(after, to, now), to - after, MOST)
        if portion <= 0 or room.is_stale:
            self.counters.replays_paced += 1
            return
        link.wants.sent(portion)
        run = link.run

        def answered(answer: Answer | None, now: float) -> None:
            if link.run != run or not isinstance(answer, Replayed) or self.fencing.is_fenced(room.shard, now):
                return
            if answer.epoch == room.epoch:
                self._send(link, after, to, answer)

        self.routes.ask(room.shard, Replay(room.id, room.epoch, after, portion), now, answered)

    def _send(self, link: SealedLink, after: int, to: int, answer: Replayed) -> None:
        if answer.first > after + 1:
            self.counters.lost_entries += answer.first - 1 - after
            lost_to = answer.first - 1
            link.send_bodies([resumed(link, 0, lost_to, "gap", (after + 1, lost_to))])
            return
        entries = [entry for entry in answer.entries if after < entry.offset <= to]
        reached, lines = after, []
        for entry in entries:
            if entry.kind == EntryKind.CLOSED or (entry.kind == EntryKind.LEFT and entry.member == link.member.id):
                break
            reached = entry.offset
            if (line := self._line(link, entry)) is not None:
                lines.append((entry.offset, line))
        if reached > after:
            link.send_bodies(pack(after, reached, lines))

    def _line(self, link: SealedLink, entry: Entry) -> bytes | None:
        member = link.member
        if not audience.receives(entry, member.id, member.options):
            return None
        return render.payload(entry, member.room.name, member.dialect.down, member.options, member.id)


def resumed(link: SealedLink, to: int, offset: int, state: State, lost: tuple[int, int] | None) -> bytes:
    """Return the body `resumed`: it answers the packet with the count `to` (0: a `want`)."""
    member, sender = link.member, link.member.sender
    said = 0 if sender is None or sender.numbered is None else sender.numbered.kept
    return serialize(DownLine(resumed=Resumed(to, member.room.epoch, offset, said, member.name, state, lost)))
