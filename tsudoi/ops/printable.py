"""Show text from outside: on one line, and without characters that move a terminal's cursor."""


def escaped(text: str) -> str:
    """Return a text with its unprintable characters as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
