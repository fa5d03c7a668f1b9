"""Pack several frames into one, because ZeroMQ passes each frame through two threads.

| 0xC1: 1 | MessagePack array of frames |      MessagePack itself never uses the byte 0xC1
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ..untrusted import decode_untrusted
from .codec import encode
from .wire import MAX_ITEMS

PACKED = b"\xc1"
PACKED_SIZE = 2**20
"""Bytes of the frames in one packed frame."""

_packed: msgspec.msgpack.Decoder[list[bytes]] = msgspec.msgpack.Decoder(
    Annotated[list[bytes], msgspec.Meta(max_length=MAX_ITEMS)]
)


def pack_frames(frames: Sequence[bytes], most: int = PACKED_SIZE) -> list[bytes]:
    """Return frames that carry `frames`, in order: packed ones with at most `most` bytes, and single ones unchanged."""
    if len(frames) < 2:
        return list(frames)
    if sum(map(len, frames)) <= most and len(frames) <= MAX_ITEMS:
        return [_carrier(frames)]
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
    """Return the frames in a packed or single frame, unparsed; raise MalformedMessage if they can not be unpacked."""
    if not carrier.startswith(PACKED):
        return [carrier]
    return decode_untrusted(_packed, memoryview(carrier)[1:], "packed frames")
