"""Close rooms for their members: each receives all messages before the closing, and then one notice of it."""

from dataclasses import dataclass, field

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol.backbone import Entry, Item
from tsudoi.protocol.client.closing_words import closing_text
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.client.downlink_encoder import encode_closing
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.web.codes import Ending

from . import render
from .leave import Leaving
from .members import DISPLACED, Member, Room
from .outbound import Component

TOLD = 100_000
"""Notified members that are remembered, so that none gets a second notice."""


@dataclass(slots=True, eq=False)
class ClosedRooms(Component):
    """Ends rooms for their members."""

    leaving: Leaving
    _told: dict[int, bool] = field(default_factory=dict)
    """Ids of members that got the notice, and whether the directory is to forget them."""

    def end(self, room: Room, entry: Entry) -> None:
        """Handle the entry that closes a room; members that are behind get it when they have caught up."""
        room.is_ended = room.confirmed = True
        for member in list(room.members.values()):
            if member.id not in room.waiting:
                self.end_for(member, entry)
        # Not before: a client that was sent the closing's own offset would resume behind it, where nothing comes.
        room.position = room.known_last = room.last_not_joined = entry.offset
        if room.members:
            self.members.unsettled[room.id] = room

    def log_is_gone(self, room: Room) -> None:
        """End a room that was closed so long ago that its log is deleted."""
        for member in list(room.members.values()):
            self.end_for(member, None)

    def end_for(self, member: Member, entry: Entry | None) -> None:
        """Notify a member that its room is closed, and drop it; without an `entry` the host's name is unknown.

        This is reported to the directory, so that no other gateway notifies the member. Three kinds of members stay in
        the directory for a minute: one without an address, which is notified if its address becomes known; one that is
        `DISPLACED`, whose client may be another member now and would quit; and one of version 2, whose client resumes
        if it lacks entries before the end.
        """
        room = member.room
        if member.stream is not None:
            last = None if entry is None else entry.offset - 1
            member.stream.end(member, Ending.CLOSED, render.why_closed(entry, member.options), last)
            self._note_told(member)
        elif member.address is not None and member.source != DISPLACED:
            for template in member.dialect.closed:
                text = closing_text(member.dialect, template, room.name, entry.sender if entry else "?")
                self.send_to(member, encode_closing(member.dialect, room.name, "closed", text))
            self._note_told(member)
        self.leaving.drop(member)

    def _note_told(self, member: Member) -> None:
        is_over = member.dialect is not TSUDOI_2
        put_newest(self._told, member.id, is_over, TOLD)
        if is_over:
            self._publish_left(member.room.shard, member.room.id, member.id)

    def was_notified(self, shard: int, room_id: int, member_id: int) -> bool:
        """Return whether a member was notified that its room is closed; if so, report it again to the shard."""
        if self._told.get(member_id):
            self._publish_left(shard, room_id, member_id)
        return member_id in self._told

    def _publish_left(self, shard: int, room_id: int, member_id: int) -> None:
        self.routes.publish(shard, Item(EntryKind.LEFT, room_id, member_id, "", LeaveReason.LEFT))
