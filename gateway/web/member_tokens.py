"""Derive members' tokens from the session secret of a client; PROTOCOL.md, "WebSocket".

A client knows one secret for all its rooms. A member's token must be another one in each room, since the directory
finds members by their tokens alone; and no token must tell the secret.
"""

import hashlib
import re

from tsudoi.protocol.names import TOKEN_SIZE

_SESSION = re.compile("[A-Za-z0-9_-]{32,128}")


def is_session(text: str) -> bool:
    """Return whether a text has the form of a session secret."""
    return _SESSION.fullmatch(text) is not None


def token_of(session: str, room: str) -> str:
    """Return the token of the member that a session is in a room."""
    return hashlib.sha256(f"tsudoi web\0{session}\0{room}".encode()).hexdigest()[:TOKEN_SIZE]
