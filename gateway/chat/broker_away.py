"""Tell members with streams that their room's broker is away, and that it is back; PROTOCOL.md, "Told".

They would not notice it, as the gateway still answers. Members of version 1 by datagrams are not told: another gateway
may serve them while this one has no lease, but a stream is its client's only connection.
"""

from dataclasses import dataclass, field

from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.notices import encode_notice
from tsudoi.protocol.client.phrases import Phrase, phrase

from .fencing import Fencing
from .members import Member, Room
from .outbound import Component


@dataclass(slots=True, eq=False)
class BrokerAway(Component):
    """Remembers in which shards' rooms members were told that the broker is away."""

    fencing: Fencing
    _away: set[int] = field(default_factory=set)
    _heard: set[int] = field(default_factory=set)
    """Shards whose entries have been delivered: before that there is no member to tell."""

    def tick(self, now: float) -> None:
        """Tell the members of shards whose broker has gone or come back since the last call."""
        away = {shard for shard in range(len(self.routes.links)) if self._looks_away(shard, now)}
        changed, self._away = self._away ^ away, away
        for shard in changed:
            for room in self.members.by_shard[shard].values():
                for member in room.members.values():
                    self._notify(member, shard in away)

    def greet(self, member: Member) -> None:
        """Tell a member that has just got a stream, if the broker of its room is away."""
        if self.is_away(member.room):
            self._notify(member, True)

    def is_away(self, room: Room) -> bool:
        """Return whether the members of a room were told that its broker is away."""
        return room.shard in self._away

    def _looks_away(self, shard: int, now: float) -> bool:
        if not self.fencing.is_fenced(shard, now):
            self._heard.add(shard)
            return False
        # It is back when entries are delivered again, and not when it was heard. A shard that moves to another broker
        # has no owner for some tenths of a second: no member is told.
        return shard in self._heard and (shard in self._away or not self.routes.links[shard].is_heard(now))

    def _notify(self, member: Member, is_away: bool) -> None:
        if member.stream is None:
            return
        which = Phrase.BROKER_AWAY if is_away else Phrase.BROKER_BACK
        words = phrase(which, bool(member.options & MemberOptions.JAPANESE))
        room = member.room.name
        member.stream.send(encode_notice(member.dialect.down, room, "away" if is_away else "back", {}, words))
