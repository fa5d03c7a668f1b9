"""List the rooms for TCP clients: ask the directory once for many clients, and keep its answer for milliseconds.

Several shards are asked for a share each. What a shard has answered last stays in the list while its broker is away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol.backbone import Answer, ListRooms, Rooms
from tsudoi.protocol.client.handshake import encode_join_list, encode_room_list

from ..link import merging
from ..link.routes import Routes

FRESH_S = 0.005
"""How old a list may be: no reader is faster, and thousands of joins a second ask the directory only 200 times. With
several shards it may be as many times older: all of them together are asked that often."""
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


@dataclass(eq=False)
class RoomList:
    """Asks the directory for its rooms, and knows which addresses asked for them lately."""

    routes: Routes
    _known: list[Rooms | None] = field(default_factory=list)
    """What each shard has answered last."""
    _listing: Listing | None = None
    """Of all these; None: it must be made anew."""
    _asked_at: float = float("-inf")
    _stale: set[int] = field(default_factory=set)
    """Shards that are asked next time: this gateway has created a room there, or they have not answered."""
    _waiting: list[OnListing] | None = None
    """Clients that wait for the last question's answers; None: these are there."""
    _listed: dict[str, float] = field(default_factory=dict)
    """IP address → when it last asked for the list on a connection of its own."""

    def ask(self, now: float, on_listing: OnListing) -> None:
        """Call `on_listing` with rooms that are at most `FRESH_S` old, at once or when the directory has answered."""
        count = len(self.routes.links)
        if len(self._known) != count:
            self._known, self._stale = [None] * count, set(range(count))
        is_fresh = now - self._asked_at < FRESH_S * count
        if is_fresh and not self._stale:
            if self._waiting is None:
                on_listing(self._list())
            else:
                self._waiting.append(on_listing)
            return
        # What an earlier question has not brought yet is asked again: its answer may be older than what is stale.
        shards = list(self._stale) if is_fresh and self._waiting is None else list(range(count))
        if len(shards) == count:
            self._asked_at = now
        self._stale.clear()
        self._waiting = waiting = [on_listing]
        known = self._known

        def answered(answers: Sequence[Answer | None], _: float) -> None:
            is_known = len(shards) < count
            for shard, answer in zip(shards, answers, strict=True):
                if isinstance(answer, Rooms):
                    known[shard], self._listing, is_known = answer, None, True
                else:
                    self._stale.add(shard)
            if self._waiting is waiting:
                self._waiting = None
            for each in waiting:
                each(self._list() if is_known else None)

        question = ListRooms(merging.newest_of_each(LISTED_ROOMS, count))
        self.routes.ask_all(question, now, answered, shards)

    def _list(self) -> Listing:
        if self._listing is None:
            self._listing = Listing(merging.merge_names(self._known, LISTED_ROOMS) or [])
        return self._listing

    def forget(self, room: str) -> None:
        """Ask its directory next time: this gateway has just created this room."""
        self._stale.add(self.routes.shard_named(room) or 0)

    def note_listed(self, ip: str, now: float) -> None:
        """Note that an address asked for the list on a connection of its own."""
        put_newest(self._listed, ip, now, LISTED_ADDRESSES)

    def listed_lately(self, ip: str, now: float) -> bool:
        """Return whether an address did so lately, as only tcrp-ok's clients do before they create or join."""
        return now - self._listed.get(ip, float("-inf")) < LISTED_LATELY_S
