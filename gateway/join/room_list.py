"""The list of rooms for TCP clients: asked of the directory once for many clients, and kept for a few milliseconds."""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

from tsudoi.protocol.backbone import Answer, Create, Join, ListRooms, Rooms
from tsudoi.protocol.client.handshake import encode_join_list, encode_room_list

FRESH_S = 0.005
"""How old a list may be. Its reader is a person or is one round trip from the next request; at thousands of joins a
second the directory is asked only 200 times a second."""
LISTED_ROOMS = 1_000
"""The newest; the seed's list holds fewer."""
LISTED_LATELY_S = 60.0
LISTED_ADDRESSES = 10_000
"""Addresses that are remembered; beyond that the oldest is forgotten."""


class Listing:
    """Room names, oldest first, and their encodings: made once, however many clients read them."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listing) and self.names == other.names

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def seed(self) -> bytes:
        """Return what a classic join is sent."""
        return encode_join_list(self.names)

    @cached_property
    def framed(self) -> bytes:
        """Return the answer to H32(0, 2, 0, 0)."""
        return encode_room_list(self.names)


OnListing = Callable[[Listing | None], None]
"""Called once with the rooms, or None if the directory can not be asked."""


class Directory(Protocol):
    """The broker's directory of rooms and members, as joining asks it: `Link`."""

    def ask(
        self, body: Create | Join | ListRooms, now: float, on_answer: Callable[[Answer | None, float], None]
    ) -> None:
        """Ask a question; call `on_answer` with the answer and the time, or with None if no answer came."""


class RoomList:
    """Asks the directory for its rooms, and knows which addresses asked for them lately."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
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

        self._directory.ask(ListRooms(LISTED_ROOMS), now, answered)

    def forget(self) -> None:
        """Ask the directory next time: this gateway has just created a room."""
        self._asked_at = float("-inf")

    def note_listed(self, ip: str, now: float) -> None:
        """Note that an address asked for the list on a connection of its own."""
        self._listed.pop(ip, None)
        self._listed[ip] = now
        if len(self._listed) > LISTED_ADDRESSES:
            del self._listed[next(iter(self._listed))]

    def listed_lately(self, ip: str, now: float) -> bool:
        """Say whether an address did so lately; only tcrp-ok's clients do before they create or join."""
        return now - self._listed.get(ip, float("-inf")) < LISTED_LATELY_S
