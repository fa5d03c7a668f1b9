"""Groups that collect what a turn has for them, and send it as one."""

from abc import abstractmethod

from .members import Recipients


class Collecting(Recipients):
    """A group that is not sent each payload as a datagram of its own."""

    __slots__ = ()

    @abstractmethod
    def fan_out(self, payload: bytes) -> None:
        """Send a payload to all, with what else there is."""
