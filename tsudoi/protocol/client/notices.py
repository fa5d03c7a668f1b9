"""Datagrams by which the server tells a member something: answers, and what happens in its room; PROTOCOL.md, "Told".

Our own clients get JSON with a notice and its values; all others a line that `server` says, so that no program has to
know more than it did. Words come from `phrases.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tsudoi.protocol.client.datagram import MAX_DOWN, line, said
from tsudoi.protocol.client.dialect import DownForm, DownStyle
from tsudoi.protocol.client.sanitize import without_turns
from tsudoi.protocol.names import SERVER_NAME

ANSWER_SIZE = 1_200
"""Bytes of one datagram of a long answer: no network cuts those into pieces."""


def encode_notice(style: DownStyle, room: str, notice: str, values: dict[str, Any], words: str) -> bytes:
    """Return one datagram.

    Args:
        style: the receiver's.
        room: where it is.
        notice: what it is about, for our own clients.
        values: what else those are told.
        words: for a person.
    """
    if style.form is not DownForm.NATIVE:
        return said(style, room, 0, SERVER_NAME, words)
    fields = _fields(notice, values, words)
    raw = msgspec.json.encode(fields)
    return raw if len(raw) <= MAX_DOWN else _fitting(fields)


def _fields(notice: str, values: dict[str, Any], words: str) -> dict[str, Any]:
    return {**({"n": values["n"]} if "n" in values else {}), "notice": notice, **values, "text": words}


def _fitting(fields: dict[str, Any]) -> bytes:
    """Return `fields` as JSON of at most `MAX_DOWN` bytes: the longest texts give way, no more than they must.

    Escapes, and texts that stand there twice, make it longer than what came up.
    """
    bare = _each_text(fields, without_turns)

    def cut_to(size: int) -> bytes:
        return msgspec.json.encode(_each_text(bare, lambda text: text[:size]))

    fits, too_long = 0, MAX_DOWN
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(cut_to(middle)) <= MAX_DOWN:
            fits = middle
        else:
            too_long = middle
    return cut_to(fits)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return what JSON is made of with each text in it changed, but for the keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    return value


def encode_action(style: DownStyle, room: str, offset: int, sender: str, text: str) -> bytes:
    """Return the datagram that tells what `sender` does: `* alice waves`, or where a sender is named, `* waves`."""
    words = f"* {sender} {text}"
    match style.form:
        case DownForm.NATIVE:
            return encode_notice(style, room, "acted", {"n": offset, "name": sender, "said": text}, words)
        case DownForm.RAW | DownForm.U1:
            return line(style, room, words)
        case _:
            return said(style, room, offset, sender, f"* {text}")


def encode_list(
    style: DownStyle,
    room: str,
    notice: str,
    key: str,
    values: dict[str, Any],
    head: str,
    rows: Sequence[tuple[Any, str]],
) -> list[bytes]:
    """Return a long answer as datagrams of at most 1,200 bytes each (one row may be longer), each complete in itself.

    Args:
        style: the receiver's.
        room: where it is.
        notice: what it is about, for our own clients.
        key: under which those get the rows.
        values: what else they are told.
        head: the first line.
        rows: (for our own clients, as a line for all others).
    """
    datagrams: list[bytes] = []
    kept: list[tuple[Any, str]] = []
    lines = [head]

    def content() -> tuple[dict[str, Any], str]:
        return {**values, key: [value for value, _ in kept]}, "\n".join(lines)

    for row in rows:
        kept.append(row)
        lines.append(row[1])
        if len(kept) > 1 and _size(style, room, notice, *content()) > ANSWER_SIZE:
            del kept[-1], lines[-1]
            datagrams.append(encode_notice(style, room, notice, *content()))
            kept, lines = [row], [row[1]]
    datagrams.append(encode_notice(style, room, notice, *content()))
    return datagrams


def _size(style: DownStyle, room: str, notice: str, values: dict[str, Any], words: str) -> int:
    """Return the bytes of what `encode_notice` would return if it did not have to cut anything."""
    if style.form is not DownForm.NATIVE:
        return len(said(style, room, 0, SERVER_NAME, words))
    return len(msgspec.json.encode(_fields(notice, values, words)))
