"""Ignore members that flood: all that the other parts have to do with the flood filter.

Datagrams that come to nothing (beyond a rate, for another room, empty) still cost the reading. A member that sends too
many of these is ignored for a while, and the kernel drops its datagrams meanwhile (`flood_filter`).
"""

from dataclasses import dataclass, field

from tsudoi.ops.token_bucket import Bucket

from ..counters import Counters
from ..listeners import sockaddr
from ..listeners.flood_filter import FloodFilter
from .members import Member
from .outbound import Outbound
from .rate_limits import RateLimits

FLOODING = "Far too fast: nothing of what you say is heard for {:.0f} s."


@dataclass(slots=True, eq=False)
class Flooding:
    """Counts datagrams that come to nothing; `now` is monotonic seconds."""

    out: Outbound
    limits: RateLimits
    counters: Counters
    filter: FloodFilter = field(default_factory=FloodFilter)

    def ignored(self, member: Member, room_name: bytes, source: bytes, now: float) -> None:
        """Count a datagram that came to nothing; if the member sends too many of these, ignore all for a while.

        Datagrams from other hosts do not count: nobody else can have a member ignored.
        """
        if not sockaddr.same_host(sockaddr.ip_bytes(source), member.ip):
            return
        if not self.filter.is_flood(member.id, now):
            return
        self.counters.silenced += 1
        sender = member.sender_state()
        until = self.filter.shut_out(member.id, member.token, now)
        sender.muted_until = until
        # Afterwards it may send its rate, but no burst.
        sender.bucket = Bucket(0.0, until)
        self.out.log_flood(member, until - now)
        self.out.block_flooders(self.filter.program())
        self.limits.warn(member, sender, FLOODING.format(until - now), now)

    def tick(self, now: float) -> None:
        """Let the kernel pass datagrams again of members whose time is over."""
        if self.filter.tick(now):
            self.out.block_flooders(self.filter.program())
