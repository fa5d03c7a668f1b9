"""Asks a running broker a question from outside, for health checks."""

import os
import socket

import zmq

from broker.net.security import present
from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone.stream import SAY, STREAM, Kind, Reader, head
from tsudoi.protocol.errors import MalformedMessage

QUESTION = backbone.encode(backbone.Canary(0))
"""A request of a stranger is answered too, with Unknown: nothing is kept of the one who asks."""
READ_SIZE = 4096


def ping(endpoint: str, timeout_s: float, key: SecretKey | None = None) -> bool:
    """Say whether the broker at `endpoint` answers a gateway's question within the time.

    Args:
        endpoint: tcp://HOST:PORT, ipc://PATH or unix://PATH.
        timeout_s: how long to wait.
        key: what to show it; None where it has no keys.
    """
    ask = _over_stream if endpoint.startswith(STREAM) else _over_zeromq
    try:
        return isinstance(backbone.parse_downward_untrusted(ask(endpoint, timeout_s, key)), backbone.Unknown)
    except MalformedMessage:
        return False


def _over_zeromq(endpoint: str, timeout_s: float, key: SecretKey | None) -> bytes:
    """Return the answer, empty if none came."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.IPV6, 1)
        if key is not None:
            present(dealer, key.public, key.secret, key.broker)
        dealer.connect(endpoint)
        dealer.send(QUESTION)
        return dealer.recv() if dealer.poll(int(timeout_s * 1000)) else b""


def _over_stream(endpoint: str, timeout_s: float, key: SecretKey | None) -> bytes:
    """Likewise, over a Unix socket; files' rights decide there, and no key."""
    stranger, reader = backbone.new_instance("", f"ping-{os.getpid()}").encode(), Reader()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(timeout_s)
        try:
            stream.connect(endpoint.removeprefix(STREAM))
            stream.sendall(head(Kind.INSTANCE, len(stranger)) + stranger + head(SAY, len(QUESTION)) + QUESTION)
            while data := stream.recv(READ_SIZE):
                for kind, content in reader.feed_untrusted(data):
                    if kind == SAY:
                        return content
        except OSError:
            pass
    return b""
