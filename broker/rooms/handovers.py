"""Hand sessions over from their owner to another gateway; ARCHITECTURE.md, "Who serves a member".

A gateway that gets the datagram of a member that it does not serve asks for the session (Resume). The broker asks the
owner to release it (Release); the owner answers how far the member has received its room (RELEASED). If the owner is
gone, the broker waits until its lease is over, and takes the position that it last reported.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.ops.bounded import put_newest
from tsudoi.ops.ip_address import same_host
from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol import backbone
from tsudoi.protocol.codes import Status

from ..counters import Counters
from .directory import Directory
from .gateway_leases import Gateways
from .room_and_member import Member

ADOPTED_AT_ONCE = 500
"""Members in one frame to the gateway that takes them over."""

HANDOVERS_S, HANDOVERS, WANDERERS = 2.0, 20.0, 10_000
"""Handovers of one member in a second and at once, and members that are counted; the attack `wandering_flood`."""

Answer = Callable[[str, backbone.Downward], None]
"""Called with a gateway's instance and a message for it."""


@dataclass(slots=True)
class Handover:
    """A session that its owner must release before another gateway gets it."""

    token_hash: bytes
    """Its member's, which may be removed meanwhile."""
    name: str
    """Sent in Release and RELEASED, so that an answer to an earlier handover is not taken for this one's."""
    waiting: dict[str, int]
    """Gateway instance → id of the Resume to answer, in the order in which they asked. Each of them has a message of
    the member to publish; the last one is where the member is."""
    elsewhere: bool
    """The datagrams came from another host than the member's: the owner may refuse (KEPT)."""
    was_live: bool
    """The member was live when the handover began, and is again if it is called off."""


@dataclass(slots=True, eq=False)
class Handovers:
    """The handovers that are under way."""

    _directory: Directory
    _gateways: Gateways
    _counters: Counters
    _answer: Answer
    _run: str
    """The id of this run of the broker, which begins the handovers' names."""
    _last: int = 0
    _moves: Buckets[int] = field(default_factory=lambda: Buckets(WANDERERS))
    _under_way: dict[int, Handover] = field(default_factory=dict)
    """By member id."""
    _granted: dict[str, dict[int, int]] = field(default_factory=dict)
    """Gateway instance → member id → id of the Resume to which it was handed over: the gateway repeats one each
    second, perhaps while the answer is on its way, and that must not bring back a session that has gone on."""

    def __contains__(self, member_id: int) -> bool:
        return member_id in self._under_way

    def tick(self, now: float) -> None:
        """Ask owners again to release sessions, and take the sessions of owners that are gone."""
        for member_id in list(self._under_way):
            member = self._directory.members.get(member_id)
            if member is None or not self._gateways.may_live(member.gateway, now):
                self._hand_over(member_id, None, now)
            else:
                self._ask_to_release(member)

    def greet(self, instance: str) -> None:
        """Take the Resumes of a gateway again, whose answers may be lost with its last connection."""
        self._granted.pop(instance, None)

    def disconnect(self, instance: str) -> None:
        """Drop the Resumes of a gateway that has lost its connection."""
        self.greet(instance)
        for handover in self._under_way.values():
            handover.waiting.pop(instance, None)

    def end_for_owner(self, instance: str, now: float) -> None:
        """End the handovers of an owner that is gone."""
        for member_id in list(self._under_way):
            member = self._directory.members.get(member_id)
            if member is None or member.gateway == instance:
                self._hand_over(member_id, None, now)

    def resume(self, instance: str, request_id: int, member: Member, resume: backbone.Resume, now: float) -> None:
        """Handle Resume: the gateway got a datagram with the token of a member that it does not serve."""
        if 0 < resume.count < member.resumed:
            # It waited in the socket of a gateway that was cut off; its client has been served elsewhere since.
            self._counters.resumed_late += 1
            self._refuse({instance: request_id}, Status.BUSY)
            return
        member.resumed = max(member.resumed, resume.count)
        elsewhere = bool(resume.ip and resume.move_after_ms) and not same_host(resume.ip, member.where)
        handover = self._under_way.get(member.id)
        if elsewhere and not self._may_be_elsewhere(instance, member, handover, resume.move_after_ms / 1000, now):
            self._counters.kept_elsewhere += 1
            self._refuse({instance: request_id}, Status.BAD_REQUEST)
        elif handover is None and member.gateway == instance:
            self.grant(instance, request_id, member)
        elif self._granted.get(instance, {}).get(member.id) == request_id:
            self._counters.resumed_late += 1
        elif handover is None and not elsewhere and not self._moves.touch(member.id, now, HANDOVERS_S, HANDOVERS):
            self._counters.moved_too_often += 1
            self._refuse({instance: request_id}, Status.BUSY)
        elif handover is None:
            # If the owner is gone, `_may_be_elsewhere` has decided already.
            elsewhere = elsewhere and self._gateways.may_live(member.gateway, now)
            self._begin(member, {instance: request_id}, elsewhere, now)
        else:
            if handover.elsewhere and not elsewhere:
                # The member has sent from its own host, so the other datagrams are not its own.
                self._refuse(handover.waiting, Status.BAD_REQUEST)
                handover.waiting, handover.elsewhere = {}, False
            if resume.count:
                # Of a client of version 2 the newest packet tells where it is, and it waits for no other answer.
                self._refuse({each: asked for each, asked in handover.waiting.items() if each != instance}, Status.BUSY)
                handover.waiting = {}
            # The owner may ask too: it may want back the session that it must release.
            handover.waiting[instance] = request_id

    def _may_be_elsewhere(
        self, instance: str, member: Member, handover: Handover | None, move_after_s: float, now: float
    ) -> bool:
        """Return whether the datagram of another host may be the member's, by what the broker knows."""
        if handover is not None:
            return handover.elsewhere
        if member.gateway == instance:
            return False
        gateway = self._gateways.known.get(member.gateway)
        return gateway is None or self._gateways.may_live(member.gateway, now) or now - gateway.seen >= move_after_s

    def grant(self, instance: str, request_id: int, member: Member) -> None:
        """Answer a request with the session that the gateway owns."""
        self._answer(instance, backbone.Reply(request_id, _granted(member)))

    # --- the owner answers ----------------------------------------------------------------------------------------

    def released(self, member: Member, name: str, received: int, now: float) -> None:
        """Handle RELEASED: the owner has released a session for the handover `name`.

        The member has received its room up to the offset `received`; 0 if the gateway did not serve it.
        """
        handover = self._under_way.get(member.id)
        if handover is not None and handover.name != name and name.startswith(self._run):
            return  # the answer to an earlier handover
        received = min(received, member.room.last) or member.received()
        self._counters.handed_over += 1
        if handover is not None:
            self._hand_over(member.id, received, now)
        else:
            # The handover has ended without this answer, or an earlier run of the broker began it. The owner does not
            # serve the member any more, and the gateway that asked may not ask again.
            self._give_back(member, received)

    def kept(self, member: Member, name: str) -> None:
        """Handle KEPT: the member has sent from its own host lately, so the datagram from elsewhere was not its own."""
        handover = self._under_way.get(member.id)
        if handover is not None and handover.name == name and handover.elsewhere:
            self._counters.kept_elsewhere += 1
            self._call_off(member, self._under_way.pop(member.id))

    def located(self, member: Member) -> None:
        """Handle ADDRESSED, after the directory: during a handover the owner's reports do not count for the member."""
        if handover := self._under_way.get(member.id):
            self._directory.set_live(member, False)
            handover.was_live = True

    def _begin(self, member: Member, waiting: dict[str, int], elsewhere: bool, now: float) -> None:
        """Begin a handover to the first gateway that waits; see `Handover`."""
        self._last += 1
        name = f"{self._run}.{self._last}"
        self._under_way[member.id] = Handover(member.token_hash, name, waiting, elsewhere, member.live)
        self._directory.hold(member)
        if self._gateways.may_live(member.gateway, now):
            self._ask_to_release(member)
        else:
            self._hand_over(member.id, None, now)

    def _ask_to_release(self, member: Member) -> None:
        handover = self._under_way[member.id]
        release = backbone.Release(member.room.id, member.id, handover.name, handover.elsewhere)
        self._answer(member.gateway, release)

    def _call_off(self, member: Member, handover: Handover) -> None:
        """Leave a session with its owner."""
        self._directory.set_live(member, handover.was_live)
        self._refuse(handover.waiting, Status.BAD_REQUEST)

    def _hand_over(self, member_id: int, received: int | None, now: float) -> None:
        """End a handover: the first gateway that waits gets the session. `received` is None if the owner is gone."""
        handover = self._under_way.pop(member_id)
        waiting = handover.waiting
        member = self._directory.members.get(member_id)
        if member is None:
            self._answer_without_owner(handover)
        elif received is None and handover.elsewhere:
            # The time of the member's last datagram is lost; the gateways may ask again.
            self._call_off(member, handover)
        elif waiting:
            if received is None:
                self._counters.taken_over += 1
                received = member.received()
            instance = next(iter(waiting))
            request_id = waiting.pop(instance)
            put_newest(self._granted.setdefault(instance, {}), member_id, request_id, WANDERERS)
            self._directory.move(member, instance, received)
            self.grant(instance, request_id, member)
            if waiting:
                self._begin(member, waiting, handover.elsewhere, now)
        elif received is not None:
            # The gateway that asked is gone.
            self._give_back(member, received)

    def _answer_without_owner(self, handover: Handover) -> None:
        """Answer gateways that have waited for a session whose member was removed meanwhile."""
        if (removed := self._directory.find_removed(handover.token_hash)) is None:
            self._refuse(handover.waiting, Status.ROOM_NOT_FOUND)
            return
        for instance, request_id in handover.waiting.items():
            self.grant(instance, request_id, removed)

    def _give_back(self, member: Member, received: int) -> None:
        """Let the gateway that has released a session own it again."""
        self._directory.move(member, member.gateway, received)
        self.give(member.gateway, [member])

    def _refuse(self, waiting: dict[str, int], status: Status) -> None:
        for instance, request_id in waiting.items():
            self._answer(instance, backbone.Reply(request_id, backbone.Refused(status, "")))

    def give(self, instance: str, members: list[Member]) -> None:
        """Send a gateway sessions that it has not asked for."""
        for start in range(0, len(members), ADOPTED_AT_ONCE):
            some = members[start : start + ADOPTED_AT_ONCE]
            adoptions = [backbone.Adoption(_granted(member), member.token_hash) for member in some]
            self._answer(instance, backbone.Adopt(adoptions))


def _granted(member: Member) -> backbone.Granted:
    room, left = member.room, member.rare.left
    # The log has what a removed member lacks: its gateway begins behind the entry that removed it.
    received = room.last if left else member.received()
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
        # A closed room's last entry says that it is closed; a member must always receive it.
        min(received, room.last - 1) if room.closed_ms else received,
        room.first,
        member.wished,
        member.options,
        len(room.members),
        member.said,
        left,
        member.resumed,
    )
