"""Members' lines that begin with a slash: who answers what; PROTOCOL.md, "Commands".

What changes something or reaches somebody goes to the broker like a message, and what comes of it comes back in the
room's order. What only asks is answered to the one who asked, here or by asking the broker.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from gateway import render
from gateway.counters import Counters
from gateway.happenings import SPOKEN
from gateway.link import Link
from gateway.members import Member, Voice
from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.backbone import (
    Answer,
    Banned,
    Bans,
    Browse,
    Browsed,
    Done,
    Entry,
    GetTime,
    Item,
    Present,
    Question,
    Replay,
    Replayed,
    ServerTime,
    SetPassword,
    Who,
)
from tsudoi.protocol.client import notices, slash_commands
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import HELP, Phrase, idle_for, phrase
from tsudoi.protocol.client.slash_commands import HOST_COMMANDS, Command, Misused, Unknown
from tsudoi.protocol.codes import EntryKind, LeaveReason

PAGE = 20
"""Members or rooms on a page."""
HISTORY = 50
"""Messages that one `/history` tells at the most."""
LOOKED_AT, PORTIONS = 500, 4
"""Positions among which these are looked for; and in how many such portions at the most: what is for one member alone
has positions too."""
COMMANDS_S, COMMANDS = 5.0, 50.0
"""Commands a second that one member may give in the long run, and at once: each takes a place in the room's log, also
one of which only that member hears."""
QUESTION = 2.5
"""What a question counts for among them: answers may be larger than questions."""
QUESTIONS = COMMANDS / QUESTION
"""Questions that one member may ask at once."""
TOLD_S = 1.0
"""A member that gives more is told so this often at the most."""

SendTo = Callable[[Member, bytes], None]
Leave = Callable[[Member, LeaveReason, float], None]


class Commands:
    """Takes members' commands; knows no socket and no clock."""

    def __init__(self, link: Link, counters: Counters, send_to: SendTo, leave: Leave) -> None:
        self._link = link
        self._counters = counters
        self._send_to = send_to
        self._leave = leave

    def take(self, member: Member, line: str, now: float) -> str:
        """Take a text that begins with a slash; return what the member says by it, empty if nothing."""
        if text := slash_commands.escaped_text(line):
            return text
        self._counters.commands += 1
        command = slash_commands.parse_untrusted(line)
        match command:
            case slash_commands.Leave():
                self._answer(member, Phrase.LEFT_ROOM, member.room.name)
                self._leave(member, LeaveReason.LEFT, now)
            case slash_commands.Lock(password) if password:
                if self._may(member, QUESTION, now):
                    self._ask(member, SetPassword(member.room.id, member.id, password), now, lambda answer: None)
            case (
                slash_commands.Whisper()
                | slash_commands.Reply()
                | slash_commands.Act()
                | slash_commands.Rename()
                | slash_commands.Kick()
                | slash_commands.Ban()
                | slash_commands.Unban()
                | slash_commands.Mute()
                | slash_commands.Unmute()
                | slash_commands.Lock()
                | slash_commands.Topic()
                | slash_commands.HandOver()
                | slash_commands.Close()
            ):
                if self._may(member, 1.0, now):
                    self._publish(member, line)
            case _:
                if self._may(member, QUESTION, now):
                    self._tell(member, command, now)
        return ""

    def _publish(self, member: Member, line: str) -> None:
        if not self._link.publisher.add(Item(EntryKind.COMMANDED, member.room.id, member.id, line, 0)):
            self._counters.window_full += 1
            self._answer(member, Phrase.BUSY)

    def _may(self, member: Member, cost: float, now: float) -> bool:
        """Say whether a member may give one more command, and count it; if not, tell the member, now and then."""
        voice = member.voice = member.voice or Voice(member.name)
        if voice.questions is None:
            voice.questions = Bucket(COMMANDS, now)
        if voice.questions.touch(now, COMMANDS_S, COMMANDS, cost):
            return True
        self._counters.questions_limited += 1
        if self._warn(member, voice, Phrase.TOO_FAST, now):
            self._counters.told_to_slow_down += 1
        return False

    def _warn(self, member: Member, voice: Voice, which: Phrase, now: float) -> bool:
        """Tell a member why nothing comes of what it types, if it was not told so just now; say whether."""
        is_due = now - voice.warned_at >= TOLD_S
        if is_due:
            voice.warned_at = now
            self._answer(member, which)
        return is_due

    def _tell(self, member: Member, command: Command | Unknown | Misused, now: float) -> None:
        """Answer a question."""
        match command:
            case slash_commands.Unknown(word):
                self._answer(member, Phrase.UNKNOWN_COMMAND, word)
            case slash_commands.Misused(word):
                usage, *does = HELP[word]
                self._answer(member, Phrase.USAGE, f"{usage} — {does[_japanese(member)]}")
            case (
                slash_commands.Help()
                | slash_commands.Who()
                | slash_commands.Rooms()
                | slash_commands.Bans()
                | slash_commands.History()
            ) if member.voice is not None and member.voice.elsewhere:
                # Its address may be somebody's who never asked: answers are many times as long.
                self._warn(member, member.voice, Phrase.MOVED_AWAY, now)
            case slash_commands.Help():
                self._send(member, _help(member))
            case slash_commands.Who(page):
                question = Who(member.room.id, (page - 1) * PAGE, PAGE)
                self._ask(member, question, now, lambda answer: self._who(member, page, answer))
            case slash_commands.Rooms(page):
                self._ask(member, Browse((page - 1) * PAGE, PAGE), now, lambda a: self._rooms(member, page, a))
            case slash_commands.Bans(page):
                bans = Bans(member.room.id, member.id, (page - 1) * PAGE, PAGE)
                self._ask(member, bans, now, lambda answer: self._bans(member, page, answer))
            case slash_commands.History(count):
                newest = max(member.room.known_last, member.cursor)
                self._look_back(member, min(count, HISTORY), newest, [], PORTIONS, now)
            case slash_commands.Time():
                self._ask(member, GetTime(), now, lambda answer: self._time(member, answer))

    def _ask(self, member: Member, question: Question, now: float, on_answer: Callable[[Answer], None]) -> None:
        """Ask the broker; if it is away, that is the answer. A member that has gone meanwhile is told nothing."""

        def answered(answer: Answer | None, now: float) -> None:
            if member.leaving:
                return
            if isinstance(answer, Present | Browsed | Banned | Replayed | ServerTime | Done):
                on_answer(answer)
            else:
                self._answer(member, Phrase.BUSY)

        self._link.ask(question, now, answered)

    def _look_back(self, member: Member, count: int, newest: int, said: list[Entry], portions: int, now: float) -> None:
        """Look for what was said among the positions up to `newest`, and further back as long as that is too little.

        Args:
            member: who wants to know.
            count: how much.
            newest: where to begin.
            said: what was found behind that.
            portions: how many may be looked at.
            now: when the member asked, so that all portions together have the time of one question.
        """
        room, epoch = member.room, member.room.epoch
        after = max(newest - LOOKED_AT, 0)

        def looked(answer: Answer) -> None:
            if not isinstance(answer, Replayed):
                return
            # A log that was cut begins with what is known already.
            end = said[0].offset if said else float("inf")
            found = [entry for entry in answer.entries if entry.kind in SPOKEN and entry.offset < end] + said
            goes_on = after > 0 and answer.first == after + 1 and answer.epoch == epoch
            if len(found) < count and goes_on and portions > 1:
                self._look_back(member, count, after, found, portions - 1, now)
            else:
                self._history(member, found[-count:])

        self._ask(member, Replay(room.id, epoch, after, LOOKED_AT), now, looked)

    # --- answers --------------------------------------------------------------------------------------------------

    def _answer(self, member: Member, which: Phrase, about: str = "") -> None:
        style = member.dialect.down
        self._send_to(member, render.answer(style, member.room.name, which, _japanese(member), about))

    def _send(self, member: Member, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            self._send_to(member, datagram)

    def _who(self, member: Member, page: int, answer: Answer) -> None:
        if not isinstance(answer, Present):
            return
        japanese = _japanese(member)
        rows = []
        for name, is_host, idle_ms in answer.members:
            which = Phrase.HOST_MEMBER if is_host else Phrase.MEMBER
            words = phrase(which, japanese, name=name, idle=idle_for(idle_ms, japanese))
            rows.append(({"name": name, "host": is_host, "idle": idle_ms // 1000}, words))
        self._page(member, "who", "members", Phrase.MEMBERS, page, answer.count, rows)

    def _rooms(self, member: Member, page: int, answer: Answer) -> None:
        if not isinstance(answer, Browsed):
            return
        japanese = _japanese(member)
        rows = []
        for name, members, locked in answer.rooms:
            words = phrase(Phrase.LOCKED_ROOM if locked else Phrase.ROOM, japanese, name=name, members=members)
            rows.append(({"name": name, "members": members, "locked": locked}, words))
        self._page(member, "rooms", "rooms", Phrase.ROOMS, page, answer.count, rows)

    def _bans(self, member: Member, page: int, answer: Answer) -> None:
        if not isinstance(answer, Banned):
            return
        rows = []
        for name, ip, muted, until_ms in answer.sanctions:
            words = _sanction_line(name, ip, muted, until_ms, _japanese(member))
            rows.append(({"name": name, "address": ip, "muted": muted, "until": until_ms}, words))
        self._page(member, "bans", "bans", Phrase.BANS, page, answer.count, rows)

    def _page(
        self,
        member: Member,
        notice: str,
        key: str,
        head: Phrase,
        page: int,
        count: int,
        rows: list[tuple[dict[str, object], str]],
    ) -> None:
        pages = max(-(-count // PAGE), 1)
        if page > pages:
            self._answer(member, Phrase.NO_SUCH_PAGE, str(pages))
            return
        room = member.room.name
        words = phrase(head, _japanese(member), room=room, count=count, page=page, pages=pages)
        values = {"count": count, "page": page, "pages": pages}
        self._send(member, notices.encode_list(member.dialect.down, room, notice, key, values, words, rows))

    def _history(self, member: Member, said: list[Entry]) -> None:
        if not said:
            self._answer(member, Phrase.NO_HISTORY)
            return
        room, japanese = member.room.name, _japanese(member)
        head = phrase(Phrase.HISTORY, japanese, count=len(said), room=room)
        rows = [(_as_said(entry), _history_line(entry, japanese)) for entry in said]
        datagrams = notices.encode_list(member.dialect.down, room, "history", "messages", {}, head, rows)
        self._send(member, datagrams)

    def _time(self, member: Member, answer: Answer) -> None:
        if isinstance(answer, ServerTime):
            self._answer(member, Phrase.TIME_IS, f"{_utc(answer.at_ms):%Y-%m-%d %H:%M:%S}")


def _japanese(member: Member) -> bool:
    return bool(member.options & MemberOptions.JAPANESE)


def _help(member: Member) -> list[bytes]:
    japanese = _japanese(member)
    datagrams = []
    for head, words in (
        (Phrase.HELP_ALL, [word for word in HELP if word not in HOST_COMMANDS]),
        (Phrase.HELP_HOST, [word for word in HELP if word in HOST_COMMANDS]),
    ):
        rows = []
        for word in words:
            usage, *does = HELP[word]
            rows.append(({"usage": usage, "does": does[japanese]}, f"{usage} — {does[japanese]}"))
        style, room = member.dialect.down, member.room.name
        datagrams += notices.encode_list(style, room, "help", "commands", {}, phrase(head, japanese), rows)
    return datagrams


def _as_said(entry: Entry) -> dict[str, object]:
    acted = {"acted": True} if entry.kind == EntryKind.ACTED else {}
    return {"n": entry.offset, "from": entry.sender, "said": entry.text, "at": entry.at_ms, **acted}


def _history_line(entry: Entry, japanese: bool) -> str:
    time, text = f"{_utc(entry.at_ms):%H:%M}", " ".join(entry.text.split("\n"))
    if entry.kind == EntryKind.ACTED:
        return f"{time} {phrase(Phrase.ACTED, japanese, name=entry.sender, text=text)}"
    return phrase(Phrase.HISTORY_LINE, japanese, time=time, name=entry.sender, text=text)


def _sanction_line(name: str, ip: str, muted: bool, until_ms: int, japanese: bool) -> str:
    who = f"{name} ({ip})" if name and ip else name or ip
    if not until_ms:
        return phrase(Phrase.MUTE if muted else Phrase.BAN, japanese, who=who)
    until = f"{_utc(until_ms):%Y-%m-%d %H:%M}"
    return phrase(Phrase.MUTE_UNTIL if muted else Phrase.BAN_UNTIL, japanese, who=who, until=until)


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
