"""Show a key on a connecting ZeroMQ socket (CURVE)."""

from typing import Any

from ..keyfiles import SecretKey


def show_key(socket: Any, key: SecretKey | None) -> None:
    """Let a connecting socket use this key, and accept only its broker; None: the connection is not encrypted."""
    if key is not None:
        socket.curve_publickey = key.public.encode()
        socket.curve_secretkey = key.secret.encode()
        socket.curve_serverkey = key.broker.encode()
