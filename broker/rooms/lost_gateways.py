"""Assign sessions to gateways as these connect and disappear; ARCHITECTURE.md, "Who serves a member".

The sessions of a gateway that is gone go to a successor of the same name, or wait for the gateway that next gets a
datagram of the member (`handovers.py`), or expire.
"""

from collections import Counter
from dataclasses import dataclass

from tsudoi.protocol import backbone
from tsudoi.protocol.codes import LeaveReason

from ..counters import Counters
from .directory import Directory
from .gateway_leases import Gateway, Gateways
from .handovers import Answer, Handovers

FORGET_S = 3600.0
"""A gateway that is gone and serves no member is forgotten after this time."""

RUNS = 100
"""Such gateways of one key that are remembered, the newest: with a stolen key an attacker may connect as any number."""

EXPELLED_MS = 120_000
"""Longest idle time-out of an expelled gateway's members: the one that it reported may be false."""

MAY_WAKE_MS = 300_000
"""How much longer members of a gateway stay that may be frozen or cut off: their signs of life may wait in its socket,
and it knows that it stood still (`gateway/chat/standstills.py`)."""

EXPIRED_A_SWEEP = 2_000
"""Members that expire in one sweep: more would hold up the broker for longer than a lease."""


@dataclass(slots=True, eq=False)
class Ownership:
    """Reassigns and expires the sessions of gateways that are gone."""

    _directory: Directory
    _gateways: Gateways
    _handovers: Handovers
    _counters: Counters
    _answer: Answer

    def find_successors(self, now: float) -> None:
        """Let living gateways take over the sessions of gone gateways with their name."""
        for instance in self._gateways.known:
            if not self._gateways.may_live(instance, now):
                self._reassign_all(instance, now)

    def back(self, gateway: Gateway, now: float) -> None:
        """Note that a gateway that was gone has sent a frame; without Hello, if no lost connection was noticed.

        If it had no successor, another gateway of its name may have ended meanwhile.
        """
        gateway.gone = False
        self.find_successors(now)

    def stop(self, instance: str, now: float) -> None:
        """Reassign the sessions of a gateway that has said Bye: it delivers nothing from now on."""
        if gateway := self._gateways.known.get(instance):
            gateway.stopped = True
            self.unreachable(instance, now)
            self._lose(instance, gateway, now)

    def expel(self, instance: str, now: float) -> None:
        """Take a gateway's sessions from it, because its key was revoked."""
        self.stop(instance, now)
        self._gateways.known[instance].expelled = True

    def unreachable(self, instance: str, now: float) -> None:
        """Note that a gateway has no connection. It may deliver until its lease is over."""
        if instance in self._gateways.known:
            self._gateways.disconnected(instance, now)
            self._handovers.disconnect(instance)

    def tick(self, now: float) -> None:
        """Reassign the sessions of gateways whose lease is over, and ask owners again to release sessions."""
        for instance, gateway in self._gateways.known.items():
            if not gateway.gone and not self._gateways.may_live(instance, now):
                self._lose(instance, gateway, now)
        for instance in self._gateways.silent(now):
            # What it says is known already. If it can not be sent, the server calls `unreachable`.
            self._answer(instance, backbone.Accepted(self._gateways.known[instance].accepted))
        self._handovers.tick(now)

    def sweep(self, now: float, wall_ms: int) -> None:
        """Let idle members of gone gateways expire, and forget gateways that are gone and serve no member."""
        left, forgotten, idle = EXPIRED_A_SWEEP, set[str](), Counter[str]()
        for instance, gateway in reversed(list(self._gateways.known.items())):
            if self._gateways.may_live(instance, now):
                continue
            silent_s = now - gateway.seen
            for member in self._directory.served_by(instance):
                if silent_s * 1000 > _patience_ms(gateway, member.idle_ms):
                    if not left:
                        break
                    left -= 1
                    self._counters.expired += 1
                    self._directory.leave(member, LeaveReason.IDLE, wall_ms)
            if not self._directory.by_gateway.get(instance):
                idle[gateway.account] += 1
                if silent_s > FORGET_S or idle[gateway.account] > RUNS:
                    del self._gateways.known[instance]
                    forgotten.add(instance)
        if forgotten:
            self._directory.forget_gateways(forgotten)

    def _lose(self, instance: str, gateway: Gateway, now: float) -> None:
        """End a gone gateway's handovers, and let a successor take over its sessions."""
        gateway.gone = True
        self._handovers.end_for_owner(instance, now)
        self._reassign_all(instance, now)

    def _reassign_all(self, gone: str, now: float) -> None:
        """Give the sessions of a gone gateway to a living one of the same name, so behind the same address."""
        name = backbone.gateway_name(gone)
        if not name or not self._directory.by_gateway.get(gone):
            return
        for instance, gateway in self._gateways.known.items():
            is_successor = backbone.gateway_name(instance) == name and gateway.greeted
            if is_successor and self._gateways.may_live(instance, now):
                self._reassign(gone, instance)
                return

    def _reassign(self, gone: str, successor: str) -> None:
        adopted = []
        for member in self._directory.served_by(gone):
            # The successor can not send to a member without an address; it will ask when the client sends.
            if member.address and member.id not in self._handovers:
                self._counters.taken_over += 1
                self._directory.move(member, successor, member.received())
                adopted.append(member)
        self._handovers.give(successor, adopted)

    def reconcile(self, instance: str, known: list[int], now: float) -> backbone.Reconciled:
        """Return which members that a gateway knows it does not own; send it those that it owns but does not know.

        It may not know that it owns a member again, whom another gateway has served meanwhile and brought further. Such
        a member is not live in the directory, so members that are not live and have an address are sent, too.
        """
        members, departed = self._directory.members, self._directory.departed
        served = {member.id for member in self._directory.served_by(instance)}
        named = set(known)
        # During a handover the gateway may have released a member already: RELEASED is on its way.
        unknown = [
            each
            for each in served
            if (each not in named or (members[each].address and not members[each].live)) and each not in self._handovers
        ]
        # Those without a known address too: the gateway must notice when they are idle.
        self._handovers.give(instance, [members[member_id] for member_id in sorted(unknown)])
        elsewhere = [each for each in named & members.keys() if members[each].gateway != instance]
        owners = {members[each].gateway for each in elsewhere}
        ended = {owner for owner in owners if self._gateways.has_ended(owner, now)}
        orphaned = [each for each in elsewhere if members[each].gateway in ended and each not in self._handovers]
        elsewhere += [each for each in named & departed.keys() if departed[each] != instance]
        # Among them may be members of a later state of the store, and ids that the gateway has made up.
        lost = named - members.keys() - set(elsewhere)
        return backbone.Reconciled(sorted(elsewhere), sorted(lost), sorted(orphaned))


def _patience_ms(gateway: Gateway, idle_ms: int) -> int:
    """Return how long a gone gateway must have been silent before a member with this idle time-out expires."""
    if gateway.expelled:
        return min(idle_ms, EXPELLED_MS)
    return idle_ms if gateway.stopped or gateway.ended else idle_ms + MAY_WAKE_MS
