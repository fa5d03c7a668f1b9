"""Parse and serialize slash commands; PROTOCOL.md, "Commands".

    /command argument argument …

A name that contains white space is in double quotes, where a backslash escapes a quote or a backslash. It needs no
quotes if nothing follows it, or only a number. A line that is no valid command parses as `Unknown` or `Misused`.
"""

import re
from collections.abc import Callable
from functools import partial

import msgspec

SLASHES = ("/", "／")
"""First character of a command; Japanese input methods write the second."""
MAX_MINUTES = 525_600
"""Longest time of a ban or mute: one year. Without a time, it lasts until the room closes."""
MAX_PAGE = 1_000_000_000
PAGE_SIZE = 20
"""Members, rooms or bans on a page."""
HISTORY_SIZE = 50
"""Most messages in one `/history`."""
MAX_POSITION = 2**53 - 1

_NARROW = {letter + 0xFEE0: letter for letter in (*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1))}
_SPACE = re.compile(r"\s+")
_NUMBER_LAST = re.compile(r"(?s)(.*\S)\s+(\d{1,9})\Z")
_QUOTED = re.compile(r'(?s)"((?:[^"\\]|\\.)*)"(?:\s+|\Z)')
_ESCAPED = re.compile(r"(?s)\\(.)")
SHOWN_SIZE = 40
"""Characters of an unknown command that the answer repeats."""


class Help(msgspec.Struct, frozen=True):
    """List the commands."""


class Who(msgspec.Struct, frozen=True):
    page: int = 1


class Rooms(msgspec.Struct, frozen=True):
    page: int = 1


class Whisper(msgspec.Struct, frozen=True):
    """Send a message to one member alone."""

    name: str
    text: str


class Reply(msgspec.Struct, frozen=True):
    """Whisper to the member that has whispered last."""

    text: str


class Act(msgspec.Struct, frozen=True):
    """Send a message in the third person."""

    text: str


class Rename(msgspec.Struct, frozen=True):
    name: str


class History(msgspec.Struct, frozen=True):
    count: int = 20
    before: int = 0
    """Only messages before this position; 0: all."""


class Leave(msgspec.Struct, frozen=True):
    """Leave the room."""


class Time(msgspec.Struct, frozen=True):
    """Tell the server's time."""


class Kick(msgspec.Struct, frozen=True):
    name: str
    reason: str = ""


class Ban(msgspec.Struct, frozen=True):
    """Remove a member or an IP address, and keep it out."""

    name: str
    """Or an IP address."""
    minutes: int = 0
    """0: until the room closes."""


class Unban(msgspec.Struct, frozen=True):
    """Lift the ban of a name or an IP address."""

    name: str


class Bans(msgspec.Struct, frozen=True):
    page: int = 1


class Mute(msgspec.Struct, frozen=True):
    """Drop what a member sends."""

    name: str
    minutes: int = 0
    """0: until the room closes."""


class Unmute(msgspec.Struct, frozen=True):
    name: str


class Lock(msgspec.Struct, frozen=True):
    """Set the room's password; an empty one removes it."""

    password: str = ""


class Topic(msgspec.Struct, frozen=True):
    """Set the room's topic; empty removes it, None asks for it."""

    text: str | None = None


class HandOver(msgspec.Struct, frozen=True):
    """Make another member the host."""

    name: str


class Close(msgspec.Struct, frozen=True):
    """Close the room."""


class Unknown(msgspec.Struct, frozen=True):
    """A line with a slash that is no command."""

    word: str
    """The command as written, with its slash; at most 40 characters."""


class Misused(msgspec.Struct, frozen=True):
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


def _nothing(kind: type[Help | Leave | Time | Close], rest: str) -> Command:
    if rest:
        raise _Misfit
    return kind()


def _page(kind: type[Who | Rooms | Bans], rest: str) -> Command:
    return kind(_number(rest, MAX_PAGE)) if rest else kind()


def _history(rest: str) -> Command:
    count, *before = rest.split() or ["20"]
    if len(before) > 1:
        raise _Misfit
    return History(_number(count, MAX_PAGE), *(_number(text, MAX_POSITION) for text in before))


def _text(kind: type[Reply | Act], rest: str) -> Command:
    if not rest:
        raise _Misfit
    return kind(rest)


def _one(kind: type[Rename | Unban | Unmute | HandOver], rest: str) -> Command:
    return kind(_whole_name(rest))


def _whisper(rest: str) -> Command:
    name, text = _name_first(rest)
    if not text:
        raise _Misfit
    return Whisper(name, text)


def _timed(kind: type[Ban | Mute], rest: str) -> Command:
    found = _NUMBER_LAST.match(rest)
    # In quotes, "bob 2" is a name.
    if found is None or _QUOTED.fullmatch(rest):
        return kind(_whole_name(rest))
    return kind(_whole_name(found[1]), _number(found[2], MAX_MINUTES))


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
        found = _QUOTED.match(rest)
        name = _ESCAPED.sub(r"\1", found[1]).strip() if found else ""
        after = rest[found.end() :] if found else ""
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
    "help": partial(_nothing, Help),
    "who": partial(_page, Who),
    "rooms": partial(_page, Rooms),
    "msg": _whisper,
    "r": partial(_text, Reply),
    "me": partial(_text, Act),
    "nick": partial(_one, Rename),
    "history": _history,
    "topic": lambda rest: Topic("" if rest == "-" else rest or None),
    "time": partial(_nothing, Time),
    "leave": partial(_nothing, Leave),
    "kick": lambda rest: Kick(*_name_first(rest)),
    "ban": partial(_timed, Ban),
    "unban": partial(_one, Unban),
    "bans": partial(_page, Bans),
    "mute": partial(_timed, Mute),
    "unmute": partial(_one, Unmute),
    "password": Lock,
    "host": partial(_one, HandOver),
    "close": partial(_nothing, Close),
}
"""Command without its slash → parser of the rest of the line; in the order of `/help`."""

HOST_COMMANDS = frozenset({"kick", "ban", "unban", "bans", "mute", "unmute", "password", "host", "close"})
"""Commands for the host only. (`topic` is for all members, but only the host may set it.)"""


def escaped_text(line: str) -> str:
    """Return the message in a line that begins with two slashes, from the second on; empty if it begins with one."""
    return line[1:] if line[1:].startswith(SLASHES) else ""


def escaped(text: str) -> str:
    """Return the line that says a text, also one that begins with a slash."""
    return text[0] + text if text.startswith(SLASHES) else text


def as_word(written: str) -> str:
    """Return the word of a command, as `COMMANDS` has it: input methods may write full-width letters too."""
    return written.translate(_NARROW).lower()


def parse_untrusted(line: str) -> Command | Unknown | Misused:
    """Return the command in a line that begins with a slash; never raises."""
    word, _, _ = _SPACE.sub(" ", line[1:], count=1).partition(" ")
    read = COMMANDS.get(as_word(word))
    if read is None:
        return Unknown(line[:1] + word[:SHOWN_SIZE])
    try:
        return read(line[1 + len(word) :].strip())
    except _Misfit:
        return Misused(as_word(word))


def serialize(command: Command) -> str:
    """Return the line that `parse_untrusted` parses as this command.

    Names and texts must have no white space around them, and texts must not be empty.
    """
    match command:
        case Who(page) | Rooms(page) | Bans(page):
            return f"/{type(command).__name__.lower()} {page}"
        case History(count, before):
            return f"/history {count} {before}" if before else f"/history {count}"
        case Whisper(name, text):
            return f"/msg {quoted(name)} {text}"
        case Reply(text):
            return f"/r {text}"
        case Act(text):
            return f"/me {text}"
        case Rename(name):
            return f"/nick {quoted(name)}"
        case Kick(name, reason):
            return f"/kick {quoted(name)} {reason}".rstrip()
        case Ban(name, minutes) | Mute(name, minutes):
            return f"/{type(command).__name__.lower()} {quoted(name)}{f' {minutes}' if minutes else ''}"
        case Unban(name) | Unmute(name):
            return f"/{type(command).__name__.lower()} {quoted(name)}"
        case Lock(password):
            return f"/password {password}".rstrip()
        case Topic(text):
            return "/topic" if text is None else f"/topic {text or '-'}"
        case HandOver(name):
            return f"/host {quoted(name)}"
        case Help() | Leave() | Time() | Close():
            return f"/{type(command).__name__.lower()}"


def quoted(name: str) -> str:
    """Return a name as it stands before further arguments."""
    if name.startswith('"') or _SPACE.search(name):
        return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return name
