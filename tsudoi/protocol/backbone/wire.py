"""Types and limits that all frames between gateways and broker share."""

from typing import Annotated, Final

import msgspec

VERSION: Final = 3
"""Of these frames. A broker refuses a gateway of another version by name, so that nobody guesses."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What a topic and a store's column can hold; any other number makes a frame malformed."""

MAX_ITEMS = 1_024
"""Of one publish; a gateway puts 512 into it. Also frames that one frame carries."""
MAX_IDLE_MS = 30 * 86_400_000
"""A month. For so long a member may be silent, whatever its gateway says: else a room could stay for ever."""
MAX_MEMBERS = 200_000
"""Of one roll: more than one gateway serves."""
MAX_ROOMS = 100_000
"""Of one report: a gateway that was out of touch tells where all its rooms stand."""
ROOMS_ASKED = 2_000
"""Of one question where rooms stand; for more, a gateway asks several."""
Text = Annotated[str, msgspec.Meta(max_length=4_096)]
"""What a datagram can hold."""
Short = Annotated[str, msgspec.Meta(max_length=1_024)]
"""A name as its client wrote it, an address, a dialect: what they may be is looked at where they are used."""
Hash = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Wire(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """What all frames have in common: fields by position, no more than are known."""
