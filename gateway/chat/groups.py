"""Groups of live members that get the same datagram: of one room, listener, form of datagram and set of options."""

from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Item
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind

from .kept_address import KeptAddress
from .members import Member
from .outbound import Component

RENDERED_OPTIONS = MemberOptions.NOTICES | MemberOptions.JAPANESE
"""The options that change what a member is sent for the same entry."""


@dataclass(slots=True, eq=False)
class Groups(Component):
    """Moves members in and out of their rooms' groups."""

    _unpublished: dict[int, Member] = field(default_factory=dict)
    """Live members whose addresses wait until no datagram does in this process: it would be lost with it."""

    def join(self, member: Member) -> None:
        """Make a member live that has reached its room's position."""
        room = member.room
        room.stop_waiting(member)
        member.catch_up = None
        if not member.is_reachable:
            return
        options = member.options & RENDERED_OPTIONS
        if member.stream is not None:
            options |= member.stream.group_mark
        key = (member.listener, member.dialect.down, options)
        recipients = room.groups.get(key)
        if recipients is None:
            recipients = self.out.new_recipients() if member.stream is None else member.stream.new_group()
            room.groups[key] = recipients
        recipients.add(member, member.address or b"")
        member.recipients = recipients
        if member.sealed is None:
            self.publish_address(member, room.position)  # that of one of version 2 is known since its run began

    def leave(self, member: Member) -> None:
        """Remove a live member from its group; from now on its own cursor counts."""
        recipients, room = member.recipients, member.room
        if recipients is None:
            return
        recipients.remove(member)
        if not len(recipients):
            room.groups = {key: group for key, group in room.groups.items() if group is not recipients}
        member.recipients = None
        member.cursor = room.position

    def publish_address(self, member: Member, heard: int) -> None:
        """Publish a member's address, if it has one, and the offset up to which it has received its room.

        The directory counts a member as live from then on, with its gateway's reports.
        """
        if member.recipients is not None and member.address is not None and self.out.is_behind:
            self._unpublished[member.id] = member
            return
        where, unproven_from = "", self.members.unproven.get(member.id)
        if member.address is not None:
            if is_displaced := member.is_displaced:
                unproven_from = heard if unproven_from is None else unproven_from
            where = KeptAddress(member.address, member.listener, unproven_from, is_displaced).serialize()
        if member.sealed is not None:
            where = member.sealed.kept_address()
        self.routes.publish(member.room.shard, Item(EntryKind.ADDRESSED, member.room.id, member.id, where, heard))

    def publish_waiting(self) -> None:
        """Publish the addresses that wait, if no datagram does any more."""
        if not self._unpublished or self.out.is_behind:
            return
        members, self._unpublished = self._unpublished, {}
        for member in members.values():
            if member.recipients is not None:
                self.publish_address(member, member.room.position)
