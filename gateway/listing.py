"""The list of rooms, for those who ask at the TCP doors: told again while it is new, asked for once for many."""

from collections.abc import Callable
from functools import cached_property

from gateway.link.link import Link
from tsudoi.protocol.backbone import Answer, ListRooms, Rooms
from tsudoi.protocol.client.handshake import encode_join_list, encode_room_list

NEW_S = 0.005
"""How old a list may be. Who asks for it has a person before the screen or a round trip before the next request; at
thousands of joins a second it is asked for two hundred times a second."""
LISTED_ROOMS = 1_000
"""The newest; the seed's list holds fewer."""


class Listing:
    """Rooms' names, oldest first, and what dialects make of them: written once, however many read it."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listing) and self.names == other.names

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def seed(self) -> bytes:
        """What a classic join is told."""
        return encode_join_list(self.names)

    @cached_property
    def framed(self) -> bytes:
        """The answer to H32(0, 2, 0, 0)."""
        return encode_room_list(self.names)


OnListing = Callable[[Listing | None], None]
"""Called once with the rooms, or None if the broker can not be asked."""


class RoomList:
    """Asks the directory for its rooms, not more often than need be."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._listing: Listing | None = None
        self._asked_at = float("-inf")
        self._waiting: list[OnListing] | None = None
        """Who hears the answer that is on its way; None: none is."""

    def ask(self, now: float, on_listing: OnListing) -> None:
        """Call `on_listing` with the rooms as they are or were at most `NEW_S` ago: at once, or when they are known."""
        if now - self._asked_at < NEW_S:
            if self._listing is not None:
                on_listing(self._listing)
                return
            if self._waiting is not None:
                self._waiting.append(on_listing)
                return
        self._asked_at, self._listing = now, None
        waiting = self._waiting = [on_listing]

        def answered(answer: Answer | None, _: float) -> None:
            listing = Listing(answer.names) if isinstance(answer, Rooms) else None
            if self._waiting is waiting:
                self._listing, self._waiting = listing, None
            for hear in waiting:
                hear(listing)

        self._link.ask(ListRooms(LISTED_ROOMS), now, answered)

    def forget(self) -> None:
        """A room was made here just now: who asks from now on shall find it."""
        self._asked_at = float("-inf")
