"""What went wrong or was bounded, since the start: every bound has its counter here."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Plain numbers; the I/O layer adds its own."""

    malformed: int = 0
    from_strangers: int = 0
    refused_items: int = 0
    repeated_items: int = 0
    entries: int = 0
    """Put into the logs of rooms: what was said, and what happened."""
    trimmed_rooms: int = 0
    """Times that a room's log was cut to its bounds."""
    passwords_refused: int = 0
    """Requests answered busy, as too many passwords waited to be hashed."""
    creates_limited: int = 0
    """Creates answered busy, as gateways of one key made rooms too fast."""
    full: int = 0
    """Creates and joins refused because there were as many rooms or members as may be."""
