"""What must survive the broker, and the interface that engines implement; ARCHITECTURE.md, "Engines".

The broker decides on its own picture of the rooms and hands each turn's changes to the store as one `Batch`: one
transaction in a file, one round trip to a server. Nothing here knows SQL or a process.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

FOREVER = 2**62
"""A time that does not come."""


class SanctionKind(IntEnum):
    """What somebody may not do."""

    BAN = 1
    """Come in."""
    MUTE = 2
    """Speak."""


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room, but for its members and its log."""

    id: int
    """Never given twice, also not to a later room of the same name."""
    name: str
    epoch: int
    host: int
    """The host's member id; 0: nobody is."""
    password_hash: str
    """In the hash's own format; empty for an open room."""
    created_ms: int
    closed_ms: int = 0
    """When it was closed, if it was: then others may have its name."""
    topic: str = ""
    persistent: bool = False
    """It is there also when nobody is in it, and closes only when it is closed. Its host is 0 as a rule: nobody."""


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member, wherever it is served."""

    id: int
    room: int
    name: str
    token_hash: bytes
    dialect: str
    ip: str
    address: bytes
    """Where its datagrams go, as its gateway writes it; empty if unknown."""
    gateway: str
    """Instance of the gateway that serves it."""
    idle_ms: int
    live: bool
    """Its gateway delivers to it, so what that has reported of the room counts for it."""
    delivered: int
    """Offset up to which it had heard its room when its gateway took it over or it went live; see `Batch.delivered`."""
    rights: int = 0
    """`codes.Rights` that a signed token gave it when it came in."""
    wished: str = ""
    """The name that it came with."""
    options: int = 0
    """`MemberOptions`: how its listener serves it."""
    muted_until_ms: int = 0
    """Until when it may not speak: milliseconds since 1970."""
    whispered_by: int = 0
    """The member that whispered to it last."""


@dataclass(frozen=True, slots=True)
class Sanction:
    """Who may not come in, or not speak: by name, by address, or both."""

    room: int
    """0: all rooms, set by the operator."""
    kind: int
    """A SanctionKind."""
    name: str
    """In normal form; empty: by address only."""
    ip: str
    """Empty: by name only."""
    until_ms: int
    """Milliseconds since 1970; `FOREVER`: until the room closes."""

    @property
    def key(self) -> tuple[int, int, str, str]:
        """What there is only one of."""
        return self.room, self.kind, self.name, self.ip


class Chunk(NamedTuple):
    """Consecutive entries of a room's log, as they were published."""

    room: int
    first: int
    last: int
    at_ms: int
    news: bytes
    """A serialized `protocol.backbone.News`."""


@dataclass(slots=True)
class Batch:
    """The changes of one turn: all of it is kept, or none. Of two changes to one row the later counts."""

    rooms: dict[int, RoomRow] = field(default_factory=dict)
    """By id. One that is closed stays for those who have not heard its end, until it is purged."""
    members: dict[int, MemberRow | None] = field(default_factory=dict)
    """By id; None: gone."""
    chunks: list[Chunk] = field(default_factory=list)
    """To append, each after what its room's log has."""
    accepted: dict[str, int] = field(default_factory=dict)
    """Gateway instance → number of the last item taken from it."""
    delivered: dict[tuple[int, str], int] = field(default_factory=dict)
    """(room id, gateway instance) → offset up to which that gateway's members of that room have heard it."""
    purged: set[int] = field(default_factory=set)
    """Closed rooms of which nothing need be kept any more: they go with their members, positions and logs."""
    forgotten: set[str] = field(default_factory=set)
    """Gateway instances of which nothing need be known any more."""
    sanctions: dict[tuple[int, int, str, str], Sanction | None] = field(default_factory=dict)
    """By key; None: lifted, or its time is over. Those of a room go when it is purged."""

    def __bool__(self) -> bool:
        changes = (self.rooms, self.members, self.chunks, self.accepted, self.delivered, self.purged, self.forgotten)
        return any(changes) or bool(self.sanctions)


@dataclass(slots=True)
class Snapshot:
    """All that a broker must know to go on where the last one stopped."""

    rooms: list[RoomRow] = field(default_factory=list)
    """Oldest first; with those that are closed and not purged."""
    members: list[MemberRow] = field(default_factory=list)
    ends: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Room id → (first, last) offset in its log."""
    accepted: dict[str, int] = field(default_factory=dict)
    delivered: dict[tuple[int, str], int] = field(default_factory=dict)
    sanctions: list[Sanction] = field(default_factory=list)
    has_lost: bool = False
    """A part of what was committed is not there, as after a power cut; rooms have begun a new epoch."""


class Store(Protocol):
    """An engine. Every one passes `tests/contract/test_store.py`.

    Any method may raise `protocol.errors.StoreError`; the broker then stops, without having acknowledged anything that
    is not kept.
    """

    def load(self) -> Snapshot:
        """Return everything that earlier batches left."""

    def commit(self, batch: Batch) -> None:
        """Keep a batch, all or nothing. When it returns, the batch is as durable as the engine promises."""

    def read(self, room: int, after: int, limit: int) -> list[Chunk]:
        """Return the chunks that hold entries of `room` after that offset, in order, up to `limit` entries or more."""

    def trim(self, keep: int, before_ms: int) -> dict[int, int]:
        """Drop old chunks from all rooms' logs and return room id → its new first offset, for those that changed.

        A chunk goes when the room's newest `keep` entries come all after it, or when it was stamped before `before_ms`,
        and no chunk before it stays (clocks may be set back). A room's last chunk stays in any case, as its position
        must not be forgotten. A call may leave some for the next.
        """

    def close(self) -> None:
        """Let go of files and connections; nothing that was committed is lost."""
