"""Time-outs and limits of a client."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


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
    that, and earlier messages of others come late."""
    queue_size: int = 10_000
    """Events that may wait to be read. When the queue is full, the oldest is dropped and counted."""
    burst: int = 64
    """Messages that may be sent at once; a server's socket holds some hundreds."""
    security: Literal["sealed", "plain"] = "sealed"
    """In `tsudoi-2`: `sealed` needs TLS in the handshake, and encrypts each datagram. `plain` has no secrets; a server
    takes it from its own machine, or where its operator allows it. The client never falls back to it."""
    known_servers: Path | None = None
    """The file with the certificates that were seen first at each address; None: `tsudoi/known_servers` in
    `$XDG_STATE_HOME`, or `~/.local/state`."""
    language: Literal["", "en", "ja"] = ""
    """Of the server's words, in `tsudoi-2`; empty: the server's own."""
    own_messages: bool = False
    """In `tsudoi-2`: this member's own messages are events too, at their place in the room's order."""
    lines_waiting: int = 10_000
    """In `tsudoi-2`: lines that may wait to be kept."""
    flush_s: float = 5.0
    """In `tsudoi-2`: how long `leave` waits for lines that are not kept yet."""
    rejoin_after_s: float = 100.0
    """In `tsudoi-2`: how long the server may be silent before the client tries to join the room again, as when its
    secret was lost. By then a server with the usual idle time-out has removed the old member, so its name is free."""
    rate_per_s: float = 800.0
    """Messages a second after a burst, less than the limit at which servers drop; `say` waits where it must. 0: no
    limit."""

    def __post_init__(self) -> None:
        """Raise ValueError for values with which a client would hang, or go without seals by a typing error."""
        for name in ("queue_size", "burst", "lines_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"Settings.{name} is to be 1 or more, and is {getattr(self, name)}")
        for name, allowed in (("security", ("sealed", "plain")), ("language", ("", "en", "ja"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"Settings.{name} is to be one of {allowed}, and is {getattr(self, name)!r}")
