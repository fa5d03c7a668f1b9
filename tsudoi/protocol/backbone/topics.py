"""Topics of the news, and the names of gateways' runs.

A subscription matches as a prefix, so topics have one length; none begins with 0 or 1, which would mean
(un)subscribe on XPUB and XSUB.
"""

import hashlib
from functools import lru_cache

TOPIC_SIZE = 9


def room_topic(room: int) -> bytes:
    """Return the topic of a room: `r` and its number in 8 bytes."""
    return b"r" + room.to_bytes(8, "big")


def new_instance(name: str, run: str) -> str:
    """Return what a run of a gateway is called. Gateways of one name stand behind one address: what one served, another
    goes on with. The name may be empty: then it has none."""
    return f"{name}/{run}"


def gateway_name(instance: str) -> str:
    """Return the name of a gateway, empty if it has none."""
    return instance.rpartition("/")[0]


@lru_cache(maxsize=1_000)
def own_topic(instance: str) -> bytes:
    """Return the topic that is one gateway's own: `c` and 8 bytes that its instance gives."""
    return b"c" + hashlib.blake2b(instance.encode(), digest_size=8).digest()


def topic_room(topic: bytes) -> int | None:
    """Return the room of a topic, None if it is not a room's."""
    if len(topic) == TOPIC_SIZE and topic[:1] == b"r":
        return int.from_bytes(topic[1:], "big")
    return None
