"""Define the broker's durable state, and the interface of the engines that keep it; ARCHITECTURE.md, "Store".

The broker decides on its own copy of the rooms and gives each turn's changes to the store as one `Batch`: one
transaction in a file, one round trip to a server.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

import msgspec

from tsudoi.protocol.errors import SettingError

FOREVER = 2**62
"""The end of a restriction without one."""


class RestrictionKind(IntEnum):
    """A banned user may not join, a muted one may not send."""

    BAN = 1
    MUTE = 2


class StoreInUse(SettingError):
    """Another broker has the store open; it may be about to end."""


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room, without its members and its log."""

    id: int
    """Never used again, also not for a later room of the same name."""
    name: str
    epoch: int
    host: int
    """The host's member id; 0: there is no host."""
    password_hash: str
    """Empty for an open room."""
    created_ms: int
    closed_ms: int = 0
    """When it was closed; 0: it is open. Another room may have the name of a closed one."""
    topic: str = ""
    persistent: bool = False
    """It stays when its last member leaves."""
    epoch_after: int = 0
    """Entries up to this offset are from before the room's epoch."""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of a room."""

    id: int
    room: int
    name: str
    token_hash: bytes
    dialect: str
    ip: str
    address: bytes
    """Where its datagrams go, as its gateway writes it; empty if unknown. Of version 2: with its session, covered."""
    gateway: str
    """Instance."""
    idle_ms: int
    live: bool
    """Its gateway delivers to it, so `Batch.delivered` of gateway and room counts for it."""
    delivered: int
    """Offset up to which it had received its room when its gateway took it over or it went live."""
    rights: int = 0
    """`codes.Rights` from the signed token that it joined with."""
    wished: str = ""
    """The name that it asked for when it joined."""
    options: int = 0
    """`MemberOptions`"""
    muted_until_ms: int = 0
    whispered_by: int = 0
    """The member that whispered to it last."""
    said: int = 0
    """The number of its last line, if its client numbers them."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A ban or a mute, by name, by address, or both."""

    room: int
    """0: all rooms; the operator's."""
    kind: int
    name: str
    """In normal form; empty: by address only."""
    ip: str
    """Empty: by name only."""
    until_ms: int
    """`FOREVER`: until the room closes."""

    @property
    def key(self) -> tuple[int, int, str, str]:
        """Return what identifies it: a restriction that is added replaces the one with the same key."""
        return self.room, self.kind, self.name, self.ip


@dataclass(frozen=True, slots=True)
class PostRow:
    """A webhook's message that is in a room's log, for requests that are repeated."""

    key: bytes
    room: int
    epoch: int
    offset: int
    text_hash: bytes
    at_ms: int


class Chunk(NamedTuple):
    """Consecutive entries of a room's log, as they were published."""

    room: int
    first: int
    last: int
    at_ms: int
    news: bytes
    """A serialized `tsudoi.protocol.backbone.News`."""


def with_entries(chunks: Iterable[Chunk], after: int, limit: int) -> list[Chunk]:
    """Return the chunks of a log that have entries after an offset, in order, until they hold `limit` of these."""
    found: list[Chunk] = []
    for chunk in chunks:
        if chunk.last <= after:
            continue
        if limit <= 0:
            break
        found.append(chunk)
        limit -= chunk.last - max(chunk.first - 1, after)
    return found


class Batch(msgspec.Struct):
    """The changes of one turn in one shard: all of it is kept, or none. Of two changes to one row the later counts.

    A Struct, since each turn makes one with all its containers, which takes a dataclass twice as long.
    """

    rooms: dict[int, RoomRow] = msgspec.field(default_factory=dict)
    """By id. A closed room stays until it is purged, for members that have not received its end."""
    members: dict[int, MemberRow | None] = msgspec.field(default_factory=dict)
    """By id; None: deleted."""
    chunks: list[Chunk] = msgspec.field(default_factory=list)
    """To append, each at the end of its room's log."""
    accepted: dict[str, int] = msgspec.field(default_factory=dict)
    """Gateway instance → number of the last item accepted from it; inverted (`~`) when it has said Bye."""
    delivered: dict[tuple[int, str], int] = msgspec.field(default_factory=dict)
    """(room id, gateway instance) → offset up to which that gateway has delivered to its live members of the room."""
    purged: set[int] = msgspec.field(default_factory=set)
    """Closed rooms to delete with their members, positions, restrictions, webhooks' messages and logs."""
    forgotten: set[str] = msgspec.field(default_factory=set)
    """Gateway instances to delete from `accepted` and `delivered`."""
    restrictions: dict[tuple[int, int, str, str], Restriction | None] = msgspec.field(default_factory=dict)
    """By key; None: lifted or over."""
    posts: dict[bytes, PostRow | None] = msgspec.field(default_factory=dict)
    """By key; None: forgotten."""
    said: dict[int, int] = msgspec.field(default_factory=dict)
    """Those of `members` in whose rows nothing else has changed: id → `MemberRow.said`. An engine need not use it."""
    shard: int = 0
    """The part of the rooms that it belongs to; a store on one machine has only one."""

    def __bool__(self) -> bool:
        # The usual ones first: each turn asks.
        return bool(
            self.chunks
            or self.accepted
            or self.rooms
            or self.members
            or self.delivered
            or self.purged
            or self.forgotten
            or self.restrictions
            or self.posts
        )

    def without_dropped(self) -> "Batch":
        """Return it without the numbers of the gateways and rooms that it drops, and all members with their rows."""
        accepted = {gateway: number for gateway, number in self.accepted.items() if gateway not in self.forgotten}
        delivered = {
            (room, gateway): offset
            for (room, gateway), offset in self.delivered.items()
            if gateway not in self.forgotten and room not in self.purged
        }
        return msgspec.structs.replace(self, accepted=accepted, delivered=delivered, said={})


@dataclass(slots=True)
class Snapshot:
    """The state with which a broker continues where the last one stopped."""

    rooms: list[RoomRow] = field(default_factory=list)
    """Oldest first, with those that are closed and not purged."""
    members: list[MemberRow] = field(default_factory=list)
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Room id → (first, last) offset in its log."""
    accepted: dict[str, int] = field(default_factory=dict)
    delivered: dict[tuple[int, str], int] = field(default_factory=dict)
    restrictions: list[Restriction] = field(default_factory=list)
    posts: list[PostRow] = field(default_factory=list)
    """Oldest first."""
    has_lost: bool = False
    """Commits may be missing, as after a power cut; the rooms have begun a new epoch."""
    is_copy: bool = False
    """It continues from a copy, which may be older than what gateways have seen; the same."""
    newest_ms: int = 0
    """When the newest entry of all logs was stamped; 0: there is none."""


class Store(Protocol):
    """An engine. Every one passes `tests/contract/test_store.py`.

    `commit` may run in another thread than the other methods, which then wait for it. Any method may raise
    `StoreError`; the broker then stops, and acknowledges nothing that is not kept.
    """

    @property
    def shards(self) -> int:
        """How many shards it has: 1, or more if brokers share it (`sharing.py`). It never changes."""

    @property
    def is_long_commit_due(self) -> bool:
        """Whether the next commit takes milliseconds, because the engine also moves earlier batches to their places."""

    @property
    def survives_a_machine(self) -> bool:
        """Whether what is committed now is kept on a second machine, too."""

    def unhealthy_reason(self) -> str:
        """Return why accepted messages may be lost or refused, empty if all is well."""

    def load(self, shard: int = 0) -> Snapshot:
        """Return everything that earlier batches of a shard left."""

    def commit(self, *batches: Batch) -> None:
        """Keep the batches of one turn, at most one a shard, all or nothing.

        When it returns, they are as durable as the engine promises.
        """

    def read(self, room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
        """Return the chunks with entries of `room` after that offset, in order, until they hold `limit` entries."""

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        """Drop old chunks from all rooms' logs and return room id → its new first offset, for those that changed.

        A chunk is dropped if the room's newest `keep` entries all come after it, or if it was stamped before
        `before_ms`, but not if a chunk before it stays (clocks may be set back). A room's last chunk always stays,
        because it has the room's position. A call may leave some for the next.
        """

    def close(self) -> None:
        """Close files and connections."""
