"""Which gateway owns a member's session, and how a session goes to another; ARCHITECTURE.md, "Who serves a member".

One gateway at a time owns a session. When another gateway gets the member's datagram, it asks for the session (Resume).
The broker asks the owner to release it (a handover); the owner answers how far the member has received its room. If the
owner is gone, the broker waits until it can not be delivering any more and takes the position that it last reported.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tsudoi.ops.rate_key import same_host
from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol import backbone
from tsudoi.protocol.codes import LeaveReason, Status

from .directory import Directory
from .gateways import Gateway, Gateways
from .records import Member

ADOPTED_AT_ONCE = 500
"""Members in one frame to the gateway that takes them over."""

FORGET_S = 3600.0
"""A gateway that is gone and serves nobody is forgotten after this time."""

EXPELLED_MS = 120_000
"""The idle time-out of members of an expelled gateway is at most this: the one that it named need not be honest."""

EXPIRED_A_SWEEP = 2_000
"""Members that expire in one sweep: more would hold up the broker for longer than a lease."""

HANDOVERS_S, HANDOVERS, WANDERERS = 2.0, 20.0, 10_000
"""Handovers of one member in a second and at once, and members of which this is known; the attack `wandering_flood`."""

Answer = Callable[[str, backbone.Downward], None]
"""Called with a gateway's instance and a message for it."""


@dataclass(slots=True)
class Handover:
    """A session that its owner must release before another gateway gets it."""

    name: str
    """Stands in Release and in the answer RELEASED: an answer to an earlier handover does not count for this one."""
    waiting: dict[str, int]
    """Gateway instance → id of the Resume to answer, in the order in which they asked. Each of them has a message of
    the member to publish, and the last one is where the member is."""
    elsewhere: bool
    """The waiting gateways got datagrams from another host than the member's. The owner releases the session only if
    it has not heard the member lately."""
    was_live: bool
    """The member was live when the handover began, and is again if the handover is called off."""


class Ownership:
    """Decides which gateway owns which session."""

    def __init__(self, directory: Directory, gateways: Gateways, answer: Answer, run: str) -> None:
        """Decide for a directory.

        Args:
            directory: the rooms and members.
            gateways: the gateways that are known.
            answer: sends a message to a gateway.
            run: the id of this run of the broker.
        """
        self.handovers = 0
        """Sessions that a living gateway released for another."""
        self.takeovers = 0
        """Sessions taken from a gateway that was gone."""
        self.expired = 0
        """Members of gone gateways that were silent for longer than their idle time-out."""
        self.kept_back = 0
        """Resumes refused, as the datagram came from another host and the member was heard lately."""
        self.limited = 0
        """Resumes refused, as the member changed gateways too often."""
        self._moves: Buckets[int] = Buckets(WANDERERS)
        self._directory = directory
        self._gateways = gateways
        self._answer = answer
        self._run = run
        self._last_handover = 0
        self._handovers: dict[int, Handover] = {}
        """By member id."""

    # --- gateways come and go -------------------------------------------------------------------------------------

    def find_successors(self, now: float) -> None:
        """Let living gateways take over the sessions of gone gateways of their name. Call it when a gateway is new."""
        for instance in self._gateways.known:
            if not self._gateways.may_live(instance, now):
                self._reassign_all(instance, now)

    def stop(self, instance: str, now: float) -> None:
        """Note that a gateway has said Bye: it delivers nothing from now on."""
        if gateway := self._gateways.known.get(instance):
            gateway.stopped = True
            self._disconnect(instance, gateway)
            self._lose(instance, gateway, now)

    def expel(self, instance: str, now: float) -> None:
        """Take a gateway's sessions from it, as its key was taken off the allow list."""
        self.stop(instance, now)
        if gateway := self._gateways.known.get(instance):
            gateway.expelled = True

    def unreachable(self, instance: str) -> None:
        """Note that an answer to a gateway found no connection. It may deliver until its lease is over."""
        gateway = self._gateways.known.get(instance)
        if gateway is not None and gateway.greeted:
            self._disconnect(instance, gateway)

    def tick(self, now: float) -> None:
        """Find gateways that are gone by now, and ask owners again to release sessions."""
        for instance, gateway in self._gateways.known.items():
            if not gateway.gone and not self._gateways.may_live(instance, now):
                self._lose(instance, gateway, now)
        for member_id in list(self._handovers):
            member = self._directory.members.get(member_id)
            if member is None or not self._gateways.may_live(member.gateway, now):
                self._hand_over(member_id, None, now)
            else:
                self._ask_to_release(member)

    def sweep(self, now: float, wall_ms: int) -> None:
        """Let idle members of gone gateways expire, and forget gateways that are gone and serve nobody."""
        left = EXPIRED_A_SWEEP
        for instance, gateway in list(self._gateways.known.items()):
            if self._gateways.may_live(instance, now):
                continue
            silent_s = now - gateway.seen
            for member in self._directory.served_by(instance):
                patience_ms = min(member.idle_ms, EXPELLED_MS) if gateway.expelled else member.idle_ms
                if silent_s * 1000 > patience_ms:
                    if not left:
                        return
                    left -= 1
                    self.expired += 1
                    self._directory.leave(member, LeaveReason.IDLE, wall_ms)
            if silent_s > FORGET_S and not self._directory.by_gateway.get(instance):
                del self._gateways.known[instance]
                self._directory.forget_gateway(instance)

    def _disconnect(self, instance: str, gateway: Gateway) -> None:
        gateway.greeted = False
        for handover in self._handovers.values():
            handover.waiting.pop(instance, None)

    def _lose(self, instance: str, gateway: Gateway, now: float) -> None:
        """A gateway is gone: end its handovers, and let a successor take over its sessions."""
        gateway.gone = True
        for member_id in list(self._handovers):
            member = self._directory.members.get(member_id)
            if member is None or member.gateway == instance:
                self._hand_over(member_id, None, now)
        self._reassign_all(instance, now)

    def _reassign_all(self, gone: str, now: float) -> None:
        """Give the sessions of a gone gateway to a living one of the same name, behind the same address, if any."""
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
            # The successor could not send to a member without an address; it asks when the client sends.
            if member.address and member.id not in self._handovers:
                self.takeovers += 1
                self._directory.move(member, successor, member.received())
                adopted.append(member)
        self._give(successor, adopted)

    # --- a gateway asks for a session -----------------------------------------------------------------------------

    def resume(self, instance: str, request_id: int, member: Member, resume: backbone.Resume, now: float) -> None:
        """Handle a gateway's Resume: it got a datagram with the token of a member that it does not serve."""
        elsewhere = bool(resume.ip and resume.move_after_ms) and not same_host(resume.ip, member.where)
        handover = self._handovers.get(member.id)
        if elsewhere and not self._may_be_elsewhere(instance, member, handover, resume.move_after_ms / 1000, now):
            self.kept_back += 1
            self._refuse({instance: request_id}, Status.BAD_REQUEST)
        elif handover is None and member.gateway == instance:
            self.grant(instance, request_id, member)
        elif handover is None and not elsewhere and not self._moves.touch(member.id, now, HANDOVERS_S, HANDOVERS):
            self.limited += 1
            self._refuse({instance: request_id}, Status.BUSY)
        elif handover is None:
            # If the owner is gone, `_may_be_elsewhere` has decided already.
            elsewhere = elsewhere and self._gateways.may_live(member.gateway, now)
            self._begin(member, {instance: request_id}, elsewhere, now)
        else:
            if handover.elsewhere and not elsewhere:
                # The member has sent from its own host: that settles it.
                self._refuse(handover.waiting, Status.BAD_REQUEST)
                handover.waiting, handover.elsewhere = {}, False
            # This also covers the owner, asking for the session that it was asked to release.
            handover.waiting[instance] = request_id

    def _may_be_elsewhere(
        self, instance: str, member: Member, handover: Handover | None, move_after_s: float, now: float
    ) -> bool:
        """Say whether a member may be at another host than before, as far as the broker can judge without the owner."""
        if handover is not None:
            return handover.elsewhere
        if member.gateway == instance:
            return False
        gateway = self._gateways.known.get(member.gateway)
        return gateway is None or self._gateways.may_live(member.gateway, now) or now - gateway.seen >= move_after_s

    def grant(self, instance: str, request_id: int, member: Member) -> None:
        """Answer a request with the session that the gateway owns."""
        self._answer(instance, backbone.Reply(request_id, _granted(member)))

    # --- handovers ------------------------------------------------------------------------------------------------

    def released(self, member: Member, name: str, received: int, now: float) -> None:
        """Handle RELEASED: the owner has released a session.

        Args:
            member: whose session.
            name: the handover's.
            received: the offset up to which the member has received its room; 0 if the gateway did not serve it.
            now: monotonic seconds.
        """
        handover = self._handovers.get(member.id)
        if (handover is None or handover.name != name) and name.startswith(self._run):
            return  # the answer to an earlier handover
        received = min(received, member.room.last) or member.received()
        self.handovers += 1
        if handover is not None:
            self._hand_over(member.id, received, now)
        else:
            # An earlier run of the broker asked for it, on behalf of a gateway that may not ask again.
            self._give_back(member, received)

    def kept(self, member: Member, name: str) -> None:
        """Handle KEPT: the owner has heard the member lately, so the datagram from another host was not its own."""
        handover = self._handovers.get(member.id)
        if handover is not None and handover.name == name and handover.elsewhere:
            self.kept_back += 1
            self._call_off(member, self._handovers.pop(member.id))

    def located(self, member: Member) -> None:
        """Handle ADDRESSED, after the directory: during a handover the owner's reports do not count for the member."""
        if handover := self._handovers.get(member.id):
            self._directory.set_live(member, False)
            handover.was_live = True

    def _begin(self, member: Member, waiting: dict[str, int], elsewhere: bool, now: float) -> None:
        """Begin a handover to the first gateway that waits; see `Handover`."""
        self._last_handover += 1
        name = f"{self._run}.{self._last_handover}"
        self._handovers[member.id] = Handover(name, waiting, elsewhere, member.live)
        self._directory.hold(member)
        if self._gateways.may_live(member.gateway, now):
            self._ask_to_release(member)
        else:
            self._hand_over(member.id, None, now)

    def _ask_to_release(self, member: Member) -> None:
        handover = self._handovers[member.id]
        release = backbone.Release(member.room.id, member.id, handover.name, handover.elsewhere)
        self._answer(member.gateway, release)

    def _call_off(self, member: Member, handover: Handover) -> None:
        """Leave a session with its owner."""
        self._directory.set_live(member, handover.was_live)
        self._refuse(handover.waiting, Status.BAD_REQUEST)

    def _hand_over(self, member_id: int, received: int | None, now: float) -> None:
        """End a handover: the first gateway that waits gets the session.

        Args:
            member_id: whose session.
            received: as the old owner said; None if that one is gone.
            now: monotonic seconds.
        """
        handover = self._handovers.pop(member_id)
        waiting = handover.waiting
        member = self._directory.members.get(member_id)
        if member is None:
            self._refuse(waiting, Status.ROOM_NOT_FOUND)
        elif received is None and handover.elsewhere:
            # Nobody knows any more when the member was last heard: they may ask again.
            self._call_off(member, handover)
        elif waiting:
            if received is None:
                self.takeovers += 1
                received = member.received()
            instance = next(iter(waiting))
            request_id = waiting.pop(instance)
            self._directory.move(member, instance, received)
            self.grant(instance, request_id, member)
            if waiting:
                self._begin(member, waiting, handover.elsewhere, now)
        elif received is not None:
            # The gateway that asked is gone, and the owner has released the session.
            self._give_back(member, received)

    def _give_back(self, member: Member, received: int) -> None:
        """Let the gateway that has released a session own it again."""
        self._directory.move(member, member.gateway, received)
        if member.address:
            self._give(member.gateway, [member])

    def _refuse(self, waiting: dict[str, int], status: Status) -> None:
        for instance, request_id in waiting.items():
            self._answer(instance, backbone.Reply(request_id, backbone.Refused(status, "")))

    def _give(self, instance: str, members: list[Member]) -> None:
        """Send a gateway sessions that it has not asked for."""
        for start in range(0, len(members), ADOPTED_AT_ONCE):
            some = members[start : start + ADOPTED_AT_ONCE]
            adoptions = [backbone.Adoption(_granted(member), member.token_hash) for member in some]
            self._answer(instance, backbone.Adopt(adoptions))

    # --- reconciling ----------------------------------------------------------------------------------------------

    def reconcile(self, instance: str, request_id: int, known: list[int]) -> None:
        """Tell a gateway which of the members that it serves are others' by now, and give it those it does not know."""
        members, departed = self._directory.members, self._directory.departed
        served = {member.id for member in self._directory.served_by(instance)}
        named = set(known)
        # During a handover the gateway may have released a member already: RELEASED is on its way.
        unknown = (served - named).difference(self._handovers)
        self._give(instance, [members[member_id] for member_id in sorted(unknown) if members[member_id].address])
        # Ids that no member has or had are passed over: a gateway may have made them up.
        stale = [each for each in named & members.keys() if members[each].gateway != instance]
        stale += [each for each in named & departed.keys() if departed[each] != instance]
        self._answer(instance, backbone.Reply(request_id, backbone.Reconciled(sorted(stale))))


def _granted(member: Member) -> backbone.Granted:
    room, received = member.room, member.received()
    return backbone.Granted(
        room.id,
        room.name,
        member.id,
        member.name,
        member.dialect,
        member.ip,
        member.address,
        member.idle_ms,
        member.is_host,
        room.epoch,
        # A closed room's last entry says that it is closed: there is always that to tell.
        min(received, room.last - 1) if room.closed_ms else received,
        room.first,
        member.wished,
        member.options,
        len(room.members),
    )
