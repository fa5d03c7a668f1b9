"""Decide which handshakes, by TCP and by WebSocket, are logged: a line for each, unless an address makes too many.

A student's client makes one a minute, a flood thousands a second; a health check that only connects comes every few
seconds. Behind a NAT, and in tests, clients share an address: their ports tell them apart (RFC 6302). `now` is
monotonic seconds.
"""

from tsudoi.ops.log_throttle import LogThrottle
from tsudoi.ops.rate_key import rate_key
from tsudoi.ops.token_bucket import Bucket, Buckets
from tsudoi.protocol.client.dialects import WEB

from ..join.account import Account, Outcome, log_values, shown_room
from ..join.rate_keys import ADDRESSES
from .options import Listener

ADDRESS_S, ADDRESS_BURST = 1.0, 30.0
"""Lines about one address (of IPv6: 64 bits): rate per second, and burst. Loopback addresses too."""
ALL_S, ALL_BURST = 20.0, 300.0
"""Lines about all addresses together."""
SILENT_AGAIN_S = 60.0
"""How long no second line says that an address has connected and sent nothing."""


class HandshakeLog:
    """Makes the values of a line, or counts it as left out."""

    def __init__(self) -> None:
        self._silent = LogThrottle[str](ADDRESSES, SILENT_AGAIN_S)
        self._by_address: Buckets[str] = Buckets(ADDRESSES)
        self._all: Bucket | None = None
        self._left_out = 0

    def line(self, listener: Listener, ip: str, port: int, account: Account, now: float) -> dict[str, object] | None:
        """Return the values of the line to log, None if there is to be none."""
        if not self._allows(rate_key(ip), account.outcome is Outcome.SILENT, now):
            return None
        where = {"ip": ip, "source_port": port, "listener": f"{listener}={listener.dialect}"}
        return self._with_left_out({**where, **log_values(account)})

    def web_line(self, ip: str, port: int, room: str, outcome: str, now: float) -> dict[str, object] | None:
        """Return the values of a line about a WebSocket: a room that was entered (empty: none was asked for)."""
        if not self._allows(rate_key(ip), False, now):
            return None
        where = {"room": shown_room(room)} if room else {}
        return self._with_left_out({"ip": ip, "source_port": port, "dialect": WEB.name, **where, "outcome": outcome})

    def _with_left_out(self, values: dict[str, object]) -> dict[str, object]:
        if self._left_out:
            values["lines_left_out"], self._left_out = self._left_out, 0
        return values

    def _allows(self, key: str, is_silent: bool, now: float) -> bool:
        if is_silent:
            return self._silent.touch(key, now, ADDRESS_S, ADDRESS_BURST)
        self._all = self._all or Bucket(ALL_BURST, now)
        if self._by_address.touch(key, now, ADDRESS_S, ADDRESS_BURST) and self._all.touch(now, ALL_S, ALL_BURST):
            return True
        self._left_out += 1
        return False
