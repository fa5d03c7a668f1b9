"""Tell whether bytes are text, and guess the encoding of a text that is not UTF-8."""

from tsudoi.protocol.client.datagram import drop_incomplete_character

ENCODINGS = ("cp932", "euc_jp")
"""What programs in Japan write where UTF-8 belongs, in this order. Windows writes cp932 (Shift_JIS)."""

_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""UTF-16 begins with one of these, or with none."""


def likely_encoding(raw: bytes) -> str | None:
    """Return the encoding in which `raw` is a text that is not ASCII or UTF-8, None if there is none."""
    if is_utf16(raw):
        return "utf-16"
    for encoding in ENCODINGS:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if _is_shown(text) and any(map(_is_japanese, text)):
            return encoding
    return None


def is_utf16(raw: bytes) -> bool:
    """Return whether `raw` is UTF-16: it is a text behind its mark, or ASCII with a zero byte beside each character.

    One such character is not enough: it is rather a letter with a zero at its end.
    """
    if len(raw) < 4 or len(raw) % 2:
        return False
    if raw[:2] in _MARKS:
        return _is_shown(raw.decode("utf-16", "replace"))
    even, odd = raw[::2], raw[1::2]
    return (not any(odd) and all(even)) or (not any(even) and all(odd))


def _is_shown(text: str) -> bool:
    return all(char.isprintable() or char.isspace() for char in text)


def _is_japanese(char: str) -> bool:
    # Not the half-width kana: in cp932 they are single bytes, as in many numbers.
    return "\u3040" <= char <= "\u30ff" or "\u4e00" <= char <= "\u9fff" or "\uff01" <= char <= "\uff5e"


def is_text(raw: bytes) -> bool:
    """Return whether `raw` is UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_printable(raw: bytes) -> bool:
    """Return whether `raw` is UTF-8 without control characters; the last character may be incomplete."""
    whole = drop_incomplete_character(raw)
    return is_text(whole) and all(char.isprintable() or char in "\r\n\t" for char in whole.decode())
