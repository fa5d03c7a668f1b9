"""Gateways' messages in, one turn's work out; ARCHITECTURE.md, "One message's way".

A turn is all that had arrived when the socket was drained. `handle` decides on each message; `take_turn` returns what
must be kept, then published, then answered, in that order: nothing is told to anyone before the store has it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from broker import commands
from broker.config import Limits
from broker.custody import Custody, Gateway
from broker.directory import Directory, Room
from broker.sanctions import EVERYWHERE
from broker.store import FOREVER, Batch, Chunk, MemberRow, SanctionKind, Snapshot
from ops.histogram import ITEMS, Histogram
from protocol import backbone, names
from protocol.codes import EntryKind, LeaveReason, Rights, Status
from protocol.errors import Banned, Full, InvalidName, MalformedMessage, PeerError, RoomExists
from protocol.keys import Role
from protocol.phrases import Phrase
from protocol.text import clean

SWEEP_S = 1.0
"""Between two looks at what is seldom."""

FEW_GATEWAYS = 4
"""For a room at more of them one frame on its topic is less than its news in a frame of each."""
BUNDLE_SIZE = 2**20
"""Bytes of news after which another bundle is begun: a frame has a bound."""

ALL_RIGHTS = int(Rights.VERIFIED | Rights.MODERATOR)
LISTED = 100
"""Members or rooms in one answer to who they are."""
PASSWORDS_KNOWN = 1_000

CLOSED_S = 60.0
"""For so long a closed room is kept, with its log, for gateways and members that have not heard its end."""


class Moment(NamedTuple):
    """One reading of both clocks."""

    now: float
    """Monotonic seconds: what is waited for."""
    wall_ms: int
    """Milliseconds since 1970, UTC: what is written down."""


@dataclass(slots=True)
class PasswordJob:
    """A request that waits for a slow hash: to be made, or to be checked against `stored`."""

    peer: str
    request: backbone.Request
    password: str
    stored: str
    """Empty: make one."""


@dataclass(slots=True)
class Turn:
    """What a turn asks of the world, to be done in the order of the fields."""

    batch: Batch
    news: list[tuple[bytes, bytes]]
    """(topic, news) to publish."""
    replies: list[tuple[str, backbone.Downward]]
    """(gateway instance, answer)."""
    replays: list[tuple[str, int, backbone.Replay]]
    """(gateway instance, request id, what to read from the store and answer with `Core.replayed`)."""
    passwords: list[PasswordJob]
    """To be hashed off the loop, then given to `Core.hashed`."""


@dataclass(slots=True)
class Counters:
    """What went wrong or was bounded, since the start."""

    malformed: int = 0
    from_strangers: int = 0
    refused_items: int = 0
    repeated_items: int = 0
    entries: int = 0
    """Put into the logs of rooms: what was said, and what happened."""
    trimmed_rooms: int = 0
    """Times that a room's log was cut to its bounds."""
    passwords_refused: int = 0
    """Requests answered busy, as too many passwords waited to be hashed."""
    full: int = 0
    """Creates and joins refused because there were as many rooms or members as may be."""


@dataclass(slots=True)
class _Pending:
    replies: list[tuple[str, backbone.Downward]] = field(default_factory=list)
    replays: list[tuple[str, int, backbone.Replay]] = field(default_factory=list)
    passwords: list[PasswordJob] = field(default_factory=list)
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
        self._limits = limits
        self.custody = Custody(self.directory, snapshot.accepted, self._answer, instance, now)
        self._closed = dict.fromkeys(self.directory.closed, now)
        """Room id → when it was closed, or when we came to know of it; in that order."""
        self._changed: set[int] = set()
        """Rooms whose position is to be told once more, as news can be dropped."""
        self._swept_at = now
        self._passwords_set: dict[tuple[str, int], bool] = {}
        """(gateway instance, request id) of passwords → whether they are set, or being hashed still."""

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
        try:
            for each in backbone.each_untrusted(frame):
                self.handle(peer, backbone.parse_upward_untrusted(each), moment)
        except MalformedMessage:
            self.counters.malformed += 1

    def handle(self, peer: str, message: backbone.Upward, moment: Moment) -> None:
        """Take one message from the gateway instance `peer`."""
        self.custody.awake(moment.now)
        if isinstance(message, backbone.Hello):
            self._hello(peer, message, moment.now)
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
                self._request(peer, message, moment)
            case backbone.Canary(number):
                self._pending.canaries.setdefault(peer, []).append(number)
            case backbone.Delivered(positions):
                for room_id, offset in positions:
                    if room := self.directory.known_room(room_id):
                        self.directory.deliver(room, peer, offset)
            case backbone.Bye():
                self.custody.part(peer, moment.now)

    def expel(self, peer: str, moment: Moment) -> None:
        """A gateway instance may speak no more: its members are others' from now on."""
        self.custody.part(peer, moment.now)

    def subscribed(self, topic: bytes) -> None:
        """A subscription is live: tell the room's position on it, so that the gateway knows where it stands."""
        room = backbone.topic_room(topic)
        if room is not None:
            self._pending.announced.add(room)

    def hashed(self, job: PasswordJob, result: str | bool, moment: Moment) -> None:
        """A password's hash is made (its text) or checked (whether it fits)."""
        body = job.request.body
        try:
            if isinstance(body, backbone.Create) and self._granted_before(job.peer, job.request.id, body):
                return
            if isinstance(body, backbone.Join):
                room = self.directory.find(names.room_name(body.room))
                if room.password_hash != job.stored or not result:
                    self._refuse(job.peer, job.request.id, Status.WRONG_PASSWORD)
                    return
                self._check_ban(room.id, body, moment.wall_ms)  # it may be new
                self._join(job.peer, job.request.id, room, body, moment.wall_ms)
            elif isinstance(body, backbone.Create):
                self._create(job.peer, job.request.id, body, str(result), moment.wall_ms)
            elif isinstance(body, backbone.SetPassword):
                self._set_password(job.peer, job.request.id, body, str(result), moment.wall_ms)
        except PeerError as exc:
            self._decline(job.peer, job.request.id, exc)

    def busy(self, job: PasswordJob) -> None:
        """There are too many passwords to hash already."""
        self.counters.passwords_refused += 1
        self._passwords_set.pop((job.peer, job.request.id), None)
        self._refuse(job.peer, job.request.id, Status.BUSY)

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
        return Turn(batch, news, pending.replies, pending.replays, pending.passwords)

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
        news = [backbone.parse_news_untrusted(chunk.news) for chunk in chunks]
        after = self.replay_after(question)
        entries = [entry for told in news for entry in told.entries if entry.offset > after][: question.limit]
        first = entries[0].offset if entries else last + 1
        return backbone.Replayed(question.room, epoch, first, last, entries)

    # --- decisions ------------------------------------------------------------------------------------------------

    def _hello(self, peer: str, hello: backbone.Hello, now: float) -> None:
        if hello.version != backbone.VERSION:
            self.counters.from_strangers += 1
            return
        is_new = peer not in self.custody.gateways
        self._answer(peer, backbone.Welcome(self._instance, self.custody.greet(peer, now).accepted, is_new))
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
                self.directory.say(member, clean(item.text), moment.wall_ms)
            elif member.room.closed_ms and item.kind in (EntryKind.SAID, EntryKind.COMMANDED):
                self.counters.refused_items += 1
            elif item.kind == EntryKind.COMMANDED and peer in (member.gateway, member.seldom.former):
                commands.execute(self.directory, member, clean(item.text), moment.wall_ms)
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
            else:
                self.counters.refused_items += 1
        gateway.accepted += len(items)

    def _request(self, peer: str, request: backbone.Request, moment: Moment) -> None:
        try:
            match request.body:
                case backbone.Join() as join:
                    self._ask_to_join(peer, request, join, moment.wall_ms)
                case backbone.Create() as create:
                    self._ask_to_create(peer, request, create, moment.wall_ms)
                case backbone.Resume(token_hash):
                    self._resume(peer, request.id, token_hash, moment.now)
                case backbone.Roll(known):
                    self.custody.call_roll(peer, request.id, known)
                case backbone.Positions(asked):
                    standing = [self._standing(room_id) for room_id in asked]
                    self._answer(peer, backbone.Reply(request.id, backbone.Standing(standing)))
                case backbone.ListRooms(limit):
                    listed = list(islice(reversed(self.directory.by_name), max(limit, 1)))[::-1]
                    self._answer(peer, backbone.Reply(request.id, backbone.Rooms(listed)))
                case backbone.Who() | backbone.Browse() | backbone.Clock():
                    self._answer(peer, backbone.Reply(request.id, self._told(request.body, moment.wall_ms)))
                case backbone.Bans() as question:
                    self._answer(peer, backbone.Reply(request.id, self._bans(peer, question, moment.wall_ms)))
                case backbone.SetPassword() as change:
                    self._ask_for_password(peer, request, change, moment.wall_ms)
                case backbone.Replay() as replay:
                    replay.limit = min(max(replay.limit, 1), self._limits.replay_entries)
                    self._pending.replays.append((peer, request.id, replay))
        except PeerError as exc:
            self._decline(peer, request.id, exc)

    def _ask_to_create(self, peer: str, request: backbone.Request, body: backbone.Create, wall_ms: int) -> None:
        if self._granted_before(peer, request.id, body):
            return
        name = names.room_name(body.room)
        self._check_ban(EVERYWHERE, body, wall_ms)
        if name in self.directory.by_name:
            raise RoomExists(name)
        if body.password:
            self._pending.passwords.append(PasswordJob(peer, request, body.password, ""))
        else:
            self._create(peer, request.id, body, "", wall_ms)

    def _ask_to_join(self, peer: str, request: backbone.Request, body: backbone.Join, wall_ms: int) -> None:
        if self._granted_before(peer, request.id, body):
            return
        room = self.directory.find(names.room_name(body.room))
        self._check_ban(room.id, body, wall_ms)
        if not room.password_hash:
            self._join(peer, request.id, room, body, wall_ms)
        elif body.password:
            self._pending.passwords.append(PasswordJob(peer, request, body.password, room.password_hash))
        else:
            self._refuse(peer, request.id, Status.WRONG_PASSWORD)

    def _check_ban(self, room: int, body: backbone.Create, wall_ms: int) -> None:
        """Raise Banned if this user may not come into a room, or any; InvalidName if the name is none."""
        directory, name = self.directory, names.user_name(body.user)
        if directory.sanctions.until(EVERYWHERE, SanctionKind.BAN, name, body.ip, wall_ms, directory.batch.sanctions):
            raise Banned("you are banned from this server")
        if directory.sanctions.until(room, SanctionKind.BAN, name, body.ip, wall_ms, directory.batch.sanctions):
            raise Banned("you are banned from this room")

    def _ask_for_password(
        self, peer: str, request: backbone.Request, change: backbone.SetPassword, wall_ms: int
    ) -> None:
        member = self.directory.members.get(change.member)
        if member is None or member.room.id != change.room or peer not in (member.gateway, member.seldom.former):
            pass  # not there any more, or not for this gateway to speak for
        elif not member.may_moderate:
            commands.answer(self.directory, member, Phrase.NOT_HOST, "", wall_ms)
        elif (peer, request.id) in self._passwords_set:
            # Asked again, as the answer was lost or the hash takes its time.
            if not self._passwords_set[peer, request.id]:
                return
        elif change.password and not member.room.closed_ms:
            self._passwords_set[peer, request.id] = False
            if len(self._passwords_set) > PASSWORDS_KNOWN:
                del self._passwords_set[next(iter(self._passwords_set))]
            self._pending.passwords.append(PasswordJob(peer, request, change.password, ""))
            return
        self._answer(peer, backbone.Reply(request.id, backbone.Done()))

    def _set_password(
        self, peer: str, request_id: int, change: backbone.SetPassword, password_hash: str, wall_ms: int
    ) -> None:
        member = self.directory.members.get(change.member)
        if member is not None and member.may_moderate and not member.room.closed_ms:
            self.directory.set_password(member.room, password_hash, member, wall_ms)
        self._passwords_set[peer, request_id] = True
        self._answer(peer, backbone.Reply(request_id, backbone.Done()))

    def _told(self, question: backbone.Who | backbone.Browse | backbone.Clock, wall_ms: int) -> backbone.Answer:
        """Return what a member wants to know of the room or the server."""
        match question:
            case backbone.Who(room_id, skip, limit):
                room = self.directory.rooms.get(room_id)
                members = room.members if room is not None else {}
                some = islice(islice(members.values(), skip, None), min(limit, LISTED))
                return backbone.Present(len(members), [(m.name, m.is_host, max(wall_ms - m.spoke_ms, 0)) for m in some])
            case backbone.Browse(skip, limit):
                rooms = self.directory.by_name
                chosen = islice(islice(rooms.values(), skip, None), min(limit, LISTED))
                return backbone.Browsed(len(rooms), [(r.name, len(r.members), bool(r.password_hash)) for r in chosen])
            case backbone.Clock():
                return backbone.Clocked(wall_ms)

    def _bans(self, peer: str, question: backbone.Bans, wall_ms: int) -> backbone.Answer:
        """Return what holds in a room; for who may not know, Done: what there is to say is in the log."""
        member = self.directory.members.get(question.member)
        if member is None or member.room.id != question.room or peer not in (member.gateway, member.seldom.former):
            return backbone.Done()
        if not member.may_moderate:
            commands.answer(self.directory, member, Phrase.NOT_HOST, "", wall_ms)
            return backbone.Done()
        held = [each for each in self.directory.sanctions.of_room(question.room) if each.until_ms > wall_ms]
        rows = [
            (each.name, each.ip, each.kind == SanctionKind.MUTE, 0 if each.until_ms == FOREVER else each.until_ms)
            for each in islice(held, question.skip, None)
        ]
        return backbone.Banned(len(held), rows[: min(question.limit, LISTED)])

    def _granted_before(self, peer: str, request_id: int, body: backbone.Create) -> bool:
        """A request that is repeated because its answer was lost gets the same answer."""
        member = self.directory.by_token.get(body.token_hash)
        if member is not None:
            self.custody.grant(peer, request_id, member)
        return member is not None

    def _create(self, peer: str, request_id: int, body: backbone.Create, password_hash: str, wall_ms: int) -> None:
        wished = names.user_name(body.user)
        row = _member_row(peer, body)
        member = self.directory.create(names.room_name(body.room), password_hash, wished, row, wall_ms)
        self.custody.grant(peer, request_id, member)

    def _join(self, peer: str, request_id: int, room: Room, body: backbone.Join, wall_ms: int) -> None:
        member = self.directory.join(room, names.user_name(body.user), _member_row(peer, body), wall_ms)
        self.custody.grant(peer, request_id, member)

    def _resume(self, peer: str, request_id: int, token_hash: bytes, now: float) -> None:
        member = self.directory.by_token.get(token_hash)
        if member is None:
            self._refuse(peer, request_id, Status.ROOM_NOT_FOUND)
        else:
            self.custody.resume(peer, request_id, member, now)

    def _decline(self, peer: str, request_id: int, exc: PeerError) -> None:
        """Refuse a request, in words where the status does not say all."""
        in_words = isinstance(exc, InvalidName | Banned | Full)
        self.counters.full += isinstance(exc, Full)
        self._refuse(peer, request_id, exc.status, str(exc) if in_words else "")

    def _refuse(self, peer: str, request_id: int, status: Status, detail: str = "") -> None:
        self._answer(peer, backbone.Reply(request_id, backbone.Refused(status, detail)))

    def _answer(self, peer: str, message: backbone.Downward) -> None:
        self._pending.replies.append((peer, message))

    def _position(self, room_id: int) -> backbone.News:
        """Return the news that only tell where a room stands; one that is closed says so again."""
        _, epoch, last = self._standing(room_id)
        return backbone.News(epoch, last, [])

    def _standing(self, room_id: int) -> tuple[int, int, int]:
        room = self.directory.known_room(room_id)
        if room is None:
            return room_id, 0, 0
        return room_id, 0 if room.closed_ms else room.epoch, room.last


def _member_row(peer: str, body: backbone.Create) -> MemberRow:
    idle_ms, rights = max(body.idle_ms, 1), body.rights & ALL_RIGHTS
    return MemberRow(
        0, 0, "", body.token_hash, body.dialect, body.ip, b"", peer, idle_ms, False, 0, rights, manner=body.manner
    )
