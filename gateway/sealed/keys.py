"""Make sessions, and derive their keys from the service's secret, so that no key is stored.

    session:  | suite: 1 | place: 1 | routing: 1 | random: 9 | mark: 4 |

The *place* leads to the shard of the room, the *routing* byte to the worker (`listeners/reuseport_routing.py`). The
*mark* is a keyed hash of the bytes before it: a forged session costs one hash, and no question to the broker.

Keys are BLAKE2b (RFC 7693) of the session and a label, keyed with the secret, which has as much entropy as any key.
HKDF would take three HMACs instead of one hash; a ping at rest derives both keys anew (benchmarks, "each with a ping in
22.5 s"). The directory finds a member by the hash of its token. The token is derived too and never sent, so a session
that was read on the network does not give access.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from tsudoi.protocol.names import TOKEN_SIZE, hash_token
from tsudoi.protocol.sealed.packets import BODY, HEADER_SIZE, MARK, PART, SESSION_SIZE
from tsudoi.protocol.sealed.suites import (
    AES_128_GCM,
    CHACHA20_POLY1305,
    CHECK_KEY_SIZE,
    KEY_SIZES,
    PLAIN,
    Cipher,
    maker,
)

SECRET_SIZE: Final = 32
"""Bytes of a secret."""
TICK_S: Final = 5.0
"""Time between two calls of `SessionKeys.tick`: ciphers live for once to twice as long after their last use."""
MOST_KEPT: Final = 8_192
"""Sessions whose ciphers are kept beside those of as many older ones: 64 MB in all, 2 KB for each cipher."""
PLACE, ROUTING = 1, 2
"""Where these bytes stand in a session."""
_MARK_SIZE = 4
MAX_KEY_SIZE: Final = max(KEY_SIZES.values())
_T = TypeVar("_T")
PLAIN_NUMBER: Final = 3
"""The first byte of a session of the suite `plain`."""
_SUITES: Final = {1: AES_128_GCM, 2: CHACHA20_POLY1305, PLAIN_NUMBER: PLAIN}
_NUMBERS = {suite: number for number, suite in _SUITES.items()}
_BEGINNINGS = tuple(bytes((MARK, kind, number)) for kind in (BODY, PART) for number in _SUITES)
"""Of the packets that clients send, up to the first byte of a session."""
_NOT_RANDOM = bytes(9)


class Both(NamedTuple, Generic[_T]):
    """What there is for each direction."""

    up: _T
    down: _T


class SessionKeys:
    """The sessions of a service; all its gateways have the same secrets."""

    def __init__(self, all_secrets: Sequence[bytes]) -> None:
        """Begin with the service's secrets: new sessions are of the first, those of the others still hold."""
        self._secrets = list(all_secrets)
        self.young: dict[bytes, Both[Cipher]] = {}
        """The ciphers of sessions in use: what was used since the last tick."""
        self._old: dict[bytes, Both[Cipher]] = {}

    def new(self, suite: str, place: int, routing: int) -> bytes:
        """Return a new session of a suite; `place` and `routing` have a byte each."""
        head = bytes((_NUMBERS[suite], place, routing)) + secrets.token_bytes(SESSION_SIZE - 3 - _MARK_SIZE)
        return head + _mark(self._secrets[0], head)

    def suite_of(self, session: bytes) -> str | None:
        """Return the suite of a session; None if it is none of this service's."""
        suite = _SUITES.get(session[0])
        return suite if suite is not None and self._secret_of(session) is not None else None

    def token(self, session: bytes) -> str:
        """Return the token of the member that a session is of."""
        return self._derive(session, b"tsudoi 2 token", TOKEN_SIZE // 2).hex()

    def check_key(self, session: bytes) -> bytes:
        """Return the key of checks; empty in the suite `plain`."""
        return b"" if _SUITES[session[0]] == PLAIN else self._derive(session, b"tsudoi 2 check", CHECK_KEY_SIZE)

    def keys(self, session: bytes) -> Both[bytes]:
        """Return the keys of a session; empty in the suite `plain`."""
        size = KEY_SIZES[_SUITES[session[0]]]
        both = self._derive(session, b"tsudoi 2 keys", 2 * MAX_KEY_SIZE) if size else b""
        return Both(both[:size], both[MAX_KEY_SIZE : MAX_KEY_SIZE + size])

    def find(self, session: bytes) -> Both[Cipher]:
        """Return the ciphers of a session, made now if need be, and keep them until not used for two ticks."""
        found = self.young.get(session)
        if found is None:
            if len(self.young) >= MOST_KEPT:
                self.tick()
            found = self.young[session] = self.borrow(session)
            self._old.pop(session, None)
        return found

    def borrow(self, session: bytes) -> Both[Cipher]:
        """Return the ciphers of a session, and do not keep what is made now: a ping costs no memory."""
        return self.young.get(session) or self._old.get(session) or self._make(session)

    def cover(self, session: bytes) -> bytes:
        """Return a session as the directory keeps it: covered, so that a reader of the store can not use it.

        In the suite `plain` the session is all that a client shows. Each session has a token, and so a pad, of its own.
        """
        secret = self._secret_of(session)
        assert secret is not None, "look at `suite_of` first"
        return _covered(secret, session, hash_token(self.token(session).encode()))

    def uncover_untrusted(self, covered: bytes, token_hash: bytes) -> bytes | None:
        """Return the session that was covered, of the member with this hash of a token; None if there is none.

        The pad does not bind: a client knows its own, so with a gateway's key it could keep another member's session
        as its own, and take that member's packets. The token binds: a member has one session, ever.
        """
        for secret in self._secrets if len(covered) == SESSION_SIZE else ():
            session = _covered(secret, covered, token_hash)
            if self.suite_of(session) is not None and hash_token(self.token(session).encode()) == token_hash:
                return session
        return None

    def tick(self) -> None:
        """Forget the ciphers that were not used since the last but one call. Call it every `TICK_S`."""
        self._old, self.young = self.young, {}

    def _make(self, session: bytes) -> Both[Cipher]:
        make, (up, down) = maker(_SUITES[session[0]]), self.keys(session)
        return Both(make(up), make(down))

    def _secret_of(self, session: bytes) -> bytes | None:
        head, mark = session[:-_MARK_SIZE], session[-_MARK_SIZE:]
        for secret in self._secrets:
            if hmac.compare_digest(_mark(secret, head), mark):
                return secret
        return None

    def _derive(self, session: bytes, what: bytes, size: int) -> bytes:
        # With one secret, its mark has been looked at before.
        secret = self._secrets[0] if len(self._secrets) == 1 else self._secret_of(session)
        assert secret is not None, "look at `suite_of` first"
        return derive(secret, session, what, size)


def is_meant(data: bytes) -> bool:
    """Return whether a datagram is meant as a packet to a server of this kind, and not as one of version 1.

    Datagrams with sizes of two bytes or with the header of a request, mistakes of beginners, begin with 0 too.
    """
    return len(data) >= HEADER_SIZE and data.startswith(_BEGINNINGS) and data[5:14] != _NOT_RANDOM


def is_plain(session: bytes) -> bool:
    """Return whether a session is of the suite `plain`."""
    return _SUITES[session[0]] == PLAIN


def derive(secret: bytes, of: bytes, what: bytes, size: int) -> bytes:
    """Return `size` bytes, 64 at most, for one session or token, and for one purpose (16 bytes at most)."""
    return hashlib.blake2b(of, digest_size=size, key=secret, person=what).digest()


def _covered(secret: bytes, session: bytes, token_hash: bytes) -> bytes:
    pad = derive(secret, token_hash, b"tsudoi 2 kept", SESSION_SIZE)
    return bytes(a ^ b for a, b in zip(session, pad, strict=True))


def _mark(secret: bytes, head: bytes) -> bytes:
    return derive(secret, head, b"tsudoi 2 mark", _MARK_SIZE)
