"""Decide on gateways' requests: create, join, resume, hash a password, post; `queries.py` has what changes nothing.

A request that needs a slow hash or the store is put into the turn (`turn.py`), and carried out with it.
"""

from dataclasses import dataclass, field

from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol import backbone, names
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.refusals import BANNED_FROM_ROOM, BANNED_FROM_SERVER, lasting
from tsudoi.protocol.codes import Rights, Status
from tsudoi.protocol.errors import Banned, Full, InvalidName, Muted, PeerError, RoomExists, RoomNotFound, WrongPassword

from ..config import Limits
from ..counters import Counters
from ..store.interface import MemberRow, RestrictionKind
from ..turn import Moment, PasswordJob
from . import queries, stream_lines, webhooks
from .bans_and_mutes import EVERYWHERE, minutes_left
from .directory import Directory, WrongShard
from .handovers import Answer, Handovers
from .known_passwords import KnownPasswords
from .lost_gateways import Ownership
from .received_text import received_text
from .room_and_member import Member, Room

ALL_RIGHTS = int(Rights.VERIFIED | Rights.MODERATOR)
"""A store has 31 bits for them, and for options: a turn that it can not take would end the service of all rooms."""
WAITING = 1_000
"""Joins that wait for the check of one password; more are answered busy."""


class _Busy(PeerError):
    """Too many passwords wait to be checked, or this address has tried too many."""

    status = Status.BUSY


@dataclass(slots=True, eq=False)
class Requests:
    """Decides on requests."""

    _directory: Directory
    _ownership: Ownership
    _handovers: Handovers
    _limits: Limits
    _counters: Counters
    _answer: Answer
    _replays: list[tuple[str, int, backbone.Replay]] = field(default_factory=list)
    _passwords: list[PasswordJob] = field(default_factory=list)
    _known: KnownPasswords = field(default_factory=KnownPasswords)
    _checks: dict[tuple[str, str], dict[tuple[str, int], backbone.Request]] = field(default_factory=dict)
    """(stored hash, password) that is being checked → what waits for it, by gateway instance and request id."""

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
                    self._resume(peer, request.id, resume, moment.now, wall_ms)
                case backbone.Reconcile(known):
                    self._reply(peer, request.id, self._ownership.reconcile(peer, known, moment.now))
                case backbone.HashPassword() as asked:
                    self._ask_for_hash(peer, request, asked, wall_ms)
                case backbone.Post() as post:
                    self._post(peer, request, post, wall_ms)
                case backbone.Say() as line:
                    member = self._directory.members.get(line.member)
                    self._reply(peer, request.id, stream_lines.say(self._directory, member, line, peer, wall_ms))
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
                return queries.positions(self._directory, rooms)
            case backbone.ListRooms(limit):
                return queries.list_rooms(self._directory, limit)
            case backbone.Who() as who:
                return queries.who(self._directory, who, wall_ms)
            case backbone.Browse() as browse:
                return queries.browse(self._directory, browse)
            case backbone.Bans() as bans:
                if (member := self._find_giver(peer, bans)) is None:
                    raise RoomNotFound
                if member.may_moderate:
                    return queries.bans(self._directory, bans, wall_ms)
            case backbone.GetTime():
                return backbone.ServerTime(wall_ms)
        return backbone.Done()

    def hashed(self, job: PasswordJob, result: str | bool, moment: Moment) -> None:
        """Continue what waits for a password: `result` is its hash, or whether it is right."""
        if isinstance(result, str):
            self._known.learn(result, job.password, True)
            waiting = {(job.peer, job.request.id): job.request}
        else:
            self._known.learn(job.stored, job.password, result)
            waiting = self._checks.pop((job.stored, job.password), {})
        for (peer, request_id), request in waiting.items():
            try:
                match request.body:
                    case backbone.Create() as body:
                        self._enter(peer, request, body, moment.wall_ms, str(result) if not job.stored else "")
                    case backbone.Post() as post:
                        self._post(peer, request, post, moment.wall_ms)
                    case backbone.HashPassword():
                        self._reply(peer, request_id, backbone.Hashed(str(result)))
            except PeerError as exc:
                self._decline(peer, request_id, exc)

    def busy(self, job: PasswordJob) -> None:
        """Refuse what waits for a password, because too many passwords wait to be hashed."""
        waiting = self._checks.pop((job.stored, job.password), {}) or {(job.peer, job.request.id): job.request}
        for peer, request_id in waiting:
            self._counters.passwords_refused += 1
            self._refuse(peer, request_id, Status.BUSY)

    def _enter(
        self, peer: str, request: backbone.Request, body: backbone.Create, wall_ms: int, new_hash: str = ""
    ) -> None:
        """Create or join a room. If a password must be hashed or checked first, this is called again after it."""
        directory = self._directory
        # A request is repeated if its answer was lost, and is answered like the first time.
        member = directory.by_token.get(body.token_hash)
        if member is None:
            name = names.room_name(body.room)
            room = directory.find(name) if isinstance(body, backbone.Join) else None
            user = names.user_name(body.user)
            self._check_ban(room.id if room else EVERYWHERE, user, body.ip, body.options, wall_ms)
            row = _member_row(peer, body)
            if room is not None:
                if room.password_hash and not self._opens(room, peer, request, body):
                    return
                member = directory.join(room, user, row, wall_ms)
            elif not directory.belongs(name):
                raise WrongShard(name)  # before a password is hashed for it
            elif body.password and not new_hash:
                if name in directory.by_name:
                    raise RoomExists(name)
                self._passwords.append(PasswordJob(peer, request, body.password, ""))
                return
            else:
                member = directory.create(name, new_hash, user, row, wall_ms)
                if new_hash:
                    self._note_right(new_hash, body)
        self._handovers.grant(peer, request.id, member)

    def _opens(self, room: Room, peer: str, request: backbone.Request, body: backbone.Create | backbone.Post) -> bool:
        """Return whether a password opens a locked room; False: the request waits until the password is checked.

        Raises:
            WrongPassword: it is wrong, or missing.
            _Busy: the address has tried too many to be told.
        """
        stored, password, address = room.password_hash, body.password, rate_key(body.ip)
        if not password:
            raise WrongPassword
        is_right = self._known.look_up(stored, password)
        waiting = self._checks.get((stored, password))
        if is_right is None and (waiting is not None or not body.known_only):
            if waiting is None:
                waiting = self._checks[stored, password] = {}
                self._passwords.append(PasswordJob(peer, request, password, stored))
            elif len(waiting) >= WAITING:
                raise _Busy
            waiting[peer, request.id] = request
            return False
        if body.known_only and not self._known.was_right_from(stored, address):
            raise _Busy  # and not "wrong", which would tell a guesser as much as a check
        if not is_right:
            raise WrongPassword
        self._note_right(stored, body)
        return True

    def _note_right(self, stored: str, body: backbone.Create | backbone.Post) -> None:
        """Note that an address gave the right password; not of a proxy, behind which a guesser may be too."""
        if not body.options & MemberOptions.SHARED_ADDRESS:
            self._known.note_right_from(stored, rate_key(body.ip))

    def _check_ban(self, room: int, name: names.UserName, ip: str, options: int, wall_ms: int) -> None:
        """Raise Banned if a user of this name and IP address may not be in the room."""
        bans, is_shared = self._directory.bans_and_mutes, bool(options & MemberOptions.SHARED_ADDRESS)
        for where, why in ((EVERYWHERE, BANNED_FROM_SERVER), (room, BANNED_FROM_ROOM)):
            if until_ms := bans.until(where, RestrictionKind.BAN, name, ip, wall_ms, is_shared):
                raise Banned(lasting(why, minutes_left(until_ms, wall_ms)))

    def _find_giver(self, peer: str, asked: backbone.Bans | backbone.HashPassword) -> Member | None:
        """Return the member that gives a command; None: it has left, or is not this gateway's."""
        member = self._directory.members.get(asked.member)
        if member is None or member.room.id != asked.room or not member.may_come_from(peer):
            return None
        return member

    def _ask_for_hash(self, peer: str, request: backbone.Request, asked: backbone.HashPassword, wall_ms: int) -> None:
        """Have a new password hashed, if the member may set it; else it is answered by what follows on the question."""
        member = self._find_giver(peer, asked)
        if member is None or not member.may_moderate or not asked.password or member.room.closed_ms:
            self._reply(peer, request.id, backbone.Done())
        else:
            self._passwords.append(PasswordJob(peer, request, asked.password, ""))

    def _post(self, peer: str, request: backbone.Request, post: backbone.Post, wall_ms: int) -> None:
        """Append a webhook's message to its room. If a password must be checked first, this is called again."""
        directory = self._directory
        room = directory.find(names.room_name(post.room))
        answer = directory.posts.find(room, post)
        if answer is None:
            webhooks.check_sender(directory.bans_and_mutes, room, post, wall_ms)
            if room.password_hash and not self._opens(room, peer, request, post):
                return
            if not (text := received_text(post.text)):
                raise PeerError("the text is empty")
            sender = names.webhook_name(names.user_name(post.user))
            directory.post(room, sender, text, wall_ms)
            directory.posts.add(room, post, wall_ms)
            answer = backbone.Posted(sender, room.epoch, room.last, True)
        self._reply(peer, request.id, answer)

    def _resume(self, peer: str, request_id: int, resume: backbone.Resume, now: float, wall_ms: int) -> None:
        member = self._directory.by_token.get(resume.token_hash)
        if member is None:
            if (removed := self._directory.find_removed(resume.token_hash)) is not None:
                self._handovers.grant(peer, request_id, removed)
            else:
                self._refuse(peer, request_id, Status.ROOM_NOT_FOUND)
            return
        if resume.checks_bans:
            self._check_ban(member.room.id, member.name, resume.ip, member.options, wall_ms)
        self._handovers.resume(peer, request_id, member, resume, now)

    def _decline(self, peer: str, request_id: int, exc: PeerError) -> None:
        """Refuse a request, with an explanation if the status is not enough."""
        in_words = isinstance(exc, InvalidName | Banned | Muted | Full) or type(exc) is PeerError
        self._counters.full += isinstance(exc, Full)
        self._refuse(peer, request_id, exc.status, str(exc) if in_words else "")

    def _refuse(self, peer: str, request_id: int, status: Status, detail: str = "") -> None:
        self._reply(peer, request_id, backbone.Refused(status, detail))

    def _reply(self, peer: str, request_id: int, answer: backbone.Answer) -> None:
        self._answer(peer, backbone.Reply(request_id, answer))


def _member_row(peer: str, body: backbone.Create) -> MemberRow:
    # Operators' terminals show both; and PostgreSQL keeps no NUL.
    if not (body.dialect + body.ip).isprintable():
        raise PeerError("a dialect or an address has a character that can not be printed")
    idle_ms = min(max(body.idle_ms, 1), backbone.MAX_IDLE_MS)
    rights, options = body.rights & ALL_RIGHTS, body.options & MemberOptions.ALL
    return MemberRow(
        0, 0, "", body.token_hash, body.dialect, body.ip, b"", peer, idle_ms, False, 0, rights, options=options
    )
