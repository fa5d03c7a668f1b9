"""Route each input (datagrams, news, the broker's answers, time) to the part that decides about it; build the parts.

`process/service.py` feeds it, and carries out what the parts call on `Outbound`. `now` is monotonic seconds.
"""

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Adopt, Release
from tsudoi.protocol.errors import MalformedMessage

from ..config import Settings
from ..counters import Counters
from ..join.rate_keys import RateKeys
from ..link.link import Link
from .address_moves import AddressMoves
from .catch_up import CatchUp
from .closed_rooms import ClosedRooms
from .commands import Commands
from .deliver import Deliver
from .delivery_reports import DeliveryReports
from .enter import Enter
from .exit_answers import ExitAnswers
from .fencing import Fencing
from .flooding import Flooding
from .gaps import Gaps
from .groups import Groups
from .handover import Handover
from .leave import Leaving
from .members import Members
from .outbound import Outbound
from .rate_limits import RateLimits
from .receive import Receiver
from .room_events import RoomEvents
from .unknown_tokens import UnknownTokens


class ChatCore:
    """The deciding parts of a gateway, put together."""

    def __init__(
        self, settings: Settings, link: Link, out: Outbound, counters: Counters, ipv6_listeners: list[bool]
    ) -> None:
        """Begin without members; `ipv6_listeners` says of each UDP listener whether it is IPv6."""
        self.link, self.counters = link, counters
        self.members = members = Members()
        groups, rate_keys = Groups(out), RateKeys(settings)
        self.leaving = leaving = Leaving(members, groups, out)
        closed = ClosedRooms(members, out, leaving)
        # Broker to members.
        events, self.reports = RoomEvents(out, leaving), DeliveryReports(out)
        fencing = Fencing(link, members, out, counters, leaving)
        catch_up = CatchUp(settings, members, out, counters, groups, events, closed, fencing)
        gaps = Gaps(settings, members, out, counters, catch_up, closed, fencing)
        self.deliver = Deliver(members, out, gaps, catch_up, events, closed, fencing, self.reports)
        # Members to broker.
        moves = AddressMoves(settings, members, counters, groups, catch_up, ipv6_listeners)
        entering = Enter(members, settings, out, counters, rate_keys, moves)
        exits = ExitAnswers(out, counters, rate_keys)
        self.unknown_tokens = unknown = UnknownTokens(
            members, settings, out, counters, rate_keys, entering, closed, exits
        )
        self._handover = Handover(members, out, counters, groups, moves, closed, leaving, entering, unknown)
        limits = RateLimits(settings, out, counters)
        self.flooding = flooding = Flooding(out, limits, counters)
        commands = Commands(out, counters, limits, leaving)
        signed = settings.auth != "off"
        receiver = Receiver(members, out, counters, moves, limits, flooding, commands, leaving, unknown, signed)
        # Inputs that one part takes as they are.
        self.handle_datagrams = receiver.handle_datagrams
        self.may_enter, self.enter, self.announce = entering.may_enter, entering.enter, moves.announce
        self.leave = leaving.leave

    def handle_news(self, frame: bytes, now: float) -> None:
        """Take one frame from the broker's PUB side; news of rooms without members here are ignored."""
        topic, body = frame[: backbone.TOPIC_SIZE], frame[backbone.TOPIC_SIZE :]
        room_id = backbone.topic_room(topic)
        try:
            if room_id is None:
                self._handle_bundle(backbone.parse_bundle_untrusted(body), now)
            elif room := self.members.rooms.get(room_id):
                self.deliver.handle_news(room, backbone.parse_news_untrusted(body), now)
        except MalformedMessage:
            self.counters.malformed_frames += 1

    def _handle_bundle(self, bundle: backbone.Bundle, now: float) -> None:
        """Take what is published for this gateway alone."""
        if bundle.accepted:
            self.link.handle_accepted(bundle.broker, bundle.accepted, now)
        for room_id, news in bundle.news:
            if room := self.members.rooms.get(room_id):
                self.deliver.handle_news(room, news, now)
        for number in bundle.canaries:
            if not self.link.handle_canary(number, now):
                self.deliver.check_positions(now)

    def handle_answer(self, frame: bytes, now: float) -> None:
        """Take one frame from the command socket."""
        try:
            for each in backbone.unpack_frames_untrusted(frame):
                message = backbone.parse_downward_untrusted(each)
                self.link.handle(message, now)
                match message:
                    case Release():
                        self._handover.release(message, now)
                    case Adopt(adoptions):
                        self._handover.adopt(adoptions, now)
        except MalformedMessage:
            self.counters.malformed_frames += 1

    def tick(self, now: float) -> None:
        """Do what is due. To be called every `canary.CANARY_S`."""
        self.link.tick(now)
        self.flooding.tick(now)
        self.leaving.tick(now, self.link.is_alive(now))
        self.deliver.tick(now)
