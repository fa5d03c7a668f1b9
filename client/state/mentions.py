"""Find out whether a text mentions a member; `namesIn` in `gateway/web/page/lines.js` decides the same."""

import re

_LETTERS = "0-9A-Za-z_\u00c0-\u052f"
"""Of scripts with gaps between words: Latin, Greek, Cyrillic."""
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\uff66-\uff9f"
_CALL = "ァィゥェォッャュョーｧｨｩｪｫｯｬｭｮｰ"
"""What a call puts behind a name: `アリスー`, `ケンッ`."""
_WORDS = ((f"[{_LETTERS}]", ""), (f"[{_KATAKANA}]", f"[{_CALL}]*(?![{_CALL}])"))
"""(a character of words, what may stand between a name and one that makes it a part of a word)"""


def mentions(text: str, name: str) -> bool:
    """Return whether `text` has `name` as a word of its own, in any case.

    Where the name begins or ends with a letter of a script with gaps, none such may stand beside it; `aliceさん`
    mentions alice. Katakana is a word in Japanese, which has no gaps: `アンケート` does not mention アン.
    A name of one character is a mention only behind `@`: in Japanese it may be a part of any word.
    """
    if not name:
        return False
    before = after = ""
    for kind, between in _WORDS:
        if re.match(kind, name[0]):
            before = f"(?<!{kind})"
        if re.match(kind, name[-1]):
            after = f"(?!{between}{kind})"
    if len(name) == 1 and not name.isascii():
        before = "@"
    return re.search(f"{before}{re.escape(name)}{after}", text, re.IGNORECASE) is not None
