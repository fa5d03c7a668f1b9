"""Count what cores have refused, trimmed and moved since the start."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Plain numbers, which all cores of a broker share; `broker/net/metrics.py` describes each."""

    malformed: int = 0
    from_unknown_gateways: int = 0
    """Messages of gateways that had not said Hello, or speak another version."""
    refused_items: int = 0
    repeated_items: int = 0
    entries: int = 0
    trimmed_rooms: int = 0
    passwords_refused: int = 0
    full: int = 0
    handed_over: int = 0
    """Sessions that a living gateway released for another."""
    taken_over: int = 0
    """Sessions taken from a gateway that was gone."""
    expired: int = 0
    """Members of gone gateways that were silent for longer than their idle time-out."""
    kept_elsewhere: int = 0
    """Resumes refused: the datagram came from another host, and the member had sent from its own lately."""
    moved_too_often: int = 0
    """Resumes refused: the member changed gateways too often."""
    resumed_late: int = 0
    """Resumes refused: the member's client had sent a newer one, perhaps to another gateway."""
