"""What faults excuse: datagrams that need not be accepted, messages that may come twice or not at all.

docs/chaos.md has the rules in words.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from tests.chaos.evidence import Membership
from tests.chaos.history import History, Outage, Received, Sent, Uplink, ending, joins
from tsudoi.protocol.backbone import SHARDS, Entry, shard_named
from tsudoi.protocol.codes import EntryKind

REPEATED_S = 0.5
"""Messages that a gateway delivered in this time before it was killed, frozen or cut off may come once more from its
successor. The documented time is 0.25 s; the rest is for a busy machine."""
REPORTED_AGAIN_S = 0.8
"""A gateway reports anew when the broker that is back knows it: it connects within 0.5 s, and its next frame, a canary
or Hello at the latest 0.25 s later, is answered."""
LEASE_S = 1.8
"""A gateway whose reports alone do not reach the broker goes on delivering for this time, by its lease."""
CALM_S = 2.0
"""Traces of a fault may last for this time: a gateway is taken for dead after 2 s."""
WOKEN_S, TURN_S = 0.05, 0.1
"""What a gateway had in hand when it was frozen it sends within the first time after it goes on. It was accepted within
the second before the freeze: a turn and the way to the gateway."""
ASKS_S = 4.0
"""A gateway's question about a token may be under way for this time."""
SURE_S = 0.6
"""A datagram is in the log if a healthy gateway with a healthy broker has had it for this time."""


class Allowances:
    """Answers for one history what its faults excuse."""

    def __init__(self, history: History) -> None:
        self._history = history

    def stay(self, sent: Sent) -> int:
        """Number the times that a client came to a gateway, to one that ends, or to a new run of it."""
        uplinks = [uplink for uplink in self._history.uplinks if uplink.client == sent.client and uplink.at <= sent.at]
        moves = sum(1 for before, after in pairwise(uplinks) if before.gateway != after.gateway)
        deaths = self._deaths(sent.gateway)
        return moves + sum((outage.start <= sent.at) + (outage.end <= sent.at) for outage in deaths)

    def must_be_accepted(self, sent: Sent, served: bool) -> bool:
        """Say whether a datagram must be in the log.

        Args:
            served: the gateway knew the sender.
        """
        if not served or sent.copies == 0 or self._may_have_left(sent) or self._is_contested(sent):
            return False
        ends = [outage.start for outage in self._deaths(sent.gateway) if outage.end >= sent.at]
        ends += [
            uplink.at
            for uplink in self._history.uplinks
            if uplink.client == sent.client and uplink.at > sent.at and uplink.gateway != sent.gateway
        ]
        if self._has_twin(sent.gateway):
            # The twin may have taken the sender over; what this gateway still has of it is refused then.
            ends += [outage.start for outage in self._outages(sent.gateway) if outage.end >= sent.at - CALM_S]
        ends.append(self._history.ended_at)
        end = min(ends)
        if end == self._history.ended_at:
            return True
        return end - sent.at >= SURE_S and not any(
            outage.touches(sent.at - CALM_S, end) and outage.start < end for outage in self._outages(sent.gateway)
        )

    def may_repeat(self, before: Received, again: Received) -> bool:
        """Say whether the gateway that sent the first one was killed, frozen or cut off right after it."""
        if self._was_readdressed(before, again):
            return True
        for outage in self._history.outages:
            target, _, number = outage.target.partition(" ")
            if target == "broker" or int(number) != before.gateway:
                continue
            since = self._unreported_since(outage.start) - REPEATED_S
            is_in_time = since <= before.at <= outage.start + LEASE_S or self._has_moved_unreported(before, outage)
            if not is_in_time or outage.start > again.at:
                continue
            if again.gateway != before.gateway or outage.kind in ("kill", "drain"):
                return True
            if any(outage.start <= death.start <= again.at for death in self._deaths(before.gateway)):
                return True  # its reports were held up, and then it was killed
            # Frozen or cut off, it may have got the member back from a gateway that had taken it over and sent nothing.
            if self._has_twin(before.gateway):
                return True
            if any(one.client == again.client and one.gateway != before.gateway for one in self._history.uplinks):
                return True
        return False

    def was_in_hand(self, before: Received, again: Received, entry: Entry) -> bool:
        """Say whether a gateway was frozen between its look at its lease and the system call that sends a turn.

        Another one has served the member meanwhile, or does so next. No lease can help there: to look and to send is
        not one step.
        """
        return before.gateway != again.gateway and any(
            outage.kind == "freeze"
            and outage.target == f"gateway {received.gateway}"
            and outage.start - TURN_S <= entry.at_ms / 1000 <= outage.start
            and outage.end <= received.at <= outage.end + WOKEN_S
            for received in (before, again)
            for outage in self._history.outages
        )

    def must_receive_the_end(self, membership: Membership) -> bool:
        """Say whether the last messages before the end of a membership, or of the run, must have come."""
        if membership.ends is None:
            # A member whose leave word got lost sends nothing that would show another gateway where it is. The run does
            # not wait for a room whose host has sent its leave word, which may have got lost, too.
            is_awaited = self._host_of(membership.member.room) not in self._history.leavers
            return membership.member.id not in self._history.leavers and (
                is_awaited or not any(outage.end > self._history.ended_at - ASKS_S for outage in self._history.outages)
            )
        ended = membership.ends.at_ms / 1000
        return (
            not any(outage.touches(ended - CALM_S, ended + CALM_S) for outage in self._history.outages)
            and not (self._history.relayed or membership.ends.kind == EntryKind.LEFT)
            and any(one.client == membership.member.id and one.at < ended - SURE_S for one in self._history.uplinks)
        )

    def _host_of(self, room: str) -> int | None:
        names = {member.name: member.id for member in self._history.members.values() if member.room == room}
        for log in self._history.log.values():
            first = next((entry.sender for entry in log.entries if entry.kind == EntryKind.JOINED), "")
            if first in names:
                return names[first]
        return None

    def _is_contested(self, sent: Sent) -> bool:
        """Say whether another gateway may have asked for the sender before, and got it as this one was away."""
        since = self._unreported_since(sent.at) - ASKS_S  # a question waits while the broker is away
        elsewhere = [
            uplink
            for uplink in self._history.uplinks
            if uplink.client == sent.client and uplink.gateway != sent.gateway and uplink.at < sent.at
        ]
        was_away = any(outage.touches(sent.at - ASKS_S, sent.at + ASKS_S) for outage in self._outages(sent.gateway))
        return any(
            (was_away and uplink.at > since) or self._was_taken_late(uplink, sent.at - ASKS_S, sent.at)
            for uplink in elsewhere
        )

    def _was_taken_late(self, uplink: Uplink, since: float, until: float) -> bool:
        """Say whether a datagram waited in the socket of a frozen gateway, which went on and took its sender then."""
        return any(
            outage.kind == "freeze" and outage.touches(uplink.at, uplink.at) and since < outage.end < until
            for outage in self._outages(uplink.gateway)
        )

    def _may_have_left(self, sent: Sent) -> bool:
        """Say whether the sender may have been out of its room already."""
        if sent.client not in self._history.members:
            return True
        at = self._gone_at.get(sent.client)
        if at is None:
            return False
        # After an outage, datagrams of another gateway may have been taken first.
        waited = any(outage.touches(sent.at, at) for outage in self._outages(sent.gateway))
        return at < sent.at + CALM_S or waited or self._history.relayed

    @cached_property
    def _gone_at(self) -> dict[int, float]:
        """Client → when the log has its leaving, or the end of its room."""
        ends = {client: ending(room, at) for client, (room, at) in joins(self._history).items()}
        return {client: entry.at_ms / 1000 for client, entry in ends.items() if entry is not None}

    def _was_readdressed(self, before: Received, again: Received) -> bool:
        """Say whether messages were repeated that a gateway had sent to an address that was no longer the member's.

        It had taken the member over from a gateway that was out, or from its own last run, or the broker's answer was
        late, or was to one of several gateways, and the next datagram of the member came from another socket, to this
        gateway or another one.
        """
        if before.port == again.port:
            return False
        for outage in self._history.outages:
            target, _, number = outage.target.partition(" ")
            if outage.start > before.at or self._was_confirmed(before, outage.start):
                continue
            if target == "broker":
                if outage.touches(before.at - ASKS_S, before.at) or self._was_asked_for(before, outage):
                    return True
            elif int(number) != before.gateway or self._has_twin(before.gateway):
                return True
            elif outage.kind in ("kill", "drain") and (
                len(self._history.names) == 1 or self._history.names[int(number)]
            ):
                return True  # it is its own successor
        return False

    def _was_asked_for(self, received: Received, outage: Outage) -> bool:
        """Say whether a gateway had something of a member while the broker was away, and another one then or before.

        Each asks for it, and the last one to be answered has it, wherever the member is.
        """
        own = [each for each in self._history.uplinks if each.client == received.client and each.at <= outage.end]
        meanwhile = [each.gateway for each in own if each.at >= outage.start]
        before = [each.gateway for each in own if each.at < outage.start]
        return received.gateway in meanwhile and len({*before[-1:], *meanwhile}) > 1

    def _was_confirmed(self, received: Received, since: float) -> bool:
        """Say whether the client, after the outage, had sent from the socket at which this came, and was surely heard.

        Then it had this message at its address, and must not get it at the next one again.
        """
        return any(
            uplink.client == received.client
            and (uplink.gateway, uplink.port) == (received.gateway, received.port)
            and since < uplink.at < received.at - SURE_S
            and not any(
                outage.touches(uplink.at - CALM_S, uplink.at + CALM_S) for outage in self._outages(uplink.gateway)
            )
            for uplink in self._history.uplinks
        )

    def _unreported_since(self, at: float) -> float:
        """Return since when the broker may have kept no report: since its outage, or row of outages, before then."""
        for outage in sorted(self._history.outages, key=lambda outage: outage.start, reverse=True):
            if outage.target == "broker" and outage.start <= at <= outage.end + REPORTED_AGAIN_S:
                at = outage.start
        return at

    def _has_moved_unreported(self, received: Received, outage: Outage) -> bool:
        """Say whether the room's shard went to another broker right after this, while a gateway was out.

        The former owner had ended the shard when the report came, and the next one could not be reached.
        """
        member = self._history.members.get(received.client)
        shard = None if member is None else shard_named(member.room, SHARDS)
        return any(
            move.shard == shard
            and move.start - REPEATED_S <= received.at <= move.end
            and outage.touches(move.start, move.end)
            for move in self._history.moves
        )

    def _deaths(self, gateway: int) -> Iterator[Outage]:
        for outage in self._history.outages:
            if outage.target == f"gateway {gateway}" and outage.kind in ("kill", "drain"):
                yield outage

    def _outages(self, gateway: int) -> Iterator[Outage]:
        targets = ("broker", f"gateway {gateway}", f"link {gateway}")
        return (outage for outage in self._history.outages if outage.target in targets)

    def _has_twin(self, gateway: int) -> bool:
        """Say whether another gateway has the same name, so that each is the other's successor."""
        name = self._history.names[gateway]
        return bool(name) and self._history.names.count(name) > 1
