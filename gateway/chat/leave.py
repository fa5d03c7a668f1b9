"""Let members leave: through the broker, so that all gateways see it at the same place in the room's order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tsudoi.protocol.backbone import Item, room_topic
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.web.codes import Ending

from .groups import Groups
from .idle import IdleWheel
from .members import Member
from .outbound import Component

if TYPE_CHECKING:
    from ..sealed.link import SealedLink

LEAVING_S = 10.0
"""After this time a leaving member is dropped even without news of it: the broker no longer knew it."""


@dataclass(slots=True, eq=False)
class Leaving(Component):
    """Removes members."""

    groups: Groups
    idle: IdleWheel = field(init=False)
    detach: "Callable[[SealedLink], object]" = field(init=False)
    """Set by `ChatCore`: sends a member of version 2 nothing more until it resumes."""
    _leaving: dict[int, tuple[float, Member, Item]] = field(default_factory=dict)
    """Member id → since when it leaves, and the item that was published."""

    def __post_init__(self) -> None:
        self.idle = IdleWheel(self.settings, self.members.standstills)

    def leave(self, member: Member, reason: LeaveReason, now: float) -> None:
        """Publish that a member leaves and ignore its datagrams; drop it when the news of that come back."""
        left = Item(EntryKind.LEFT, member.room.id, member.id, "", reason)
        self.routes.publish(member.room.shard, left)
        member.leaving = True
        self._leaving.pop(member.id, None)
        self._leaving[member.id] = now, member, left

    def repeat(self, member: Member) -> None:
        """Publish again that a leaving member leaves: the broker ignored it while another gateway owned the member."""
        if member.leaving and member.id in self._leaving:
            self.routes.publish(member.room.shard, self._leaving[member.id][2])

    def repeat_all(self, shard: int) -> None:
        """Publish again all that leave, after a shard's directory has said which members this gateway serves."""
        for _, member, left in self._leaving.values():
            if member.room.shard == shard and member.room.members.get(member.id) is member:
                self.routes.publish(shard, left)

    def tick(self, now: float) -> None:
        """Let idle members leave, detach silent ones of version 2, and drop those that leave for too long."""
        for member in self.idle.over(now):
            if member.stream is not None and member.sealed is not None:
                self.detach(member.sealed)
            else:
                self.leave(member, LeaveReason.IDLE, now)
        for member_id, (since, member, left) in list(self._leaving.items()):
            if now - since < LEAVING_S:
                break
            shard = member.room.shard
            if not self.routes.is_alive(shard, now):
                continue
            del self._leaving[member_id]
            if member.room.members.get(member_id) is member:
                self.routes.publish(shard, left)  # the broker may have ignored the first one
                self.drop(member)

    def drop(self, member: Member) -> None:
        """Stop serving a member at once, and its room if no member of it is left here."""
        room = member.room
        if room.members.get(member.id) is not member:
            return
        if member.stream is not None:
            # Another gateway serves it, perhaps on behalf of a connection that is gone by now: a client that is still
            # here comes back. Where it is dropped for another reason, its stream has been ended with that one before.
            member.stream.end(member, Ending.INSUFFICIENT)
        self.groups.leave(member)
        self.members.remove(member)
        self.idle.removed(len(self.members))
        if not room.members and self.members.remove_room(room):
            self.out.unsubscribe(room.shard, room_topic(room.id))
