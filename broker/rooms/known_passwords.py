"""Remember passwords that were checked lately, so that the same one is hashed once; PROTOCOL.md, "Limits".

A school class that joins at once gives one password forty times, and needs no forty hashes of 30 ms. Kept in memory is
a digest, made with a key of this run of the broker, together with the room's stored hash: a new password of the room
makes it useless.
"""

import secrets
from hashlib import blake2b

from tsudoi.ops.bounded import put_newest

HASHES, WRONG, ADDRESSES = 10_000, 10_000, 20_000
"""Right passwords, wrong passwords, and (stored hash, address) pairs that are remembered; the oldest is forgotten."""


class KnownPasswords:
    """What is known of the passwords of rooms, by their stored hashes."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        """Stored hash → digest of the password that fits it."""
        self._wrong: dict[tuple[str, bytes], None] = {}
        """Of passwords of which no right one is known."""
        self._right_from: dict[tuple[str, str], None] = {}

    def look_up(self, stored: str, password: str) -> bool | None:
        """Return whether a password fits a stored hash; None: it has to be checked."""
        digest, right = self._digest(password), self._right.get(stored)
        if right is not None:
            return secrets.compare_digest(right, digest)
        return False if (stored, digest) in self._wrong else None

    def learn(self, stored: str, password: str, fits: bool) -> None:
        if fits:
            put_newest(self._right, stored, self._digest(password), HASHES)
        else:
            put_newest(self._wrong, (stored, self._digest(password)), None, WRONG)

    def note_right_from(self, stored: str, address: str) -> None:
        """Note that an address (its rate key) gave the right password."""
        put_newest(self._right_from, (stored, address), None, ADDRESSES)

    def was_right_from(self, stored: str, address: str) -> bool:
        return (stored, address) in self._right_from

    def _digest(self, password: str) -> bytes:
        return blake2b(password.encode(), key=self._key, digest_size=16).digest()
