"""Decide on gateways' requests: create, join, resume, set a password; `queries.py` has those that change nothing.

A request that needs a slow hash or the store is put into the turn (`turn.py`), and carried out with it.
"""

from collections.abc import Callable

from tsudoi.ops.bounded import drop_oldest
from tsudoi.protocol import backbone, names
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import Rights, Status
from tsudoi.protocol.errors import Banned, Full, InvalidName, PeerError, RoomExists, WrongPassword

from ..config import Limits
from ..counters import Counters
from ..store.interface import MemberRow, RestrictionKind
from ..turn import Moment, PasswordJob
from . import queries
from .bans_and_mutes import EVERYWHERE
from .directory import Directory
from .handovers import Handovers
from .lost_gateways import Ownership
from .room_and_member import Member

ALL_RIGHTS = int(Rights.VERIFIED | Rights.MODERATOR)
PASSWORDS_KNOWN = 1_000
"""Password changes that are remembered, so that a repeated request causes no second notice."""


class Requests:
    """Decides on requests."""

    def __init__(
        self,
        directory: Directory,
        ownership: Ownership,
        handovers: Handovers,
        limits: Limits,
        counters: Counters,
        answer: Callable[[str, backbone.Downward], None],
    ) -> None:
        """Begin; `answer` is called with a gateway's instance and a message for it."""
        self._directory = directory
        self._ownership = ownership
        self._handovers = handovers
        self._limits = limits
        self._counters = counters
        self._answer = answer
        self._replays: list[tuple[str, int, backbone.Replay]] = []
        self._passwords: list[PasswordJob] = []
        self._passwords_set: dict[tuple[str, int], bool] = {}
        """(gateway instance, request id) of a SetPassword → False while its hash is being made."""

    def take(self) -> tuple[list[tuple[str, int, backbone.Replay]], list[PasswordJob]]:
        """Return the replays and the passwords of a turn; see `Turn`."""
        taken = self._replays, self._passwords
        self._replays, self._passwords = [], []
        return taken

    def handle(self, peer: str, request: backbone.Request, moment: Moment) -> None:
        """Handle a request of the gateway instance `peer`."""
        wall_ms = moment.wall_ms
        try:
            match request.body:
                case backbone.Create() as body:  # or Join, which has the same fields
                    self._enter(peer, request, body, wall_ms)
                case backbone.Resume() as resume:
                    self._resume(peer, request.id, resume, moment.now)
                case backbone.Reconcile(known):
                    self._reply(peer, request.id, self._ownership.reconcile(peer, known))
                case backbone.SetPassword() as change:
                    self._ask_for_password(peer, request, change, wall_ms)
                case backbone.Replay() as replay:
                    replay.limit = min(max(replay.limit, 1), self._limits.replay_entries)
                    self._replays.append((peer, request.id, replay))
                case query:
                    self._reply(peer, request.id, self._query(peer, query, wall_ms))
        except PeerError as exc:
            self._decline(peer, request.id, exc)

    def _query(self, peer: str, query: backbone.Question, wall_ms: int) -> backbone.Answer:
        """Return the answer to a request that changes nothing."""
        match query:
            case backbone.Positions(rooms):
                return backbone.RoomPositions([self._directory.standing(room_id) for room_id in rooms])
            case backbone.ListRooms(limit):
                return queries.list_rooms(self._directory, limit)
            case backbone.Who() as who:
                return queries.who(self._directory, who, wall_ms)
            case backbone.Browse() as browse:
                return queries.browse(self._directory, browse)
            case backbone.Bans() as bans if self._find_moderator(peer, bans.member, bans.room, wall_ms):
                return queries.bans(self._directory, bans, wall_ms)
            case backbone.GetTime():
                return backbone.ServerTime(wall_ms)
        return backbone.Done()

    def hashed(self, job: PasswordJob, result: str | bool, moment: Moment) -> None:
        """Continue a request whose password was hashed (`result` is the hash) or checked (whether it is right)."""
        try:
            match job.request.body:
                case backbone.Create() as body:
                    self._enter(job.peer, job.request, body, moment.wall_ms, job, result)
                case backbone.SetPassword() as change:
                    self._set_password(job.peer, job.request.id, change, str(result), moment.wall_ms)
        except PeerError as exc:
            self._decline(job.peer, job.request.id, exc)

    def busy(self, job: PasswordJob) -> None:
        """Refuse a request because too many passwords wait to be hashed."""
        self._counters.passwords_refused += 1
        self._passwords_set.pop((job.peer, job.request.id), None)
        self._refuse(job.peer, job.request.id, Status.BUSY)

    def _enter(
        self,
        peer: str,
        request: backbone.Request,
        body: backbone.Create,
        wall_ms: int,
        job: PasswordJob | None = None,
        result: str | bool = "",
    ) -> None:
        """Create or join a room. If a password must be hashed first, this is called again with the job's result."""
        directory = self._directory
        # A request is repeated if its answer was lost, and is answered like the first time.
        member = directory.by_token.get(body.token_hash)
        if member is None:
            name = names.room_name(body.room)
            room = directory.find(name) if isinstance(body, backbone.Join) else None
            self._check_ban(room.id if room else EVERYWHERE, body, wall_ms)
            if job is None and (room.password_hash if room else body.password):
                if not room and name in directory.by_name:
                    raise RoomExists(name)
                if not body.password:
                    raise WrongPassword
                stored = room.password_hash if room else ""
                self._passwords.append(PasswordJob(peer, request, body.password, stored))
                return
            user, row = names.user_name(body.user), _member_row(peer, body)
            if room is None:
                member = directory.create(name, str(result), user, row, wall_ms)
            elif job is None or (room.password_hash == job.stored and result):
                member = directory.join(room, user, row, wall_ms)
            else:  # wrong; or meanwhile another room has the name, or this one another password
                raise WrongPassword
        self._handovers.grant(peer, request.id, member)

    def _check_ban(self, room: int, body: backbone.Create, wall_ms: int) -> None:
        """Raise Banned if this user may not join the room, InvalidName if the name is invalid."""
        bans, name = self._directory.bans_and_mutes, names.user_name(body.user)
        if bans.until(EVERYWHERE, RestrictionKind.BAN, name, body.ip, wall_ms):
            raise Banned("you are banned from this server")
        if bans.until(room, RestrictionKind.BAN, name, body.ip, wall_ms):
            raise Banned("you are banned from this room")

    def _find_moderator(self, peer: str, member_id: int, room_id: int, wall_ms: int) -> Member | None:
        """Return the member that asks, if it is host or moderator; if not, answer that it must be."""
        member = self._directory.members.get(member_id)
        if member is None or member.room.id != room_id or peer not in (member.gateway, member.rare.former):
            return None  # it has left, or is not this gateway's
        if not member.may_moderate:
            self._directory.answer(member, Phrase.NOT_HOST, "", wall_ms)
            return None
        return member

    def _ask_for_password(
        self, peer: str, request: backbone.Request, change: backbone.SetPassword, wall_ms: int
    ) -> None:
        """Have a new password hashed; the member gets the result through the room's log."""
        if member := self._find_moderator(peer, change.member, change.room, wall_ms):
            key = peer, request.id
            if key in self._passwords_set:
                if not self._passwords_set[key]:
                    return  # answered when the hash is made
            elif change.password and not member.room.closed_ms:
                self._passwords_set[key] = False
                drop_oldest(self._passwords_set, PASSWORDS_KNOWN)
                self._passwords.append(PasswordJob(peer, request, change.password, ""))
                return
        self._reply(peer, request.id, backbone.Done())

    def _set_password(
        self, peer: str, request_id: int, change: backbone.SetPassword, password_hash: str, wall_ms: int
    ) -> None:
        member = self._directory.members.get(change.member)
        if member is not None and member.may_moderate and not member.room.closed_ms:
            self._directory.set_password(member.room, password_hash, member, wall_ms)
        self._passwords_set[peer, request_id] = True
        self._reply(peer, request_id, backbone.Done())

    def _resume(self, peer: str, request_id: int, resume: backbone.Resume, now: float) -> None:
        member = self._directory.by_token.get(resume.token_hash)
        if member is None:
            self._refuse(peer, request_id, Status.ROOM_NOT_FOUND)
        else:
            self._handovers.resume(peer, request_id, member, resume, now)

    def _decline(self, peer: str, request_id: int, exc: PeerError) -> None:
        """Refuse a request, with an explanation if the status is not enough."""
        in_words = isinstance(exc, InvalidName | Banned | Full)
        self._counters.full += isinstance(exc, Full)
        self._refuse(peer, request_id, exc.status, str(exc) if in_words else "")

    def _refuse(self, peer: str, request_id: int, status: Status, detail: str = "") -> None:
        self._reply(peer, request_id, backbone.Refused(status, detail))

    def _reply(self, peer: str, request_id: int, answer: backbone.Answer) -> None:
        self._answer(peer, backbone.Reply(request_id, answer))


def _member_row(peer: str, body: backbone.Create) -> MemberRow:
    idle_ms, rights = min(max(body.idle_ms, 1), backbone.MAX_IDLE_MS), body.rights & ALL_RIGHTS
    return MemberRow(
        0, 0, "", body.token_hash, body.dialect, body.ip, b"", peer, idle_ms, False, 0, rights, options=body.options
    )
