"""Make the reply to a client that comes back: the first entries that it has missed; PROTOCOL.md, "WebSocket"."""

from collections.abc import Callable
from typing import NamedTuple

from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.web.replies import Publication

from ..chat import audience, recovery, render
from ..chat.members import Member
from ..chat.recovery import Missed
from ..join.admission import AdmissionRules

PORTION = 500
"""Entries that come with the reply; what else was missed follows as pushes, at the rate of replays."""
MAX_BYTES = 262_144
"""Bytes of publications in one reply, about."""


class Recovered(NamedTuple):
    """What a client is told about what it has missed."""

    missed: Missed
    after: int
    """The position that the publications lead to: later entries come as pushes."""
    publications: list[Publication]


def epoch_of(room: int, epoch: int) -> str:
    """Return what clients get as the epoch of the room with this id.

    With the id, since rooms that brokers of 0.1.0 made all began with the epoch 1: a position in another room of that
    name means nothing here.
    """
    return f"{room:x}.{epoch}"


OnRecovered = Callable[[Recovered | None, float], None]
"""Called once; None: the broker has not answered."""


def recover(
    rules: AdmissionRules, member: Member, epoch: str, offset: int, start: int, now: float, on_recovered: OnRecovered
) -> None:
    """Find what came after a client's position; `start` is where it begins if that position means nothing here."""

    def on_missed(missed: Missed | None, now: float) -> None:
        if missed is None:
            on_recovered(None, now)
            return
        on_recovered(Recovered(missed, *_collect(missed.entries, missed.offset, member)), now)

    room = member.room
    # A text that is no room's epoch is answered as another epoch.
    known = str(room.epoch) if epoch == epoch_of(room.id, room.epoch) else ""
    recovery.recover(rules.core.routes.ask, member, known, offset, start, PORTION, now, on_missed)


def _collect(entries: list[Entry], begun: int, member: Member) -> tuple[int, list[Publication]]:
    """Return the publications among entries after `begun`, and the offset that they lead to.

    Ends before what ends the membership: the room's own handling of that says why.
    """
    found: list[Publication] = []
    after, size = begun, 0
    for entry in entries:
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
    if not audience.receives(entry, member.id, member.options):
        return None
    return render.publication(entry, member.room.name, member.options, member.id)
