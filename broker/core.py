"""Decide on gateways' messages, and collect each turn's work; ARCHITECTURE.md, "One message's way".

A core is the owner of one shard, and knows no other; a store on one machine has one.
`handle_untrusted` decides on each message; `take_turn` returns what must be stored, then published, then answered.
"""

import msgspec

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import News, encode
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import MalformedMessage

from . import news
from .config import Limits
from .counters import Counters
from .rooms import commands, rejoins, stream_lines
from .rooms.directory import Directory
from .rooms.gateway_leases import Gateway, Gateways
from .rooms.handovers import Handovers
from .rooms.ids import Ids
from .rooms.lost_gateways import Ownership
from .rooms.received_text import received_text
from .rooms.records import Changes
from .rooms.requests import Requests
from .rooms.room_and_member import Member
from .store.interface import Chunk, Snapshot
from .turn import Moment, Turn

SWEEP_S = 1.0
"""Time between sweeps: members expire, closed rooms are purged, positions are published again."""

CLOSED_S = 60.0
"""A closed room and its log are kept for this time, for gateways and members that have not received its end."""

_SAID = int(EntryKind.SAID)
"""A plain int: it is compared for each item."""
_FROM_CLIENTS = frozenset({EntryKind.SAID, EntryKind.COMMANDED})
"""Items that clients have sent."""


class _Pending(msgspec.Struct):
    """The work of a turn, without changes of the directory."""

    replies: list[tuple[str, backbone.Downward]] = msgspec.field(default_factory=list)
    canaries: dict[str, list[int]] = msgspec.field(default_factory=dict)
    announced: set[int] = msgspec.field(default_factory=set)
    """Rooms whose position is to be published."""
    publishers: dict[str, bool] = msgspec.field(default_factory=dict)
    """Gateway instance → whether its Publish shows that it has not received an Accepted."""
    stopped: set[str] = msgspec.field(default_factory=set)
    """Gateway instances that have said Bye."""


class Core:
    """Decides on all messages from gateways to one shard."""

    def __init__(
        self,
        snapshot: Snapshot,
        instance: str,
        limits: Limits,
        now: float,
        ids: Ids | None = None,
        counters: Counters | None = None,
        term: int = 0,
    ) -> None:
        """Begin with the store's content of a shard.

        Args:
            snapshot: the content.
            instance: a name of this run of the core; gateways learn from it that they have to say Hello again.
            limits: bounds that may change meanwhile.
            now: monotonic seconds.
            ids: of this run and shard; None: those of a store with one shard.
            counters: those that other cores of the broker count in, too.
            term: in which the broker owns the shard.
        """
        ids = ids or Ids()
        self.shard = ids.shard
        self._pending = _Pending()
        self.directory = Directory(snapshot, limits, ids)
        self.gateways = Gateways(list(self.directory.by_gateway), snapshot.accepted, now, ids.shards > 1)
        self.counters = counters or Counters()
        self._instance, self._term = instance, term
        self.handovers = Handovers(self.directory, self.gateways, self.counters, self._answer, instance)
        self.ownership = Ownership(self.directory, self.gateways, self.handovers, self.counters, self._answer)
        self.requests = Requests(self.directory, self.ownership, self.handovers, limits, self.counters, self._answer)
        self._closed = dict.fromkeys(self.directory.closed, now)
        """Room id → when it was closed, or when this run of the broker began; in that order."""
        self._changed: set[int] = set()
        """Rooms whose position is published again at the next sweep, as news can be dropped."""
        self._swept_at = now
        self.reports_due = False
        """The next turn stores reports of deliveries even if it stores nothing else."""

    # --- messages in ----------------------------------------------------------------------------------------------

    def refuse(self, peer: str) -> None:
        """Answer a connection whose key is not a gateway's: `ping` learns that the broker answers, and nothing else."""
        self._answer(peer, backbone.Unknown(self._instance))

    @staticmethod
    def parts_untrusted(frame: bytes) -> list[bytes]:
        """Return the messages in a packed frame; none for any other frame."""
        if not frame.startswith(backbone.PACKED):
            return []
        try:
            return backbone.unpack_frames_untrusted(frame)
        except MalformedMessage:
            return []  # `handle_untrusted` counts it

    def handle_untrusted(self, peer: str, frame: bytes, moment: Moment, account: str = "") -> None:
        """Handle one unpacked message of the gateway instance `peer`; count and drop it if it is malformed.

        `account` is the owner of the connection's key, empty where there are no keys.
        """
        try:
            message = backbone.parse_upward_untrusted(frame)
        except MalformedMessage:
            self.counters.malformed += 1
            return
        if moment.now > self.gateways.awake_until:
            self._awake(moment.now)
        if isinstance(message, backbone.Hello):
            self._hello(peer, message, moment.now, account)
            return
        gateway = self.gateways.received(peer, moment.now)
        if gateway is None:
            self.counters.from_unknown_gateways += 1
            self._answer(peer, backbone.Unknown(self._instance))
            return
        if gateway.gone:
            self.ownership.back(gateway, moment.now)
        if isinstance(message, backbone.Publish):
            if message.delivered:
                self.directory.note_delivered(message.delivered, peer)
            self._publish(peer, gateway, message.first, message.items, moment)
            return
        match message:
            case backbone.Request():
                self.requests.handle(peer, message, moment)
            case backbone.Canary(number):
                self._pending.canaries.setdefault(peer, []).append(number)
            case backbone.Delivered(positions):
                self.directory.note_delivered(positions, peer)
            case backbone.Measured():
                gateway.measured = message
            case backbone.Bye():
                self.ownership.stop(peer, moment.now)
                self._pending.stopped.add(peer)

    def expel(self, name: str, account: str, moment: Moment) -> None:
        """Disconnect the gateways of a revoked key, `account`, whose owner is `name`; others may take their members."""
        for instance, gateway in self.gateways.known.items():
            # A gateway known from an earlier run of the broker has presented no key yet.
            if account == gateway.account or (not gateway.account and name == backbone.gateway_name(instance)):
                self.ownership.expel(instance, moment.now)

    def subscribed(self, topic: bytes) -> None:
        """Publish a room's position, because a subscription to its topic has become live."""
        room = backbone.topic_room(topic)
        if room is not None:
            self._pending.announced.add(room)

    def announce_positions(self) -> None:
        """Publish the positions of all rooms: gateways may have subscribed to their topics before this core began."""
        self._pending.announced.update(self.directory.rooms)

    def tick(self, moment: Moment) -> None:
        """Reassign and expire members of lost gateways, publish positions again, purge closed rooms.

        Call it several times a second.
        """
        self.reports_due = True
        self._awake(moment.now)
        self.ownership.tick(moment.now)
        if moment.now - self._swept_at < SWEEP_S:
            return
        self._swept_at = moment.now
        self.ownership.sweep(moment.now, moment.wall_ms)
        self._pending.announced |= self._changed
        self._changed = set()
        for room_id, at in list(self._closed.items()):
            if moment.now - at < CLOSED_S:
                break
            del self._closed[room_id]
            self.directory.purge(self.directory.closed[room_id])

    def _awake(self, now: float) -> None:
        """Note that the broker runs. If it stood still, gateways get as much more time for the ends of closed rooms."""
        if stood_still_s := self.gateways.awake(now):
            self._closed = {room_id: at + stood_still_s for room_id, at in self._closed.items()}

    def trimmed(self, firsts: dict[int, int]) -> None:
        """Note that the store has dropped old entries: room id → its oldest offset now."""
        self.counters.trimmed_rooms += len(firsts)
        self.directory.note_trimmed(firsts)

    # --- one turn out ---------------------------------------------------------------------------------------------

    def take_turn(self, moment: Moment) -> Turn:
        """Return the work since the last turn."""
        pending, self._pending = self._pending, _Pending()
        # A report alone is not worth a commit: a quiet room's would double its commits.
        changes = self.directory.records.take(with_reports=self.reports_due or bool(pending.publishers))
        self.reports_due = False
        batch = changes.batch
        batch.shard = self.shard
        published: list[tuple[bytes, bytes]] = []
        own: dict[str, news.Bundled] = {}
        pending.announced |= changes.renewed
        if changes.entries:
            by_topic, own = news.route(self._log(changes, moment), changes.regrouped)
            for room, body in by_topic:
                pending.announced.discard(room.id)
                published.append((backbone.room_topic(room.id), body))
        for peer, is_behind in pending.publishers.items():
            number = batch.accepted[peer] = self.gateways.known[peer].accepted
            if peer not in own or is_behind:
                pending.replies.append((peer, backbone.Accepted(number)))
        for peer in own.keys() | pending.canaries if pending.canaries else own:
            accepted, canaries = batch.accepted.get(peer, 0), pending.canaries.get(peer, [])
            topic = backbone.own_topic(peer)
            published += [(topic, each) for each in news.bundles(self._instance, accepted, canaries, own.get(peer, []))]
        for peer in pending.stopped:
            batch.accepted[peer] = ~self.gateways.known[peer].accepted
        # After the bundles: a position that overtook its room's entries would look like a gap.
        for room_id in pending.announced:
            _, epoch, last = self.directory.standing(room_id)
            published.append((backbone.room_topic(room_id), encode(News(epoch, last, []))))
        return Turn(batch, published, pending.replies, *self.requests.take())

    def _log(self, changes: Changes, moment: Moment) -> list[news.RoomNews]:
        """Put a turn's entries into the batch, and return them as news."""
        self._changed.update(changes.entries)
        self.counters.entries += sum(map(len, changes.entries.values()))
        rooms, chunks, wall_ms = self.directory.rooms, changes.batch.chunks, moment.wall_ms
        found = []
        for room_id, entries in changes.entries.items():
            room = rooms.get(room_id) or self.directory.closed[room_id]
            last = entries[-1].offset
            body = encode(News(room.epoch, last, entries))
            chunks.append(Chunk(room_id, entries[0].offset, last, wall_ms, body))
            if room.closed_ms:
                self._closed[room_id] = moment.now
            found.append((room, body))
        return found

    # --- decisions ------------------------------------------------------------------------------------------------

    def _hello(self, peer: str, hello: backbone.Hello, now: float, account: str) -> None:
        # Operators' terminals show its name; and PostgreSQL keeps no NUL.
        if hello.version != backbone.VERSION or not peer.isprintable():
            self.counters.from_unknown_gateways += 1
            return
        is_new = peer not in self.gateways.known
        gateway = self.gateways.greet(peer, now, account)
        self.handovers.greet(peer)
        self._answer(peer, backbone.Welcome(self._instance, gateway.accepted, is_new, self._term))
        self.ownership.find_successors(now)

    def _publish(self, peer: str, gateway: Gateway, first: int, items: list[backbone.Item], moment: Moment) -> None:
        """Accept the items that were not accepted before. Drop items after a gap: the gateway sends them again."""
        known = gateway.accepted - first + 1
        publishers = self._pending.publishers
        publishers[peer] = known != 0 or publishers.get(peer, False)
        if known < 0:
            return
        if known:
            self.counters.repeated_items += min(known, len(items))
            items = items[known:]
        members = self.directory.members
        for item in items:
            member = members.get(item.member)
            if member is None or member.room.id != item.room or not self._take_item(peer, member, item, moment):
                self.counters.refused_items += 1
        gateway.accepted += len(items)

    def _take_item(self, peer: str, member: Member, item: backbone.Item, moment: Moment) -> bool:
        """Carry out an item about a member; return False if this gateway may not publish it."""
        directory, kind, wall_ms = self.directory, item.kind, moment.wall_ms
        if kind in _FROM_CLIENTS:
            # A former gateway may still publish messages that the client had sent there.
            if not member.may_come_from(peer) or member.room.closed_ms:
                return False
            if kind == _SAID:
                number, texts = stream_lines.new_lines(member, item) if item.code else (0, (item.text,))
                if not texts:
                    return False
                if member.muted_until_ms <= wall_ms:
                    directory.say(member, map(received_text, texts), wall_ms, number)
                elif not number:
                    commands.notify_muted(directory, member, wall_ms)
            else:
                commands.execute(directory, member, received_text(item.text), wall_ms)
            return True
        if member.gateway != peer:
            return False
        match kind:
            case EntryKind.LEFT:
                is_idle = item.code == LeaveReason.IDLE
                directory.leave(member, LeaveReason.IDLE if is_idle else LeaveReason.LEFT, wall_ms)
            case EntryKind.ADDRESSED if item.text.isprintable():  # as above
                directory.locate(member, item.text.encode(), item.code)
                self.handovers.located(member)
            case EntryKind.RELEASED:
                self.handovers.released(member, item.text, item.code, moment.now)
            case EntryKind.KEPT:
                self.handovers.kept(member, item.text)
            case EntryKind.CLAIMED:
                rejoins.claim(directory, member, item.text, wall_ms)
            case _:
                return False
        return True

    def _answer(self, peer: str, message: backbone.Downward) -> None:
        self._pending.replies.append((peer, message))
