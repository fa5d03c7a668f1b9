"""Check whether a running broker answers."""

import secrets

import zmq

from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import MalformedMessage

from .zap import present

QUESTION = backbone.encode(backbone.Canary(0))
"""The broker answers an unknown gateway with Unknown, and keeps no state for it."""


def ping(endpoint: str, timeout_s: float, key: SecretKey | None = None) -> bool:
    """Return whether the broker at `endpoint` answers within the time; `key` is None if it has no keys."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.IPV6, 1)
        # libzmq's own id is four bytes by chance: with a slash among them it would claim a gateway's name.
        dealer.setsockopt(zmq.ROUTING_ID, secrets.token_hex(8).encode())
        if key is not None:
            present(dealer, key.public, key.secret, key.broker)
        dealer.connect(endpoint)
        dealer.send(QUESTION)
        answer = dealer.recv() if dealer.poll(int(timeout_s * 1000)) else b""
    try:
        return isinstance(backbone.parse_downward_untrusted(answer), backbone.Unknown)
    except MalformedMessage:
        return False
