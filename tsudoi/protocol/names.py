"""Normalise room names and user names, and hash tokens; PROTOCOL.md, "Names" and "Tokens"."""

import hashlib
import re
import unicodedata
from typing import NewType

from tsudoi.protocol.errors import InvalidName, MisleadingName
from tsudoi.protocol.visible_characters import boundary

RoomName = NewType("RoomName", str)
"""A room's name in normal form."""

UserName = NewType("UserName", str)
"""A user's name in normal form."""

TokenHash = NewType("TokenHash", bytes)
"""The first 16 bytes of SHA-256(token), by which the directory finds a member."""

MAX_NAME_SIZE = 255
"""Bytes of UTF-8; the header has one byte for the size."""

TOKEN_SIZE = 32

SERVER_NAME = "server"
"""The sender of notices, in forms that name one. No member can have this name."""

WEBHOOK_MARK = "[bot]"
"""The end of a webhook's name in a room. No member can have a name that ends so."""

# NFC joins four characters at most. Longer texts are refused before: sorting 10,000 combining marks takes seconds.
_MAX_DECOMPOSED = 4 * MAX_NAME_SIZE

# Control characters break terminals and logs, bidi characters make a name look like another, U+2028/9 end lines.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_LINE_ENDS = frozenset("\u2028\u2029")

# Invisible characters: Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), which Python lacks, and
# U+FFF9 to U+FFFB. Names may contain them: emoji and Persian need joiners and variation selectors.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
# Visible only as a gap: white space, the braille blank, the musical null notehead.
_BLANK = re.compile("[\\s\u2800\U0001d159]+")

# What separates a speaker from its words on plain screens, as people see it: a colon, `>` or an arrow, and a gap; a
# wide colon, which brings its gap along; a gap and a colon at the end, where the separator ` : ` would overlap with it.
# The colons are those that Unicode's confusables.txt has, without letters and signs that are parts of words.
_COLONS = ":\u02d0\u02f8\u0589\u05c3\u0703\u0704\u16ec\u1803\u1809\u205a\u2236\ua4fd\ua789\ufe30"
_SEPARATOR = re.compile(f"[{_COLONS}>\uff1e\u2192] |[\uff1a\ufe55\ufe13]| [{_COLONS}]\\Z")
_ACTION = re.compile("[*\u066d\u204e\u2217\ufe61\uff0a](?: |\\Z)")
# A row of a list goes on with a comma.
_HOST_MARK = re.compile(" ?[(\uff08](?:host|ホスト)[)\uff09](?=\\s*(?:[,\u3001\uff0c]|\\Z))", re.IGNORECASE)
# One of these is in each ASCII name that one of the expressions above finds something in.
_MARKS = frozenset(":>*(")
_ZERO_WIDTH_SPACE = "\u200b"


def normalise(name: str, what: str = "name") -> str:
    """Return the normal form of a name: NFC, without white space around it. `what` names it in the error.

    Raises:
        InvalidName: empty; longer than 255 bytes of UTF-8; without a visible character; or with a control character, a
            line end, a bidi character or a lone surrogate.
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
        if normal and not _seen(normal):
            raise InvalidName(f"{what} has nothing that can be seen")
    if not normal:
        raise InvalidName(f"{what} is empty")
    if len(normal.encode()) > MAX_NAME_SIZE:
        raise InvalidName(f"{what} is longer than {MAX_NAME_SIZE} bytes")
    return normal


def room_name(name: str) -> RoomName:
    """Return the normal form of a room's name, or raise InvalidName; see `normalise`."""
    return RoomName(normalise(name, "room name"))


def user_name(name: str) -> UserName:
    """Return the normal form of a user's name, or raise InvalidName; see `normalise`.

    Raises:
        InvalidName: also if it only looks like the server's.
        MisleadingName: with this name, a line of this member could be the same bytes as one of another member or of the
            server, or look the same.
    """
    normal = normalise(name, "user name")
    if normal.isascii() and _MARKS.isdisjoint(normal):
        return UserName(normal)
    seen = _seen(normal)
    if not normal.isascii():
        if seen == SERVER_NAME:
            raise InvalidName("user name can not be told from the server's")
        if _ZERO_WIDTH_SPACE in normal:
            # The server puts it where a name would end another member's client (`client/closing_words.py`).
            raise InvalidName("user name has a character that user names may not have: U+200B")
    # Not `seen`: a gap before an invisible end is one too.
    if found := _SEPARATOR.search(_BLANK.sub(" ", _IGNORABLE.sub("", normal))):
        raise MisleadingName(f"user name has {found[0]!r}, which stands between a name and its words")
    if found := _ACTION.match(seen):
        raise MisleadingName(f"user name begins with {found[0]!r}, as an action does")
    if found := _HOST_MARK.search(seen):
        raise MisleadingName(f"user name has {found[0]!r}, as a host's in lists")
    return UserName(normal)


def in_normal_form(name: str) -> str:
    """Return a user's name in normal form; a text that is no valid name stays as it is, and is no member's."""
    try:
        return user_name(name)
    except InvalidName:
        return name


def _seen(name: str) -> str:
    """Return what people see of a name: without invisible characters, and with one space for each gap inside."""
    return _BLANK.sub(" ", _IGNORABLE.sub("", name)).strip()


def numbered_name(name: UserName, number: int) -> UserName:
    """Return the name of the `number`th member called `name`: `alice#2`. Cuts a long name so that the mark fits."""
    mark = f"#{number}"
    return UserName(cut(name, MAX_NAME_SIZE - len(mark)) + mark)


def webhook_name(name: UserName) -> UserName:
    """Return the name under which a webhook's messages appear: `ci[bot]`. Cuts a long name so that the mark fits."""
    if is_webhook_name(name):
        return name
    return UserName(cut(name, MAX_NAME_SIZE - len(WEBHOOK_MARK)) + WEBHOOK_MARK)


def is_webhook_name(name: str) -> bool:
    """Return whether a name ends in a webhook's mark, or in what can not be told from it."""
    return unicodedata.normalize("NFKC", _seen(name)).casefold().endswith(WEBHOOK_MARK)


def cut(text: str, size: int) -> str:
    """Return the longest beginning of `text` in whole visible characters that has at most `size` bytes of UTF-8."""
    raw = text.encode()
    if len(raw) <= size:
        return text
    return text[: boundary(text, len(raw[: max(size, 0)].decode(errors="ignore")))]


def hash_token(token: bytes) -> TokenHash:
    """Return the hash that the directory stores. A token has 128 random bits, so it needs no salt and no slow hash."""
    return TokenHash(hashlib.sha256(token).digest()[:16])


def looks_like_token(raw: bytes) -> bool:
    return len(raw) == TOKEN_SIZE and not raw.translate(None, b"0123456789abcdef")
