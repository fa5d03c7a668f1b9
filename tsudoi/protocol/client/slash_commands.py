"""Slash commands: what a member may type, as values; PROTOCOL.md, "Commands".

    /word argument argument …

A name with white space in it stands in double quotes, in which a backslash goes before a quote and a backslash. Quotes
may be left out where a name is all that follows, or all but a number. What is not a command of this table becomes
`Unknown` or `Misused`: it is answered, not refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

SLASHES = ("/", "／")
"""What a command may begin with: Japanese input methods write the second."""
MAX_MINUTES = 525_600
"""A year: for longer, leave the time out."""
MAX_PAGE = 1_000_000_000

_SPACE = re.compile(r"\s+")
_NUMBER_LAST = re.compile(r"(?s)(.*\S)\s+(\d{1,9})\Z")
_QUOTED = re.compile(r'(?s)"((?:[^"\\]|\\.)*)"(?:\s+|\Z)')
_ESCAPED = re.compile(r"(?s)\\(.)")
SHOWN_SIZE = 40
"""Characters of an unknown command's name that its answer repeats."""


@dataclass(frozen=True, slots=True)
class Help:
    """Which commands are there?"""


@dataclass(frozen=True, slots=True)
class Who:
    """Who is in the room?"""

    page: int = 1


@dataclass(frozen=True, slots=True)
class Rooms:
    """Which rooms are there?"""

    page: int = 1


@dataclass(frozen=True, slots=True)
class Whisper:
    """Say something to one member alone."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Whisper to the member that whispered last."""

    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """Say what one does, in the third person."""

    text: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Take another name."""

    name: str


@dataclass(frozen=True, slots=True)
class History:
    """What was said last?"""

    count: int = 20


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the room."""


@dataclass(frozen=True, slots=True)
class Time:
    """What time is it at the server?"""


@dataclass(frozen=True, slots=True)
class Kick:
    """Remove a member."""

    name: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ban:
    """Remove a member, or an address, and let it not come back."""

    name: str
    """Or an IP address."""
    minutes: int = 0
    """0: until the room closes."""


@dataclass(frozen=True, slots=True)
class Unban:
    """Let a name or an address in again."""

    name: str


@dataclass(frozen=True, slots=True)
class Bans:
    """Who is kept out, or muted?"""

    page: int = 1


@dataclass(frozen=True, slots=True)
class Mute:
    """Let a member not speak."""

    name: str
    minutes: int = 0
    """0: until the room closes."""


@dataclass(frozen=True, slots=True)
class Unmute:
    """Let a member speak again."""

    name: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Set the room's password; take it off if it is empty."""

    password: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """Set what the room is about; `None` asks for it, empty takes it off."""

    text: str | None = None


@dataclass(frozen=True, slots=True)
class HandOver:
    """Make another member the host."""

    name: str


@dataclass(frozen=True, slots=True)
class Close:
    """Close the room."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such command."""

    word: str
    """As it was written, with its slash, cut."""


@dataclass(frozen=True, slots=True)
class Misused:
    """There is such a command, but what follows it is not what it needs."""

    word: str
    """A key of `WORDS`."""


Command = (
    Help
    | Who
    | Rooms
    | Whisper
    | Reply
    | Act
    | Rename
    | History
    | Leave
    | Time
    | Kick
    | Ban
    | Unban
    | Bans
    | Mute
    | Unmute
    | Lock
    | Topic
    | HandOver
    | Close
)


class _Misfit(Exception):
    """What follows a command's name is not what it needs."""


def _nothing(kind: type[Help | Leave | Time | Close]) -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        if rest:
            raise _Misfit
        return kind()

    return read


def _page(kind: type[Who | Rooms | Bans | History], highest: int) -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        return kind(_number(rest, highest)) if rest else kind()

    return read


def _text(kind: type[Reply | Act]) -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        if not rest:
            raise _Misfit
        return kind(rest)

    return read


def _one(kind: type[Rename | Unban | Unmute | HandOver]) -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        return kind(_whole_name(rest))

    return read


def _whisper(rest: str) -> Command:
    name, text = _name_first(rest)
    if not text:
        raise _Misfit
    return Whisper(name, text)


def _kick(rest: str) -> Command:
    return Kick(*_name_first(rest))


def _timed(kind: type[Ban | Mute]) -> Callable[[str], Command]:
    def read(rest: str) -> Command:
        found = _NUMBER_LAST.match(rest)
        # "bob 2" in quotes is a name with a number in it.
        if found is None or _QUOTED.fullmatch(rest):
            return kind(_whole_name(rest))
        return kind(_whole_name(found[1]), _number(found[2], MAX_MINUTES))

    return read


def _topic(rest: str) -> Command:
    return Topic("" if rest == "-" else rest or None)


def _whole_name(rest: str) -> str:
    """Return the name that all of `rest` is."""
    if rest.startswith('"'):
        name, after = _name_first(rest)
        if after:
            raise _Misfit
        return name
    if not rest:
        raise _Misfit
    return rest


def _name_first(rest: str) -> tuple[str, str]:
    """Return the name that `rest` begins with, and what follows it."""
    if rest.startswith('"'):
        quoted = _QUOTED.match(rest)
        name = _ESCAPED.sub(r"\1", quoted[1]).strip() if quoted else ""
        after = rest[quoted.end() :] if quoted else ""
    else:
        name, _, after = (_SPACE.sub(" ", rest, count=1) if _SPACE.search(rest) else rest).partition(" ")
    if not name:
        raise _Misfit
    return name, after


def _number(text: str, highest: int) -> int:
    if not text.isdecimal() or len(text) > len(str(highest)) or not 0 < int(text) <= highest:
        raise _Misfit
    return int(text)


WORDS: dict[str, Callable[[str], Command]] = {
    "help": _nothing(Help),
    "who": _page(Who, MAX_PAGE),
    "rooms": _page(Rooms, MAX_PAGE),
    "msg": _whisper,
    "r": _text(Reply),
    "me": _text(Act),
    "nick": _one(Rename),
    "history": _page(History, MAX_PAGE),
    "topic": _topic,
    "time": _nothing(Time),
    "leave": _nothing(Leave),
    "kick": _kick,
    "ban": _timed(Ban),
    "unban": _one(Unban),
    "bans": _page(Bans, MAX_PAGE),
    "mute": _timed(Mute),
    "unmute": _one(Unmute),
    "password": Lock,
    "host": _one(HandOver),
    "close": _nothing(Close),
}
"""Every command's name without its slash, and what reads the rest of the line; in the order of `/help`."""

HOSTS_WORDS = frozenset({"kick", "ban", "unban", "bans", "mute", "unmute", "password", "host", "close"})
"""Commands that only the host may give; of `topic`, the part that changes it."""


def said_by(line: str) -> str:
    """Return what is said by a line that begins with a slash: with two, all from the second; with one, nothing."""
    return line[1:] if line[1:].startswith(SLASHES) else ""


def parse_untrusted(line: str) -> Command | Unknown | Misused:
    """Return what a line that begins with a slash asks for; never raises."""
    word, _, _ = _SPACE.sub(" ", line[1:], count=1).partition(" ")
    read = WORDS.get(word.lower())
    if read is None:
        return Unknown(line[:1] + word[:SHOWN_SIZE])
    try:
        return read(line[1 + len(word) :].strip())
    except _Misfit:
        return Misused(word.lower())


def serialize(command: Command) -> str:
    """Return the line that `parse_untrusted` reads as this command.

    Names and texts are to have no white space around them, and texts not to be empty: nobody can type such.
    """
    match command:
        case Who(page) | Rooms(page) | Bans(page):
            return f"/{type(command).__name__.lower()} {page}"
        case History(count):
            return f"/history {count}"
        case Whisper(name, text):
            return f"/msg {_quoted(name)} {text}"
        case Reply(text):
            return f"/r {text}"
        case Act(text):
            return f"/me {text}"
        case Rename(name):
            return f"/nick {_quoted(name)}"
        case Kick(name, reason):
            return f"/kick {_quoted(name)} {reason}".rstrip()
        case Ban(name, minutes) | Mute(name, minutes):
            return f"/{type(command).__name__.lower()} {_quoted(name)}{f' {minutes}' if minutes else ''}"
        case Unban(name) | Unmute(name):
            return f"/{type(command).__name__.lower()} {_quoted(name)}"
        case Lock(password):
            return f"/password {password}".rstrip()
        case Topic(text):
            return "/topic" if text is None else f"/topic {text or '-'}"
        case HandOver(name):
            return f"/host {_quoted(name)}"
        case Help() | Leave() | Time() | Close():
            return f"/{type(command).__name__.lower()}"


def _quoted(name: str) -> str:
    if name.startswith('"') or _SPACE.search(name):
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return name
