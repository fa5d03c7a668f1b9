"""Decide which dropped datagrams, and which unreadable texts, are logged: one for each address and reason in 5 s.

Datagrams are never answered, so this is all that a client's author learns of a mistake. `now` is monotonic seconds.
"""

from enum import Enum

from tsudoi.ops.log_throttle import LogThrottle
from tsudoi.ops.rate_key import packed_key

from ..explain.datagram_hints import WhoseToken, datagram_hints
from ..join.rate_keys import ADDRESSES
from ..listeners import sockaddr

AGAIN_S = 5.0
"""How long the same reason is not logged again for an address (of IPv6: 64 bits). An author
who has mended one mistake soon meets the next."""
ALL_S, ALL_BURST = 1.0, 50.0
"""Lines about all addresses together: rate per second, and burst."""


class Drop(Enum):
    """Why a datagram was dropped."""

    SHORT = "shorter than its two sizes"
    NO_TOKEN = "no known token"
    OTHER_ROOM = "the token belongs to another room"
    OTHER_ADDRESS = (
        "it comes from another IP address than the member's: bind the UDP socket to no address, or to that of the TCP"
        " connection (the service does not look at it with --check-ip off)"
    )


class DroppedLog:
    """Makes the values of a line."""

    def __init__(self) -> None:
        self._throttle = LogThrottle[tuple[str, Drop | None]](ADDRESSES, AGAIN_S)

    def line(self, ip: bytes, why: Drop | None, data: bytes, whose: WhoseToken, now: float) -> dict[str, object] | None:
        """Return the values of the line to log, never a token or a text; None if there is to be none.

        `ip`: as `sockaddr.ip_bytes` returns it. `why`: None for a datagram that was accepted, which is logged if
        something may be wrong with it. `data`: the datagram, if its bytes are to be explained.
        """
        if not self._throttle.touch((packed_key(ip), why), now, ALL_S, ALL_BURST):
            return None
        hints = datagram_hints(data, whose) if data else []
        if why is None and not hints:
            return None
        values: dict[str, object] = {"ip": sockaddr.text_of(ip)}
        if why is not None:
            values["why"] = why.value
        if left_out := self._throttle.take_suppressed():
            values["lines_left_out"] = left_out
        if hints:
            values["hint"] = hints[0].text()
        return values
