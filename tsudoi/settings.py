"""How patient and how busy a client is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """All times in seconds."""

    connect_timeout_s: float = 5.0
    """For a TCP connection to be there."""
    answer_timeout_s: float = 10.0
    """For the server's whole answer to one request; a password costs it a moment of thinking."""
    settle_s: float = 0.5
    """Silence after which an answer without a length is taken to be whole."""
    keep_alive_s: float = 20.0
    """An empty datagram is sent so often: NAT forgets a mapping after 30 to 120 s of silence, servers a member after
    15 or more. 0: never."""
    register_at_once: bool = True
    """Make this client's address known when it has entered. If not, the first message does, and what others said before
    then comes late or, when it is much, in part."""
    queue_size: int = 10_000
    """Events that wait to be read. When so many wait, the oldest goes for each that comes, and is counted."""
    burst: int = 64
    """Messages that may be sent at once; a server's socket holds some hundred."""
    rate_per_s: float = 800.0
    """Messages a second after such a burst: less than servers let through, which drop what is more. `say` waits where
    it must. 0: as fast as the machine can."""
