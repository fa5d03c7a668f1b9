"""Repeat to clients, twice, that their membership has ended: otherwise a lost notice shows only at the next ping.

The member and its link are gone by then. Its run goes on here, so that no count is used twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tsudoi.protocol.sealed.packets import COUNT_SIZE, RUN_AT

if TYPE_CHECKING:
    from .link import SealedLink

AT_TICKS = (3, 6)
"""At which ticks of the repeater (`sender.REPEAT_S`) a body is sent again, a burst's last one or an end's: after 0.06
and 0.15 s, and up to 0.03 s more."""


@dataclass(slots=True)
class _Farewell:
    link: "SealedLink"
    head: bytes
    listener: int
    address: bytes
    count: int
    body: bytes
    ticks: int = 0


class Farewells:
    """The clients that are to be told again."""

    def __init__(self) -> None:
        self._waiting: list[_Farewell] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, link: "SealedLink", count: int, body: bytes) -> None:
        """Tell a client this body again, in packets of the link's run with the counts behind `count`."""
        self._waiting.append(_Farewell(link, link.head, link.listener, link.address, count, body))

    def due(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield listener, address and packet of what is due at this tick; forget clients that were told twice."""
        for each in self._waiting:
            each.ticks += 1
            if each.ticks in AT_TICKS:
                each.count += 1
                header = each.head + each.count.to_bytes(COUNT_SIZE, "big")
                cipher = each.link.sender.keys.borrow(each.link.session).down
                yield each.listener, each.address, header + cipher.encrypt(header[RUN_AT:], each.body, header)
        self._waiting = [each for each in self._waiting if each.ticks < AT_TICKS[-1]]
