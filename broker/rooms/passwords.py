"""Room passwords through Argon2id (RFC 9106). Slow on purpose: call these off the event loop."""

import re

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's first choice for Argon2id: 19 MiB, two passes, one lane; some 30 ms. A room's password guards a chat for an
# evening, and a broker may have to check many of them at once.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

# 16 bytes of salt, 32 of hash. A check takes the time and memory that the hash itself names: with `t=4294967295` two of
# them would keep both threads for ever.
_FORM = re.compile(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}")


def is_hash(text: str) -> bool:
    """Return whether a text has the form of a hash of `make_hash`, with its parameters."""
    return _FORM.fullmatch(text) is not None


def make_hash(password: str) -> str:
    """Return the password's hash with its own salt and parameters, as text."""
    return _hasher.hash(password)


def check_hash(stored: str, password: str) -> bool:
    """Return whether `password` is the one that `stored` was made from."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
