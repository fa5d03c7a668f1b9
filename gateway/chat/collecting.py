"""Groups that collect what a turn has for them, and send it as one."""

from collections.abc import Sequence


class Collecting:
    """A group, `members.Recipients`, that is not sent each payload as a datagram of its own.

    It inherits neither from that nor from ABC: `isinstance`, called for each message, would be slow.
    """

    __slots__ = ()

    def collect(self, payloads: Sequence[bytes]) -> None:
        """Collect payloads for all members of the group; they are sent together with others.

        Several payloads are of consecutive messages of the room, up to its position.
        """
        raise NotImplementedError
