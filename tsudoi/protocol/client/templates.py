"""Turn templates of dialects and phrases into patterns that read what was made from them."""

import re
import string
from functools import lru_cache


@lru_cache(maxsize=256)
def template_pattern(text: str, words: tuple[str, ...] = (), without: str = "") -> re.Pattern[str]:
    """Return a pattern that matches what `text` becomes when it is filled in, with a group for each placeholder.

    {word} may be one of `words` only, if there are any; no placeholder contains `without`, unless that is empty.
    """
    anything = f"(?:(?!{re.escape(without)}).)*" if without else ".*"
    pattern = ""
    for literal, name, _, _ in string.Formatter().parse(text):
        pattern += re.escape(literal)
        if name is not None:
            values = "|".join(map(re.escape, words)) if name == "word" and words else anything
            pattern += f"(?P<{name}>{values})"
    return re.compile(pattern, re.DOTALL)
