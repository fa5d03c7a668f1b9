"""Say which shard a room belongs to, and write the shard in front of a frame; ARCHITECTURE.md, "Several brokers".

A *shard* is a part of the rooms that one broker owns at a time, with numbers and an order of its own.

| 0x53 `S`: 1 | shard: 1 | frame |      a MessagePack array never begins with 0x53

Where there is one shard, frames have no such prefix.
"""

import hashlib
from typing import Final

from ..errors import InvalidName, MalformedMessage
from ..names import RoomName, room_name

SHARDS: Final = 64
"""Shards of a store that several brokers share: more than there are brokers, few enough to list."""
SHARD_PREFIX: Final = b"S"
_PREFIX_SIZE: Final = 2


def shard_of(name: RoomName, shards: int) -> int:
    """Return the shard of a room, by its name in normal form: any gateway knows it without asking."""
    if shards == 1:
        return 0
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % shards


def place_of(name: RoomName) -> int:
    """Return a byte that leads to the shard of a room: its remainder by their number, if that is a power of two.

    So a shard is found by something that does not have the room's name, also when rooms are divided anew.
    """
    return hashlib.blake2b(name.encode(), digest_size=8).digest()[-1]


def shard_named(name: str, shards: int) -> int | None:
    """Return the shard of a room by its name as a client writes it; None: no room can have this name."""
    if shards == 1:
        return 0
    try:
        return shard_of(room_name(name), shards)
    except InvalidName:
        return None


def for_shard(shard: int, frame: bytes) -> bytes:
    """Return a frame to or from the owner of a shard, from 0 to 255."""
    return SHARD_PREFIX + bytes((shard,)) + frame


def split_shard_untrusted(frame: bytes) -> tuple[int | None, bytes]:
    """Return the shard and the frame that `for_shard` was given; None and the frame if it has no prefix.

    Raises:
        MalformedMessage: nothing follows the prefix.
    """
    if not frame.startswith(SHARD_PREFIX):
        return None, frame
    if len(frame) <= _PREFIX_SIZE:
        raise MalformedMessage("nothing follows the shard")
    return frame[1], frame[_PREFIX_SIZE:]
