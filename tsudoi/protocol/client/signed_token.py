"""The form of signed tokens (JWT), which a client sends in the place of a name; PROTOCOL.md, "Trust"."""

import re

# `eyJ` is base64 for `{"`, how a header in JSON begins. A token with an empty signature is a wrong token, not a name.
_TOKEN = r"eyJ[A-Za-z0-9_-]{9,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"
_TOKEN_ALONE = re.compile(_TOKEN)
_TOKEN_AS_PREFIX = re.compile(rf"{_TOKEN} ?: ?")

NOT_SIGNED = "what is given as a signed token (JWT) is none: it begins with eyJ, and has three parts with dots between"


def is_signed_token(text: str) -> bool:
    """Return whether a text has the form of a signed token; then it is neither a user's name nor a room's password."""
    return text.startswith("eyJ") and _TOKEN_ALONE.fullmatch(text) is not None


def without_token(text: str) -> str:
    """Return a message without a signed token in front of it.

    Some clients prefix each message with "name: "; with a token as the name, they would publish the token.
    """
    if not text.startswith("eyJ"):
        return text
    prefix = _TOKEN_AS_PREFIX.match(text)
    return text[prefix.end() :] if prefix else text
