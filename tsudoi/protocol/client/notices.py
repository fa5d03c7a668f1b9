"""Encode notices, answers to commands, and actions as datagrams; PROTOCOL.md, "Told".

The dialect `tsudoi` gets JSON with the notice's name and values. Every other dialect gets a line from `server`, which
its client shows like any message. The words come from `phrases.py`.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from tsudoi.protocol.client.dialect import WITH_VALUES, DownForm, DownStyle
from tsudoi.protocol.client.downlink_encoder import (
    MAX_DOWN,
    NATIVE,
    encode_line,
    encode_message,
    json_size,
    longest_fit,
)
from tsudoi.protocol.client.phrases import Phrase, phrase
from tsudoi.protocol.client.sanitize import strip_bidi
from tsudoi.protocol.names import SERVER_NAME
from tsudoi.protocol.visible_characters import boundary
from tsudoi.protocol.web.replies import publication

ACTION_MARK = "* "
_FRAME = 128
"""Bytes that a whisper's or an action's notice has at most, beside its names and its text."""
_ELLIPSIS = "…"
_SPACE = re.compile(r"\s")


def encode_notice(style: DownStyle, room: str, notice: str, values: dict[str, Any], words: str) -> bytes:
    """Return the datagram of a notice: its name and values for NATIVE, its words for all other forms."""
    if style.form is DownForm.WEB:
        return publication(room, encode_notice(NATIVE, room, notice, values, words))
    if style.form not in WITH_VALUES:
        return encode_message(style, room, 0, SERVER_NAME, words)
    fields = _fields(notice, values, words)
    raw = msgspec.json.encode(fields)
    return raw if len(raw) <= MAX_DOWN else _cut_texts(fields)


def encode_action(style: DownStyle, room: str, offset: int, sender: str, text: str) -> bytes:
    """Return the datagram of `/me`: `* alice waves`, or the message `* waves` in a form that names the sender.

    So is that of a name with white space: in `* a b c` the line does not tell where the name ends.
    """
    words = action_line(sender, text)
    if style.form in WITH_VALUES:
        return encode_notice(style, room, "acted", {"n": offset, "name": sender, "said": text}, words)
    if style.form in (DownForm.RAW, DownForm.U1) and words.startswith(ACTION_MARK):
        return encode_line(style, room, words)
    return encode_message(style, room, offset, sender, ACTION_MARK + text)


def action_line(sender: str, text: str) -> str:
    """Return an action as one line: `* alice waves`; `a b: * waves` if the name has white space."""
    if _SPACE.search(sender):
        return f"{sender}: {ACTION_MARK}{text}"
    return phrase(Phrase.ACTED, False, name=sender, text=text)


def said_limit(sender: str, receiver: str = "") -> int:
    """Return how many bytes the text of a whisper or an action may have as JSON (`json_size`), so that it is not cut.

    The notice has the text twice, and each name twice: as values, and in its words.
    """
    return (MAX_DOWN - _FRAME) // 2 - json_size(sender) - json_size(receiver)


def notice_size(style: DownStyle, room: str, notice: str, values: dict[str, Any], words: str) -> int:
    """Return the bytes that `encode_notice` would need without cutting anything."""
    if style.form not in (*WITH_VALUES, DownForm.WEB):
        return len(encode_message(style, room, 0, SERVER_NAME, words))
    return len(msgspec.json.encode(_fields(notice, values, words)))


def _fields(notice: str, values: dict[str, Any], words: str) -> dict[str, Any]:
    return {**({"n": values["n"]} if "n" in values else {}), "notice": notice, **values, "text": words}


def _cut_texts(fields: dict[str, Any]) -> bytes:
    """Return `fields` as JSON of at most MAX_DOWN bytes; what is cut ends with an ellipsis.

    Cuts the words alone, if that is enough: the values have all that they say. Else cuts the longest texts.
    """
    bare = _map_texts(fields, strip_bidi)
    words = bare["text"]
    if len(msgspec.json.encode(bare | {"text": _ELLIPSIS})) <= MAX_DOWN:
        return longest_fit(
            lambda length: msgspec.json.encode(bare | {"text": _shortened(words, length)}), len(words), MAX_DOWN
        )
    return longest_fit(
        lambda length: msgspec.json.encode(_map_texts(bare, lambda text: _shortened(text, length))), MAX_DOWN, MAX_DOWN
    )


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: boundary(text, length)] + _ELLIPSIS


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a JSON value with `change` applied to each string in it, except keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _map_texts(item, change) for key, item in value.items()}
    return value
