"""One turn's work in one shard, as values: the core's decisions, which `broker/net` carries out."""

from dataclasses import dataclass

import msgspec

from tsudoi.protocol import backbone

from .store.interface import Batch


class Moment(msgspec.Struct, frozen=True):
    """One reading of both clocks."""

    now: float
    """Monotonic seconds, for time-outs."""
    wall_ms: int
    """Milliseconds since 1970, UTC, for what is stored."""


@dataclass(slots=True)
class PasswordJob:
    """A request that waits for a slow hash: to be made, or to be checked against `stored`."""

    peer: str
    request: backbone.Request
    password: str
    stored: str
    """Empty: make one."""


class Turn(msgspec.Struct):
    """The work of a turn, in the order of the fields: nothing is sent before the store has the batch."""

    batch: Batch
    news: list[tuple[bytes, bytes]]
    """(topic, news) to publish."""
    replies: list[tuple[str, backbone.Downward]]
    """(gateway instance, answer)."""
    replays: list[tuple[str, int, backbone.Replay]]
    """(gateway instance, request id, what to read from the store and answer with `Core.replayed`)."""
    passwords: list[PasswordJob]
    """To be hashed off the loop, then given to `Requests.hashed`."""
