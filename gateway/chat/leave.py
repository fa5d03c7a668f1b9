"""How a member leaves: through the broker, so that all gateways see it in the same place of the room's order."""

from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Item
from tsudoi.protocol.codes import EntryKind, LeaveReason

from .groups import Groups
from .idle import IdleWheel
from .members import Member, Members, Room
from .outbound import Outbound

LEAVING_S = 10.0
"""After this time a leaving member is dropped even without news of it: the broker did not know it any more."""


@dataclass(slots=True, eq=False)
class Leaving:
    """Takes members out; `now` is monotonic seconds."""

    members: Members
    idle: IdleWheel
    groups: Groups
    out: Outbound
    _leaving: dict[int, tuple[float, Member, Item]] = field(default_factory=dict)
    """Member id → since when it leaves, and what was published."""

    def leave(self, member: Member, reason: LeaveReason, now: float) -> None:
        """Publish that a member leaves, and ignore its datagrams from now on; it is dropped when the news come back."""
        left = Item(EntryKind.LEFT, member.room.id, member.id, "", reason)
        self.out.publish(left)
        member.leaving = True
        self._leaving.pop(member.id, None)
        self._leaving[member.id] = now, member, left

    def repeat(self, member: Member) -> None:
        """Publish again that a member leaves, if it does: it was another gateway's then, and that did not count."""
        if member.leaving and member.id in self._leaving:
            self.out.publish(self._leaving[member.id][2])

    def tick(self, now: float, broker_is_alive: bool) -> None:
        """Let idle members leave, and drop those that have been leaving for long."""
        for member in self.idle.expired(now):
            self.leave(member, LeaveReason.IDLE, now)
        if broker_is_alive:
            self._drop_overdue(now)

    def _drop_overdue(self, now: float) -> None:
        for member_id, (since, member, left) in list(self._leaving.items()):
            if now - since < LEAVING_S:
                break
            del self._leaving[member_id]
            if member.room.members.get(member_id) is member:
                self.out.publish(left)  # it may count now, if it did not at the time
                self.drop(member)

    def drop(self, member: Member) -> None:
        """Stop serving a member at once, and its room if it was the last one here."""
        if member.room.members.get(member.id) is not member:
            return
        self.groups.leave(member)
        self.members.remove(member)
        self.idle.removed(len(self.members))
        if not member.room.members:
            self.forget(member.room)

    def forget(self, room: Room) -> None:
        """Stop serving a room that has no members here."""
        if self.members.rooms.get(room.id) is room:
            del self.members.rooms[room.id]
            self.out.unsubscribe(room.topic)
