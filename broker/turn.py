"""What a turn begins with, and what it asks of the world; ARCHITECTURE.md, "One message's way"."""

from dataclasses import dataclass
from typing import NamedTuple

from broker.store import Batch
from tsudoi.protocol import backbone


class Moment(NamedTuple):
    """One reading of both clocks."""

    now: float
    """Monotonic seconds: what is waited for."""
    wall_ms: int
    """Milliseconds since 1970, UTC: what is written down."""


@dataclass(slots=True)
class PasswordJob:
    """A request that waits for a slow hash: to be made, or to be checked against `stored`."""

    peer: str
    request: backbone.Request
    password: str
    stored: str
    """Empty: make one."""


@dataclass(slots=True)
class Turn:
    """What a turn asks of the world, to be done in the order of the fields."""

    batch: Batch
    news: list[tuple[bytes, bytes]]
    """(topic, news) to publish."""
    replies: list[tuple[str, backbone.Downward]]
    """(gateway instance, answer)."""
    replays: list[tuple[str, int, backbone.Replay]]
    """(gateway instance, request id, what to read from the store and answer with `Core.replayed`)."""
    passwords: list[PasswordJob]
    """To be hashed off the loop, then given to `Requests.hashed`."""
