"""Hold the turns that a store has as one row each until they are folded into the rooms' logs, and encode such a row."""

from collections import defaultdict
from typing import Final

import msgspec

from .interface import Batch, Chunk

FOLD_AT: Final = 2_000, 2**22
"""Chunks and bytes of news in the turns that are folded at once: that takes milliseconds."""


class _Turn(msgspec.Struct, array_like=True):
    """A turn's body."""

    chunks: list[Chunk]
    accepted: dict[str, int]
    delivered: list[tuple[int, str, int]]
    """(room, gateway, offset)"""
    said: dict[int, int]
    """Member id → the number of its last line."""


_turn = msgspec.msgpack.Decoder(_Turn)
_encode = msgspec.msgpack.Encoder().encode


def encode_turn(batch: Batch) -> bytes:
    """Return the row of a turn: what a batch adds to logs, and its positions."""
    delivered = []
    for (room, gateway), n in batch.delivered.items():
        delivered.append((room, gateway, n))
    return _encode((batch.chunks, batch.accepted, delivered, batch.said))


def decode_turn(body: bytes) -> Batch:
    """Return what `encode_turn` was given, or raise msgspec.MsgspecError."""
    turn = _turn.decode(body)
    delivered = {(room, gateway): n for room, gateway, n in turn.delivered}
    return Batch(chunks=turn.chunks, accepted=turn.accepted, delivered=delivered, said=turn.said)


class UnfoldedTurns:
    """The turns that are not folded yet, sorted by the rows to which they will be folded."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all: they are folded."""
        self.chunks: defaultdict[int, list[Chunk]] = defaultdict(list)
        """By room."""
        self.accepted: dict[str, int] = {}
        self.delivered: dict[tuple[int, str], int] = {}
        self.said: dict[int, int] = {}
        self._count = self._bytes = 0
        self.is_full = False
        """Whether it is time to fold them."""

    def __bool__(self) -> bool:
        return bool(self._count or self.accepted or self.delivered or self.said)

    @property
    def fullness(self) -> float:
        """How many of `FOLD_AT` they are."""
        return max(self._count / FOLD_AT[0], self._bytes / FOLD_AT[1])

    def add(self, batch: Batch) -> None:
        for chunk in batch.chunks:
            self._bytes += len(chunk.news)
            self.chunks[chunk.room].append(chunk)
        self._count += len(batch.chunks)
        self.accepted.update(batch.accepted)
        self.delivered.update(batch.delivered)
        self.said.update(batch.said)
        self.is_full = self._count >= FOLD_AT[0] or self._bytes >= FOLD_AT[1]
