"""Limit connections, requests and new rooms by address, and the number of all connections."""

from collections.abc import Callable
from enum import Enum, auto

from tsudoi.ops.rate_key import rate_key
from tsudoi.ops.token_bucket import Buckets

from ..counters import Counters
from ..settings import Settings
from .rate_keys import ADDRESSES, RateKeys

BURST_S = 10.0
"""An address's burst, as seconds of its rate."""
BUSY_ANSWER_S = 1.0
"""An address over its rate is answered busy once in this time; its other connections are closed unanswered."""


class Verdict(Enum):
    """What to do with a new connection."""

    SERVE = auto()
    ANSWER_BUSY = auto()
    """Read its request and answer busy."""
    CLOSE = auto()
    """Close it at once, without an answer."""


class Quotas:
    """Counts connections and requests by address. Times are monotonic seconds."""

    def __init__(self, settings: Settings, counters: Counters, rate_keys: RateKeys, most: int = 2**31) -> None:
        """Begin without connections; `most` is how many the process's descriptors allow."""
        self._settings = settings
        self._counters = counters
        self.most = most
        """May change."""
        self._open = 0
        self._open_by_key: dict[str, int] = {}
        """Of unlimited addresses too: a reload may limit these while their connections are open."""
        self._requests: Buckets[str] = Buckets(ADDRESSES)
        self._creates: Buckets[str] = Buckets(ADDRESSES)
        self._busy_answers: Buckets[str] = Buckets(ADDRESSES)
        self._key = rate_keys.of

    def is_full(self) -> bool:
        """Return whether no more connections are allowed."""
        return self._open >= min(self._settings.connections, self.most)

    def has_too_many(self, ip: str) -> bool:
        """Return whether an address has as many open connections as it may."""
        return bool(self._key(ip)) and self._open_by_key.get(rate_key(ip), 0) >= self._settings.address_connections

    def connect(self, ip: str, now: float, make_room: Callable[[bool], bool] = lambda of_address: False) -> Verdict:
        """Count a new connection; unless the verdict is CLOSE, call `disconnect` once when it has ended.

        `make_room` is called if there are too many connections, with True if that is so for this address; it returns
        whether it closes another one (of the address, if that has too many).
        """
        verdict = self.request(ip, now)
        if verdict is Verdict.CLOSE:
            return verdict
        of_address = self.has_too_many(ip)
        if (of_address or self.is_full()) and not make_room(of_address):
            self._counters.connections_refused += 1
            return Verdict.CLOSE
        key = rate_key(ip)
        self._open_by_key[key] = self._open_by_key.get(key, 0) + 1
        self._open += 1
        return verdict

    def request(self, ip: str, now: float) -> Verdict:
        """Count a request: a new connection has one, and each further request on it counts as another."""
        key = self._key(ip)
        if not key or self._requests.touch(key, now, *rate_and_burst(self._settings.address_rate)):
            return Verdict.SERVE
        self._counters.handshakes_limited += 1
        may_answer = self._busy_answers.touch(key, now, 1.0 / BUSY_ANSWER_S, 1.0)
        return Verdict.ANSWER_BUSY if may_answer else Verdict.CLOSE

    def disconnect(self, ip: str) -> None:
        """Count the end of a connection."""
        self._open -= 1
        key = rate_key(ip)
        left = self._open_by_key.get(key, 0) - 1
        if left > 0:
            self._open_by_key[key] = left
        else:
            self._open_by_key.pop(key, None)

    def may_create(self, ip: str, now: float) -> bool:
        """Return whether an address may create a room now, and count it."""
        key = self._key(ip)
        if key and not self._creates.touch(key, now, *rate_and_burst(self._settings.create_rate)):
            self._counters.creates_limited += 1
            return False
        return True

    def not_created(self, ip: str) -> None:
        """Uncount a room that an address was allowed to create: it exists already."""
        if key := self._key(ip):
            self._creates.refund(key, rate_and_burst(self._settings.create_rate)[1])


def rate_and_burst(rate: float) -> tuple[float, float]:
    """Return the rate and the burst of an address's bucket."""
    return rate, max(rate * BURST_S, 1.0)
