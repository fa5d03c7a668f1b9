"""Groups that collect what a turn has for them, and send it as one."""

from abc import ABC, abstractmethod


class Collecting(ABC):
    """A group, `members.Recipients`, that is not sent each payload as a datagram of its own.

    It does not inherit from that: `isinstance`, which is asked for each message, is slow with protocols.
    """

    __slots__ = ()

    @abstractmethod
    def fan_out(self, payload: bytes) -> None:
        """Collect a payload for all members of the group; it is sent together with others."""
