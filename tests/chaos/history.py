"""What a run leaves behind: what clients sent and heard, what was done to whom, and the broker's log.

All times are `time.time()`; what was heard carries the kernel's own time of arrival, so that datagrams at different
sockets compare.
"""

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from broker.store_sqlite import SqliteStore
from tsudoi.protocol.backbone import Entry, parse_news_untrusted

FOREVER = float("inf")


@dataclass(slots=True)
class Sent:
    """One datagram with a text, as it reached a gateway's door."""

    at: float
    client: int
    text: str
    gateway: int
    copies: int = 1
    """How many of it the relay let through; 1 where there is no relay."""


@dataclass(slots=True)
class Heard:
    """One datagram at a client's socket or, in a run with a relay, at the gateway's side of it."""

    at: float
    client: int
    gateway: int
    raw: bytes
    port: int = 0
    """Where the gateway sent it: the client's own, or the relay's that stands for it at one gateway."""


@dataclass(slots=True)
class Knock:
    """A client's datagram of any kind, also an empty one, went to a gateway."""

    at: float
    client: int
    gateway: int


@dataclass(slots=True)
class Outage:
    """Something was done to a process or a connection."""

    kind: str
    """kill, freeze, drain, cut, stall"""
    target: str
    """broker, gateway N, or link N: the connections of gateway N to the broker."""
    start: float
    end: float = FOREVER

    def touches(self, start: float, end: float) -> bool:
        """Say whether it was going on at some time between."""
        return self.start <= end and start <= self.end


@dataclass(frozen=True, slots=True)
class Person:
    """One client as the checker must know it."""

    id: int
    name: str
    dialect: str
    room: str
    home: int
    """The gateway of its handshake."""
    echo: bool
    entered_at: float


@dataclass(frozen=True, slots=True)
class Logged:
    """One room's log."""

    room_id: int
    epochs: frozenset[int]
    entries: tuple[Entry, ...]


@dataclass(slots=True)
class History:
    """All of one run."""

    seed: int
    names: tuple[str, ...]
    """Of the gateways, in their order; empty: it has none."""
    relayed: bool = False
    """A relay stood between clients and gateways and lost, doubled or swapped their datagrams."""
    people: dict[int, Person] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    knocks: list[Knock] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    leavers: set[int] = field(default_factory=set)
    """Clients that have sent their leave word, which may have got lost: they say nothing any more."""
    log: dict[int, Logged] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    """What went wrong apart from messages: tracebacks, processes that did not stop, markers that never came."""
    ended_at: float = FOREVER


def read_log(path: Path) -> dict[int, Logged]:
    """Return what a stopped broker's store has of each room, by the room's id."""
    logs: dict[int, Logged] = {}
    with closing(SqliteStore(path)) as store:
        for room_id, (_, last) in store.load().ends.items():
            news = [parse_news_untrusted(chunk.news) for chunk in store.read(room_id, 0, last)]
            epochs = frozenset(piece.epoch for piece in news)
            logs[room_id] = Logged(room_id, epochs, tuple(entry for piece in news for entry in piece.entries))
    return logs
