"""How gateways reach a broker: the interface, and its two ways; ARCHITECTURE.md, "Backbone"."""

from collections.abc import Callable
from typing import Protocol

from tsudoi.ops.keyfiles import Owner, Role

Hear = Callable[[str, bytes, Role | None, str], object]
"""Called with a gateway's instance, a frame, what its key may do or None where there are no keys, and the account:
whose key it is, or the instance where there are none."""
HasRoom = Callable[[str], bool]
"""Called with an account."""


class Transport(Protocol):
    """Takes gateways' commands and topics, brings them answers and news. Never waits, decides nothing."""

    endpoint: str
    """Where gateways connect, as it is: with its port."""
    undeliverable: int
    """Answers to gateways that are not there (any more), or read too slowly."""
    dropped: int
    """News dropped for a gateway that reads too slowly, as far as it can be told: ZeroMQ does not tell."""
    overrun: int
    """Frames dropped, as gateways of one key said more than is handled in time."""
    shut_out: int
    """Times that a key was shut out for a while, as its gateways subscribed to too much."""
    impostors: int
    """Frames of a key that was taken away, or that may not speak in that name."""

    @property
    def is_open(self) -> bool:
        """Whether gateways can be reached; while they can not, for a moment, what there is to say to them waits."""

    def start(self, on_readable: Callable[[], None], on_failure: Callable[[], None]) -> None:
        """Call `on_readable` from now on when something has come, `on_failure` when nobody can come any more."""

    def close(self, linger_ms: int) -> None:
        """Let nobody come any more; what was said goes out still, for so long at most."""

    def receive(self, has_room: HasRoom, hear: Hear) -> None:
        """Hear what has come, a bounded number, in order for each gateway.

        Args:
            has_room: says whether more of an account can wait; what can not is dropped, or read later.
            hear: called with each frame.
        """

    def subscribed(self) -> list[bytes]:
        """Return the topics whose subscriptions have become live since the last call."""

    def publish(self, topic: bytes, body: bytes) -> None:
        """Send news to all who subscribe to their topic; dropped for those alone who do not read."""

    def answer(self, instance: str, frame: bytes) -> bool:
        """Send a frame to one gateway; False if it is not there."""

    def is_behind(self, instance: str) -> bool:
        """Say whether so much waits for a gateway, or those of its key, that an answer would be dropped."""

    def flush(self) -> None:
        """All that a turn has to say was said: what waits for that goes now."""

    def has_more(self) -> bool:
        """Say whether something waits that `on_readable` may not be called for."""

    def look(self) -> list[Owner]:
        """Do what time brings, several times a second; return whose gateways may speak no more."""
