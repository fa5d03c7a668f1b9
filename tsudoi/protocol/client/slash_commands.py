"""Parse and serialize slash commands; PROTOCOL.md, "Commands".

    /command argument argument …

A name that contains white space is in double quotes, where a backslash escapes a quote or a backslash. It needs no
quotes if nothing follows it, or only a number. A line that is no valid command parses as `Unknown` or `Misused`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

SLASHES = ("/", "／")
"""First character of a command; Japanese input methods write the second."""
MAX_MINUTES = 525_600
"""Longest time of a ban or mute: one year. Without a time it lasts until the room closes."""
MAX_PAGE = 1_000_000_000

_SPACE = re.compile(r"\s+")
_NUMBER_LAST = re.compile(r"(?s)(.*\S)\s+(\d{1,9})\Z")
_QUOTED = re.compile(r'(?s)"((?:[^"\\]|\\.)*)"(?:\s+|\Z)')
_ESCAPED = re.compile(r"(?s)\\(.)")
SHOWN_SIZE = 40
"""Characters of an unknown command that the answer repeats."""


@dataclass(frozen=True, slots=True)
class Help:
    """List the commands."""


@dataclass(frozen=True, slots=True)
class Who:
    """List the members of the room."""

    page: int = 1


@dataclass(frozen=True, slots=True)
class Rooms:
    """List the rooms."""

    page: int = 1


@dataclass(frozen=True, slots=True)
class Whisper:
    """Send a message to one member alone."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Whisper to the member that has whispered last."""

    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """Send a message in the third person."""

    text: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Take another name."""

    name: str


@dataclass(frozen=True, slots=True)
class History:
    """List the last messages."""

    count: int = 20


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave the room."""


@dataclass(frozen=True, slots=True)
class Time:
    """Tell the server's time."""


@dataclass(frozen=True, slots=True)
class Kick:
    """Remove a member."""

    name: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ban:
    """Remove a member or an IP address, and keep it out."""

    name: str
    """Or an IP address."""
    minutes: int = 0
    """0: until the room closes."""


@dataclass(frozen=True, slots=True)
class Unban:
    """Lift the ban of a name or an IP address."""

    name: str


@dataclass(frozen=True, slots=True)
class Bans:
    """List bans and mutes."""

    page: int = 1


@dataclass(frozen=True, slots=True)
class Mute:
    """Drop what a member sends."""

    name: str
    minutes: int = 0
    """0: until the room closes."""


@dataclass(frozen=True, slots=True)
class Unmute:
    """End a mute."""

    name: str


@dataclass(frozen=True, slots=True)
class Lock:
    """Set the room's password; an empty one removes it."""

    password: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """Set the room's topic; empty removes it, None asks for it."""

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
    """A line with a slash that is no command."""

    word: str
    """The command as written, with its slash; at most 40 characters."""


@dataclass(frozen=True, slots=True)
class Misused:
    """A command with wrong arguments."""

    word: str
    """A key of `COMMANDS`."""


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
    """The arguments do not fit the command."""


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
        # In quotes, "bob 2" is a name.
        if found is None or _QUOTED.fullmatch(rest):
            return kind(_whole_name(rest))
        return kind(_whole_name(found[1]), _number(found[2], MAX_MINUTES))

    return read


def _topic(rest: str) -> Command:
    return Topic("" if rest == "-" else rest or None)


def _whole_name(rest: str) -> str:
    """Return the name that is the whole of `rest`."""
    if rest.startswith('"'):
        name, after = _name_first(rest)
        if after:
            raise _Misfit
        return name
    if not rest:
        raise _Misfit
    return rest


def _name_first(rest: str) -> tuple[str, str]:
    """Return the name at the beginning of `rest`, and the text after it."""
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


COMMANDS: dict[str, Callable[[str], Command]] = {
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
"""Command without its slash → parser of the rest of the line; in the order of `/help`."""

HOST_COMMANDS = frozenset({"kick", "ban", "unban", "bans", "mute", "unmute", "password", "host", "close"})
"""Commands for the host only. (`topic` is for everybody, but only the host may set it.)"""


def escaped_text(line: str) -> str:
    """Return the message in a line that begins with two slashes, from the second on; empty if it begins with one."""
    return line[1:] if line[1:].startswith(SLASHES) else ""


def parse_untrusted(line: str) -> Command | Unknown | Misused:
    """Return the command in a line that begins with a slash; never raises."""
    word, _, _ = _SPACE.sub(" ", line[1:], count=1).partition(" ")
    read = COMMANDS.get(word.lower())
    if read is None:
        return Unknown(line[:1] + word[:SHOWN_SIZE])
    try:
        return read(line[1 + len(word) :].strip())
    except _Misfit:
        return Misused(word.lower())


def serialize(command: Command) -> str:
    """Return the line that `parse_untrusted` parses as this command.

    Names and texts must have no white space around them, and texts must not be empty.
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
