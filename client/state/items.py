"""The items of a room as a value, of which one with an item more costs the same however many there are."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Self, overload

if TYPE_CHECKING:
    from .model import Item


class Items(Sequence["Item"]):
    """A sequence that never changes.

    What `append` returns shares its memory with what it was made of, as slices of Go do: each sees as many items of one
    list as it has, and only the longest may grow in it. A tuple would be copied at each event.
    """

    __slots__ = ("_length", "_shared")

    def __init__(self, items: Iterable["Item"] = ()) -> None:
        self._shared = list(items)
        self._length = len(self._shared)

    def append(self, item: "Item") -> Self:
        """Return the items with one more at the end."""
        shared = self._shared if len(self._shared) == self._length else list(self)
        shared.append(item)
        longer = type(self)()
        longer._shared, longer._length = shared, len(shared)
        return longer

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> "Item": ...
    @overload
    def __getitem__(self, at: slice) -> Sequence["Item"]: ...
    def __getitem__(self, at: int | slice) -> "Item | Sequence[Item]":
        places = range(self._length)[at]
        if isinstance(places, int):
            return self._shared[places]
        assert places.step == 1
        return self._shared[places.start : places.stop]

    def __iter__(self) -> Iterator["Item"]:
        return islice(self._shared, self._length)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Items) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))
