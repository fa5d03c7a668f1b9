"""Bound tables whose keys clients choose."""

from collections.abc import Hashable
from typing import TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


def put_newest(table: dict[_Key, _Value], key: _Key, value: _Value, size: int) -> None:
    """Put a row into a table as the newest one; delete the oldest if it has more than `size`."""
    table.pop(key, None)
    table[key] = value
    drop_oldest(table, size)


def drop_oldest(table: dict[_Key, _Value], size: int) -> None:
    """Delete the rows that were inserted first until the table has at most `size`."""
    while len(table) > size:
        del table[next(iter(table))]
