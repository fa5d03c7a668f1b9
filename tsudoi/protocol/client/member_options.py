"""How a listener serves its clients, as bits: fixed when a member joins, and kept with it by the directory.

Any gateway may come to serve a member, also one whose own listeners are set up otherwise, so what the member's listener
promised travels with it.
"""

from enum import IntFlag


class MemberOptions(IntFlag):
    """0 is the bare protocol: texts pass unchanged, and nobody is told who comes and goes."""

    COMMANDS = 1
    """A text that begins with a slash is a command."""
    NOTICES = 2
    """The member is told who joins, leaves, is renamed and so on."""
    JAPANESE = 4
    """The server's words are Japanese; English without it."""
