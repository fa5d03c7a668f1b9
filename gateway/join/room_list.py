"""List the rooms for TCP clients: ask the directory once for many clients, and keep its answer for milliseconds.

Several shards are asked for a share each. What a shard has answered last stays in the list while its broker is away.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

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


@dataclass(eq=False, slots=True)
class _Shard:
    """What is known of the rooms of one shard."""

    rooms: Rooms | None = None
    """Its last answer."""
    asked_at: float = float("-inf")
    question: int = 0
    """The number of the last question to it, which has not been answered yet; 0: there is none."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A client that waits for answers."""

    questions: set[int]
    on_listing: OnListing
    has_answer: bool
    """An answer has come in time, or is known from before."""


@dataclass(eq=False)
class RoomList:
    """Asks the directory for its rooms, and knows which addresses asked for them lately."""

    routes: Routes
    _shards: list[_Shard] = field(default_factory=list)
    _listing: Listing | None = None
    """Of all that the shards have answered last; None: it must be made anew."""
    _last_question: int = 0
    _waiting: list[_Waiting] = field(default_factory=list)
    _listed: dict[str, float] = field(default_factory=dict)
    """IP address → when it last asked for the list on a connection of its own."""

    def ask(self, now: float, on_listing: OnListing) -> None:
        """Call `on_listing` with rooms that are at most `FRESH_S` old, at once or when the directory has answered."""
        count = len(self.routes.links)
        if len(self._shards) != count:
            self._shards = [_Shard() for _ in range(count)]
        stale = [shard for shard, known in enumerate(self._shards) if now - known.asked_at >= FRESH_S * count]
        for shard in stale:
            self._last_question += 1
            self._shards[shard].asked_at, self._shards[shard].question = now, self._last_question
        questions = {known.question for known in self._shards if known.question}
        if not questions:
            on_listing(self._list())
            return
        self._waiting.append(_Waiting(questions, on_listing, len(questions) < count))
        limit = merging.newest_of_each(LISTED_ROOMS, count)
        for shard in stale:
            known = self._shards[shard]
            self.routes.ask_at_once(shard, ListRooms(limit), now, partial(self._take, known, known.question))

    def _take(self, known: _Shard, question: int, answer: Answer | None, _: float) -> None:
        """Take a shard's answer to a question, and tell those that have all answers that they wait for."""
        is_answer = isinstance(answer, Rooms)
        if isinstance(answer, Rooms):
            known.rooms, self._listing = answer, None
        if known.question == question:
            known.question = 0
            if not is_answer:
                known.asked_at = float("-inf")
        done = []
        for waiting in self._waiting:
            if question in waiting.questions:
                waiting.questions.discard(question)
                waiting.has_answer |= is_answer
                if not waiting.questions:
                    done.append(waiting)
        self._waiting = [waiting for waiting in self._waiting if waiting.questions]
        for waiting in done:
            waiting.on_listing(self._list() if waiting.has_answer else None)

    def _list(self) -> Listing:
        if self._listing is None:
            names = merging.merge_names((known.rooms for known in self._shards), LISTED_ROOMS)
            self._listing = Listing(names or [])
        return self._listing

    def forget(self, room: str) -> None:
        """Ask its directory next time: this gateway has just created this room."""
        shard = self.routes.shard_named(room) or 0
        if shard < len(self._shards):
            self._shards[shard].asked_at = float("-inf")

    def note_listed(self, ip: str, now: float) -> None:
        """Note that an address asked for the list on a connection of its own."""
        put_newest(self._listed, ip, now, LISTED_ADDRESSES)

    def listed_lately(self, ip: str, now: float) -> bool:
        """Return whether an address did so lately, as only tcrp-ok's clients do before they create or join."""
        return now - self._listed.get(ip, float("-inf")) < LISTED_LATELY_S
