"""The history of a run: datagrams that clients sent and received, faults, and the broker's log.

All times are `time.time()`. Received datagrams have the kernel's time of arrival, so that different sockets compare.
"""

from contextlib import closing
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import TypeAlias

from broker.store.sqlite import SqliteStore
from tests.chaos.clients import key_of, text_of
from tests.chaos.command_clients import Stay
from tests.chaos.sealed_clients import SealedSeen
from tests.support.legacy.wire import Address
from tsudoi.protocol.backbone import Entry, parse_news_untrusted
from tsudoi.protocol.codes import EntryKind

FOREVER = float("inf")

Key: TypeAlias = tuple[int, int]
"""Client and number of a line."""


@dataclass(slots=True)
class Sent:
    """One datagram with a line, as it went to a gateway."""

    at: float
    client: int
    text: str
    gateway: int
    copies: int = 1
    """Copies that the relay let through; 1 where there is no relay."""


@dataclass(slots=True)
class Received:
    """One datagram at a client's socket or, in a run with a relay, at the relay's socket for that client."""

    at: float
    client: int
    gateway: int
    raw: bytes
    port: int = 0
    """The port to which the gateway sent it."""


@dataclass(slots=True)
class Uplink:
    """Any datagram of a client, also an empty one, went to a gateway."""

    at: float
    client: int
    gateway: int
    port: int = 0
    """From which, as the gateway sees it."""


@dataclass(slots=True)
class Outage:
    """A fault of a process or a connection."""

    kind: str
    """kill, freeze, drain, cut, stall"""
    target: str
    """broker, gateway N, or link N: the connections of gateway N to the broker."""
    start: float = 0.0
    end: float = FOREVER

    def touches(self, start: float, end: float) -> bool:
        """Say whether it lasted at some time between."""
        return self.start <= end and start <= self.end


@dataclass(frozen=True, slots=True)
class Move:
    """A shard went to another broker, at some time between."""

    shard: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Member:
    id: int
    name: str
    dialect: str
    room: str
    home: int
    """The gateway of its handshake."""
    echo: bool


@dataclass(frozen=True, slots=True)
class RoomLog:
    room_id: int
    epochs: frozenset[int]
    entries: tuple[Entry, ...]


@dataclass(slots=True)
class History:
    seed: int
    names: tuple[str, ...]
    """Of the gateways, in their order; empty where it has none."""
    relayed: bool = False
    """A relay between clients and gateways dropped, doubled and swapped datagrams."""
    members: dict[int, Member] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    uplinks: list[Uplink] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    """Of rooms that several brokers share."""
    leavers: set[int] = field(default_factory=set)
    """Clients that have sent their leave word, which may have got lost."""
    sealed: dict[int, SealedSeen] = field(default_factory=dict)
    """Clients of version 2 → what they saw."""
    stays: dict[int, list[Stay]] = field(default_factory=dict)
    """Members of rooms of commands → their memberships."""
    log: dict[int, RoomLog] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    """Problems apart from messages: tracebacks, processes that did not stop, markers that never came."""
    ended_at: float = FOREVER
    stood_still_s: float = 0.0
    """The longest time that the run's own loop stood still."""


def read_log(path: Path) -> dict[int, RoomLog]:
    """Return the rooms' logs out of a stopped broker's store, by room id."""
    logs: dict[int, RoomLog] = {}
    with closing(SqliteStore(path)) as store:
        for room_id, (_, last) in store.load().ends.items():
            news = [parse_news_untrusted(chunk.news) for chunk in store.read(room_id, 0, last)]
            epochs = frozenset(piece.epoch for piece in news)
            logs[room_id] = RoomLog(room_id, epochs, tuple(entry for piece in news for entry in piece.entries))
    return logs


def take_names(history: History) -> None:
    """Give each member the name that its room has for it: one that entered twice may not have got what it asked for."""
    for client, (room, at) in joins(history).items():
        history.members[client] = replace(history.members[client], name=room.entries[at].sender)


def joins(history: History) -> dict[int, tuple[RoomLog, int]]:
    """Return where each member joined: its room's log, and the index of the entry.

    A client whose handshake broke enters again, with another member's number: its first membership, which may have
    ended meanwhile, and its room with it, is without a client and is not judged.
    """
    client_of = {_asked_for(member.name): member.id for member in history.members.values()}
    found = [
        (entry.member, client_of[_asked_for(entry.sender)], room, at)
        for room in history.log.values()
        for at, entry in enumerate(room.entries)
        if entry.kind == EntryKind.JOINED and _asked_for(entry.sender) in client_of
    ]
    return {client: (room, at) for _, client, room, at in sorted(found, key=itemgetter(0))}


def ending(room: RoomLog, joined: int) -> Entry | None:
    """Return the entry that ended the membership which began with the entry at index `joined`."""
    number = room.entries[joined].member
    for entry in room.entries[joined:]:
        if entry.kind == EntryKind.CLOSED or (entry.kind == EntryKind.LEFT and entry.member == number):
            return entry
    return None


def _asked_for(name: str) -> str:
    return name.partition("#")[0]


class Recording:
    """Notes datagrams; the callbacks of clients and relays end here."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.gateway_at: dict[Address, int] = {}
        """UDP address → gateway."""
        self.client_at: dict[Address, int] = {}
        """UDP address → client."""
        self.markers: dict[Key, set[int]] = {}
        """Line → clients that received it, for lines that must reach everyone."""
        self._sent: dict[Key, Sent] = {}

    def note_sent(self, at: float, client: int, gateway: int, raw: bytes, port: int) -> None:
        self.history.uplinks.append(Uplink(at, client, gateway, port))
        key = key_of(raw)
        if key is None:
            return
        if key in self._sent:
            self._sent[key].copies += 1
            return
        sent = self._sent[key] = Sent(at, client, text_of(*key), gateway)
        self.history.sent.append(sent)

    def note_heard(self, client: int, text: str) -> None:
        """Note a message that a member of version 2 has heard."""
        key = key_of(text.encode())
        if key in self.markers:
            self.markers[key].add(client)

    def note_received(self, at: float, client: int, raw: bytes, source: Address, port: int) -> None:
        """Note a datagram at a client's socket; with relays, `note_relayed` has noted it already."""
        if not self.history.relayed:
            self._note(at, client, raw, source, port)

    def note_relayed(self, at: float, raw: bytes, client: Address, source: Address, address: Address) -> None:
        """Note a datagram that a gateway sent to a relay, before the relay does anything to it."""
        if client in self.client_at:
            self._note(at, self.client_at[client], raw, source, address[1])

    def _note(self, at: float, client: int, raw: bytes, source: Address, port: int) -> None:
        if source not in self.gateway_at:
            return  # Ports are used again: this is for a program that had the port before.
        self.history.received.append(Received(at, client, self.gateway_at[source], raw, port))
        key = key_of(raw)
        if key in self.markers:
            self.markers[key].add(client)
