"""Define the entries of a room's log, and the frames that publish them from the broker to the gateways."""

from ..untrusted import Milliseconds
from .wire import Number, Wire


class Entry(Wire):
    """One entry of a room's log. Offsets give the room's order and have no gaps."""

    offset: Number
    """1 is the entry of the room's creation."""
    kind: Number
    """An EntryKind. Gateways ignore entries of an unknown kind, which a newer broker may send."""
    member: Number
    """The member that wrote, joined, left, was muted…; for CLOSED the host."""
    sender: str
    """The member's assigned name."""
    text: str
    """The message; for LEFT, the reason for a removal; else see EntryKind."""
    code: Number
    """A LeaveReason for LEFT and CLOSED, the number of members for JOINED, its client's number or 0 for SAID, else see
    EntryKind, or 0."""
    at_ms: Milliseconds
    """When the broker stamped the entry, in milliseconds since 1970, UTC."""
    peer: Number = 0
    """The second member: the receiver of WHISPERED; the member that removed, muted or handed over. 0: none."""
    peer_name: str = ""
    number: Number = 0
    """The number of the client's line that was a command and led to this entry; 0: none. The line is of the member or,
    where that is another one, of `peer`."""


class News(Wire):
    """New entries of one room, in order. Without entries it only reports the room's position."""

    epoch: Number
    """Offsets of different epochs can not be compared: history was lost in between."""
    last: Number
    """The room's last offset; that of the last entry if there are entries."""
    entries: list[Entry]


class Bundle(Wire):
    """Everything that one turn of the broker has for one gateway, in order, on the gateway's own topic."""

    broker: str
    """This run of the broker, as in Welcome."""
    accepted: Number
    """The number of an Accepted, which is then not sent; 0: none."""
    canaries: list[Number]
    """Numbers of the gateway's canaries, returned."""
    news: list[tuple[Number, News]]
    """(room, news) of rooms with members at few gateways. News of other rooms come on the rooms' topics."""
