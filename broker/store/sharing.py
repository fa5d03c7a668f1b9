"""Define how brokers share one store: which brokers live, and who owns which shard; ARCHITECTURE.md, "Several brokers".

Each broker has one lease, judged by the store's clock, for all of its shards. `../shards/moves.py` decides on a `View`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from .interface import Store

LEASE_S, RENEW_S, STOP_S = 3.0, 1.0, 2.0
"""A broker's lease by the store's clock; the time between two renewals; and after how long without one a broker stops
by its own clock. Between that and the end of its lease no broker serves its shards."""
LOOK_S = 1.0
"""The longest time between two looks at the brokers and shards. A broker also looks as soon as another comes or leaves,
a shard is taken or given, or a lease ends."""
TRIMS = 10
"""Calls of `SharedStore.trim` after which all of a broker's shards have been trimmed."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker whose lease is not over."""

    id: str
    """Of its present registration: one that lost its lease comes back under another id."""
    endpoint: str
    """Where gateways reach it."""
    admin: str
    """Where operators of other machines reach it; empty: nowhere."""
    is_leaving: bool
    """It gives its shards away, and then ends."""
    has_gateways: bool = False
    """A gateway is connected to it."""
    is_unreached: bool = False
    """None is, though other brokers have some (`../shards/reach.py`)."""


@dataclass(frozen=True, slots=True)
class View:
    """What one look at the store has found."""

    me: str
    """The id of the broker that looks."""
    brokers: list[Broker] = field(default_factory=list)
    """By id."""
    owners: list[tuple[int, str]] = field(default_factory=list)
    """(term, id of its owner) of each shard, in order; the id is empty if the shard is free, also because its owner's
    lease is over."""


class SharedStore(Store, Protocol):
    """A store with `shards.SHARDS` shards. Every one passes `tests/contract/test_shared_store.py`, too.

    All methods that wait for the store may run in any thread but the loop's. All but `register`, `commit` and `trim`
    may run beside `commit` and beside each other. A shard is committed to, read and trimmed only after it was taken and
    loaded.

    A registration ends with the first statement that fails, because its outcome may not be known, or with the lease.
    `on_lost` has been called before the StoreError of that statement is raised. From then on every method that needs a
    registration raises StoreError, until the store has registered again. A caller drops what it
    holds of a shard, such as a turn to commit, before it takes the shard again.
    """

    def register(self, broker: Broker, on_view: Callable[[View], None], on_lost: Callable[[str], None]) -> None:
        """Take a lease and keep it; look at the store again and again. Both callbacks run in the store's thread.

        `on_view` gets each look. `on_lost` is told, in words, that the lease is lost, and with it all shards; the store
        then goes on trying to register under a new id, and `on_view` is called again when that has succeeded.
        `broker.id` is not used: the store chooses the id. A broker without gateways is registered as unreached if
        another one has some.

        Raises:
            SettingError: the first attempt failed. Later ones are repeated for ever, and
                `unhealthy_reason` says why they fail.
        """

    def take(self, shards: Iterable[int]) -> dict[int, int]:
        """Become the owner of shards that are free, in a new term of each; return shard → term of those taken.

        What `load` returns afterwards is all that earlier owners committed, kept as durably as the engine promises. It
        waits for commits of earlier owners that the store has begun.
        """

    def give(self, shards: Iterable[int]) -> None:
        """Make shards free that this broker owns. Their last commit must have returned."""

    def leave(self) -> None:
        """Let the other brokers know that this one will end: they take what it gives."""

    def note_reach(self, has_gateways: bool, is_unreached: bool) -> None:
        """Let the other brokers know whether gateways reach this one; see `Broker`."""

    def may_serve(self) -> bool:
        """Return whether this broker's lease was renewed less than `STOP_S` ago. Cheap; any thread may call it.

        If not, nothing may be published, answered or echoed: another broker may own the shards soon.
        """
