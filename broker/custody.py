"""Which gateway serves whom, and how a member goes from one to another; ARCHITECTURE.md, "Who serves a member".

A member has one gateway at a time. A living one gives a member up when it is told to, and says how far the member has
heard its room; one that is gone is waited for until it can not be delivering any more (it stops by itself when it has
not heard from us for its lease), and then the directory's picture counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from broker.directory import Directory
from broker.rooms import Member
from tsudoi.ops.ip_address import same_host
from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol import backbone
from tsudoi.protocol.codes import LeaveReason, Status

ALIVE_S = 2.0
"""A gateway that was not heard for this long delivers nothing: its lease, which is shorter, is over."""

STOOD_STILL_S = 1.2
"""When we have done nothing for so long, though there is a tick several times a second, it was we who were away."""

ADOPTED_AT_ONCE = 500
"""Members in one frame to the gateway that takes them over."""

FORGET_S = 3600.0
"""When nothing need be known any more of a gateway that is gone and serves nobody."""

EXPELLED_MS = 120_000
"""For so long at most, members may be silent whom a gateway brought whose key was taken away: nobody else may know
them, and what it said of their patience need not be true."""

GATEWAYS_A_KEY = 256
"""Runs of gateways that are known of one key; for another, the one that is gone for longest and serves nobody is
forgotten."""

NEWCOMERS_S, NEWCOMERS, KEYS = 2.0, 256.0, 1_000
"""Runs of gateways of one key that may say Hello for the first time, in a second and at once; keys of which this is
known."""

EXPIRED_A_SWEEP = 2_000
"""Members that expire, or whose patience is shortened, in one sweep: the rest is the next one's."""

HANDOVERS_S, HANDOVERS, WANDERERS = 2.0, 20.0, 10_000
"""Times that a member may go to another gateway, in a second and at once; members of whom this is known."""

Answer = Callable[[str, backbone.Downward], None]
"""Called with a gateway's instance and what to tell it."""


@dataclass(slots=True)
class Gateway:
    """A gateway that has said Hello to this run of the broker, or that serves members from before."""

    seen: float
    greeted: bool = False
    """It has said Hello on the connection that it has now."""
    accepted: int = 0
    """Number of the last item taken from it."""
    stopped: bool = False
    """It said Bye: it delivers nothing, whenever it was heard."""
    gone: bool = False
    """It was found to be gone, and its members were seen to."""
    account: str = ""
    """Whose key it came with; empty if it has not come yet, or there are no keys."""
    expelled: bool = False
    """Its key was taken away."""


@dataclass(slots=True)
class Handover:
    """A member that one gateway is to give up before others serve it."""

    name: str
    """What Release calls it, and RELEASED: an answer to an earlier one says nothing of where the member is now."""
    waiting: dict[str, int]
    """Gateway instance → id of the resume to answer, in the order in which they asked: each has something that the
    member said, and the last is where it is."""
    elsewhere: bool
    """These have it from another host than where the member is known to be: only if it has been silent there."""
    was_live: bool
    """It was so when this began: it is again if nothing comes of it."""


class Custody:
    """The gateways, and the members on their way between them."""

    def __init__(self, directory: Directory, accepted: dict[str, int], answer: Answer, run: str, now: float) -> None:
        """Begin with the gateways that a broker before us knew: they may live, and have the time to say Hello."""
        self.gateways = {instance: Gateway(now) for instance in directory.by_gateway}
        for instance, number in accepted.items():
            self.gateways.setdefault(instance, Gateway(now)).accepted = number
        self.handovers = 0
        """Members that a living gateway gave up to another."""
        self.takeovers = 0
        """Members taken from a gateway that was gone."""
        self.expired = 0
        """Members of gateways that were gone who were silent too long."""
        self.kept_back = 0
        """Times that a member was asked for from another host than the one where it was heard lately."""
        self.limited = 0
        """Times that a member was to go to another gateway too often."""
        self.turned_away = 0
        """Times that a gateway was not greeted, as there are too many of its key."""
        self._moves: Buckets[int] = Buckets(WANDERERS)
        self._newcomers: Buckets[str] = Buckets(KEYS)
        self._directory = directory
        self._answer = answer
        self._run = run
        self._last_handover = 0
        self._awake_at = now
        self._handovers: dict[int, Handover] = {}
        """Member id → where it is to go when its gateway has let go of it."""

    # --- gateways -------------------------------------------------------------------------------------------------

    def awake(self, now: float) -> None:
        """Something happens. If we stood still before, no gateway is blamed for what we did not hear meanwhile.

        What it said, also how far it has delivered, may be waiting to be read just now.
        """
        if now - self._awake_at > STOOD_STILL_S:
            for gateway in self.gateways.values():
                if not gateway.gone:
                    gateway.seen = now
        self._awake_at = now

    def known(self, instance: str, now: float) -> Gateway | None:
        """Return a gateway that was just heard, None if it has to say Hello first."""
        gateway = self.gateways.get(instance)
        if gateway is None or not gateway.greeted:
            return None
        gateway.seen, gateway.gone = now, False
        return gateway

    def greet(self, instance: str, now: float, account: str = "") -> Gateway | None:
        """A gateway has said Hello; None if there are so many of its key already that it is not to be known."""
        gateway = self.gateways.get(instance)
        if gateway is None:
            if account and not self._has_place(account, now):
                self.turned_away += 1
                return None
            gateway = self.gateways[instance] = Gateway(now)
        gateway.seen, gateway.greeted, gateway.gone, gateway.stopped = now, True, False, False
        gateway.account, gateway.expelled = account, False
        return gateway

    def _has_place(self, account: str, now: float) -> bool:
        """Say whether one more gateway of a key may be known, and make place for it."""
        if not self._newcomers.touch(account, now, NEWCOMERS_S, NEWCOMERS):
            return False
        known = [instance for instance, gateway in self.gateways.items() if gateway.account == account]
        if len(known) < GATEWAYS_A_KEY:
            return True
        gone = [each for each in known if not self.may_live(each, now) and not self._directory.by_gateway.get(each)]
        if gone:
            self._forget(min(gone, key=lambda instance: self.gateways[instance].seen))
        return bool(gone)

    def account(self, instance: str) -> str:
        """Return whose key a gateway came with; empty if it is not known, or there are no keys."""
        gateway = self.gateways.get(instance)
        return gateway.account if gateway is not None else ""

    def inherit(self, now: float) -> None:
        """There is a new gateway: it may go on with the members of those of its name that are gone."""
        for instance in self.gateways:
            if not self.may_live(instance, now):
                self._find_heir(instance, now)

    def part(self, instance: str, now: float) -> None:
        """A gateway has said Bye: it delivers nothing from now on."""
        if gateway := self.gateways.get(instance):
            gateway.stopped = True
            self._lost_touch(instance, gateway)
            self._see_to(instance, gateway, now)

    def expel(self, instance: str, now: float) -> None:
        """A gateway's key was taken away: its members are for others to take, and expire soon if nobody does."""
        self.part(instance, now)
        if gateway := self.gateways.get(instance):
            gateway.expelled = True

    def unreachable(self, instance: str) -> None:
        """A gateway has no connection, as an answer to it showed. It may live and deliver until its lease is over."""
        gateway = self.gateways.get(instance)
        if gateway is not None and gateway.greeted:
            self._lost_touch(instance, gateway)

    def tick(self, now: float) -> None:
        """See to the members of gateways that are gone by now, and ask again those who are to give one up."""
        for instance, gateway in self.gateways.items():
            if not gateway.gone and not self.may_live(instance, now):
                self._see_to(instance, gateway, now)
        for member_id in list(self._handovers):
            member = self._directory.members.get(member_id)
            if member is None or not self.may_live(member.gateway, now):
                self._hand_over(member_id, None, now)
            else:
                self._ask_for(member)

    def sweep(self, now: float, wall_ms: int) -> None:
        """Let members expire whose gateways are gone, and forget gateways that nobody needs to know."""
        left = EXPIRED_A_SWEEP
        for instance, gateway in list(self.gateways.items()):
            if self.may_live(instance, now):
                continue
            silent_s = now - gateway.seen
            for member in self._directory.served_by(instance):
                if left <= 0:
                    return
                if gateway.expelled and member.idle_ms > EXPELLED_MS:
                    # Kept, as a broker that is started again does not know who was expelled.
                    left -= 1
                    self._directory.shorten(member, EXPELLED_MS)
                if silent_s * 1000 > member.idle_ms:
                    left -= 1
                    self.expired += 1
                    self._directory.leave(member, LeaveReason.IDLE, wall_ms)
            if silent_s > FORGET_S and not self._directory.by_gateway.get(instance):
                self._forget(instance)

    def _forget(self, instance: str) -> None:
        del self.gateways[instance]
        self._directory.forget_gateway(instance)

    # --- members --------------------------------------------------------------------------------------------------

    def resume(self, instance: str, request_id: int, member: Member, resume: backbone.Resume, now: float) -> None:
        """A gateway has a datagram of a member: let it serve the member, as soon as no other does, if that may be."""
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
            # For one that is gone, that was decided just now.
            self._begin(member, {instance: request_id}, elsewhere and self.may_live(member.gateway, now), now)
        else:
            if handover.elsewhere and not elsewhere:
                # It is where it is known to be: that settles it.
                self._refuse(handover.waiting, Status.BAD_REQUEST)
                handover.waiting, handover.elsewhere = {}, False
            # Also if it is the one that is to give the member up: it has done so, or never had it, and will say that.
            handover.waiting[instance] = request_id

    def _may_be_elsewhere(
        self, instance: str, member: Member, handover: Handover | None, move_after_s: float, now: float
    ) -> bool:
        """Say whether a member may be at another host than before, as far as that is not for its gateway to say."""
        if handover is not None:
            return handover.elsewhere
        if member.gateway == instance:
            return False
        gateway = self.gateways.get(member.gateway)
        return gateway is None or self.may_live(member.gateway, now) or now - gateway.seen >= move_after_s

    def released(self, member: Member, name: str, heard: int, now: float) -> None:
        """The gateway of a member has let go of it, which has heard its room up to `heard`; 0 if it did not know it.

        Args:
            member: whom.
            name: of the handover.
            heard: see above.
            now: monotonic seconds.
        """
        handover = self._handovers.get(member.id)
        if (handover is None or handover.name != name) and name.startswith(self._run):
            return  # that was another time that it was there
        heard = min(heard, member.room.last) or member.heard()
        self.handovers += 1
        if handover is not None:
            self._hand_over(member.id, heard, now)
        else:
            # Who asked for it has asked the broker before us, and may not ask again: let it stay.
            self._give_again(member, heard)

    def kept(self, member: Member, name: str) -> None:
        """The gateway of a member has heard it lately, so it is not where others have it from: that was not itself."""
        handover = self._handovers.get(member.id)
        if handover is not None and handover.name == name and handover.elsewhere:
            self.kept_back += 1
            self._call_off(member, self._handovers.pop(member.id))

    def located(self, member: Member) -> None:
        """A member's gateway delivers to it; if it is to give it up, its reports do not count for the member."""
        if handover := self._handovers.get(member.id):
            member.live, handover.was_live = False, True

    def call_roll(self, instance: str, request_id: int, known: list[int]) -> None:
        """Tell a gateway which of its members are others' by now, and give it again whom it does not know of."""
        members, departed = self._directory.members, self._directory.departed
        served = {member.id for member in self._directory.served_by(instance)}
        # One that it is giving up may be unknown there because it has done so: RELEASED is on its way.
        named = set(known)
        unknown = (served - named).difference(self._handovers)
        self._give(instance, [members[member_id] for member_id in sorted(unknown) if members[member_id].address])
        # Ids that nobody has or had cost next to nothing: who asks may have made them up.
        elsewhere = [each for each in named & members.keys() if members[each].gateway != instance]
        elsewhere += [each for each in named & departed.keys() if departed[each] != instance]
        self._answer(instance, backbone.Reply(request_id, backbone.Reconciled(sorted(elsewhere))))

    def grant(self, instance: str, request_id: int, member: Member) -> None:
        """Tell a gateway of a member that it serves."""
        self._answer(instance, backbone.Reply(request_id, _granted(member)))

    # --- how ------------------------------------------------------------------------------------------------------

    def may_live(self, instance: str, now: float) -> bool:
        """Say whether a gateway may be delivering still."""
        gateway = self.gateways.get(instance)
        return gateway is not None and not gateway.stopped and now - gateway.seen < ALIVE_S

    def _lost_touch(self, instance: str, gateway: Gateway) -> None:
        gateway.greeted = False
        for handover in self._handovers.values():
            handover.waiting.pop(instance, None)

    def _see_to(self, instance: str, gateway: Gateway, now: float) -> None:
        gateway.gone = True
        for member_id in list(self._handovers):
            member = self._directory.members.get(member_id)
            if member is None or member.gateway == instance:
                self._hand_over(member_id, None, now)
        self._find_heir(instance, now)

    def _begin(self, member: Member, waiting: dict[str, int], elsewhere: bool, now: float) -> None:
        """Let a member go from its gateway to those who wait for it, one after the other; see `Handover`."""
        self._last_handover += 1
        name = f"{self._run}.{self._last_handover}"
        self._handovers[member.id] = Handover(name, waiting, elsewhere, member.live)
        self._directory.hold(member)
        if self.may_live(member.gateway, now):
            self._ask_for(member)
        else:
            self._hand_over(member.id, None, now)

    def _ask_for(self, member: Member) -> None:
        handover = self._handovers[member.id]
        release = backbone.Release(member.room.id, member.id, handover.name, handover.elsewhere)
        self._answer(member.gateway, release)

    def _call_off(self, member: Member, handover: Handover) -> None:
        """Leave a member where it is."""
        member.live = handover.was_live
        self._refuse(handover.waiting, Status.BAD_REQUEST)

    def _refuse(self, waiting: dict[str, int], status: Status) -> None:
        for instance, request_id in waiting.items():
            self._answer(instance, backbone.Reply(request_id, backbone.Refused(status, "")))

    def _hand_over(self, member_id: int, heard: int | None, now: float) -> None:
        """Let the gateway that waits for a member have it; `heard` as its old one said, None if that one is gone."""
        handover = self._handovers.pop(member_id)
        waiting = handover.waiting
        member = self._directory.members.get(member_id)
        if member is None:
            self._refuse(waiting, Status.ROOM_NOT_FOUND)
            return
        if heard is None and handover.elsewhere:
            # Nobody can say any more when it was heard last: they may ask again.
            self._call_off(member, handover)
            return
        if not waiting:
            # Who asked for it is gone. If its gateway has let go of it, it is given it again.
            if heard is not None:
                self._give_again(member, heard)
            return
        if heard is None:
            self.takeovers += 1
            heard = member.heard()
        instance = next(iter(waiting))
        request_id = waiting.pop(instance)
        self._directory.move(member, instance, heard)
        self.grant(instance, request_id, member)
        if waiting:
            self._begin(member, waiting, handover.elsewhere, now)

    def _give_again(self, member: Member, heard: int) -> None:
        """A gateway has let go of a member for nobody: it shall go on with it."""
        self._directory.move(member, member.gateway, heard)
        if member.address:
            self._give(member.gateway, [member])

    def _find_heir(self, gone: str, now: float) -> None:
        """Let a living gateway behind the same address go on with the members of one that is gone."""
        name = backbone.gateway_name(gone)
        if not name or not self._directory.by_gateway.get(gone):
            return
        for instance, gateway in self.gateways.items():
            if backbone.gateway_name(instance) == name and gateway.greeted and self.may_live(instance, now):
                self._bequeath(gone, instance)
                return

    def _bequeath(self, gone: str, heir: str) -> None:
        adopted = []
        for member in self._directory.served_by(gone):
            # One without an address can not be told anything before its client sends: then it is asked for.
            if member.address and member.id not in self._handovers:
                self.takeovers += 1
                self._directory.move(member, heir, member.heard())
                adopted.append(member)
        self._give(heir, adopted)

    def _give(self, heir: str, members: list[Member]) -> None:
        for start in range(0, len(members), ADOPTED_AT_ONCE):
            some = members[start : start + ADOPTED_AT_ONCE]
            adoptions = [backbone.Adoption(_granted(member), member.token_hash) for member in some]
            self._answer(heir, backbone.Adopt(adoptions))


def _granted(member: Member) -> backbone.Granted:
    room = member.room
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
        # Of a closed room there is always something to be told: its end.
        min(member.heard(), room.last - 1) if room.closed_ms else member.heard(),
        room.first,
        member.wished,
        member.options,
        len(room.members),
    )
