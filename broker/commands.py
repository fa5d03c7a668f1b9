"""Members' commands, carried out; PROTOCOL.md, "Commands".

Whatever comes of one is an entry in the room's log: for all, or an answer to the one who gave it. So a command that was
accepted is carried out once and told once, like a message.
"""

from dataclasses import replace

from broker.directory import Directory
from broker.rooms import Member
from broker.sanctions import end_of
from broker.store import FOREVER, Sanction, SanctionKind
from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol import names
from tsudoi.protocol.client import slash_commands
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.errors import InvalidName

TOPIC_SIZE = 400
"""Bytes of a topic, or of a reason to remove somebody."""
TOLD_MUTED_MS = 5_000
"""A muted member that goes on speaking is told so this often at the most."""


def execute(directory: Directory, member: Member, line: str, wall_ms: int) -> None:
    """Do what a member has typed, as far as it may.

    Args:
        directory: where.
        member: who.
        line: what, as it came from its gateway; `/password NEW` is not among these (see `Core`).
        wall_ms: now.
    """
    command = slash_commands.parse_untrusted(line)
    if member.may_moderate or not _is_hosts(command):
        if isinstance(
            command, slash_commands.Whisper | slash_commands.Reply | slash_commands.Act | slash_commands.Rename
        ) and is_muted(directory, member, wall_ms):
            return
        _Run(directory, member, wall_ms).do(command)
    else:
        answer(directory, member, Phrase.NOT_HOST, "", wall_ms)


def is_muted(directory: Directory, member: Member, wall_ms: int) -> bool:
    """Say whether a member may not speak; if so, it is told, now and then."""
    left_ms = member.muted_until_ms - wall_ms
    if left_ms <= 0:
        return False
    if wall_ms - member.seldom.told_muted_ms >= TOLD_MUTED_MS:
        member.seldom = replace(member.seldom, told_muted_ms=wall_ms)
        if member.muted_until_ms == FOREVER:
            answer(directory, member, Phrase.MUTED, "", wall_ms)
        else:
            answer(directory, member, Phrase.MUTED_FOR, str(-(-left_ms // 60_000)), wall_ms)
    return True


def answer(directory: Directory, member: Member, phrase: Phrase, about: str, wall_ms: int) -> None:
    """Tell one member alone; not of a room that is closed, as its log ends with that."""
    if not member.room.closed_ms:
        directory.note(member.room, EntryKind.ANSWERED, member, about, phrase, wall_ms)


def _is_hosts(command: slash_commands.Command | slash_commands.Unknown | slash_commands.Misused) -> bool:
    match command:
        case slash_commands.Topic(text):
            return text is not None
        case (
            slash_commands.Kick()
            | slash_commands.Ban()
            | slash_commands.Unban()
            | slash_commands.Mute()
            | slash_commands.Unmute()
            | slash_commands.Lock()
            | slash_commands.HandOver()
            | slash_commands.Close()
        ):
            return True
    return False


class _Run:
    """One command of one member."""

    def __init__(self, directory: Directory, member: Member, wall_ms: int) -> None:
        self._directory = directory
        self._member = member
        self._room = member.room
        self._wall_ms = wall_ms

    def do(self, command: slash_commands.Command | slash_commands.Unknown | slash_commands.Misused) -> None:
        directory, member, room, wall_ms = self._directory, self._member, self._room, self._wall_ms
        match command:
            case slash_commands.Act(text):
                member.spoke_ms = wall_ms
                directory.note(room, EntryKind.ACTED, member, _one_line(text), 0, wall_ms)
            case slash_commands.Whisper(name, text):
                if target := self._find(name):
                    self._whisper(target, text)
            case slash_commands.Reply(text):
                if target := room.members.get(member.seldom.whispered_by):
                    self._whisper(target, text)
                else:
                    self._answer(Phrase.NOBODY_WROTE)
            case slash_commands.Rename(name):
                self._rename(name)
            case slash_commands.Topic(None):
                self._answer(Phrase.TOPIC_IS if room.topic else Phrase.NO_TOPIC, room.topic)
            case slash_commands.Topic(str() as text):
                if self._fits(text):
                    directory.set_topic(room, _one_line(text), member, wall_ms)
            case slash_commands.Kick(name, reason):
                if (target := self._find_other(name)) and self._fits(reason):
                    directory.leave(target, LeaveReason.KICKED, wall_ms, _one_line(reason), member)
            case slash_commands.Ban(name, minutes):
                self._ban(name, minutes)
            case slash_commands.Unban(name):
                lifted = directory.sanctions.lift(room.id, SanctionKind.BAN, _normal(name), directory.batch.sanctions)
                self._answer(Phrase.UNBANNED if lifted else Phrase.NOT_BANNED, name)
            case slash_commands.Mute(name, minutes):
                if target := self._find_other(name):
                    self._mute(target, minutes)
            case slash_commands.Unmute(name):
                self._unmute(name)
            case slash_commands.Lock(""):
                directory.set_password(room, "", member, wall_ms)
            case slash_commands.HandOver(name):
                if target := self._find_other(name):
                    directory.make_host(target, member, wall_ms)
            case slash_commands.Close() if room.persistent:
                self._answer(Phrase.ROOM_STAYS)
            case slash_commands.Close():
                directory.close(room, LeaveReason.HOST_CLOSED, wall_ms)

    def _whisper(self, target: Member, text: str) -> None:
        self._member.spoke_ms = self._wall_ms
        if target.seldom.whispered_by != self._member.id:
            target.seldom = replace(target.seldom, whispered_by=self._member.id)
            self._directory.batch.members[target.id] = target.row()
        self._directory.note(self._room, EntryKind.WHISPERED, self._member, text, 0, self._wall_ms, target)

    def _rename(self, wished: str) -> None:
        try:
            name = names.user_name(wished)
        except InvalidName:
            self._answer(Phrase.BAD_NAME)
            return
        if self._room.is_taken(name) or self._banned(name):
            self._answer(Phrase.NAME_TAKEN, name)
        else:
            self._directory.rename(self._member, name, self._wall_ms)

    def _banned(self, name: str) -> bool:
        directory = self._directory
        return bool(
            directory.sanctions.until(
                self._room.id, SanctionKind.BAN, name, "", self._wall_ms, directory.batch.sanctions
            )
        )

    def _ban(self, who: str, minutes: int) -> None:
        """Ban by name and address, or by an address alone; who shares the host's own address, by name only."""
        until_ms = end_of(minutes, self._wall_ms)
        target = self._room.members.get(self._room.names.get(_normal(who), 0))
        if target is None:
            ip = rate_key(who)
            if not ip:
                self._answer(Phrase.NO_SUCH_MEMBER, who)
                return
            self._sanction(SanctionKind.BAN, "", ip, until_ms)
            self._answer(Phrase.ADDRESS_BANNED, ip)
            for other in [m for m in self._room.members.values() if rate_key(m.ip) == ip and not m.is_host]:
                self._directory.leave(other, LeaveReason.BANNED, self._wall_ms, "", self._member)
            return
        if not (target := self._find_other(who)):
            return
        ip = self._address_of(target)
        for name in dict.fromkeys((target.name, target.wished)):
            # The name that it came with may be another member's by right: bob, who was bob#2 here.
            if name == target.name or not self._room.is_taken(name):
                self._sanction(SanctionKind.BAN, name, ip, until_ms)
        self._directory.leave(target, LeaveReason.BANNED, self._wall_ms, "", self._member)
        self._answer(Phrase.BOTH_BANNED if ip else Phrase.NAME_BANNED, target.name)

    def _mute(self, target: Member, minutes: int) -> None:
        until_ms = end_of(minutes, self._wall_ms)
        self._sanction(SanctionKind.MUTE, target.wished, self._address_of(target), until_ms)
        target.muted_until_ms = until_ms
        target.seldom = replace(target.seldom, told_muted_ms=0)
        self._directory.batch.members[target.id] = target.row()
        self._directory.note(self._room, EntryKind.MUTED, target, "", minutes, self._wall_ms, self._member)

    def _unmute(self, who: str) -> None:
        """Lift the mute of a member, or of somebody of that name who has gone."""
        directory, name = self._directory, _normal(who)
        target = self._room.members.get(self._room.names.get(name, 0))
        if target is None or target.muted_until_ms <= self._wall_ms:
            lifted = directory.sanctions.lift(self._room.id, SanctionKind.MUTE, name, directory.batch.sanctions)
            self._answer(Phrase.UNMUTED if lifted else Phrase.NOT_MUTED, name)
            return
        for who in (target.wished, target.ip):
            directory.sanctions.lift(self._room.id, SanctionKind.MUTE, who, directory.batch.sanctions)
        target.muted_until_ms = 0
        directory.batch.members[target.id] = target.row()
        directory.note(self._room, EntryKind.UNMUTED, target, "", 0, self._wall_ms, self._member)

    def _sanction(self, kind: SanctionKind, name: str, ip: str, until_ms: int) -> None:
        directory = self._directory
        directory.sanctions.add(Sanction(self._room.id, kind, name, ip, until_ms), directory.batch.sanctions)

    def _address_of(self, target: Member) -> str:
        """Return what of a member's address may be banned or muted: empty if that would be this member's own too."""
        ip = rate_key(target.ip)
        return "" if ip == rate_key(self._member.ip) else ip

    def _find(self, name: str) -> Member | None:
        """Return the member of that name; if there is none, say so."""
        target = self._room.members.get(self._room.names.get(_normal(name), 0))
        if target is None:
            self._answer(Phrase.NO_SUCH_MEMBER, name)
        return target

    def _find_other(self, name: str) -> Member | None:
        target = self._find(name)
        if target is self._member:
            self._answer(Phrase.YOURSELF)
            return None
        return target

    def _fits(self, text: str) -> bool:
        if len(text.encode()) <= TOPIC_SIZE:
            return True
        self._answer(Phrase.TOO_LONG, str(TOPIC_SIZE))
        return False

    def _answer(self, phrase: Phrase, about: str = "") -> None:
        answer(self._directory, self._member, phrase, about, self._wall_ms)


def _one_line(text: str) -> str:
    """Return a text without line feeds: what stands in the server's own words must not look like another line."""
    return " ".join(text.split("\n"))


def _normal(name: str) -> str:
    """Return a name as it is compared; what can be none stays as it is and is nobody's."""
    try:
        return names.user_name(name)
    except InvalidName:
        return name
