"""Keep the files of ipc:// sockets where clients look for them.

A cleaner of temporary files, or a person, may remove a socket's file or its folder while the broker serves. Connections
stay, but no client can connect any more, and libzmq does not notice. So the broker looks for its files, and makes them
anew.
"""

import os
from pathlib import Path

import zmq

from tsudoi.ops import logs
from tsudoi.ops.net.unix_socket import is_served
from tsudoi.protocol.backbone.endpoint import IPC
from tsudoi.protocol.errors import SettingError

logger = logs.get("broker.server")

LOOK_S = 1.0
"""How often the broker looks."""
PRIVATE = 0o177
"""The umask under which sockets are bound: their files are for our own user, from their first moment on."""


def bind(sock: "zmq.Socket[bytes]", endpoint: str) -> None:
    """Bind a socket.

    Raises:
        SettingError: another program listens at the ipc:// endpoint: libzmq would take its place.
        zmq.ZMQError: libzmq can not bind it.
    """
    path = _path(endpoint)
    if path is not None and is_served(path):
        raise SettingError(f"can not listen on {endpoint}: another program does")
    umask = os.umask(PRIVATE)
    try:
        sock.bind(endpoint)
    finally:
        os.umask(umask)


def renew(sock: "zmq.Socket[bytes]", endpoint: str) -> bool:
    """Bind a socket once more if its file is gone, perhaps with its folder, and return whether it was.

    Raises what `bind` raises, and SettingError if the folder can not be made.

    Without unbinding: libzmq would remove the file in a thread of its own, perhaps the new one. Connections stay.
    """
    path = _path(endpoint)
    if path is None or path.exists():
        return False
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingError(f"can not make {path.parent}: {exc.strerror}") from exc
    bind(sock, endpoint)
    return True


class SocketFiles:
    """Looks for the files of sockets, again and again."""

    def __init__(self) -> None:
        self._lost: set[str] = set()
        """Endpoints whose file is gone and could not be made anew, as last logged."""

    def look(self, sockets: "list[tuple[zmq.Socket[bytes], str]]") -> None:
        """Make the files of (socket, endpoint) anew if they are gone, and log it."""
        for socket, endpoint in sockets:
            try:
                if renew(socket, endpoint):
                    self._lost.discard(endpoint)
                    logger.warning("a socket's file was gone, and is made anew", endpoint=endpoint)
            except (SettingError, zmq.ZMQError) as exc:
                if endpoint not in self._lost:
                    self._lost.add(endpoint)
                    logger.error("a socket's file is gone: nothing can connect", endpoint=endpoint, why=exc)


def _path(endpoint: str) -> Path | None:
    return Path(endpoint.removeprefix(IPC)) if endpoint.startswith(IPC) else None
