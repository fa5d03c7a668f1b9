"""Make and check the cookies of retries, so that nothing is kept for an address that has proven nothing.

| when it was made, in tenths of a second of this process: 4 | keyed hash of session, address and time: 8 |
"""

import hashlib
import hmac
import secrets

from tsudoi.protocol.sealed.packets import COOKIE_SIZE

VALID_S = 60.0
"""How long a cookie holds. It is longer than packets wait in the socket of a gateway that has too little of the
processor: with 10 s those of thousands of clients came too late each time, and none was served any more."""
_TIME_SIZE = 4
_TENTHS = 10


class Cookies:
    """The cookies of one process."""

    def __init__(self) -> None:
        """Begin with a key of its own."""
        self._key = secrets.token_bytes(32)

    def new(self, session: bytes, address: bytes, now: float) -> bytes:
        """Return a cookie for a session at an address."""
        at = (int(now * _TENTHS) & 0xFFFFFFFF).to_bytes(_TIME_SIZE, "big")
        return at + self._hash(session, address, at)

    def is_valid(self, cookie: bytes, session: bytes, address: bytes, now: float) -> bool:
        """Return whether a cookie was made here for this session and address, and lately."""
        if len(cookie) != COOKIE_SIZE:
            return False
        at = cookie[:_TIME_SIZE]
        age = (int(now * _TENTHS) - int.from_bytes(at, "big")) & 0xFFFFFFFF
        return age <= VALID_S * _TENTHS and hmac.compare_digest(cookie[_TIME_SIZE:], self._hash(session, address, at))

    def _hash(self, session: bytes, address: bytes, at: bytes) -> bytes:
        size = COOKIE_SIZE - _TIME_SIZE
        return hashlib.blake2b(session + at + address, digest_size=size, key=self._key).digest()
