"""Gateways' messages in, one turn's work out; ARCHITECTURE.md, "One message's way".

A turn is all that had arrived when the socket was drained. `handle` decides on each message; `take_turn` returns what
must be kept, then published, then answered, in that order: nothing is told to anyone before the store has it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from broker import commands
from broker.config import Limits
from broker.counters import Counters
from broker.custody import Custody, Gateway
from broker.directory import Directory
from broker.requests import Requests
from broker.store import Batch, Chunk, Snapshot
from broker.turn import Moment, Turn
from tsudoi.ops.histogram import ITEMS, Histogram
from tsudoi.ops.keyfiles import Role
from tsudoi.protocol import backbone, names
from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import MalformedMessage

SWEEP_S = 1.0
"""Between two looks at what is seldom."""

FEW_GATEWAYS = 4
"""For a room at more of them one frame on its topic is less than its news in a frame of each."""
BUNDLE_SIZE = 2**20
"""Bytes of news after which another bundle is begun: a frame has a bound."""

REPLAY_SIZE = 2**18
"""Characters of an answer to a replay; for more, the gateway asks again."""

CLOSED_S = 60.0
"""For so long a closed room is kept, with its log, for gateways and members that have not heard its end."""


@dataclass(slots=True)
class _Pending:
    replies: list[tuple[str, backbone.Downward]] = field(default_factory=list)
    canaries: dict[str, list[int]] = field(default_factory=dict)
    announced: set[int] = field(default_factory=set)
    publishers: dict[str, bool] = field(default_factory=dict)
    """Gateway instance → whether what it says shows that it has not heard an Accepted."""


class Core:
    """Everything that the broker decides; knows no socket, no file and no clock."""

    def __init__(self, snapshot: Snapshot, instance: str, limits: Limits, now: float) -> None:
        self._pending = _Pending()
        self.directory = Directory(snapshot, limits)
        self.counters = Counters()
        self.turn_entries = Histogram(ITEMS)
        """Entries in each turn that has any."""
        self._instance = instance
        self.custody = Custody(self.directory, snapshot.accepted, self._answer, instance, now)
        self.requests = Requests(self.directory, self.custody, limits, self.counters, self._answer)
        self._closed = dict.fromkeys(self.directory.closed, now)
        """Room id → when it was closed, or when we came to know of it; in that order."""
        self._changed: set[int] = set()
        """Rooms whose position is to be told once more, as news can be dropped."""
        self._swept_at = now

    def begin(self, persistent: Iterable[str], wall_ms: int) -> None:
        """Make the rooms that there always are, as far as they are not there yet; names in normal form."""
        for name in persistent:
            self.directory.persist(names.RoomName(name), wall_ms)

    # --- events in ------------------------------------------------------------------------------------------------

    def handle_untrusted(self, peer: str, frame: bytes, moment: Moment, role: Role | None = None) -> None:
        """Take one frame from the gateway instance `peer`; bytes that are not one are counted and dropped.

        Args:
            peer: whose connection it is.
            frame: what came.
            moment: when.
            role: what the connection's key may do; None where there are no keys, and everybody may do all.
        """
        if role is not None and role is not Role.GATEWAY:
            # Whether it is answered is all that it may know: `python -m broker ping`.
            self._answer(peer, backbone.Unknown(self._instance))
            return
        for each in self.parts_untrusted(frame) or (frame,):
            self.handle_part_untrusted(peer, each, moment)

    def parts_untrusted(self, frame: bytes) -> list[bytes]:
        """Return what a frame that carries others carries, to be handled one by one; none of any other frame."""
        if not frame.startswith(backbone.PACKED):
            return []
        try:
            return backbone.unpack_frames_untrusted(frame)
        except MalformedMessage:
            return []  # it is counted when it is handled

    def handle_part_untrusted(self, peer: str, frame: bytes, moment: Moment, account: str = "") -> None:
        """Take one message of a gateway, which carries no others; see `handle_untrusted`.

        Args:
            peer: whose connection it is.
            frame: what came.
            moment: when.
            account: whose key it came with; empty where there are no keys.
        """
        try:
            message = backbone.parse_upward_untrusted(frame)
        except MalformedMessage:
            self.counters.malformed += 1
            return
        self.handle(peer, message, moment, account)

    def handle(self, peer: str, message: backbone.Upward, moment: Moment, account: str = "") -> None:
        """Take one message from the gateway instance `peer`, whose key is that of `account`."""
        self.custody.awake(moment.now)
        if isinstance(message, backbone.Hello):
            self._hello(peer, message, moment.now, account)
            return
        gateway = self.custody.known(peer, moment.now)
        if gateway is None:
            self.counters.from_strangers += 1
            self._answer(peer, backbone.Unknown(self._instance))
            return
        match message:
            case backbone.Publish(first, items):
                self._publish(peer, gateway, first, items, moment)
            case backbone.Request():
                self.requests.handle(peer, message, moment)
            case backbone.Canary(number):
                self._pending.canaries.setdefault(peer, []).append(number)
            case backbone.Delivered(positions):
                for room_id, offset in positions:
                    if room := self.directory.known_room(room_id):
                        self.directory.deliver(room, peer, offset)
            case backbone.Bye():
                self.custody.part(peer, moment.now)

    def expel(self, name: str, account: str, moment: Moment) -> None:
        """Gateways may speak no more: their members are others' from now on.

        Args:
            name: theirs, if they have one.
            account: whose key it is.
            moment: when.
        """
        for instance, gateway in self.custody.gateways.items():
            # One that a broker before us knew has shown no key yet.
            if account == gateway.account or (not gateway.account and name == backbone.gateway_name(instance)):
                self.custody.expel(instance, moment.now)

    def subscribed(self, topic: bytes) -> None:
        """A subscription is live: tell the room's position on it, so that the gateway knows where it stands."""
        room = backbone.topic_room(topic)
        if room is not None:
            self._pending.announced.add(room)

    def tick(self, moment: Moment) -> None:
        """Do what time brings. To be called several times a second.

        Members of gateways that are gone are handed over to who waits for them or stands behind the same address, or
        expire; rooms that went on lately tell their position once more; what is long gone is forgotten.
        """
        self.custody.awake(moment.now)
        self.custody.tick(moment.now)
        if moment.now - self._swept_at < SWEEP_S:
            return
        self._swept_at = moment.now
        self.custody.sweep(moment.now, moment.wall_ms)
        self._pending.announced |= self._changed
        self._changed = set()
        for room_id, at in list(self._closed.items()):
            if moment.now - at < CLOSED_S:
                break
            del self._closed[room_id]
            self.directory.purge(self.directory.closed[room_id])

    def trimmed(self, firsts: dict[int, int]) -> None:
        """The store has dropped old entries: room id → its oldest offset now."""
        self.counters.trimmed_rooms += len(firsts)
        for room_id, first in firsts.items():
            if room := self.directory.known_room(room_id):
                room.first = first

    @property
    def changes_rows(self) -> bool:
        """Whether the next turn changes rooms, members or sanctions, and not only logs."""
        batch = self.directory.batch
        return bool(batch.rooms or batch.members or batch.sanctions)

    # --- one turn out ---------------------------------------------------------------------------------------------

    def take_turn(self, moment: Moment) -> Turn:
        """Return all that the messages since the last turn ask for."""
        directory, pending = self.directory, self._pending
        batch, directory.batch = directory.batch, Batch()
        entries, directory.entries = directory.entries, {}
        regrouped, directory.regrouped = directory.regrouped, set()
        self._pending = _Pending()
        by_topic: list[tuple[int, bytes]] = []
        own: dict[str, list[tuple[int, bytes]]] = {}
        shared: list[tuple[int, bytes]] = []
        self._changed.update(entries)
        if entries:
            count = sum(map(len, entries.values()))
            self.counters.entries += count
            self.turn_entries.note(count)
        for room_id, said in entries.items():
            room = directory.rooms.get(room_id) or directory.closed[room_id]
            last = said[-1].offset
            body = backbone.encode(backbone.News(room.epoch, last, said))
            batch.chunks.append(Chunk(room_id, said[0].offset, last, moment.wall_ms, body))
            if room.closed_ms:
                self._closed[room_id] = moment.now
            if len(room.gateways) == 1 and room_id not in regrouped:
                own.setdefault(next(iter(room.gateways)), []).append((room_id, body))
            elif 1 < len(room.gateways) <= FEW_GATEWAYS and room_id not in regrouped:
                shared.append((room_id, body))
            else:
                by_topic.append((room_id, body))
        if shared:
            by_topic += self._share(shared, own)
        pending.announced.difference_update([room_id for room_id, _ in by_topic])
        news = [(backbone.room_topic(room_id), body) for room_id, body in by_topic]
        for peer, is_behind in pending.publishers.items():
            number = batch.accepted[peer] = self.custody.gateways[peer].accepted
            if peer not in own or is_behind:
                pending.replies.append((peer, backbone.Accepted(number)))
        for peer in own.keys() | pending.canaries.keys():
            news += self._bundles(peer, batch.accepted.get(peer, 0), pending.canaries.get(peer, []), own.get(peer, []))
        # After the bundles: a position that overtook its room's entries would look like a gap.
        news += [
            (backbone.room_topic(room_id), backbone.encode(self._position(room_id))) for room_id in pending.announced
        ]
        requests = self.requests
        replays, requests.replays = requests.replays, []
        passwords, requests.passwords = requests.passwords, []
        return Turn(batch, news, pending.replies, replays, passwords)

    def _share(self, news: list[tuple[int, bytes]], own: dict[str, list[tuple[int, bytes]]]) -> list[tuple[int, bytes]]:
        """Return those news of rooms that a few gateways share which are to go by topic: one frame a room.

        If one a gateway is less, there are none, and the news are put to what each gateway has of its `own`.
        """
        at = [(each, room.gateways) for each in news if (room := self.directory.known_room(each[0]))]
        if len(at) <= len({gateway for _, gateways in at for gateway in gateways}):
            return news
        for each, gateways in at:
            for gateway in gateways:
                own.setdefault(gateway, []).append(each)
        return []

    def _bundles(
        self, peer: str, accepted: int, canaries: list[int], news: list[tuple[int, bytes]]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what a turn has for one gateway, on its own topic and in as few frames as may be."""
        topic, start, size = backbone.own_topic(peer), 0, 0
        for at, (_, body) in enumerate(news):
            if size + len(body) > BUNDLE_SIZE and at > start:
                yield topic, backbone.encode_bundle(self._instance, 0, [], news[start:at])
                start, size = at, 0
            size += len(body)
        yield topic, backbone.encode_bundle(self._instance, accepted, canaries, news[start:])

    def replay_after(self, question: backbone.Replay) -> int:
        """Return the offset after which the store is to be read for a replay: another epoch's means nothing here."""
        room = self.directory.known_room(question.room)
        return question.after if room is None or room.epoch == question.epoch else 0

    def replayed(self, question: backbone.Replay, chunks: Sequence[Chunk]) -> backbone.Replayed:
        """Return the answer to a replay, given what the store has."""
        room = self.directory.known_room(question.room)
        epoch, last = (room.epoch, room.last) if room else (0, 0)
        if not_committed := self.directory.entries.get(question.room):
            # Entries of the turn that is being collected have positions already, and are not told yet.
            last = not_committed[0].offset - 1
        news = [backbone.parse_news_untrusted(chunk.news) for chunk in chunks]
        after = self.replay_after(question)
        entries = [entry for told in news for entry in told.entries if entry.offset > after][: question.limit]
        if sum(len(chunk.news) for chunk in chunks) > REPLAY_SIZE:
            size = 0
            for count, entry in enumerate(entries):
                size += len(entry.text)
                if size > REPLAY_SIZE and count:
                    del entries[count:]
                    break
        first = entries[0].offset if entries else last + 1
        return backbone.Replayed(question.room, epoch, first, last, entries)

    # --- decisions ------------------------------------------------------------------------------------------------

    def _hello(self, peer: str, hello: backbone.Hello, now: float, account: str) -> None:
        if hello.version != backbone.VERSION:
            self.counters.from_strangers += 1
            return
        is_new = peer not in self.custody.gateways
        gateway = self.custody.greet(peer, now, account)
        if gateway is None:
            return
        self._answer(peer, backbone.Welcome(self._instance, gateway.accepted, is_new))
        self.custody.inherit(now)

    def _publish(self, peer: str, gateway: Gateway, first: int, items: list[backbone.Item], moment: Moment) -> None:
        # What was taken already is passed over; what does not follow on it was overtaken by a loss and will come again.
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
            if member is None or member.room.id != item.room:
                self.counters.refused_items += 1
            elif (
                item.kind == EntryKind.SAID
                and peer in (member.gateway, member.seldom.former)
                and not member.room.closed_ms
            ):
                # A client that has gone on elsewhere has still said what its former gateway took from it.
                if member.muted_until_ms and commands.is_muted(self.directory, member, moment.wall_ms):
                    continue
                self.directory.say(member, _taken(item.text), moment.wall_ms)
            elif member.room.closed_ms and item.kind in (EntryKind.SAID, EntryKind.COMMANDED):
                self.counters.refused_items += 1
            elif item.kind == EntryKind.COMMANDED and peer in (member.gateway, member.seldom.former):
                commands.execute(self.directory, member, _taken(item.text), moment.wall_ms)
            elif member.gateway != peer:
                self.counters.refused_items += 1
            elif item.kind == EntryKind.LEFT:
                idle = item.code == LeaveReason.IDLE
                self.directory.leave(member, LeaveReason.IDLE if idle else LeaveReason.LEFT, moment.wall_ms)
            elif item.kind == EntryKind.ADDRESSED:
                self.directory.locate(member, item.text.encode(), item.code)
                self.custody.located(member)
            elif item.kind == EntryKind.RELEASED:
                self.custody.released(member, item.text, item.code, moment.now)
            elif item.kind == EntryKind.KEPT:
                self.custody.kept(member, item.text)
            else:
                self.counters.refused_items += 1
        gateway.accepted += len(items)

    def _answer(self, peer: str, message: backbone.Downward) -> None:
        self._pending.replies.append((peer, message))

    def _position(self, room_id: int) -> backbone.News:
        """Return the news that only tell where a room stands; one that is closed says so again."""
        _, epoch, last = self.directory.standing(room_id)
        return backbone.News(epoch, last, [])


def _taken(text: str) -> str:
    """Return what is taken of a text: what terminals may be shown, and no more than a datagram can bring."""
    text = clean(text)
    # A character is four bytes at most.
    return text if len(text) <= MAX_UP // 4 else names.cut(text, MAX_UP)
