"""Entries of a room's log, and how news of them travel from the broker to the gateways."""

from .wire import Number, Wire


class Entry(Wire):
    """One entry of a room's log. The room's order is the order of `offset`, which has no gaps."""

    offset: Number
    """From 1, the creation."""
    kind: Number
    """An EntryKind. A number that is not one is passed over: a newer broker may say more."""
    member: Number
    """Who said, joined, left, was muted…; for CLOSED the host."""
    sender: str
    """That member's name as assigned."""
    text: str
    """What was said; for LEFT, why the member was removed; else see EntryKind."""
    code: Number
    """A LeaveReason for LEFT and CLOSED, the number of members for JOINED, else see EntryKind, or 0."""
    at_ms: Number
    """When the broker stamped it: milliseconds since 1970, UTC."""
    peer: Number = 0
    """The second person: whom a WHISPERED is for; who removed, muted or handed over. 0: nobody, or the server."""
    peer_name: str = ""


class News(Wire):
    """Entries of one room, in order; without entries it only tells the position."""

    epoch: Number
    """Positions of different epochs do not compare: history was lost in between."""
    last: Number
    """The room's last offset when this was sent; that of the last entry if there are any."""
    entries: list[Entry]


class Bundle(Wire):
    """What a turn of the broker has for one gateway, in order: on its own topic."""

    broker: str
    """Of this run of the broker, as in Welcome."""
    accepted: Number
    """As in Accepted, which need not come then; 0 if nothing is to be said of it."""
    canaries: list[Number]
    """Its canaries, come back."""
    news: list[tuple[Number, News]]
    """(room, news) of rooms that a few gateways have members in; those of more come on the rooms' topics."""
