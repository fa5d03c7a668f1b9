"""Notices of the dialect `tsudoi` as events; they carry values beside their text, which is never parsed."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tsudoi import events

_EVENTS: dict[str, type[events.Event]] = {
    "acted": events.Emote,
    "whispered": events.Private,
    "joined": events.Joined,
    "left": events.Left,
    "people": events.PeopleChanged,
    "renamed": events.Renamed,
    "topic": events.TopicChanged,
    "host": events.HostChanged,
    "muted": events.Muted,
    "unmuted": events.Unmuted,
    "locked": events.LockChanged,
    "unlocked": events.LockChanged,
    "announced": events.Announced,
    "kicked": events.Kicked,
    "answer": events.Answered,
}
_LISTS: dict[str, tuple[str, type[events.Row]]] = {
    "who": ("members", events.Person),
    "rooms": ("rooms", events.RoomInfo),
    "bans": ("bans", events.Sanction),
    "history": ("messages", events.Past),
    "help": ("commands", events.CommandHelp),
}
"""Kind of a list → the field with its rows, and their class."""

# The names that fields have in events, where they differ, and the values of fields that a notice leaves out.
_NAMES = {"n": "offset", "arg": "about"}
_ROW_NAMES = {
    **{"n": "offset", "from": "sender", "said": "text", "at": "at_ms"},
    **{"host": "is_host", "idle": "idle_s", "until": "until_ms"},
}
_DEFAULTS = {
    **dict.fromkeys(("text", "name", "to", "said", "reason", "by", "why", "topic", "code", "about"), ""),
    **dict.fromkeys(("offset", "minutes", "joined", "left", "count", "of", "before"), 0),
    **{"banned": False, "page": 1, "pages": 1},
}


def event_of(notice: str, fields: Mapping[str, Any], clean: Callable[[str], str]) -> events.Event:
    """Return the event for a notice; one with the text alone if a field has another type than it should.

    Args:
        notice: its kind.
        fields: the JSON object that came.
        clean: removes control characters from a text.
    """
    values = _DEFAULTS | _cleaned(fields, _NAMES, clean)
    text = values["text"]
    if notice in ("acted", "whispered"):
        values |= {"sender": values["name"], "text": values["said"]}
    elif notice == "answer" and "n" not in fields:
        values["offset"] = None
    try:
        if notice in _EVENTS:
            return msgspec.convert(values | {"locked": notice == "locked"}, _EVENTS[notice])
        if notice in _LISTS:
            field, kind = _LISTS[notice]
            rows = [
                {"acted": False} | _cleaned(row, _ROW_NAMES, clean)
                for row in msgspec.convert(values.get(field, []), list[dict[str, Any]])
            ]
            parsed = tuple(msgspec.convert(row, kind) for row in rows)
            count = values["count"] or values["of"]
            numbers = msgspec.convert([count, values["page"], values["pages"]], tuple[int, int, int])
            before = msgspec.convert(values["before"], int)
            return events.Listed(notice, parsed, *numbers, msgspec.convert(text, str), before)
    except msgspec.ValidationError:
        pass
    return events.Notice(text if isinstance(text, str) else "")


def _cleaned(fields: Mapping[str, Any], names: Mapping[str, str], clean: Callable[[str], str]) -> dict[str, Any]:
    """Return fields under their names in events, their texts cleaned. What is nested deeper is no event's."""
    return {names.get(key, key): clean(value) if isinstance(value, str) else value for key, value in fields.items()}
