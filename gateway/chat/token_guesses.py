"""Limit how many unknown tokens an address may show: each costs the directory a question."""

from tsudoi.ops.bounded import put_newest
from tsudoi.ops.token_bucket import Buckets

from ..counters import Counters
from ..join.rate_keys import ADDRESSES, RateKeys
from ..listeners import sockaddr

RATE, BURST = 100.0, 2_000.0
"""Unknown tokens from an address, a second and at once."""
MUTE_S = 0.5
"""How long an (address, port) that exceeds its rate is ignored, except for members' datagrams."""


class TokenGuesses:
    """The unknown tokens of each address."""

    __slots__ = ("_by_key", "_counters", "_muted", "_rate_keys")

    def __init__(self, counters: Counters, rate_keys: RateKeys) -> None:
        self._counters, self._rate_keys = counters, rate_keys
        self._by_key: Buckets[str] = Buckets(ADDRESSES)
        self._muted: dict[bytes, float] = {}
        """Address with its port → until when it is muted."""

    def is_muted(self, source: bytes, now: float) -> bool:
        """Return whether a source is ignored for a moment; what it sends is counted."""
        is_muted = bool(self._muted) and self._muted.get(sockaddr.peer(source), 0.0) > now
        self._counters.guesses_limited += is_muted
        return is_muted

    def count(self, source: bytes, now: float) -> str | None:
        """Count an unknown token for its sender's rate-limit key and return the key (empty: not limited).

        Beyond the limit, mute the source for a moment and return None.
        """
        rate_key = self._rate_keys.of_packed(sockaddr.ip_bytes(source))
        if rate_key and not self._by_key.touch(rate_key, now, RATE, BURST):
            self._counters.guesses_limited += 1
            put_newest(self._muted, sockaddr.peer(source), now + MUTE_S, ADDRESSES)
            return None
        return rate_key

    def refund(self, rate_key: str) -> None:
        """Give a token of `count` back: it was not guessed."""
        if rate_key:
            self._by_key.refund(rate_key, BURST)
