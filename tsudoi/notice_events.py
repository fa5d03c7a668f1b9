"""Notices of the dialect `tsudoi` as events; they carry values beside their text, which is never parsed."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tsudoi.events import (
    Announced,
    Answered,
    CommandHelp,
    Emote,
    Event,
    HostChanged,
    Joined,
    Kicked,
    Left,
    Listed,
    LockChanged,
    Muted,
    Notice,
    Past,
    PeopleChanged,
    Person,
    Private,
    Renamed,
    RoomInfo,
    Row,
    Sanction,
    TopicChanged,
    Unmuted,
)


class _Fields(msgspec.Struct):
    """The fields that a notice may have. If one has another type, the event is a `Notice` with the text alone."""

    text: str = ""
    n: int | None = None
    name: str = ""
    to: str = ""
    said: str = ""
    reason: str = ""
    by: str = ""
    why: str = ""
    topic: str = ""
    minutes: int = 0
    joined: int = 0
    left: int = 0
    banned: bool = False
    code: str = ""
    arg: str = ""
    count: int = 0
    page: int = 1
    pages: int = 1
    members: list["_Member"] = []
    rooms: list["_Room"] = []
    bans: list["_Sanction"] = []
    messages: list["_Past"] = []
    commands: list["_Help"] = []


class _Member(msgspec.Struct):
    name: str
    host: bool
    idle: int


class _Room(msgspec.Struct):
    name: str
    members: int
    locked: bool


class _Sanction(msgspec.Struct):
    name: str
    address: str
    muted: bool
    until: int


class _Past(msgspec.Struct):
    n: int
    sender: str = msgspec.field(name="from")
    said: str
    at: int
    acted: bool = False


class _Help(msgspec.Struct):
    usage: str
    does: str


_EVENTS: dict[str, Callable[[_Fields, int], Event]] = {
    "acted": lambda f, n: Emote(f.name, f.said, n),
    "whispered": lambda f, n: Private(f.name, f.to, f.said, n),
    "joined": lambda f, n: Joined(f.name, n, f.text),
    "left": lambda f, n: Left(f.name, f.reason, f.by, f.why, n, f.text),
    "people": lambda f, n: PeopleChanged(f.joined, f.left, f.text),
    "renamed": lambda f, n: Renamed(f.name, f.to, n, f.text),
    "topic": lambda f, n: TopicChanged(f.name, f.topic, n, f.text),
    "host": lambda f, n: HostChanged(f.name, f.by, n, f.text),
    "muted": lambda f, n: Muted(f.name, f.by, f.minutes, n, f.text),
    "unmuted": lambda f, n: Unmuted(f.name, f.by, n, f.text),
    "locked": lambda f, n: LockChanged(f.name, True, n, f.text),
    "unlocked": lambda f, n: LockChanged(f.name, False, n, f.text),
    "announced": lambda f, n: Announced(f.said, n, f.text),
    "kicked": lambda f, n: Kicked(f.text, f.by, f.reason, f.banned),
    "answer": lambda f, n: Answered(f.code, f.arg, f.n, f.text),
    "who": lambda f, n: _listed("who", f, tuple(Person(m.name, m.host, m.idle) for m in f.members)),
    "rooms": lambda f, n: _listed("rooms", f, tuple(RoomInfo(r.name, r.members, r.locked) for r in f.rooms)),
    "bans": lambda f, n: _listed("bans", f, tuple(Sanction(b.name, b.address, b.muted, b.until) for b in f.bans)),
    "history": lambda f, n: _listed(
        "history", f, tuple(Past(m.sender, m.said, m.n, m.at, m.acted) for m in f.messages)
    ),
    "help": lambda f, n: _listed("help", f, tuple(CommandHelp(h.usage, h.does) for h in f.commands)),
}


def event_of(notice: str, fields: Mapping[str, Any], clean: Callable[[str], str]) -> Event:
    """Return the event for a notice.

    Args:
        notice: its kind.
        fields: the JSON object that came.
        clean: removes control characters from a text.
    """
    cleaned = {key: _clean(value, clean) for key, value in fields.items()}
    text = cleaned.get("text", "")
    make = _EVENTS.get(notice)
    if make is None:
        return Notice(text if isinstance(text, str) else "")
    try:
        known = msgspec.convert(cleaned, _Fields)
    except msgspec.ValidationError:
        return Notice(text if isinstance(text, str) else "")
    return make(known, known.n or 0)


def _listed(what: str, fields: _Fields, rows: tuple[Row, ...]) -> Listed:
    return Listed(what, rows, fields.count, fields.page, fields.pages, fields.text)


def _clean(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean(item, clean) for item in value]
    if isinstance(value, dict):
        return {key: _clean(item, clean) for key, item in value.items()}
    return value
