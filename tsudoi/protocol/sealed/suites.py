"""Seal and open packets with the cipher of a session's suite; PROTOCOL.md, "Packets".

`cryptography` is imported with the first cipher, because its import takes a part of a program's start.
"""

import hmac
from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

from tsudoi.protocol.errors import MalformedMessage

from .packets import CHECK_SIZE

AES_128_GCM: Final = "aes-128-gcm"
CHACHA20_POLY1305: Final = "chacha20-poly1305"
PLAIN: Final = "plain"
KEY_SIZES: Final = {AES_128_GCM: 16, CHACHA20_POLY1305: 32, PLAIN: 0}
"""Suite → bytes of a key for one direction."""
SEALED: Final = (AES_128_GCM, CHACHA20_POLY1305)
"""The suites that need TLS in the handshake, best first: AES-GCM takes 0.6 µs, ChaCha20 1.0 (120 bytes)."""
CHECK_KEY_SIZE = 32
TAG_SIZE = 16


class Cipher(Protocol):
    """The key of one direction."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Return ciphertext and tag."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Return the text; raise an exception of the library's if it was not sealed so."""


class _Plain:
    """The suite without secrets."""

    def __init__(self, key: bytes) -> None:
        """Take the key, which is empty."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        return data

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        return data


def cipher(suite: str, key: bytes) -> Cipher:
    """Return the cipher of a suite of `KEY_SIZES` with a key; raise MalformedMessage for a key of another size."""
    if len(key) != KEY_SIZES[suite]:
        raise MalformedMessage(f"a key of {suite} has {KEY_SIZES[suite]} bytes, not {len(key)}")
    return maker(suite)(key)


@cache
def maker(suite: str) -> Callable[[bytes], Cipher]:
    """Return what makes the ciphers of a suite, each of a key of the right size."""
    if suite == PLAIN:
        return _Plain
    # A statement `import` for each cipher would cost as much as to derive its key.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

    return AESGCM if suite == AES_128_GCM else ChaCha20Poly1305


def open_untrusted(
    decrypt: Callable[[bytes, bytes, bytes | None], bytes], nonce: bytes, rest: bytes, header: bytes
) -> bytes:
    """Return what was sealed; raise MalformedMessage if it was not, with this key, nonce and header."""
    try:
        return decrypt(nonce, rest, header)
    except Exception as exc:
        # `cryptography` raises InvalidTag, and is imported with the first cipher only.
        raise MalformedMessage("not sealed with this session's key") from exc


def check_of(key: bytes, header: bytes) -> bytes:
    """Return the check of a RETRY or GONE; `key` is empty in the suite `plain`."""
    return hmac.digest(key, header, "sha256")[:CHECK_SIZE] if key else bytes(CHECK_SIZE)


def has_valid_check(key: bytes, header: bytes, rest: bytes) -> bool:
    """Return whether the rest of a RETRY or GONE is its check."""
    return hmac.compare_digest(check_of(key, header), rest)
