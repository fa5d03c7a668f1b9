"""Ignore members that flood, and let the kernel drop their datagrams.

A datagram without effect (beyond a rate, for another room, empty) still costs a read. A member that sends too many is
ignored for a while, by this gateway and by the BPF program of `listeners/flood_filter.py`.
"""

from dataclasses import dataclass, field

from tsudoi.ops.token_bucket import Bucket

from ..listeners import sockaddr
from ..listeners.flood_filter import FloodFilter
from .members import Member
from .outbound import Component
from .rate_limits import RateLimits

FLOODING = "Far too fast: nothing of what you say is heard for {:.0f} s."


@dataclass(slots=True, eq=False)
class Flooding(Component):
    """Counts datagrams without effect."""

    limits: RateLimits
    filter: FloodFilter = field(default_factory=FloodFilter)

    def ignored(self, member: Member, source: bytes, now: float) -> None:
        """Count a datagram without effect; if they are too many, ignore the member for a while.

        Datagrams from other hosts do not count, so a stolen token does not silence the member.
        """
        is_own = sockaddr.same_host(sockaddr.ip_bytes(source), member.ip)
        if not is_own or not self.filter.is_flood(member.id, now):
            return
        self.counters.silenced += 1
        sender = member.sender_state()
        until = self.filter.shut_out(member.id, member.token if member.sealed is None else member.sealed.session, now)
        sender.muted_until = until
        # Afterwards it may send its rate, but no burst.
        sender.bucket = Bucket(0.0, until)
        self.out.log_flood(member, until - now)
        self.out.block_flooders(self.filter.program())
        self.limits.warn(member, sender, FLOODING.format(until - now), now)

    def tick(self, now: float) -> None:
        """Let the kernel pass the datagrams of members that are no longer ignored."""
        if self.filter.tick(now):
            self.out.block_flooders(self.filter.program())
