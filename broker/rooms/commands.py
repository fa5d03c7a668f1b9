"""Members' commands (`/kick`, `/topic`, …), carried out; PROTOCOL.md, "Commands".

The result of a command is an entry in the room's log: for all members, or an answer to the one that gave it. So an
accepted command is carried out once and its result is delivered once, like a message.
"""

from tsudoi.ops.rate_key import rate_key
from tsudoi.protocol import names
from tsudoi.protocol.client import slash_commands
from tsudoi.protocol.client.downlink_encoder import json_size
from tsudoi.protocol.client.notices import said_limit
from tsudoi.protocol.client.phrases import HELP, Phrase, pack_arguments
from tsudoi.protocol.codes import LeaveReason
from tsudoi.protocol.errors import InvalidName, MisleadingName

from ..store.interface import Restriction, RestrictionKind
from .bans_and_mutes import Coverage, coverage, end_of, minutes_left, own_names
from .directory import Directory
from .passwords import is_hash
from .room_and_member import Member

TOPIC_SIZE = 400
"""Bytes of a topic, or of a reason to remove a member."""
TOLD_MUTED_MS = 5_000
"""Least time between two notices to a muted member that still sends."""

_HOSTS = (
    slash_commands.Kick,
    slash_commands.Ban,
    slash_commands.Unban,
    slash_commands.Mute,
    slash_commands.Unmute,
    slash_commands.Lock,
    slash_commands.HandOver,
    slash_commands.Close,
)
"""Commands of hosts and moderators; setting the topic is one too."""
_SPEAKS = (slash_commands.Whisper, slash_commands.Reply, slash_commands.Act, slash_commands.Rename)
"""Commands that a muted member may not give."""


def execute(directory: Directory, member: Member, line: str, wall_ms: int) -> None:
    """Carry out a member's command, if it may give it. `/password NEW` has the password's hash."""
    command = slash_commands.parse_untrusted(line)
    word, arguments, *_ = *line[1:].split(maxsplit=1), "", ""
    needs_host = isinstance(command, _HOSTS) or (isinstance(command, slash_commands.Topic) and command.text is not None)
    if needs_host and not member.may_moderate:
        directory.answer(member, Phrase.NOT_HOST, f"/{slash_commands.as_word(word)}", wall_ms)
    elif isinstance(command, _SPEAKS) and member.muted_until_ms > wall_ms:
        notify_muted(directory, member, wall_ms)
    else:
        _Run(directory, member, wall_ms, is_quoted=arguments.startswith('"')).do(command)


def speaks(line: str) -> bool:
    """Return whether a command is one that a muted member may not give."""
    return isinstance(slash_commands.parse_untrusted(line), _SPEAKS)


def notify_muted(directory: Directory, member: Member, wall_ms: int) -> None:
    """Notify a member that it is muted, but not each time. Lines with a number are refused instead."""
    # The clock may have been set back since.
    if not 0 <= wall_ms - member.rare.told_muted_ms < TOLD_MUTED_MS:
        directory.note_told_muted(member, wall_ms)
        minutes = minutes_left(member.muted_until_ms, wall_ms)
        directory.answer(member, Phrase.MUTED_FOR if minutes else Phrase.MUTED, f"{minutes or ''}", wall_ms)


class _Run:
    """One command of one member."""

    def __init__(self, directory: Directory, member: Member, wall_ms: int, is_quoted: bool) -> None:
        """`is_quoted`: the name is in quotes, so all of it was meant."""
        self._directory = directory
        self._member = member
        self._room = member.room
        self._wall_ms = wall_ms
        self._is_quoted = is_quoted

    def do(self, command: slash_commands.Command | slash_commands.Unknown | slash_commands.Misused) -> None:
        directory, member, room, wall_ms = self._directory, self._member, self._room, self._wall_ms
        match command:
            case slash_commands.Act(text):
                if self._is_whole(text):
                    directory.act(member, _one_line(text), wall_ms)
            case slash_commands.Whisper(name, text):
                if (target := self._find(name)) and self._is_whole(text, target.name):
                    directory.whisper(member, target, text, wall_ms)
            case slash_commands.Reply(text):
                if target := room.members.get(member.rare.whispered_by):
                    if self._is_whole(text, target.name):
                        directory.whisper(member, target, text, wall_ms)
                else:
                    self._answer(Phrase.NOBODY_WROTE)
            case slash_commands.Rename(name):
                self._rename(name)
            case slash_commands.Topic(str() as text) if text or room.topic:
                if self._fits(text):
                    directory.set_topic(room, _one_line(text), member, wall_ms)
            case slash_commands.Topic():
                self._answer(Phrase.TOPIC_IS if room.topic else Phrase.NO_TOPIC, room.topic)
            case slash_commands.Kick(name, reason):
                if (target := self._find_other(name)) and self._fits(reason):
                    directory.leave(target, LeaveReason.KICKED, wall_ms, _one_line(reason), member)
            case slash_commands.Ban(name, minutes):
                self._ban(name, minutes)
            case slash_commands.Unban(name):
                lifted = directory.bans_and_mutes.lift(room.id, RestrictionKind.BAN, names.in_normal_form(name))
                self._answer(Phrase.UNBANNED if lifted else Phrase.NOT_BANNED, name)
            case slash_commands.Mute(name, minutes):
                self._mute(name, minutes)
            case slash_commands.Unmute(name):
                self._unmute(name)
            case slash_commands.Lock("") if not room.password_hash:
                self._answer(Phrase.NO_PASSWORD)
            case slash_commands.Lock(""):
                directory.set_password(room, "", member, wall_ms)
            case slash_commands.Lock(password_hash) if is_hash(password_hash):
                directory.set_password(room, password_hash, member, wall_ms)
            case slash_commands.Lock():
                self._answer(Phrase.BUSY)  # it has become the host only since its gateway asked for the hash
            case slash_commands.HandOver(name):
                if target := self._find_other(name):
                    directory.make_host(target, member, wall_ms)
            case slash_commands.Close() if room.persistent:
                self._answer(Phrase.ROOM_STAYS)
            case slash_commands.Close():
                directory.close(room, LeaveReason.HOST_CLOSED, wall_ms)

    def _rename(self, wished: str) -> None:
        try:
            name = names.user_name(wished)
        except InvalidName as exc:
            self._answer(Phrase.MISLEADING_NAME if isinstance(exc, MisleadingName) else Phrase.BAD_NAME)
            return
        bans = self._directory.bans_and_mutes
        if self._room.is_taken(name) or bans.until(self._room.id, RestrictionKind.BAN, name, "", self._wall_ms):
            self._answer(Phrase.NAME_TAKEN, name)
        else:
            self._directory.rename(self._member, name, self._wall_ms)

    def _ban(self, who: str, minutes: int) -> None:
        """Ban and remove a member, or an address with all members from it; or ban a webhook."""
        until_ms = end_of(minutes, self._wall_ms)
        target = self._room.called(names.in_normal_form(who))
        if target is None and names.is_webhook_name(who):
            self._stop_webhook(RestrictionKind.BAN, who, until_ms)
        elif target is None:
            self._ban_address(who, minutes, until_ms)
        elif target := self._find_other(who):
            covered = self._restrict(RestrictionKind.BAN, target, until_ms)
            self._directory.leave(target, LeaveReason.BANNED, self._wall_ms, _or_empty(minutes), self._member)
            self._answer_covered(Phrase.BOTH_BANNED if covered.ip else Phrase.NAME_BANNED, target, covered)

    def _ban_address(self, who: str, minutes: int, until_ms: int) -> None:
        ip = rate_key(who)
        if not ip:
            self._answer_absent(who, "ban")
            return
        self._directory.bans_and_mutes.add(Restriction(self._room.id, RestrictionKind.BAN, "", ip, until_ms))
        removed = [m for m in self._room.members.values() if rate_key(m.ip) == ip and not m.is_host]
        self._answer(Phrase.ADDRESS_BANNED, pack_arguments(ip, ip, len(removed)))
        for member in removed:
            self._directory.leave(member, LeaveReason.BANNED, self._wall_ms, _or_empty(minutes), self._member)

    def _stop_webhook(self, kind: RestrictionKind, name: str, until_ms: int) -> None:
        """Refuse a webhook's messages, by its name: it is no member."""
        self._directory.bans_and_mutes.add(Restriction(self._room.id, kind, names.in_normal_form(name), "", until_ms))
        self._answer(Phrase.WEBHOOK_STOPPED, name)

    def _mute(self, name: str, minutes: int) -> None:
        until_ms = end_of(minutes, self._wall_ms)
        if names.is_webhook_name(name) and names.in_normal_form(name) not in self._room.names:
            self._stop_webhook(RestrictionKind.MUTE, name, until_ms)
        elif self._room.called(names.in_normal_form(name)) is None:
            self._answer_absent(name, "mute")
        elif target := self._find_other(name):
            covered = self._restrict(RestrictionKind.MUTE, target, until_ms)
            self._directory.mute(target, minutes, until_ms, self._member, self._wall_ms)
            if not covered.ip:
                self._answer_covered(Phrase.NAME_MUTED, target, covered)

    def _unmute(self, who: str) -> None:
        """Lift the mute of a member, of a name whose member has left, or of an address."""
        mutes, name = self._directory.bans_and_mutes, names.in_normal_form(who)
        target = self._room.called(name)
        if target is None or target.muted_until_ms <= self._wall_ms:
            lifted = mutes.lift(self._room.id, RestrictionKind.MUTE, name)
            self._answer(Phrase.UNMUTED if lifted else Phrase.NOT_MUTED, name)
        else:
            lifted = [
                each for own in own_names(target) for each in mutes.lift(self._room.id, RestrictionKind.MUTE, own)
            ]
            # It may be muted because of another's name: that one stays muted.
            mutes.free_address(self._room.id, RestrictionKind.MUTE, target.ip)
            self._directory.unmute(target, self._member, self._wall_ms)
        for ip in {each.ip for each in lifted if each.ip}:
            self._unmute_address(ip)

    def _unmute_address(self, ip: str) -> None:
        """Let the members speak again that were muted with an address, and have no mute left."""
        mutes, wall_ms = self._directory.bans_and_mutes, self._wall_ms
        for member in [each for each in self._room.members.values() if each.muted_until_ms > wall_ms]:
            if rate_key(member.ip) == rate_key(ip) and not any(
                mutes.until(self._room.id, RestrictionKind.MUTE, name, member.ip, wall_ms) for name in own_names(member)
            ):
                self._directory.unmute(member, self._member, wall_ms)

    def _restrict(self, kind: RestrictionKind, target: Member, until_ms: int) -> Coverage:
        """Place a ban or a mute on a member; return what it covers."""
        covered = coverage(target)
        for name in covered.names:
            self._directory.bans_and_mutes.add(Restriction(self._room.id, kind, name, covered.ip, until_ms))
        return covered

    def _answer_covered(self, phrase: Phrase, target: Member, covered: Coverage) -> None:
        self._answer(phrase, pack_arguments(target.name, covered.address, covered.others))

    def _answer_absent(self, name: str, command: str) -> None:
        """Answer that there is no such member; or how the command is written, if more follows a member's name."""
        first, *more = name.split()
        if more and not self._is_quoted and self._room.called(names.in_normal_form(first)):
            self._answer(Phrase.USAGE, HELP[command][0])
        else:
            self._answer(Phrase.NO_SUCH_MEMBER, name)

    def _find(self, name: str) -> Member | None:
        """Return the member of that name, or answer that there is none."""
        target = self._room.called(names.in_normal_form(name))
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

    def _is_whole(self, text: str, receiver: str = "") -> bool:
        """Return whether every dialect carries a whisper or an action whole; else answer how long it may be."""
        limit = said_limit(self._member.name, receiver)
        if 4 * len(text) <= limit or json_size(text) <= limit:
            return True
        self._answer(Phrase.TOO_LONG, str(limit))
        return False

    def _answer(self, phrase: Phrase, about: str = "") -> None:
        self._directory.answer(self._member, phrase, about, self._wall_ms)


def _or_empty(minutes: int) -> str:
    """Return the minutes of a ban as the text of its entry; empty: until the room closes."""
    return str(minutes) if minutes else ""


def _one_line(text: str) -> str:
    """Return a text without line feeds: within a notice it must not look like a line of its own."""
    return " ".join(text.split("\n"))
