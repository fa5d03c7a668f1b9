"""Room names, user names and tokens: limits and normal form; PROTOCOL.md, "Names" and "Tokens"."""

import hashlib
import unicodedata
from typing import NewType

from protocol.errors import InvalidName

RoomName = NewType("RoomName", str)
"""A room's name in NFC, as its creator wrote it otherwise."""

UserName = NewType("UserName", str)
"""A user's name in NFC."""

Token = NewType("Token", str)
"""32 lower-case hexadecimal characters: a member's only credential. Never logged, never stored."""

TokenHash = NewType("TokenHash", bytes)
"""The first 16 bytes of SHA-256(token): what the directory knows a member by."""

MAX_NAME_SIZE = 255
"""Bytes of UTF-8: the header has one byte for the size."""

TOKEN_SIZE = 32

# NFC makes one character of at most four. To put tens of thousands of combining marks in order takes it seconds.
_MAX_DECOMPOSED = 4 * MAX_NAME_SIZE

# Cc breaks terminals and logs; the bidirectional overrides make a name read as another; U+2028/9 end lines.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_LINE_ENDS = frozenset("\u2028\u2029")


def normalise(name: str, what: str = "name") -> str:
    """Return `name` in NFC, without white space around it.

    Raises:
        InvalidName: it is empty, longer than 255 bytes of UTF-8, or has control characters, line ends,
            bidirectional overrides or lone surrogates. The text names `what` was wrong.
    """
    if name.isascii() and name.isprintable():
        normal = name.strip()
    else:
        bare = name.strip()
        if len(bare) > _MAX_DECOMPOSED:
            raise InvalidName(f"{what} is longer than {MAX_NAME_SIZE} bytes")
        normal = unicodedata.normalize("NFC", bare).strip()
        for char in normal:
            if unicodedata.category(char) in ("Cc", "Cs") or char in _BIDI_CONTROLS or char in _LINE_ENDS:
                raise InvalidName(f"{what} has a character that names may not have: U+{ord(char):04X}")
    if not normal:
        raise InvalidName(f"{what} is empty")
    if len(normal.encode()) > MAX_NAME_SIZE:
        raise InvalidName(f"{what} is longer than {MAX_NAME_SIZE} bytes")
    return normal


def room_name(name: str) -> RoomName:
    """Return the normal form of a room's name or raise InvalidName."""
    return RoomName(normalise(name, "room name"))


def user_name(name: str) -> UserName:
    """Return the normal form of a user's name or raise InvalidName."""
    return UserName(normalise(name, "user name"))


def told_apart(name: UserName, number: int) -> UserName:
    """Return `name` marked as the `number`th of that name, within the size limit: `alice` → `alice#2`."""
    mark = f"#{number}"
    return UserName(cut(name, MAX_NAME_SIZE - len(mark)) + mark)


def cut(text: str, size: int) -> str:
    """Return the longest beginning of `text` that fits `size` bytes of UTF-8, cut at a character's border."""
    raw = text.encode()
    return text if len(raw) <= size else raw[: max(size, 0)].decode(errors="ignore")


def hash_token(token: bytes) -> TokenHash:
    """Return what the directory stores in place of a token. 128 random bits need no salt and no slow hash."""
    return TokenHash(hashlib.sha256(token).digest()[:16])


def looks_like_token(raw: bytes) -> bool:
    """Say whether `raw` has the form of a token; most of what strangers send has not."""
    return len(raw) == TOKEN_SIZE and not raw.translate(None, b"0123456789abcdef")
