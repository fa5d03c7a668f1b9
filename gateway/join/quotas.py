"""Limit connections, requests and new rooms by address, and the number of all connections."""

from enum import Enum, auto

from tsudoi.ops.token_bucket import Buckets

from ..counters import Counters
from ..settings import Settings
from .rate_keys import ADDRESSES, RateKeys

BURST_S = 10.0
"""An address's burst, as seconds of its rate."""
BUSY_ANSWER_S = 1.0
"""An address over its rate is answered busy once in this time; its other connections are closed unanswered."""
NEWCOMERS = 16
"""One in so many of an address's connections, of the TCP and of the web listeners each, is for clients that are in no
room yet."""


def for_members(most: int) -> int:
    """Return how many connections of an address may serve members, if it may have so many."""
    return most - most // NEWCOMERS


class Verdict(Enum):
    """What to do with a new connection."""

    SERVE = auto()
    ANSWER_BUSY = auto()
    """Read its request and answer busy."""
    CLOSE = auto()
    """Close it at once, without an answer."""


class Quotas:
    """Counts requests by address; the listeners count connections. Times are monotonic seconds."""

    def __init__(self, settings: Settings, counters: Counters, rate_keys: RateKeys) -> None:
        self._settings = settings
        self._counters = counters
        self.most = 2**31
        """How many connections the process's descriptors allow."""
        self._requests: Buckets[str] = Buckets(ADDRESSES)
        self._creates: Buckets[str] = Buckets(ADDRESSES)
        self._busy_answers: Buckets[str] = Buckets(ADDRESSES)
        self._key = rate_keys.of

    def limit_reached(self, ip: str, of_address: int, in_all: int) -> str:
        """Return the limit that one more connection would exceed, by its flag; empty: it has a place.

        So many of its address are open, and in all.
        """
        if self._key(ip) and of_address >= self._settings.address_connections:
            return "--address-connections"
        return "--connections" if in_all >= min(self._settings.connections, self.most) else ""

    def may_carry(self, ip: str, of_address: int) -> bool:
        """Return whether one more connection may carry packets of version 2; so many of its address do."""
        return not self._key(ip) or of_address < for_members(self._settings.address_connections)

    def request(self, ip: str, now: float) -> Verdict:
        """Count a request: a new connection has one, and each further request on it counts as another."""
        key = self._key(ip)
        if not key or self._requests.touch(key, now, *rate_and_burst(self._settings.address_rate)):
            return Verdict.SERVE
        self._counters.handshakes_limited += 1
        may_answer = self._busy_answers.touch(key, now, 1.0 / BUSY_ANSWER_S, 1.0)
        return Verdict.ANSWER_BUSY if may_answer else Verdict.CLOSE

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
