"""Several frames in one: each frame that ZeroMQ carries costs its way through two threads.

| 0xC1: 1 | MessagePack array of frames |      0xC1 is the one byte that MessagePack never uses
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ..errors import MalformedMessage
from .codec import PARSE_ERRORS, encode
from .wire import MAX_ITEMS

PACKED = b"\xc1"
PACKED_SIZE = 2**20

_packed = msgspec.msgpack.Decoder(Annotated[list[bytes], msgspec.Meta(max_length=MAX_ITEMS)])


def pack_frames(frames: Sequence[bytes], most: int = PACKED_SIZE) -> list[bytes]:
    """Return what carries these commands or answers, in order: one frame for many, as each costs its way through two
    threads of ZeroMQ. Large ones, and what would be more than `most` bytes, go alone."""
    if len(frames) < 2:
        return list(frames)
    carriers: list[bytes] = []
    start = size = 0
    for at, frame in enumerate(frames):
        size += len(frame)
        if size > most or at - start == MAX_ITEMS:
            carriers.append(_carrier(frames[start:at]))
            start, size = at, len(frame)
    carriers.append(_carrier(frames[start:]))
    return [carrier for carrier in carriers if carrier]


def _carrier(frames: Sequence[bytes]) -> bytes:
    return PACKED + encode(frames) if len(frames) > 1 else b"".join(frames)


def unpack_frames_untrusted(carrier: bytes) -> list[bytes]:
    """Return the frames that `pack_frames` put together, or raise MalformedMessage. They may be anything still."""
    if not carrier.startswith(PACKED):
        return [carrier]
    try:
        frames: list[bytes] = _packed.decode(memoryview(carrier)[1:])
    except PARSE_ERRORS as exc:
        raise MalformedMessage(f"not packed frames: {exc}") from exc
    return frames
