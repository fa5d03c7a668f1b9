"""Datagrams by which the server tells a member something: answers, and what happens in its room; PROTOCOL.md, "Told".

Our own clients get JSON with a notice and its values; all others a line that `server` says, so that no program has to
know more than it did. Words come from `phrases.py`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from protocol.datagram import MAX_DOWN, SERVER_NAME, line, said
from protocol.dialect import DownForm, DownStyle
from protocol.names import cut

ANSWER_SIZE = 1_200
"""Bytes of one datagram of a long answer: no network cuts those into pieces."""


def told(style: DownStyle, room: str, notice: str, values: dict[str, Any], words: str) -> bytes:
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
    fields = {**({"n": values["n"]} if "n" in values else {}), "notice": notice, **values, "text": words}
    raw = msgspec.json.encode(fields)
    while len(raw) > MAX_DOWN:
        # Escapes and a text that stands there twice make it longer than what came up: it gives way.
        spare = max(len(max((v for v in fields.values() if isinstance(v, str)), key=len)) - 64, 0)
        if not spare:
            break
        fields = {key: cut(value, spare) if isinstance(value, str) else value for key, value in fields.items()}
        raw = msgspec.json.encode(fields)
    return raw


def acted(style: DownStyle, room: str, offset: int, sender: str, text: str) -> bytes:
    """Return the datagram that tells what `sender` does: `* alice waves`, or where a sender is named, `* waves`."""
    words = f"* {sender} {text}"
    match style.form:
        case DownForm.NATIVE:
            return told(style, room, "acted", {"n": offset, "name": sender, "said": text}, words)
        case DownForm.RAW | DownForm.U1:
            return line(style, room, words)
        case _:
            return said(style, room, offset, sender, f"* {text}")


def listed(
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

    def encode(rows: list[tuple[Any, str]], lines: list[str]) -> bytes:
        return told(style, room, notice, {**values, key: [value for value, _ in rows]}, "\n".join(lines))

    for row in rows:
        if kept and len(encode([*kept, row], [*lines, row[1]])) > ANSWER_SIZE:
            datagrams.append(encode(kept, lines))
            kept, lines = [], []
        kept.append(row)
        lines.append(row[1])
    datagrams.append(encode(kept, lines))
    return datagrams
