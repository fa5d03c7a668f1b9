"""Find out whether a text mentions a member."""

import re


def mentions(text: str, name: str) -> bool:
    """Return whether `text` has `name` as a word of its own, in any case.

    Where the name begins or ends with a letter or digit of ASCII, none may stand beside it; `aliceさん` mentions alice.
    A name of one character is a mention only behind `@`: in Japanese it may be a part of any word.
    """
    if not name:
        return False
    before = "(?<![A-Za-z0-9_])" if _is_word(name[0]) else ""
    after = "(?![A-Za-z0-9_])" if _is_word(name[-1]) else ""
    if len(name) == 1 and not name.isascii():
        before = "@"
    return re.search(f"{before}{re.escape(name)}{after}", text, re.IGNORECASE) is not None


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")
