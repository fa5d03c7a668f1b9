"""Count what the core has refused or trimmed since the start."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Plain numbers; `broker/net/metrics.py` describes each."""

    malformed: int = 0
    from_strangers: int = 0
    """Messages of gateways that had not said Hello, or speak another version."""
    refused_items: int = 0
    repeated_items: int = 0
    entries: int = 0
    trimmed_rooms: int = 0
    passwords_refused: int = 0
    full: int = 0
