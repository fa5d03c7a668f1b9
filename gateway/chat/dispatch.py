"""Build the components, and route each input (datagrams, news, answers, ticks) to one of them.

`process/service.py` calls this, and implements the components' `Outbound`.
"""

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Adopt, Cluster, Granted, Item, Release, Reply, Welcome
from tsudoi.protocol.errors import MalformedMessage

from ..counters import Counters
from ..join.rate_keys import RateKeys
from ..link.routes import Routes, unpack_untrusted
from ..listeners.bound import Bound
from ..sealed.draining import Draining
from ..sealed.keys import SessionKeys
from ..sealed.pings import Pings
from ..sealed.receive import SealedReceiver
from ..sealed.resuming import Resuming
from ..sealed.saying import Saying
from ..sealed.sender import Sender
from ..sealed.wants import Wants
from ..settings import Settings
from .address_moves import AddressMoves
from .broker_away import BrokerAway
from .catch_up import CatchUp
from .closed_rooms import ClosedRooms
from .commands import Commands
from .crowded_addresses import CrowdedAddresses
from .deliver import Deliver
from .delivery_reports import DeliveryReports
from .enter import Enter
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
from .refusal_as_token import ExitAnswers
from .room_events import RoomEvents
from .speak import Speak
from .streams import Streams
from .token_guesses import TokenGuesses
from .unknown_members import UnknownMembers
from .unknown_tokens import UnknownTokens

_CARRIERS = (backbone.PACKED, backbone.SHARD_PREFIX)
"""What a bundle begins with that has others in it, or is of one of several shards."""


class ChatCore:
    """The components of a gateway, connected to each other."""

    def __init__(
        self,
        settings: Settings,
        routes: Routes,
        out: Outbound,
        counters: Counters,
        listeners: list[Bound],
        keys: SessionKeys,
    ) -> None:
        """Begin without members.

        `listeners` has an item for each UDP listener; `keys` are the service's.
        """
        self.routes, self.counters = routes, counters
        routes.on_split = self._split
        self.members = members = Members()
        self.rate_keys = rate_keys = RateKeys(settings)
        shared = settings, members, out, routes, counters
        groups = Groups(*shared)
        self.leaving = leaving = Leaving(*shared, groups)
        closed = ClosedRooms(*shared, leaving)
        # Broker to members.
        events, self.reports = RoomEvents(*shared, leaving), DeliveryReports(*shared)
        unknown_members = UnknownMembers(*shared, leaving)
        self.fencing = fencing = Fencing(*shared, leaving, unknown_members)
        catch_up = CatchUp(*shared, groups, events, closed, fencing)
        gaps = Gaps(*shared, catch_up, closed, fencing)
        self.deliver = Deliver(*shared, gaps, catch_up, events, closed, fencing, self.reports, unknown_members)
        # Members to broker.
        moves = AddressMoves(*shared, groups, catch_up, listeners)
        entering = Enter(*shared, rate_keys, moves, leaving.idle, CrowdedAddresses(*shared, leaving))
        exit_answers = ExitAnswers(*shared, rate_keys)
        guesses = TokenGuesses(counters, rate_keys)
        self.unknown_tokens = UnknownTokens(*shared, guesses, entering, closed, exit_answers, unknown_members)
        fencing.ask_for = self.unknown_tokens.ask_for
        limits = RateLimits(*shared)
        self.flooding = Flooding(*shared, limits)
        commands = Commands(*shared, limits, leaving)
        # Members with streams.
        self.broker_away = BrokerAway(*shared, fencing)
        self.streams = Streams(*shared, groups, catch_up, entering, closed, self.broker_away)
        self.speak = Speak(*shared, limits, commands, leaving)
        # Members of version 2.
        self.sealed_sender = sender = Sender(keys, out, counters)
        sender.streams = self.streams
        leaving.detach = sender.detach
        sender.carried.listener = len(listeners)
        self.draining = Draining(members)
        resuming = Resuming(*shared, sender, self.streams)
        self._handover = Handover(
            *(*shared, groups, catch_up, moves, closed, leaving, entering, self.unknown_tokens, resuming)
        )
        saying = Saying(*shared, self.speak, commands, leaving)
        wants = Wants(*shared, fencing)
        pings = Pings(*shared, sender, self.broker_away)
        self.sealed = SealedReceiver(*(*shared, sender, resuming, saying, wants, leaving, self.flooding, pings))
        self.deliver.on_numbered = saying.note_kept
        sealed = self.sealed.handle_untrusted
        receiver = Receiver(*(*shared, moves, limits, self.flooding, commands, leaving, self.unknown_tokens, sealed))
        # Inputs that one component takes as they are.
        self.handle_datagrams = receiver.handle_datagrams
        self.may_enter, self.join, self.enter = entering.may_enter, entering.join, entering.enter
        self.announce = moves.announce
        self.leave, self.link_session = leaving.leave, resuming.link

    def topics_of(self, shard: int) -> list[bytes]:
        """Return the topics of all rooms of a shard that have members here."""
        return [backbone.room_topic(room_id) for room_id in self.members.by_shard[shard]]

    def count_addresses_again(self) -> None:
        """Count the members of addresses again: `--unlimited` has changed."""
        self.members.change_rate_keys(lambda ip: self.rate_keys.of_packed(ip) if any(ip) else "")

    def handle_news(self, endpoint: str, frame: bytes, now: float) -> None:
        """Handle one frame from the PUB side of the broker at an endpoint.

        News of rooms without members here are ignored. News of a room come from a former owner, too: they are in the
        log, so they are the same.
        """
        topic, body = frame[: backbone.TOPIC_SIZE], frame[backbone.TOPIC_SIZE :]
        room_id = backbone.topic_room(topic)
        try:
            if room_id is not None:
                if room := self.members.rooms.get(room_id):
                    self.deliver.handle_news(room.shard, ((room_id, backbone.parse_news_untrusted(body)),), now)
            elif topic == backbone.CLUSTER_TOPIC:
                cluster = backbone.parse_downward_untrusted(body)
                if isinstance(cluster, Cluster):
                    self.routes.take_cluster(endpoint, cluster, now)
            elif not body.startswith(_CARRIERS):
                self._handle_bundle(0, backbone.parse_bundle_untrusted(body), now)
            else:
                for shard, each in unpack_untrusted(body):
                    if (shard or 0) < len(self.routes.links):
                        self._handle_bundle(shard or 0, backbone.parse_bundle_untrusted(each), now)
        except MalformedMessage:
            self.counters.malformed_frames += 1

    def _handle_bundle(self, shard: int, bundle: backbone.Bundle, now: float) -> None:
        """Handle what a shard's broker publishes for this gateway alone."""
        routes = self.routes
        if bundle.accepted:
            routes.handle_accepted(shard, bundle.broker, bundle.accepted, now)
        if bundle.news:
            self.deliver.handle_news(shard, bundle.news, now)
        for number in bundle.canaries:
            if not routes.handle_canary(shard, bundle.broker, number, now):
                self.deliver.check_positions(shard, now)
        if bundle.canaries and routes.owners is not None:
            # A shard that has moved should not wait for the next tick.
            self.fencing.look(shard, now)

    def handle_answer(self, endpoint: str, frame: bytes, now: float) -> None:
        """Handle one frame from the command socket of the broker at an endpoint."""
        try:
            for shard, message in self.routes.receive_untrusted(endpoint, frame, now):
                match message:
                    case Welcome():
                        self.reports.report_all(shard)
                    case Release():
                        self._handover.release(shard, message, now)
                    case Adopt(adoptions):
                        self._handover.adopt(shard, adoptions, now)
                    case Reply(_, Granted() as granted):
                        # Also if it was not asked for, or not any more; the asker has had it already.
                        self._handover.granted(granted, now)
        except MalformedMessage:
            self.counters.malformed_frames += 1

    def _split(self, items: list[Item]) -> None:
        """Divide rooms between the shards of a store that several brokers share; publish what no broker has accepted.

        At the start there is nothing yet. Otherwise the rooms have moved to such a store, with the brokers stopped.
        """
        self.members.split(len(self.routes.links))
        self.fencing.begin()
        for item in items:
            if room := self.members.rooms.get(item.room):
                self.routes.publish(room.shard, item)

    def tick(self, now: float) -> None:
        """Run the periodic work. Call it every `canary.CANARY_S`."""
        if stood_still_s := self.members.standstills.tick(now):
            self.routes.postpone(stood_still_s)
        self.routes.tick(now)
        self.flooding.tick(now)
        self.leaving.tick(now)
        self.deliver.tick(now)
        self.broker_away.tick(now)
        self.sealed.tick(now)
