"""List the rooms for TCP clients: ask the directory once for many clients, and keep its answer for milliseconds."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tsudoi.ops.bounded import drop_oldest
from tsudoi.protocol.backbone import Answer, ListRooms, Rooms
from tsudoi.protocol.client.handshake import encode_join_list, encode_room_list

from ..link.link import Link

FRESH_S = 0.005
"""How old a list may be: no reader is faster, and thousands of joins a second ask the directory only 200 times."""
LISTED_ROOMS = 1_000
"""Most rooms, the newest; the seed's list has fewer."""
LISTED_LATELY_S = 60.0
LISTED_ADDRESSES = 10_000
"""Addresses that are remembered; beyond that the oldest is forgotten."""


@dataclass
class Listing:
    """Room names, oldest first, and their encodings: made once, however many clients read them."""

    names: list[str]

    @cached_property
    def seed(self) -> bytes:
        """Return the list for a classic join."""
        return encode_join_list(self.names)

    @cached_property
    def framed(self) -> bytes:
        """Return the answer to H32(0, 2, 0, 0)."""
        return encode_room_list(self.names)


OnListing = Callable[[Listing | None], None]
"""Called once with the rooms, or None if the directory can not be asked."""


class RoomList:
    """Asks the directory for its rooms, and knows which addresses asked for them lately."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._listing: Listing | None = None
        self._asked_at = float("-inf")
        self._waiting: list[OnListing] | None = None
        """Callers that share the pending question; None: no question is pending."""
        self._listed: dict[str, float] = {}
        """IP address → when it last asked for the list on a connection of its own."""

    def ask(self, now: float, on_listing: OnListing) -> None:
        """Call `on_listing` with rooms that are at most `FRESH_S` old, at once or when the directory has answered."""
        if now - self._asked_at < FRESH_S:
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
            for callback in waiting:
                callback(listing)

        self._link.ask(ListRooms(LISTED_ROOMS), now, answered)

    def forget(self) -> None:
        """Ask the directory next time: this gateway has just created a room."""
        self._asked_at = float("-inf")

    def note_listed(self, ip: str, now: float) -> None:
        """Note that an address asked for the list on a connection of its own."""
        self._listed.pop(ip, None)
        self._listed[ip] = now
        drop_oldest(self._listed, LISTED_ADDRESSES)

    def listed_lately(self, ip: str, now: float) -> bool:
        """Return whether an address did so lately, as only tcrp-ok's clients do before they create or join."""
        return now - self._listed.get(ip, float("-inf")) < LISTED_LATELY_S
