"""Write why a person who uses a browser may not enter or speak, in the person's language; PROTOCOL.md, "WebSocket".

What only a program's mistake brings, or a command that is repeated by itself, stays in English.
"""

from tsudoi.protocol.client.handshake import refusal_words
from tsudoi.protocol.client.refusals import NEEDS_PASSWORD, in_japanese
from tsudoi.protocol.codes import Status

from ..join.steps import Declined


def why_declined(declined: Declined, *, gave_password: bool) -> str:
    """Return why a client may not enter, in English."""
    if declined.status is Status.WRONG_PASSWORD and not declined.detail and not gave_password:
        return NEEDS_PASSWORD
    if declined.status is Status.BAD_REQUEST and declined.detail:
        return declined.detail  # a ban, or a signed token that does not fit: no mistake in the request's form
    return refusal_words(declined.status, declined.detail)


def in_language(why: str, language: str) -> str:
    """Return the words of a refusal in a language, where they are known in it."""
    return in_japanese(why) if language == "ja" else why
