"""Groups that collect what a turn has for them, and send it as one."""


class Collecting:
    """A group, `members.Recipients`, that is not sent each payload as a datagram of its own.

    It does not inherit from that, nor from ABC: `isinstance`, which is asked for each message, is slow with both.
    """

    __slots__ = ()

    def fan_out(self, payload: bytes) -> None:
        """Collect a payload for all members of the group; it is sent together with others."""
        raise NotImplementedError
