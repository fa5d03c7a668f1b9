"""Limit messages by member, address and room, and commands by member.

The rates of an address and of a room are shared fairly (`fair_share.py`): who floods loses its own messages.

A message beyond a limit is dropped and counted; the member is notified if its dialect has a notice for it.
"""

from dataclasses import dataclass, field

from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.client.dialect import DownForm
from tsudoi.protocol.client.downlink_encoder import encode_closing

from ..join.rate_keys import ADDRESSES
from ..listeners import sockaddr
from .fair_share import FairShare
from .members import Member, SenderState
from .outbound import Component

CROWD = 50
"""In a room with more members here, each member's rate falls in proportion: the cost is in the deliveries."""
MUTE_S = 0.02
"""How long datagrams are ignored unread after a member's message beyond a limit: so a flood costs little."""
COMMANDS_S, COMMANDS = 5.0, 50.0
"""Commands of a member: rate per second, and burst. Each takes a place in the room's log."""
QUESTION = 2.5
"""A question counts as this many commands: its answer may be larger than itself."""
WARN_S = 1.0
"""The least time between two warnings to a member."""
TOO_FAST = "Too fast: what you said was dropped."
MOVED_TOO_OFTEN = "Your address changes too often: what you said was dropped."


@dataclass(slots=True, eq=False)
class RateLimits(Component):
    """Decides whether a message or a command is within its limits."""

    _by_address: dict[str, FairShare] = field(default_factory=dict)

    def allowed_messages(self, member: Member, sender: SenderState, count: int, now: float) -> int:
        """Return how many of `count` messages are within the limits; if not all, mute and warn the member."""
        settings, room = self.settings, member.room
        rate, burst = settings.rate, settings.burst
        crowd = len(room.members)
        if crowd > CROWD:
            rate, burst = rate * CROWD / crowd, max(burst * CROWD / crowd, 1.0)
        bucket = sender.bucket
        if bucket is None:
            bucket = sender.bucket = Bucket(burst, now)
        allowed = bucket.take(now, rate, burst, count)
        if allowed < count:
            self.counters.rate_limited += 1
        if member.rate_key and allowed:
            allowed = self._of_address(member, allowed, now)
        if wanted := allowed:
            rate, share = settings.room_rate, room.share
            burst = 2.0 * rate
            if share is None:
                share = room.share = FairShare(burst, now)
            allowed = share.take(now, rate, burst, wanted)
            if allowed < wanted:
                allowed += share.take_shares(member.id, now, rate, burst, wanted - allowed)
                self.counters.room_limited += allowed < wanted
        if allowed < count:
            self._refuse(member, sender, now)
        return allowed

    def _of_address(self, member: Member, count: int, now: float) -> int:
        """Return how many of `count` messages are within the limit of the member's address."""
        key, rate = member.rate_key, self.settings.address_messages
        share = self._by_address.pop(key, None) or FairShare(2.0 * rate, now)
        self._by_address[key] = share
        drop_oldest(self._by_address, ADDRESSES)
        allowed = share.take(now, rate, 2.0 * rate, count)
        if allowed < count:
            allowed += share.take_shares(member.id, now, rate, 2.0 * rate, count - allowed)
            self.counters.address_limited += allowed < count
        return allowed

    def _refuse(self, member: Member, sender: SenderState, now: float) -> None:
        sender.muted_until = now + MUTE_S
        self.warn(member, sender, TOO_FAST, now)

    def warn(self, member: Member, sender: SenderState, text: str, now: float) -> None:
        """Notify a member that its messages are dropped, if its dialect has that notice and one is due."""
        if member.address is not None:
            self._warn_at(member.listener, member.address, member, sender, text, now)

    def warn_of_moves(self, member: Member, listener: int, source: bytes, now: float) -> None:
        """Notify a member that moves too often at the source of its datagram, where it is now.

        Only on its own host: on another one nothing has proven that it is there.
        """
        if sockaddr.same_host(sockaddr.ip_bytes(source), member.ip):
            self._warn_at(listener, source, member, member.sender_state(), MOVED_TOO_OFTEN, now)

    def _warn_at(
        self, listener: int, address: bytes, member: Member, sender: SenderState, text: str, now: float
    ) -> None:
        if member.dialect.down.form is DownForm.NATIVE and warning_is_due(sender, now):
            self.counters.told_to_slow_down += 1
            self.out.send(listener, address, encode_closing(member.dialect, member.room.name, "slow", text))

    def allows_command(self, member: Member, cost: float, now: float) -> bool:
        """Count a command and return whether it is within the member's limit."""
        sender = member.sender_state()
        if sender.command_bucket is None:
            sender.command_bucket = Bucket(COMMANDS, now)
        if sender.command_bucket.touch(now, COMMANDS_S, COMMANDS, cost):
            return True
        self.counters.questions_limited += 1
        return False


def warning_is_due(sender: SenderState, now: float) -> bool:
    """Return whether a member may be warned now; if so, note it."""
    if now - sender.warned_at < WARN_S:
        return False
    sender.warned_at = now
    return True
