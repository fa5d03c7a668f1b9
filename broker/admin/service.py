"""Decide on operators' requests.

Changes go the same way as members' own: into the directory's batch and the rooms' logs. So a change is stored before it
is answered, and every member sees it between the same two messages.
"""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import asdict
from heapq import nsmallest
from itertools import chain, islice
from typing import TypeVar

from tsudoi.ops.histogram import SECONDS
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol import names
from tsudoi.protocol.backbone import Measured, admin_frames, shard_of
from tsudoi.protocol.backbone.admin_frames import PAGE, AdminRefused, Answer, Done, Question, Standing
from tsudoi.protocol.codes import LeaveReason
from tsudoi.protocol.errors import MalformedMessage, PeerError
from tsudoi.protocol.names import RoomName

from ..core import Core
from ..rooms.bans_and_mutes import EVERYWHERE, RESTRICTIONS_A_ROOM, end_of, removed_everywhere
from ..rooms.gateway_leases import ALIVE_S
from ..rooms.passwords import is_hash
from ..rooms.room_and_member import Member, Room
from ..shards.cores import Cores
from ..store.interface import FOREVER, Restriction, RestrictionKind
from ..turn import Moment
from .samples import EVERY_S, Samples
from .shard_list import list_shards

ANNOUNCED_A_TICK = 2_000
"""Rooms that get announcements at once: entries in the logs of very many rooms would hold up the broker."""
TEXT_SIZE = 1_000
"""Bytes of an announcement, a reason or a topic."""

_T = TypeVar("_T")


class AdminService:
    """Answers operators' requests."""

    def __init__(self, cores: Cores) -> None:
        """Answer for the shards of these cores."""
        self._cores = cores
        self.shards: Callable[[], admin_frames.Shards] = lambda: list_shards(cores, None, "", "")
        """Lists the shards of all brokers."""
        self.standing: Callable[[], Standing] = lambda: Standing("", 0, "", "memory", False, len(cores), cores.shards)
        """Tells how this broker is."""
        self._samples = Samples()
        self._to_announce: dict[int, tuple[Core, list[str]]] = {}
        """Room id → announcements that are not in its log yet, and the core that has the room."""
        self.malformed = 0

    def handle_untrusted(self, frame: bytes, moment: Moment) -> Answer | None:
        """Return the answer to one frame, to be sent when the turn is stored; None if the frame is malformed."""
        try:
            ask = admin_frames.parse_ask_untrusted(frame)
        except MalformedMessage:
            self.malformed += 1
            return None
        if ask.version != admin_frames.VERSION:
            return AdminRefused(f"this broker's admin frames have version {admin_frames.VERSION}, yours {ask.version}")
        try:
            return self._answer(ask.body, moment)
        except PeerError as exc:
            return AdminRefused(str(exc))

    def tick(self, moment: Moment) -> None:
        """Append the announcement to further rooms' logs, 2,000 a call, and take a sample each 2 s.

        Call it each `TICK_S`.
        """
        if self._samples.is_due(moment.now):
            self._sample(moment)
        for room_id in list(islice(self._to_announce, ANNOUNCED_A_TICK)):
            core, _ = self._to_announce[room_id]
            if core in self._cores and (room := core.directory.rooms.get(room_id)):
                self._announce_waiting(core, room, moment.wall_ms)
            else:
                del self._to_announce[room_id]

    def _sample(self, moment: Moment) -> None:
        """Take a sample of this broker and of the gateways that it hears."""
        reports: dict[str, Measured] = {}
        entries = 0
        for core in self._cores:
            entries = core.counters.entries  # all cores share them
            for instance, gateway in core.gateways.known.items():
                report = gateway.measured
                if report is None or gateway.stopped or moment.now - gateway.seen > ALIVE_S:
                    continue
                if (other := reports.get(instance)) is None or other.at_ms < report.at_ms:
                    reports[instance] = report
        rooms = sum(len(core.directory.rooms) for core in self._cores)
        members = sum(core.directory.present for core in self._cores)
        self._samples.take(moment, entries, rooms, members, reports)

    def _announce_waiting(self, core: Core, room: Room, wall_ms: int) -> None:
        """Append a room's announcements to its log; before each other order that its members see."""
        _, texts = self._to_announce.pop(room.id, (core, []))
        for text in texts:
            if room.members:
                core.directory.announce(room, text, wall_ms)

    def _answer(self, question: Question, moment: Moment) -> Answer:
        wall_ms = moment.wall_ms
        match question:
            case admin_frames.ListRooms(after, name):
                every = chain.from_iterable(core.directory.rooms.values() for core in self._cores)
                rooms = [self._find(name)[1]] if name else every
                some, more = _page(rooms, after, lambda room: room.id)
                return admin_frames.Rooms([_listed_room(room) for room in some], more)
            case admin_frames.FindRooms(text, limit):
                return self._find_rooms(text, limit)
            case admin_frames.Watch(after_ms):
                samples = self._samples.after(after_ms)
                return admin_frames.Watched(samples, int(EVERY_S * 1000), list(SECONDS), [self.standing()])
            case admin_frames.ListMembers(after, name):
                everyone = chain.from_iterable(core.directory.members.values() for core in self._cores)
                members = self._find(name)[1].members.values() if name else everyone
                # Members of closed rooms are known until they have received the end.
                found, more = _page((m for m in members if not m.room.closed_ms), after, lambda member: member.id)
                return admin_frames.Members([_listed_member(member, wall_ms) for member in found], more)
            case admin_frames.ListGateways():
                return admin_frames.Gateways(self._gateways(moment.now))
            case admin_frames.ListBans():
                held = {ban.key: ban for core in self._cores for ban in _bans(core) if ban.until_ms > wall_ms}.values()
                return admin_frames.Bans(
                    [admin_frames.ListedBan(b.name, b.ip, 0 if b.until_ms == FOREVER else b.until_ms) for b in held]
                )
            case admin_frames.Count():
                return admin_frames.Counted(self._counted())
            case admin_frames.CloseRoom(name):
                core, room = self._find(name)
                self._announce_waiting(core, room, wall_ms)
                core.directory.close(room, LeaveReason.OPERATOR, wall_ms)
                return Done(1)
            case admin_frames.RemoveMember(room_name, name, reason):
                return self._remove(*self._find(room_name), name, _checked(reason), wall_ms)
            case admin_frames.Ban(name, ip, minutes, reason):
                return self._ban(name, ip, minutes, _checked(reason), wall_ms)
            case admin_frames.Unban(who):
                return self._unban(who)
            case admin_frames.Announce(text, name):
                return self._ask_to_announce(_checked(text), name)
            case admin_frames.Persist(name, password_hash, topic):
                return self._persist(name, password_hash, topic, wall_ms)
            case admin_frames.Unpersist(name):
                core, room = self._find(name)
                if not room.persistent:
                    return AdminRefused(f"{room.name} is not persistent")
                self._announce_waiting(core, room, wall_ms)
                core.directory.unpersist(room, wall_ms)
                return Done(1)
            case admin_frames.ListShards():
                return self.shards()

    def _core_of(self, name: RoomName) -> Core:
        """Return the core that rooms of a name belong to."""
        shard = shard_of(name, self._cores.shards)
        core = self._cores.find(shard)
        if core is None:
            raise PeerError(f"this broker does not serve shard {shard}, which the room belongs to, any more: try again")
        return core

    def _find_rooms(self, text: str, limit: int) -> admin_frames.Rooms:
        wanted = unicodedata.normalize("NFC", text).strip().casefold()
        every = chain.from_iterable(core.directory.rooms.values() for core in self._cores)
        found = (room for room in every if wanted in room.name.casefold()) if wanted else every
        # Of equal ones the oldest first. Very many rooms have few members: that is sorted faster than by a heap.
        most = sorted(found, key=lambda room: len(room.members), reverse=True)[: limit + 1]
        return admin_frames.Rooms([_listed_room(room) for room in most[:limit]], len(most) > limit)

    def _find(self, name: str) -> tuple[Core, Room]:
        wanted = names.room_name(name)
        core = self._core_of(wanted)
        room = core.directory.by_name.get(wanted)
        if room is None:
            raise PeerError(f"there is no room called {wanted}")
        return core, room

    def _done_in_all(self, count: int) -> Done:
        """Return the answer to an order that was carried out in all shards of this broker."""
        self._cores.touch_all()
        return Done(count, [] if self._cores.alone else sorted(core.shard for core in self._cores))

    def _gateways(self, now: float) -> list[admin_frames.Gateway]:
        listed = []
        for instance, gateway in self._cores.gateways().items():
            state = "stopped" if gateway.stopped else "serves" if now - gateway.seen < ALIVE_S else "away"
            silent_ms = int(max(now - gateway.seen, 0.0) * 1000)
            served = sum(
                room.gateways[instance]
                for core in self._cores
                for room in core.directory.by_gateway.get(instance, {}).values()
                if not room.closed_ms
            )
            listed.append(admin_frames.Gateway(instance, served, state, silent_ms))
        return listed

    def _counted(self) -> list[tuple[str, int]]:
        cores = list(self._cores)
        counted = asdict(cores[0].counters) if cores else {}
        rooms = [room for core in cores for room in core.directory.rooms.values()]
        return [
            ("rooms", len(rooms)),
            ("members", sum(len(room.members) for room in rooms)),
            *counted.items(),
            ("operator_malformed", self.malformed),
        ]

    def _remove(self, core: Core, room: Room, name: str, reason: str, wall_ms: int) -> Answer:
        member = room.called(names.normalise(name))
        if member is None:
            return AdminRefused(f"{room.name} has no member called {name}")
        self._announce_waiting(core, room, wall_ms)
        core.directory.leave(member, LeaveReason.OPERATOR, wall_ms, reason)
        return Done(1)

    def _ban(self, name: str, ip: str, minutes: int, reason: str, wall_ms: int) -> Answer:
        if bool(name) == bool(ip):
            return AdminRefused("ban either a name or an address")
        if name:
            name = names.user_name(name)
        else:
            given, ip = ip, rate_key(ip)
            if not ip:
                return AdminRefused(f"{given!r} is not an IP address")
        ban = Restriction(EVERYWHERE, RestrictionKind.BAN, name, ip, end_of(minutes, wall_ms))
        for core in self._cores:
            held = {each.key for each in _bans(core) if each.until_ms > wall_ms}
            if ban.key not in held and len(held) >= RESTRICTIONS_A_ROOM:
                return AdminRefused(f"{len(held)} names and addresses are banned: unban some first")
        count = 0
        for core in self._cores:
            core.directory.bans_and_mutes.add(ban)
            removed = removed_everywhere(core.directory.members.values(), name, ip)
            count += len(removed)
            for member in removed:
                if not member.room.closed_ms:  # its host may have gone before it, and the room with it
                    self._announce_waiting(core, member.room, wall_ms)
                    core.directory.leave(member, LeaveReason.BANNED, wall_ms, reason)
        return self._done_in_all(count)

    def _unban(self, who: str) -> Answer:
        lifted = 0
        for core in self._cores:
            bans = core.directory.bans_and_mutes
            lifted = max(lifted, len(bans.lift(EVERYWHERE, RestrictionKind.BAN, names.normalise(who))))
        if not lifted and self._cores.alone is not None:
            return AdminRefused(f"{who} is not banned")
        return self._done_in_all(min(lifted, 1))

    def _ask_to_announce(self, text: str, name: str) -> Answer:
        if not text:
            return AdminRefused("there is nothing to announce")
        if name:
            rooms = [self._find(name)]
        else:
            rooms = [(core, room) for core in self._cores for room in core.directory.rooms.values() if room.members]
        for core, room in rooms:
            self._to_announce.setdefault(room.id, (core, []))[1].append(text)
        return self._done_in_all(len(rooms))

    def _persist(self, name: str, password_hash: str | None, topic: str | None, wall_ms: int) -> Answer:
        wanted = names.room_name(name)
        directory = self._core_of(wanted).directory
        if password_hash and not is_hash(password_hash):
            return AdminRefused("that is no hash of a password")
        room = directory.persist(wanted, wall_ms)
        if password_hash is not None and password_hash != room.password_hash:
            directory.set_password(room, password_hash, None, wall_ms)
        if topic is not None and topic != room.topic:
            directory.set_topic(room, _checked(topic), None, wall_ms)
        return Done(1)


def _bans(core: Core) -> list[Restriction]:
    """Return the bans from all rooms; each shard has them all."""
    restrictions = core.directory.bans_and_mutes.of_room(EVERYWHERE)
    return [each for each in restrictions if each.kind == RestrictionKind.BAN]


def _page(rows: Iterable[_T], after: int, id_of: Callable[[_T], int]) -> tuple[list[_T], bool]:
    """Return the next rows in the order of their ids, and whether there are more."""
    found = nsmallest(PAGE + 1, (row for row in rows if id_of(row) > after), key=id_of)
    return found[:PAGE], len(found) > PAGE


def _listed_room(room: Room) -> admin_frames.Room:
    host = room.members.get(room.host)
    return admin_frames.Room(
        room.id,
        room.name,
        len(room.members),
        host.name if host else "",
        bool(room.password_hash),
        room.persistent,
        room.topic,
        room.created_ms,
        max(room.last - room.first + 1, 0),
        room.last,
    )


def _listed_member(member: Member, wall_ms: int) -> admin_frames.Member:
    return admin_frames.Member(
        member.id,
        member.room.name,
        member.name,
        member.is_host,
        int(member.rare.rights),
        member.dialect,
        member.ip,
        host_and_port(member.address),
        member.gateway,
        max(wall_ms - member.spoke_ms, 0),
    )


def host_and_port(address: bytes) -> str:
    """Return the UDP address of a member (host, port, scope, the gateway's own address) as HOST:PORT."""
    host, _, rest = address.decode(errors="replace").partition(" ")
    port = rest.partition(" ")[0]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if port else host


def _checked(text: str) -> str:
    """Return a text without blanks around it; raise PeerError if it is too long or has control characters."""
    if len(text.encode()) > TEXT_SIZE:
        raise PeerError(f"the text has more than {TEXT_SIZE} bytes")
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029" for char in text):
        raise PeerError("the text has control characters")
    return text.strip()
