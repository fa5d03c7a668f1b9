"""Note what changes in a turn, for the store and for the rooms' logs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec

from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.names import SERVER_NAME

from ..store.interface import Batch
from .bans_and_mutes import BansAndMutes
from .room_and_member import Member, Room
from .webhooks import Posts

_SAID = int(EntryKind.SAID)
"""A plain int: an enum's member takes longer, for each message."""


class Changes(msgspec.Struct):
    """What has changed in a turn."""

    batch: Batch = msgspec.field(default_factory=Batch)
    """For the store; without the chunks and numbers that the turn adds."""
    entries: defaultdict[int, list[Entry]] = msgspec.field(default_factory=partial(defaultdict, list))
    """Room id → new entries of its log."""
    renewed: set[int] = msgspec.field(default_factory=set)
    """Rooms that have begun a new epoch."""
    regrouped: set[int] = msgspec.field(default_factory=set)
    """Rooms that a gateway stopped serving: it must still get the entry with the reason."""


class Records:
    """The changes of the present turn."""

    def __init__(self, bans_and_mutes: BansAndMutes, posts: Posts) -> None:
        """Begin without changes; those of bans, mutes and posts are taken with the others."""
        self.changes = Changes()
        self._numbered: dict[int, Member] = {}
        """Members whose numbers have changed in this turn: of several lines of one, only the last number is stored."""
        self._bans_and_mutes, self._posts = bans_and_mutes, posts
        self._cause = 0

    @contextmanager
    def caused_by(self, number: int) -> Iterator[None]:
        """Let the entries that are appended meanwhile have the number of the client's line that they come from."""
        self._cause = number
        try:
            yield
        finally:
            self._cause = 0

    @property
    def has_rows(self) -> bool:
        """Whether rooms or members have changed since `take`."""
        return bool(self.changes.batch.rooms or self.changes.batch.members)

    def last_taken(self, room: Room) -> int:
        """Return the offset of a room's last entry that `take` has returned."""
        entries = self.changes.entries.get(room.id)
        return entries[0].offset - 1 if entries else room.last

    def take(self, *, with_reports: bool = True) -> Changes:
        """Return what has changed since the last call.

        Without `with_reports`, reports of deliveries wait for a call that returns other changes of the store, too.
        """
        changes, self.changes = self.changes, Changes()
        if self._numbered:
            for member_id, member in self._numbered.items():
                if member.room.members.get(member_id) is member:
                    if member_id not in changes.batch.members:
                        changes.batch.said[member_id] = member.said
                    changes.batch.members[member_id] = member.row()
            self._numbered = {}
        if self._bans_and_mutes.changes:
            changes.batch.restrictions, self._bans_and_mutes.changes = self._bans_and_mutes.changes, {}
        if self._posts.changes:
            changes.batch.posts, self._posts.changes = self._posts.changes, {}
        if not with_reports:
            reports, changes.batch.delivered = changes.batch.delivered, {}
            (changes if changes.batch or changes.entries else self.changes).batch.delivered = reports
        return changes

    def note_number(self, member: Member, number: int) -> None:
        """Keep, with the entries of this turn, that a member's client has sent the line of this number."""
        member.said = number
        self._numbered[member.id] = member

    def store_room(self, room: Room) -> None:
        self.changes.batch.rooms[room.id] = room.row()

    def store_member(self, member: Member) -> None:
        self.changes.batch.members[member.id] = member.row()

    def append_said(self, member: Member, texts: Iterable[str], wall_ms: int, number: int = 0) -> None:
        """Append a member's messages to its room's log.

        `number` is the first one's, by its client, and the others' follow on it; 0: they have none.
        """
        room, last = member.room, member.room.last
        entries = self.changes.entries[room.id]
        for text in texts:
            last += 1
            entries.append(Entry(last, _SAID, member.id, member.name, text, number, wall_ms))
            if number:
                number += 1
        room.last = last
        room.last_ms = member.spoke_ms = wall_ms
        if number:
            self.note_number(member, number - 1)

    def append(
        self,
        room: Room,
        kind: EntryKind,
        member: Member | None,
        text: str,
        code: int,
        wall_ms: int,
        peer: Member | None = None,
        sender: str = SERVER_NAME,
    ) -> None:
        """Append an entry to a room's log; see `tsudoi.protocol.backbone.Entry`.

        `member` is None for the server, and for a webhook, whose name is `sender`.
        """
        room.last += 1
        room.last_ms = wall_ms
        member_id, name = (member.id, member.name) if member is not None else (0, sender)
        entry = Entry(room.last, kind, member_id, name, text, code, wall_ms)
        if peer is not None:
            entry.peer, entry.peer_name = peer.id, peer.name
        if self._cause:
            entry.number = self._cause
        self.changes.entries[room.id].append(entry)
