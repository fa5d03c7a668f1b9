"""Bind sockets whose files, of ipc:// endpoints, are for our own user."""

import os
from pathlib import Path

import zmq

from tsudoi.ops.net.unix_socket import is_served
from tsudoi.protocol.backbone.endpoint import IPC
from tsudoi.protocol.errors import SettingError

PRIVATE = 0o177
"""The umask under which sockets are bound: their files are for our own user, from their first moment on."""


def bind(sock: "zmq.Socket[bytes]", endpoint: str) -> None:
    """Bind a socket.

    Raises:
        SettingError: another program listens at the ipc:// endpoint: libzmq would take its place.
        zmq.ZMQError: libzmq can not bind it.
    """
    if endpoint.startswith(IPC) and is_served(Path(endpoint.removeprefix(IPC))):
        raise SettingError(f"can not listen on {endpoint}: another program does")
    umask = os.umask(PRIVATE)
    try:
        sock.bind(endpoint)
    finally:
        os.umask(umask)
