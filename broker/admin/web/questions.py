"""Questions of the page, in JSON, and the broker's answers to them.

A question is an object: `{"ask": "close", "room": "den"}`. Its fields are those of the frame that it stands for
(`backbone/admin_frames.py`). An answer has the fields of its frame, without the ids, which are too large for numbers in
a browser.
"""

from typing import Any

import msgspec

from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.backbone.admin_frames import Question
from tsudoi.protocol.codes import Rights
from tsudoi.protocol.errors import MalformedMessage

QUESTIONS: dict[str, tuple[type[Question], tuple[str, ...]]] = {
    "watch": (admin_frames.Watch, ("after_ms",)),
    "rooms": (admin_frames.FindRooms, ("text", "limit")),
    "members": (admin_frames.ListMembers, ("room",)),
    "gateways": (admin_frames.ListGateways, ()),
    "shards": (admin_frames.ListShards, ()),
    "bans": (admin_frames.ListBans, ()),
    "close": (admin_frames.CloseRoom, ("room",)),
    "remove": (admin_frames.RemoveMember, ("room", "name", "reason")),
    "ban": (admin_frames.Ban, ("name", "ip", "minutes", "reason")),
    "unban": (admin_frames.Unban, ("who",)),
    "announce": (admin_frames.Announce, ("text", "room")),
    "persist": (admin_frames.Persist, ("room", "topic")),
    "unpersist": (admin_frames.Unpersist, ("room",)),
}
"""What a question is called → its frame, and the fields that the page may fill. Passwords of rooms are for the command
line, which asks for them at a terminal."""

LISTS = (
    admin_frames.Watch,
    admin_frames.FindRooms,
    admin_frames.ListMembers,
    admin_frames.ListGateways,
    admin_frames.ListShards,
    admin_frames.ListBans,
)
"""Questions that change nothing."""

_EMPTY = {"name": "", "ip": "", "minutes": 0}
"""Fields of `Ban` that have no default."""


def parse_question_untrusted(body: bytes) -> Question:
    """Return the question in a request's body, or raise MalformedMessage."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise MalformedMessage(f"the body is no JSON object: {exc}") from exc
    name = fields.pop("ask", None)
    if not isinstance(name, str) or name not in QUESTIONS:
        raise MalformedMessage(f"there is no such question; there are {', '.join(QUESTIONS)}")
    kind, known = QUESTIONS[name]
    if unknown := fields.keys() - set(known):
        raise MalformedMessage(f"{name} has no field {min(unknown)!r}")
    values: list[Any] = [kind.__struct_config__.tag]
    for each in msgspec.structs.fields(kind):
        default = _EMPTY.get(each.name) if each.default is msgspec.NODEFAULT else each.default
        values.append(fields.get(each.name, default))
    try:
        question = msgspec.convert(values, kind)
        # Half a character, which JSON can write, is none in the broker's frames.
        admin_frames.encode(question)
    except (msgspec.ValidationError, UnicodeEncodeError, OverflowError) as exc:
        raise MalformedMessage(f"{name}: {exc}") from exc
    return question


def to_json(value: Any) -> Any:
    """Return an answer, or a part of it, as values for JSON."""
    if isinstance(value, list | tuple):
        return [to_json(each) for each in value]
    if not isinstance(value, msgspec.Struct):
        return value
    fields = {name: to_json(each) for name, each in msgspec.structs.asdict(value).items() if name != "id"}
    if isinstance(value, admin_frames.Member):
        rights = Rights(fields.pop("rights"))
        fields |= {"moderator": Rights.MODERATOR in rights, "verified": Rights.VERIFIED in rights}
    return fields
