"""Name the topics of PUB/SUB, and the instances of gateways.

Subscriptions match prefixes, so all topics have the same length. No topic begins with the byte 0 or 1, which mean
unsubscribe and subscribe on XPUB and XSUB.
"""

import hashlib
from functools import lru_cache

TOPIC_SIZE = 9
CLUSTER_TOPIC = b"k" + bytes(TOPIC_SIZE - 1)
"""The topic on which brokers that share a store tell who owns which shard."""


def room_topic(room: int) -> bytes:
    """Return the topic of a room: `r` and the room's number in 8 bytes."""
    return b"r" + room.to_bytes(8, "big")


def new_instance(name: str, run: str) -> str:
    """Return the instance of a gateway: its name, which may be empty, and its run.

    Gateways with one name share one address, so one may go on serving the members of another.
    """
    return f"{name}/{run}"


OF_ONE_PROCESS = "(one process)"
"""The name of a gateway that shares its process with its broker; an operator can give none that is written so."""


def gateway_name(instance: str) -> str:
    """Return the gateway's name in an instance, empty if it has none."""
    return instance.rpartition("/")[0]


@lru_cache(maxsize=1_000)
def own_topic(instance: str) -> bytes:
    """Return a gateway's own topic: `c` and 8 bytes of its instance's hash."""
    return b"c" + hashlib.blake2b(instance.encode(), digest_size=8).digest()


def topic_room(topic: bytes) -> int | None:
    """Return the room's number in a topic, None if it is not a room's topic."""
    if topic[:1] == b"r" and len(topic) == TOPIC_SIZE:
        return int.from_bytes(topic[1:], "big")
    return None
