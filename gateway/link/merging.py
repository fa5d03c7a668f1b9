"""Merge the lists of rooms of all shards into one, oldest room first.

A room's id begins with the time when it was made (`broker/rooms/ids.py`), so rooms of all shards are ordered by their
ids. A hash assigns rooms to shards, so each shard has about the same share of the oldest rooms, and of the newest. It
is asked for its share and a few more.
"""

from collections.abc import Iterable, Sequence
from math import isqrt
from typing import TypeVar

from tsudoi.protocol.backbone import Answer, Browse, Browsed, Rooms

_Row = TypeVar("_Row")


def _spread(share: int) -> int:
    """Return by how many rooms a shard's share may differ from the mean: four standard deviations, and a few."""
    return 4 * isqrt(share) + 8


def newest_of_each(limit: int, shards: int) -> int:
    """Return how many rooms to ask each shard for, to list the `limit` newest of all."""
    share = limit // shards
    return limit if shards == 1 else min(limit, share + _spread(share))


def merge_names(answers: Iterable[Answer | None], limit: int) -> list[str] | None:
    """Return the names of the newest rooms of all shards, oldest first; None: no shard has answered."""
    known = [answer for answer in answers if isinstance(answer, Rooms)]
    if len(known) == 1:
        return known[0].names[-limit:]
    return _in_order((rooms.ids, rooms.names) for rooms in known)[-limit:] if known else None


def page_of_each(skip: int, limit: int, shards: int) -> Browse:
    """Return the question to ask each of `shards` shards, to show `limit` rooms of all, after the `skip` oldest."""
    if shards == 1:
        return Browse(skip, limit)
    first, last = skip // shards, (skip + limit) // shards
    begin = max(first - _spread(first), 0)
    return Browse(begin, last + _spread(last) - begin)


def merge_page(answers: Sequence[Answer | None], asked: Browse, skip: int, limit: int) -> Browsed | None:
    """Return a page of all rooms from the shards' answers to `asked` (`page_of_each`); None: a shard has not answered.

    Without its rooms all pages would begin elsewhere.
    """
    known = [answer for answer in answers if isinstance(answer, Browsed)]
    if len(known) < len(answers):
        return None
    if len(known) == 1:
        return known[0]
    before = sum(min(asked.skip, page.count) for page in known)
    begin = max(skip - before, 0)
    rows = _in_order((page.ids, page.rooms) for page in known)
    return Browsed(sum(page.count for page in known), rows[begin : begin + limit])


def _in_order(lists: Iterable[tuple[list[int], list[_Row]]]) -> list[_Row]:
    rows = [both for ids, rows in lists for both in zip(ids, rows, strict=False)]
    return [row for _, row in sorted(rows, key=lambda both: both[0])]
