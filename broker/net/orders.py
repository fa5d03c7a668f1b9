"""Gives a running broker an operator's order, and waits for the answer."""

import zmq

from broker.net.security import present
from protocol import operator
from protocol.errors import BackboneError, MalformedMessage
from protocol.keys import SecretKey, is_loopback

ANSWER_S = 1.5
MAX_FRAME_SIZE = 16 * 2**20


def order(endpoint: str, question: operator.Question, key: SecretKey | None = None) -> operator.Answer:
    """Return the broker's answer.

    Args:
        endpoint: where it listens for operators.
        question: see there.
        key: an operator's, for a broker with keys.

    Raises:
        BackboneError: nobody answers at `endpoint` in time, or not as a broker does.
    """
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_SIZE)
        if key is not None:
            present(socket, key.public, key.secret, key.broker)
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as exc:
            raise BackboneError(f"can not connect to {endpoint}: {exc.strerror}") from exc
        socket.send(operator.encode(operator.Ask(operator.VERSION, question)))
        if not socket.poll(int(ANSWER_S * 1000)):
            raise BackboneError(f"no broker answers at {endpoint}{'' if is_loopback(endpoint) or key else ' (--key?)'}")
        try:
            return operator.parse_answer_untrusted(socket.recv())
        except MalformedMessage as exc:
            raise BackboneError(f"what answers at {endpoint} is no broker: {exc}") from exc
