"""What the core refused or cut to its bounds since the start."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Plain numbers; `broker/net` adds its own."""

    malformed: int = 0
    """Frames that could not be parsed."""
    from_strangers: int = 0
    """Messages of gateways that had not said Hello, or speak another version."""
    refused_items: int = 0
    """Items about members that the gateway does not serve."""
    repeated_items: int = 0
    """Items that were accepted before, and passed over."""
    entries: int = 0
    """Messages and events appended to rooms' logs."""
    trimmed_rooms: int = 0
    """Times that a room's log was cut to its bounds."""
    passwords_refused: int = 0
    """Requests answered busy, as too many passwords waited to be hashed."""
    full: int = 0
    """Creates and joins refused, as there were too many rooms or members."""
