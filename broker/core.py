"""Gateways' messages in, one turn's work out; ARCHITECTURE.md, "One message's way".

A turn is all that had arrived when the socket was drained. `handle` decides on each message; `take_turn` returns what
must be kept, then published, then answered, in that order: nothing is told to anyone before the store has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from broker.config import Limits
from broker.directory import Directory, Member, Room
from broker.store import Batch, Chunk, MemberRow, Snapshot
from protocol import backbone, names
from protocol.codes import EntryKind, LeaveReason, Status
from protocol.errors import InvalidName, MalformedMessage, PeerError, RoomExists

ALIVE_S = 2.0
"""A gateway that was not heard for this long is taken for dead; its canary comes several times in that."""

ADOPTED_AT_ONCE = 500
"""Members in one frame to the gateway that takes them over."""

CLOSED_S = 60.0
"""For so long a closed room's log is kept for gateways that have not read its end."""

FORGET_S = 3600.0
"""When nothing need be known any more of a gateway that is gone and serves nobody."""


class Moment(NamedTuple):
    """One reading of both clocks."""

    now: float
    """Monotonic seconds: what is waited for."""
    wall_ms: int
    """Milliseconds since 1970, UTC: what is written down."""


@dataclass(slots=True)
class PasswordJob:
    """A create or join that waits for a slow hash: to be made, or to be checked against `stored`."""

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
class Gateway:
    """A gateway that has said Hello to this run of the broker, or that serves members from before."""

    seen: float
    greeted: bool = False
    accepted: int = 0
    expected: bool = True
    """It may be alive, though it has not said Hello to this run of the broker: it has `ALIVE_S` for that."""


@dataclass(slots=True)
class Handover:
    """A member that one gateway is to give up before another serves it."""

    to: str
    request_id: int
    """Of the resume to answer."""


@dataclass(slots=True)
class Counters:
    """What went wrong or was bounded, since the start."""

    malformed: int = 0
    from_strangers: int = 0
    refused_items: int = 0
    repeated_items: int = 0
    expired_members: int = 0
    handovers: int = 0
    """Members that a living gateway gave up to another."""
    takeovers: int = 0
    """Members taken from a gateway that was gone."""
    trimmed_rooms: int = 0


@dataclass(slots=True)
class _Pending:
    replies: list[tuple[str, backbone.Downward]] = field(default_factory=list)
    replays: list[tuple[str, int, backbone.Replay]] = field(default_factory=list)
    passwords: list[PasswordJob] = field(default_factory=list)
    canaries: list[tuple[str, int]] = field(default_factory=list)
    announced: set[int] = field(default_factory=set)
    publishers: set[str] = field(default_factory=set)


class Core:
    """Everything that the broker decides; knows no socket, no file and no clock."""

    def __init__(self, snapshot: Snapshot, instance: str, limits: Limits, now: float) -> None:
        self.directory = Directory(snapshot)
        self.counters = Counters()
        self._instance = instance
        self._limits = limits
        self._gateways: dict[str, Gateway] = {}
        for gateway in self.directory.by_gateway:
            self._gateways[gateway] = Gateway(now)
        for gateway, number in snapshot.accepted.items():
            self._gateways.setdefault(gateway, Gateway(now)).accepted = number
        self._closed = {
            room: (now, last) for room, (_, last) in snapshot.ends.items() if room not in self.directory.rooms
        }
        """Room id → (when it was closed, its last offset), while its log is kept."""
        self._handovers: dict[int, Handover] = {}
        """Member id → where it is to go when its gateway has let go of it."""
        self._changed: set[int] = set()
        """Rooms whose position is to be told once more, as news can be dropped."""
        self._swept_at = now
        self._pending = _Pending()

    # --- events in ------------------------------------------------------------------------------------------------

    def handle_untrusted(self, peer: str, frame: bytes, moment: Moment) -> None:
        """Take one frame from the gateway instance `peer`; bytes that are not one are counted and dropped."""
        try:
            message = backbone.parse_upward_untrusted(frame)
        except MalformedMessage:
            self.counters.malformed += 1
            return
        self.handle(peer, message, moment)

    def handle(self, peer: str, message: backbone.Upward, moment: Moment) -> None:
        """Take one message from the gateway instance `peer`."""
        gateway = self._gateways.get(peer)
        if isinstance(message, backbone.Hello):
            self._hello(peer, message, moment.now)
            return
        if gateway is None or not gateway.greeted:
            self.counters.from_strangers += 1
            self._answer(peer, backbone.Unknown(self._instance))
            return
        gateway.seen = moment.now
        match message:
            case backbone.Publish(first, items):
                self._publish(peer, gateway, first, items, moment.wall_ms)
            case backbone.Request():
                self._request(peer, message, moment)
            case backbone.Canary(number):
                self._pending.canaries.append((peer, number))
            case backbone.Delivered(positions):
                for room_id, offset in positions:
                    if room := self.directory.rooms.get(room_id):
                        self.directory.deliver(room, peer, offset)
            case backbone.Bye():
                self._bury(peer, gateway, moment.now)

    def subscribed(self, topic: bytes) -> None:
        """A subscription is live: tell the room's position on it, so that the gateway knows where it stands."""
        room = backbone.topic_room(topic)
        if room is not None:
            self._pending.announced.add(room)

    def unreachable(self, peer: str, now: float) -> None:
        """A gateway has no connection any more, as an answer to it showed: do not wait for it."""
        gateway = self._gateways.get(peer)
        if gateway is not None and gateway.greeted:
            self._bury(peer, gateway, now)

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
                self._join(job.peer, job.request.id, room, body, moment.wall_ms)
            elif isinstance(body, backbone.Create):
                self._create(job.peer, job.request.id, body, str(result), moment.wall_ms)
        except PeerError as exc:
            self._refuse(job.peer, job.request.id, exc.status)

    def busy(self, job: PasswordJob) -> None:
        """There are too many passwords to hash already."""
        self._refuse(job.peer, job.request.id, Status.BUSY)

    def tick(self, moment: Moment) -> None:
        """Do what time brings. To be called several times a second.

        Members of gateways that are gone are handed over to who waits for them or stands behind the same address, or
        expire; rooms that went on lately tell their position once more; what is long gone is forgotten.
        """
        now = moment.now
        for member_id in list(self._handovers):
            member = self.directory.members.get(member_id)
            if member is None or not self._may_live(member.gateway, now):
                self._finish_handover(member_id, None, now)
            else:
                # Once more: if its connection is gone by now, that shows.
                self._answer(member.gateway, backbone.Release(member.room.id, member.id))
        if now - self._swept_at >= 1.0:
            self._swept_at = now
            self._sweep(moment)

    def _sweep(self, moment: Moment) -> None:
        for instance, gateway in list(self._gateways.items()):
            silent_s = moment.now - gateway.seen
            if self._may_live(instance, moment.now):
                continue
            self._find_heir(instance, moment.now)
            for member in self.directory.served_by(instance):
                if silent_s * 1000 > member.idle_ms and member.id in self.directory.members:
                    self.counters.expired_members += 1
                    self.directory.leave(member, LeaveReason.IDLE, moment.wall_ms)
            if silent_s > FORGET_S and not self.directory.by_gateway.get(instance):
                del self._gateways[instance]
                self.directory.forget_gateway(instance)
        self._pending.announced |= self._changed
        self._changed = set()
        for room_id, (at, _) in list(self._closed.items()):
            if moment.now - at < CLOSED_S:
                break
            del self._closed[room_id]
            self.directory.batch.purged.add(room_id)

    def trimmed(self, firsts: dict[int, int]) -> None:
        """The store has dropped old entries: room id → its oldest offset now."""
        self.counters.trimmed_rooms += len(firsts)
        for room_id, first in firsts.items():
            if room := self.directory.rooms.get(room_id):
                room.first = first

    # --- one turn out ---------------------------------------------------------------------------------------------

    def take_turn(self, moment: Moment) -> Turn:
        """Return all that the messages since the last turn ask for."""
        directory, pending = self.directory, self._pending
        batch, directory.batch = directory.batch, Batch()
        entries, directory.entries = directory.entries, {}
        closed, directory.closed = directory.closed, {}
        self._pending = _Pending()
        news: list[tuple[bytes, bytes]] = []
        self._changed.update(entries)
        for room_id, said in entries.items():
            room = directory.rooms.get(room_id) or closed[room_id]
            last = said[-1].offset
            body = backbone.encode(backbone.News(room.epoch, last, said))
            batch.chunks.append(Chunk(room_id, said[0].offset, last, moment.wall_ms, body))
            if room_id in closed:
                self._closed[room_id] = (moment.now, last)
            news.append((backbone.room_topic(room_id), body))
        news += [
            (backbone.room_topic(room_id), backbone.encode(self._position(room_id)))
            for room_id in pending.announced.difference(entries)
        ]
        for peer, number in pending.canaries:
            news.append((backbone.canary_topic(peer), backbone.encode(backbone.News(0, number, []))))
        for peer in pending.publishers:
            number = self._gateways[peer].accepted
            batch.accepted[peer] = number
            pending.replies.append((peer, backbone.Accepted(number)))
        return Turn(batch, news, pending.replies, pending.replays, pending.passwords)

    def replay_after(self, question: backbone.Replay) -> int:
        """Return the offset after which the store is to be read for a replay: another epoch's means nothing here."""
        room = self.directory.rooms.get(question.room)
        return question.after if room is None or room.epoch == question.epoch else 0

    def replayed(self, question: backbone.Replay, chunks: Sequence[Chunk]) -> backbone.Replayed:
        """Return the answer to a replay, given what the store has."""
        room = self.directory.rooms.get(question.room)
        last = room.last if room else self._closed.get(question.room, (0.0, 0))[1]
        news = [backbone.parse_news_untrusted(chunk.news) for chunk in chunks]
        epoch = room.epoch if room else news[-1].epoch if news else 0
        after = self.replay_after(question)
        entries = [entry for told in news for entry in told.entries if entry.offset > after][: question.limit]
        first = entries[0].offset if entries else last + 1
        return backbone.Replayed(question.room, epoch, first, last, entries)

    # --- decisions ------------------------------------------------------------------------------------------------

    def _hello(self, peer: str, hello: backbone.Hello, now: float) -> None:
        if hello.version != backbone.VERSION:
            self.counters.from_strangers += 1
            return
        gateway = self._gateways.setdefault(peer, Gateway(now))
        gateway.seen, gateway.greeted = now, True
        self._answer(peer, backbone.Welcome(self._instance, gateway.accepted))
        if name := backbone.gateway_name(peer):
            # One that was killed and started again comes back sooner than silence would tell. A connection that is no
            # more shows when something is sent to it; to a living gateway this says nothing new.
            for instance, other in self._gateways.items():
                if backbone.gateway_name(instance) == name and other.greeted and instance != peer:
                    self._answer(instance, backbone.Accepted(other.accepted))

    def _publish(self, peer: str, gateway: Gateway, first: int, items: list[backbone.Item], wall_ms: int) -> None:
        self._pending.publishers.add(peer)
        # What was taken already is passed over; what does not follow on it was overtaken by a loss and will come again.
        known = gateway.accepted - first + 1
        if known < 0:
            return
        if known:
            self.counters.repeated_items += min(known, len(items))
            items = items[known:]
        members = self.directory.members
        for item in items:
            member = members.get(item.member)
            if member is None or member.room.id != item.room or member.gateway != peer:
                # Also what a gateway says for a member that is served elsewhere by now: its client has gone on there.
                self.counters.refused_items += 1
            elif item.kind == EntryKind.SAID:
                self.directory.say(member, item.text, wall_ms)
            elif item.kind == EntryKind.LEFT:
                idle = item.code == LeaveReason.IDLE
                self.directory.leave(member, LeaveReason.IDLE if idle else LeaveReason.LEFT, wall_ms)
            elif item.kind == EntryKind.ADDRESSED:
                self.directory.locate(member, item.text.encode(), item.code)
            elif item.kind == EntryKind.RELEASED:
                self.counters.handovers += 1
                self._finish_handover(member.id, min(item.code, member.room.last) or None, gateway.seen)
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
                    self._resume(peer, request.id, token_hash, moment)
                case backbone.Roll(known):
                    self._call_roll(peer, request.id, known)
                case backbone.Positions(asked):
                    standing = [self._standing(room_id) for room_id in asked]
                    self._answer(peer, backbone.Reply(request.id, backbone.Standing(standing)))
                case backbone.ListRooms(limit):
                    listed = list(self.directory.by_name)[-max(limit, 1) :]
                    self._answer(peer, backbone.Reply(request.id, backbone.Rooms(listed)))
                case backbone.Replay() as replay:
                    replay.limit = min(max(replay.limit, 1), self._limits.replay_entries)
                    self._pending.replays.append((peer, request.id, replay))
        except InvalidName as exc:
            self._refuse(peer, request.id, exc.status, str(exc))
        except PeerError as exc:
            self._refuse(peer, request.id, exc.status)

    def _ask_to_create(self, peer: str, request: backbone.Request, body: backbone.Create, wall_ms: int) -> None:
        if self._granted_before(peer, request.id, body):
            return
        name = names.room_name(body.room)
        names.user_name(body.user)
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
        names.user_name(body.user)
        if not room.password_hash:
            self._join(peer, request.id, room, body, wall_ms)
        elif body.password:
            self._pending.passwords.append(PasswordJob(peer, request, body.password, room.password_hash))
        else:
            self._refuse(peer, request.id, Status.WRONG_PASSWORD)

    def _granted_before(self, peer: str, request_id: int, body: backbone.Create) -> bool:
        """A request that is repeated because its answer was lost gets the same answer."""
        member = self.directory.by_token.get(body.token_hash)
        if member is not None:
            self._grant(peer, request_id, member)
        return member is not None

    def _create(self, peer: str, request_id: int, body: backbone.Create, password_hash: str, wall_ms: int) -> None:
        wished = names.user_name(body.user)
        row = _member_row(peer, body)
        member = self.directory.create(names.room_name(body.room), password_hash, wished, row, wall_ms)
        self._grant(peer, request_id, member)

    def _join(self, peer: str, request_id: int, room: Room, body: backbone.Join, wall_ms: int) -> None:
        member = self.directory.join(room, names.user_name(body.user), _member_row(peer, body), wall_ms)
        self._grant(peer, request_id, member)

    def _resume(self, peer: str, request_id: int, token_hash: bytes, moment: Moment) -> None:
        member = self.directory.by_token.get(token_hash)
        if member is None:
            self._refuse(peer, request_id, Status.ROOM_NOT_FOUND)
            return
        if member.gateway == peer:
            self._grant(peer, request_id, member)
        elif self._may_live(member.gateway, moment.now):
            # It delivers up to the moment that it lets go, and says how far; if it is gone, time or a send will show.
            waiting = self._handovers.pop(member.id, None)
            if waiting is not None and waiting.to != peer:
                self._refuse(waiting.to, waiting.request_id, Status.BUSY)
            self._handovers[member.id] = Handover(peer, request_id)
            self._answer(member.gateway, backbone.Release(member.room.id, member.id))
        else:
            self._handovers[member.id] = Handover(peer, request_id)
            self._finish_handover(member.id, None, moment.now)

    def _finish_handover(self, member_id: int, heard: int | None, now: float) -> None:
        """Let the gateway that waits for a member have it; `heard` as its old one said, None if that one is gone."""
        handover = self._handovers.pop(member_id, None)
        member = self.directory.members.get(member_id)
        if member is None:
            if handover is not None:
                self._refuse(handover.to, handover.request_id, Status.ROOM_NOT_FOUND)
            return
        if heard is None:
            self.counters.takeovers += 1
            heard = member.heard()
        if handover is None:
            # Given up although nobody waits any more: whoever hears its client next will ask.
            nobody = f"-{int(now)}"
            self._gateways.setdefault(nobody, Gateway(now, expected=False))
            self.directory.move(member, nobody, heard)
            return
        self.directory.move(member, handover.to, heard)
        self._grant(handover.to, handover.request_id, member)

    def _bury(self, peer: str, gateway: Gateway, now: float) -> None:
        gateway.greeted = gateway.expected = False
        for member_id, handover in list(self._handovers.items()):
            member = self.directory.members.get(member_id)
            if handover.to == peer:
                del self._handovers[member_id]
            elif member is None or member.gateway == peer:
                self._finish_handover(member_id, None, now)
        self._find_heir(peer, now)

    def _find_heir(self, gone: str, now: float) -> None:
        """Let a living gateway behind the same address go on with the members of one that is gone."""
        name = backbone.gateway_name(gone)
        if not name or not self.directory.by_gateway.get(gone):
            return
        for instance, gateway in self._gateways.items():
            if backbone.gateway_name(instance) == name and gateway.greeted and self._may_live(instance, now):
                self._adopt(gone, instance)
                return

    def _adopt(self, gone: str, heir: str) -> None:
        adopted = []
        for member in self.directory.served_by(gone):
            # One without an address can not be told anything before its client sends: then it is asked for.
            if member.address and member.id not in self._handovers:
                self.counters.takeovers += 1
                self.directory.move(member, heir, member.heard())
                adopted.append(member)
        self._give(heir, adopted)

    def _call_roll(self, peer: str, request_id: int, known: list[int]) -> None:
        """Tell a gateway whom it serves; those that it does not know of, as that was lost, are given to it again."""
        served = self.directory.by_gateway.get(peer, set())
        unknown = served.difference(known)
        self._give(
            peer, [member for member in self.directory.served_by(peer) if member.id in unknown and member.address]
        )
        self._answer(peer, backbone.Reply(request_id, backbone.OnRoll(sorted(served))))

    def _give(self, heir: str, members: list[Member]) -> None:
        for start in range(0, len(members), ADOPTED_AT_ONCE):
            some = members[start : start + ADOPTED_AT_ONCE]
            adoptions = [backbone.Adoption(_granted(member), member.token_hash) for member in some]
            self._answer(heir, backbone.Adopt(adoptions))

    def _may_live(self, instance: str, now: float) -> bool:
        """Say whether a gateway may still be delivering: it was heard lately, or has not had the time to say Hello."""
        gateway = self._gateways.get(instance)
        return gateway is not None and (gateway.greeted or gateway.expected) and now - gateway.seen < ALIVE_S

    def _grant(self, peer: str, request_id: int, member: Member) -> None:
        self._answer(peer, backbone.Reply(request_id, _granted(member)))

    def _refuse(self, peer: str, request_id: int, status: Status, detail: str = "") -> None:
        self._answer(peer, backbone.Reply(request_id, backbone.Refused(status, detail)))

    def _answer(self, peer: str, message: backbone.Downward) -> None:
        self._pending.replies.append((peer, message))

    def _position(self, room_id: int) -> backbone.News:
        """Return the news that only tell where a room stands; one that is closed says so again."""
        _, epoch, last = self._standing(room_id)
        return backbone.News(epoch, last, [])

    def _standing(self, room_id: int) -> tuple[int, int, int]:
        room = self.directory.rooms.get(room_id)
        if room is not None:
            return room_id, room.epoch, room.last
        return room_id, 0, self._closed.get(room_id, (0.0, 0))[1]


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
        member.heard(),
        room.first,
    )


def _member_row(peer: str, body: backbone.Create) -> MemberRow:
    return MemberRow(0, 0, "", body.token_hash, body.dialect, body.ip, b"", peer, max(body.idle_ms, 1), False, 0)
