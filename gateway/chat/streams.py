"""Attach streams to members, and detach them; PROTOCOL.md, "WebSocket".

A member by WebSocket has a stream instead of an address. Without one it stays for the idle time-out, and its room goes
on without it: its client knows its position, and recovers from there.
"""

from dataclasses import dataclass

from tsudoi.protocol.backbone import Granted, shard_of
from tsudoi.protocol.client.dialects import TSUDOI_2
from tsudoi.protocol.names import RoomName, hash_token
from tsudoi.protocol.web.codes import Ending

from .broker_away import BrokerAway
from .catch_up import CatchUp
from .closed_rooms import ClosedRooms
from .enter import Enter
from .groups import Groups
from .members import Member, Stream
from .outbound import Component


@dataclass(slots=True, eq=False)
class Streams(Component):
    """Connects members and streams."""

    groups: Groups
    catch_up: CatchUp
    entering: Enter
    closed_rooms: ClosedRooms
    broker_away: BrokerAway

    def find(self, token: bytes) -> Member | None:
        """Return the member with a token, if it is served here."""
        self.members.claim_adopted(hash_token(token), token)
        return self.members.by_token.get(token)

    def resume(self, granted: Granted, token: bytes, now: float) -> Member | None:
        """Serve a member that the directory has given to this gateway; None: its room is closed, as it was told."""
        shard = shard_of(RoomName(granted.room_name), len(self.members.by_shard))
        # One of version 2 may lack entries before the end: it is served, and told again.
        if granted.dialect != TSUDOI_2.name and self.closed_rooms.was_notified(shard, granted.room, granted.member):
            return None
        self.counters.resumed += 1
        return self.entering.enter(granted, token, now)

    def attach(self, member: Member, stream: Stream, now: float) -> None:
        """Serve a member over this stream from now on; `begin` must follow."""
        if member.stream is not None and member.stream is not stream:
            member.stream.end(member, Ending.ELSEWHERE)
        member.stream = stream
        member.seen = now

    def begin(self, member: Member, after: int, now: float) -> None:
        """Send a member with a stream the entries after an offset."""
        member.cursor = after
        member.catch_up = None
        self.catch_up.begin(member, now)
        if member.sealed is None:  # A run of version 2 begins with the broker's answer.
            self.broker_away.greet(member)

    def detach(self, member: Member) -> None:
        """Send a member nothing more: its stream has ended, or it leaves."""
        self.groups.leave(member)
        member.room.stop_waiting(member)
        member.catch_up = None
        member.stream = None
