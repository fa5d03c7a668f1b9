"""Define the types and limits that all frames between gateways and broker share."""

from typing import Annotated, Final

import msgspec

VERSION: Final = 9
"""Version of these frames. A broker refuses a gateway of another version, with an error that names both."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number that fits 8 bytes of a topic and a store's column; any other makes the frame malformed."""

MAX_ITEMS = 1_024
"""Items in one Publish (a gateway sends at most 512), and frames in one packed frame."""
MAX_LINES = 32
"""Lines in one item."""
MAX_IDLE_MS = 30 * 86_400_000
"""Longest idle time-out of a member that a broker accepts: 30 days, so that no room stays forever."""
MAX_MEMBERS = 200_000
"""Members in one Reconcile; more than one gateway serves."""
MAX_ROOMS = 100_000
"""Rooms in one Delivered: after an outage a gateway reports the positions of all its rooms."""
ROOMS_ASKED = 2_000
"""Rooms in one Positions; a gateway with more rooms asks several times."""
MAX_BROKERS, MAX_SHARDS = 1_000, 256
"""Brokers and shards in one Cluster; a shard's number has one byte."""
Text = Annotated[str, msgspec.Meta(max_length=4_096)]
"""A text that fits one datagram."""
Short = Annotated[str, msgspec.Meta(max_length=1_024)]
"""A name as the client wrote it, an address or a dialect. Each is checked where it is used."""
Hash = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class Wire(msgspec.Struct, array_like=True, gc=False, forbid_unknown_fields=True):
    """Base of all frames: an array of fields by position, without unknown fields at the end."""
