"""Split long answers to commands into datagrams that networks do not fragment; PROTOCOL.md, "Told"."""

from collections.abc import Sequence
from typing import Any

from tsudoi.protocol.client.dialect import DownStyle
from tsudoi.protocol.client.notices import encode_notice, notice_size

ANSWER_SIZE = 1_200
"""Bytes of one datagram of a long answer."""


def encode_list(
    style: DownStyle,
    room: str,
    notice: str,
    key: str,
    values: dict[str, Any],
    head: str,
    rows: Sequence[tuple[Any, str]],
) -> list[bytes]:
    """Return a long answer as datagrams of at most 1,200 bytes, or of one row where that is longer.

    A row is (its value for NATIVE, where the list of values stands under `key`; its line for all other forms). Where
    the values have neither `count` nor `of`, `of` tells NATIVE clients how many rows all datagrams have together.
    """
    datagrams: list[bytes] = []
    kept: list[tuple[Any, str]] = []
    lines = [head]
    total = {} if "count" in values or "of" in values else {"of": len(rows)}

    def content() -> tuple[dict[str, Any], str]:
        return {**values, **total, key: [value for value, _ in kept]}, "\n".join(lines)

    for row in rows:
        kept.append(row)
        lines.append(row[1])
        if len(kept) > 1 and notice_size(style, room, notice, *content()) > ANSWER_SIZE:
            del kept[-1], lines[-1]
            datagrams.append(encode_notice(style, room, notice, *content()))
            kept, lines = [row], [row[1]]
    datagrams.append(encode_notice(style, room, notice, *content()))
    return datagrams
