"""Room passwords through Argon2id (RFC 9106). Slow on purpose: call these off the event loop."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's first choice for Argon2id: 19 MiB, two passes, one lane; some 30 ms. A room's password guards a chat for an
# evening, and a broker may have to check many of them at once.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


MADE_BY_US = "$argon2id$"
"""How each hash begins."""
LONGEST_HASH = 200
"""Characters; with our parameters a hash has 97."""


def is_hash(text: str) -> bool:
    """Return whether a text looks like a hash of `make_hash`."""
    return text.startswith(MADE_BY_US) and len(text) <= LONGEST_HASH


def make_hash(password: str) -> str:
    """Return the password's hash with its own salt and parameters, as text."""
    return _hasher.hash(password)


def check_hash(stored: str, password: str) -> bool:
    """Return whether `password` is the one that `stored` was made from."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
