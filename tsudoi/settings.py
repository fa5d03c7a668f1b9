"""Time-outs and limits of a client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """All times in seconds."""

    connect_timeout_s: float = 5.0
    """Until a TCP connection is made."""
    answer_timeout_s: float = 10.0
    """Until the whole answer to one request has come; the server hashes a password slowly on purpose."""
    settle_s: float = 0.5
    """Silence after which an answer without a length counts as complete."""
    keep_alive_s: float = 20.0
    """Time between two empty datagrams: NAT forgets a mapping after 30 to 120 s of silence, a server a member after
    15 s or more. 0: send none."""
    register_at_once: bool = True
    """Send a datagram after joining, so that the server knows this client's UDP address. If not, the first message does
    that, and earlier messages of others come late or, if there are many, in part."""
    queue_size: int = 10_000
    """Events that may wait to be read. When the queue is full, the oldest is dropped and counted."""
    burst: int = 64
    """Messages that may be sent at once; a server's socket holds some hundreds."""
    rate_per_s: float = 800.0
    """Messages a second after a burst, less than the limit at which servers drop; `say` waits where it must. 0: no
    limit."""
