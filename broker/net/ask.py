"""Asks a running broker a question from outside, for health checks."""

import zmq

from broker.net.security import present
from protocol import backbone
from protocol.errors import MalformedMessage
from protocol.keys import SecretKey


def ping(endpoint: str, timeout_s: float, key: SecretKey | None = None) -> bool:
    """Say whether the broker at `endpoint` answers on its command socket within the time.

    Args:
        endpoint: tcp://HOST:PORT or ipc://PATH.
        timeout_s: how long to wait.
        key: what to show it; None where it has no keys.
    """
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, 1)
        if key is not None:
            present(socket, key.public, key.secret, key.broker)
        socket.connect(endpoint)
        # A request of a stranger is answered too, with Unknown: nothing is kept of the one who asks.
        socket.send(backbone.encode(backbone.Canary(0)))
        if not socket.poll(int(timeout_s * 1000)):
            return False
        try:
            answer = backbone.parse_downward_untrusted(socket.recv())
        except MalformedMessage:
            return False
        return isinstance(answer, backbone.Unknown)
