"""Decide what a client that comes back has missed: all of it, or what exactly is lost; PROTOCOL.md, "WebSocket"."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Answer, Entry, Replay, Replayed
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.web.replies import Publication

from ..chat import audience, render
from ..chat.members import Member
from .rules import WebRules

PORTION = 500
"""Entries that come with the reply; what else was missed follows as pushes, at the rate of replays."""
MAX_BYTES = 262_144
"""Bytes of publications in one reply, about."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a client is told about what it has missed."""

    offset: int
    """The position that the publications follow on."""
    after: int
    """The position that they lead to: later entries come as pushes."""
    is_complete: bool
    lost: tuple[int, int] | None = None
    """The first and the last offset that are lost; None: none are, or it is not known which."""
    publications: list[Publication] = field(default_factory=list)


OnRecovered = Callable[[Recovered | None, float], None]
"""Called once; None: the broker has not answered."""


def recover(
    rules: WebRules, member: Member, epoch: str, offset: int, start: int, now: float, on_recovered: OnRecovered
) -> None:
    """Find what came after a client's position; `start` is where it begins if that position means nothing here."""
    room = member.room
    if epoch != str(room.epoch):
        on_recovered(Recovered(start, start, False), now)
        return
    if offset == room.position and room.confirmed and not room.is_stale:
        on_recovered(Recovered(offset, offset, True), now)
        return
    # Never the client's own offset beyond the log's end: a gateway that names one knows of a later state of the store.
    asked = min(offset, room.position)

    def answered(answer: Answer | None, now: float) -> None:
        if not isinstance(answer, Replayed) or str(answer.epoch) != epoch:
            on_recovered(None, now)
            return
        if offset > answer.last:
            on_recovered(Recovered(start, start, False), now)
            return
        begun = max(answer.first - 1, offset)
        after, publications = _collect(answer.entries, begun, member)
        lost = (offset + 1, begun) if begun > offset else None
        on_recovered(Recovered(begun, after, lost is None, lost, publications), now)

    rules.routes.ask(room.shard, Replay(room.id, room.epoch, asked, PORTION), now, answered)


def _collect(entries: list[Entry], begun: int, member: Member) -> tuple[int, list[Publication]]:
    """Return the publications among entries after `begun`, and the offset that they lead to.

    Ends before what ends the membership: the room's own handling of that says why.
    """
    found: list[Publication] = []
    after, size = begun, 0
    for entry in entries:
        if entry.offset <= begun:
            continue
        if entry.kind == EntryKind.CLOSED or (entry.kind == EntryKind.LEFT and entry.member == member.id):
            break
        if size > MAX_BYTES:
            break
        after = entry.offset
        if (publication := visible(entry, member)) is not None:
            found.append(publication)
            size += len(bytes(publication.data))
    return after, found


def visible(entry: Entry, member: Member) -> Publication | None:
    """Return an entry as a member sees it; None if it does not."""
    if not audience.hears(entry, member.id, member.options):
        return None
    return render.publication(entry, member.room.name, member.options, member.id)
