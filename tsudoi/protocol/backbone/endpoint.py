"""Where a broker's sockets are: tcp://HOST:PORT, ipc://PATH or inproc://NAME."""

import re

from .stream import STREAM

_LOOPBACK = re.compile(r"127(\.[0-9]{1,3}){3}")


def publish_endpoint(endpoint: str) -> str:
    """Return where the news come from, given where the commands go: the next port, or the path with `.pub`."""
    if endpoint.startswith("ipc://"):
        return endpoint + ".pub"
    head, _, port = endpoint.rpartition(":")
    return f"{head}:{int(port) + 1}"


def is_loopback(endpoint: str) -> bool:
    """Say whether an endpoint stays on this machine: a socket's path, or tcp at a loopback address."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    return endpoint.startswith(("ipc://", STREAM)) or host in ("localhost", "::1") or bool(_LOOPBACK.fullmatch(host))
