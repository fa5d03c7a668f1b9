"""What gateways ask of the broker, and what they are answered; ARCHITECTURE.md, "One message's way".

What needs a slow hash or the store is noted, and carried out when the turn is (`turn.py`).
"""

from collections.abc import Callable
from itertools import islice

from broker import commands
from broker.config import Limits
from broker.counters import Counters
from broker.custody import Custody
from broker.directory import Directory
from broker.rooms import Room
from broker.sanctions import EVERYWHERE
from broker.store import FOREVER, MemberRow, SanctionKind
from broker.turn import Moment, PasswordJob
from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol import backbone, names
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import Rights, Status
from tsudoi.protocol.errors import Banned, Full, InvalidName, PeerError, RoomExists

ALL_RIGHTS = int(Rights.VERIFIED | Rights.MODERATOR)
LISTED = 100
"""Members or rooms in one answer to who they are."""
LISTED_ROOMS = 1_000
"""Names in one list of rooms: as many as a gateway asks for."""
PASSWORDS_KNOWN = 1_000
CREATES_S, CREATES, KEYS = 1_000.0, 5_000.0, 1_000
"""Rooms that gateways of one key may make, in a second and at once; keys of which this is known."""


class Requests:
    """Decides on requests. Knows no socket, no file and no clock."""

    def __init__(
        self,
        directory: Directory,
        custody: Custody,
        limits: Limits,
        counters: Counters,
        answer: Callable[[str, backbone.Downward], None],
    ) -> None:
        """Answer for a directory, by `answer` (gateway instance, what it is told)."""
        self._directory = directory
        self._custody = custody
        self._limits = limits
        self._counters = counters
        self._answer = answer
        self.replays: list[tuple[str, int, backbone.Replay]] = []
        """See `Turn`, which takes them; likewise the next."""
        self.passwords: list[PasswordJob] = []
        self._creates: Buckets[str] = Buckets(KEYS)
        self._passwords_set: dict[tuple[str, int], bool] = {}
        """(gateway instance, request id) of passwords → whether they are set, or being hashed still."""

    def handle(self, peer: str, request: backbone.Request, moment: Moment) -> None:
        """Take one request of the gateway instance `peer`."""
        try:
            match request.body:
                case backbone.Join() as join:
                    self._ask_to_join(peer, request, join, moment.wall_ms)
                case backbone.Create() as create:
                    self._ask_to_create(peer, request, create, moment)
                case backbone.Resume() as resume:
                    self._resume(peer, request.id, resume, moment.now)
                case backbone.Reconcile(known):
                    self._custody.call_roll(peer, request.id, known)
                case backbone.Positions(asked):
                    standing = [self._directory.standing(room_id) for room_id in asked]
                    self._answer(peer, backbone.Reply(request.id, backbone.RoomPositions(standing)))
                case backbone.ListRooms(limit):
                    listed = list(islice(reversed(self._directory.by_name), min(max(limit, 1), LISTED_ROOMS)))[::-1]
                    self._answer(peer, backbone.Reply(request.id, backbone.Rooms(listed)))
                case backbone.Who() | backbone.Browse() | backbone.GetTime():
                    self._answer(peer, backbone.Reply(request.id, self._told(request.body, moment.wall_ms)))
                case backbone.Bans() as question:
                    self._answer(peer, backbone.Reply(request.id, self._bans(peer, question, moment.wall_ms)))
                case backbone.SetPassword() as change:
                    self._ask_for_password(peer, request, change, moment.wall_ms)
                case backbone.Replay() as replay:
                    replay.limit = min(max(replay.limit, 1), self._limits.replay_entries)
                    self.replays.append((peer, request.id, replay))
        except PeerError as exc:
            self._decline(peer, request.id, exc)

    def hashed(self, job: PasswordJob, result: str | bool, moment: Moment) -> None:
        """A password's hash is made (its text) or checked (whether it fits)."""
        body = job.request.body
        try:
            if isinstance(body, backbone.Create) and self._granted_before(job.peer, job.request.id, body):
                return
            if isinstance(body, backbone.Join):
                room = self._directory.find(names.room_name(body.room))
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
        self._counters.passwords_refused += 1
        self._passwords_set.pop((job.peer, job.request.id), None)
        self._refuse(job.peer, job.request.id, Status.BUSY)

    def _ask_to_create(self, peer: str, request: backbone.Request, body: backbone.Create, moment: Moment) -> None:
        if self._granted_before(peer, request.id, body):
            return
        wall_ms = moment.wall_ms
        name = names.room_name(body.room)
        self._check_ban(EVERYWHERE, body, wall_ms)
        if name in self._directory.by_name:
            raise RoomExists(name)
        account = self._custody.account(peer)
        if account and not self._creates.touch(account, moment.now, CREATES_S, CREATES):
            self._counters.creates_limited += 1
            self._refuse(peer, request.id, Status.BUSY)
            return
        if body.password:
            self.passwords.append(PasswordJob(peer, request, body.password, ""))
        else:
            self._create(peer, request.id, body, "", wall_ms)

    def _ask_to_join(self, peer: str, request: backbone.Request, body: backbone.Join, wall_ms: int) -> None:
        if self._granted_before(peer, request.id, body):
            return
        room = self._directory.find(names.room_name(body.room))
        self._check_ban(room.id, body, wall_ms)
        if not room.password_hash:
            self._join(peer, request.id, room, body, wall_ms)
        elif body.password:
            self.passwords.append(PasswordJob(peer, request, body.password, room.password_hash))
        else:
            self._refuse(peer, request.id, Status.WRONG_PASSWORD)

    def _check_ban(self, room: int, body: backbone.Create, wall_ms: int) -> None:
        """Raise Banned if this user may not come into a room, or any; InvalidName if the name is none."""
        directory, name = self._directory, names.user_name(body.user)
        if directory.sanctions.until(EVERYWHERE, SanctionKind.BAN, name, body.ip, wall_ms, directory.batch.sanctions):
            raise Banned("you are banned from this server")
        if directory.sanctions.until(room, SanctionKind.BAN, name, body.ip, wall_ms, directory.batch.sanctions):
            raise Banned("you are banned from this room")

    def _ask_for_password(
        self, peer: str, request: backbone.Request, change: backbone.SetPassword, wall_ms: int
    ) -> None:
        member = self._directory.members.get(change.member)
        if member is None or member.room.id != change.room or peer not in (member.gateway, member.seldom.former):
            pass  # not there any more, or not for this gateway to speak for
        elif not member.may_moderate:
            commands.answer(self._directory, member, Phrase.NOT_HOST, "", wall_ms)
        elif (peer, request.id) in self._passwords_set:
            # Asked again, as the answer was lost or the hash takes its time.
            if not self._passwords_set[peer, request.id]:
                return
        elif change.password and not member.room.closed_ms:
            self._passwords_set[peer, request.id] = False
            if len(self._passwords_set) > PASSWORDS_KNOWN:
                del self._passwords_set[next(iter(self._passwords_set))]
            self.passwords.append(PasswordJob(peer, request, change.password, ""))
            return
        self._answer(peer, backbone.Reply(request.id, backbone.Done()))

    def _set_password(
        self, peer: str, request_id: int, change: backbone.SetPassword, password_hash: str, wall_ms: int
    ) -> None:
        member = self._directory.members.get(change.member)
        if member is not None and member.may_moderate and not member.room.closed_ms:
            self._directory.set_password(member.room, password_hash, member, wall_ms)
        self._passwords_set[peer, request_id] = True
        self._answer(peer, backbone.Reply(request_id, backbone.Done()))

    def _told(self, question: backbone.Who | backbone.Browse | backbone.GetTime, wall_ms: int) -> backbone.Answer:
        """Return what a member wants to know of the room or the server."""
        match question:
            case backbone.Who(room_id, skip, limit):
                room = self._directory.rooms.get(room_id)
                members = room.members if room is not None else {}
                some = islice(islice(members.values(), skip, None), min(limit, LISTED))
                return backbone.Present(len(members), [(m.name, m.is_host, max(wall_ms - m.spoke_ms, 0)) for m in some])
            case backbone.Browse(skip, limit):
                rooms = self._directory.by_name
                chosen = islice(islice(rooms.values(), skip, None), min(limit, LISTED))
                return backbone.Browsed(len(rooms), [(r.name, len(r.members), bool(r.password_hash)) for r in chosen])
            case backbone.GetTime():
                return backbone.ServerTime(wall_ms)

    def _bans(self, peer: str, question: backbone.Bans, wall_ms: int) -> backbone.Answer:
        """Return what holds in a room; for who may not know, Done: what there is to say is in the log."""
        member = self._directory.members.get(question.member)
        if member is None or member.room.id != question.room or peer not in (member.gateway, member.seldom.former):
            return backbone.Done()
        if not member.may_moderate:
            commands.answer(self._directory, member, Phrase.NOT_HOST, "", wall_ms)
            return backbone.Done()
        held = [each for each in self._directory.sanctions.of_room(question.room) if each.until_ms > wall_ms]
        rows = [
            (each.name, each.ip, each.kind == SanctionKind.MUTE, 0 if each.until_ms == FOREVER else each.until_ms)
            for each in islice(held, question.skip, None)
        ]
        return backbone.Banned(len(held), rows[: min(question.limit, LISTED)])

    def _granted_before(self, peer: str, request_id: int, body: backbone.Create) -> bool:
        """A request that is repeated because its answer was lost gets the same answer."""
        member = self._directory.by_token.get(body.token_hash)
        if member is not None:
            self._custody.grant(peer, request_id, member)
        return member is not None

    def _create(self, peer: str, request_id: int, body: backbone.Create, password_hash: str, wall_ms: int) -> None:
        wished = names.user_name(body.user)
        row = _member_row(peer, body)
        member = self._directory.create(names.room_name(body.room), password_hash, wished, row, wall_ms)
        self._custody.grant(peer, request_id, member)

    def _join(self, peer: str, request_id: int, room: Room, body: backbone.Join, wall_ms: int) -> None:
        member = self._directory.join(room, names.user_name(body.user), _member_row(peer, body), wall_ms)
        self._custody.grant(peer, request_id, member)

    def _resume(self, peer: str, request_id: int, resume: backbone.Resume, now: float) -> None:
        member = self._directory.by_token.get(resume.token_hash)
        if member is None:
            self._refuse(peer, request_id, Status.ROOM_NOT_FOUND)
        else:
            self._custody.resume(peer, request_id, member, resume, now)

    def _decline(self, peer: str, request_id: int, exc: PeerError) -> None:
        """Refuse a request, in words where the status does not say all."""
        in_words = isinstance(exc, InvalidName | Banned | Full)
        self._counters.full += isinstance(exc, Full)
        self._refuse(peer, request_id, exc.status, str(exc) if in_words else "")

    def _refuse(self, peer: str, request_id: int, status: Status, detail: str = "") -> None:
        self._answer(peer, backbone.Reply(request_id, backbone.Refused(status, detail)))


def _member_row(peer: str, body: backbone.Create) -> MemberRow:
    idle_ms, rights = min(max(body.idle_ms, 1), backbone.MAX_IDLE_MS), body.rights & ALL_RIGHTS
    return MemberRow(
        0, 0, "", body.token_hash, body.dialect, body.ip, b"", peer, idle_ms, False, 0, rights, options=body.options
    )
