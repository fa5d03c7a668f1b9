"""How a gateway reaches its broker: the interface, and the choice of the way; ARCHITECTURE.md, "Backbone"."""

from collections.abc import Callable
from typing import Protocol

OnFrames = Callable[[list[bytes]], None]


class Backbone(Protocol):
    """Brings the broker commands and topics, takes its answers and news. Never waits, decides nothing.

    Made at once, whether the broker is there or not; connects again for as long as it is open.
    """

    unsent: int
    """Frames that found no room: the broker is away for long. What must arrive is sent again."""

    @property
    def trouble(self) -> str:
        """Why the broker can not be reached, for people; empty if nothing is known. Any thread may ask."""

    def start(self) -> None:
        """Hear from now on."""

    def close(self) -> None:
        """Close; what was said last goes out still, if the broker takes it in a quarter of a second."""

    def send(self, frames: list[bytes]) -> None:
        """Say something to the broker, if there is anything. Frames that can not be sent now are counted and dropped.

        What was subscribed to goes with it.
        """

    def subscribe(self, topic: bytes) -> None:
        """Ask for a topic's news, from the next `send` on."""

    def unsubscribe(self, topic: bytes) -> None:
        """Ask for them no more."""
