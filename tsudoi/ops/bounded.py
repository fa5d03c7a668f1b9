"""Bound tables whose keys clients choose."""

from collections.abc import Hashable
from itertools import islice
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


def put_newest(table: dict[_Key, _Value], key: _Key, value: _Value, size: int) -> None:
    """Put a row into a table as the newest one; delete the oldest ones if it has more than `size`."""
    table.pop(key, None)
    table[key] = value
    drop_oldest(table, size)


def drop_oldest(table: dict[_Key, _Value], size: int) -> None:
    """Delete the rows that were inserted first if the table has more than `size`."""
    for key in oldest(table, size):
        del table[key]


def oldest(table: dict[_Key, _Value], size: int) -> list[_Key]:
    """Return the keys to delete from a table if it has more than `size` rows: a 64th more than there have to be.

    To find its first row, a dict passes over the places of all that were deleted before it. One at a time, a row of a
    table of 10,000 would cost 5 µs, of 100,000 some 80; that is what a flood of new keys aims at.
    """
    if len(table) <= size:
        return []
    return list(islice(table, len(table) - size + size // 64))
