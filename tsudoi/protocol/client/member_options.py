"""Define the options that a member has from its listener, as bits; the directory stores them.

Another gateway, whose listeners have other settings, may serve the member later. It follows these bits. All but HISTORY
stay as they are.
"""

from typing import Final


class MemberOptions:
    """0 is the bare protocol: texts are never commands, and the member gets no notices about others.

    Plain numbers: with an `IntFlag` each test of a bit takes 2.6 µs, and entries are tested for each member.
    """

    COMMANDS: Final = 1
    """A text that begins with a slash is a command."""
    NOTICES: Final = 2
    """The member gets notices: joins, leaves, renames and so on."""
    JAPANESE: Final = 4
    """The server's words are in Japanese; without this bit in English."""
    SHARED_ADDRESS: Final = 8
    """Many users may have the member's address: it lies in the gateway's `--unlimited` networks."""
    HISTORY: Final = 16
    """The member has not been sent the messages from before its join (`--history`): the gateway that first knows its
    address sends them, whichever that is. The directory removes the bit when the member is live."""
    ALL: Final = COMMANDS | NOTICES | JAPANESE | SHARED_ADDRESS | HISTORY
