"""Send a running broker an operator's request, and wait for the answer."""

import socket
from contextlib import closing

import zmq

from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.errors import BackboneError, MalformedMessage

from ..net.zap import present

CONNECT_S = 1.5
"""To find out whether a broker listens."""
ANSWER_S = 5.0
"""For a busy broker to answer."""
MAX_FRAME_SIZE = 16 * 2**20
MONITOR = "inproc://denied"
HANDSHAKE_FAILED_AUTH = 0x4000
"""ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, which pyzmq does not always have: the broker has answered that it denies the key."""


def encode_question(question: admin_frames.Question) -> bytes:
    """Return the frame of a question; raise BackboneError if it is too long: no broker would answer it."""
    frame = admin_frames.encode(admin_frames.Ask(admin_frames.VERSION, question))
    try:
        admin_frames.parse_ask_untrusted(frame)
    except MalformedMessage as exc:
        raise BackboneError(f"a name or a text is too long ({len(frame)} bytes)") from exc
    return frame


def ask_broker(
    endpoint: str, question: admin_frames.Question, key: SecretKey | None = None, answer_s: float | None = None
) -> admin_frames.Answer:
    """Return the broker's answer; raise BackboneError if none comes in `answer_s` (else `ANSWER_S`).

    `key` is for a broker with keys.
    """
    frame = encode_question(question)
    _check(endpoint)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.IPV6, 1)
        dealer.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_SIZE)
        if key is not None:
            present(dealer, key.public, key.secret, key.broker)
        try:
            dealer.monitor(MONITOR, HANDSHAKE_FAILED_AUTH)
            dealer.connect(endpoint)
        except zmq.ZMQError as exc:
            raise BackboneError(f"can not connect to {endpoint}: {exc.strerror}") from exc
        dealer.send(frame)
        if not _answers(dealer, endpoint, ANSWER_S if answer_s is None else answer_s):
            hint = "is it an operator's key?" if key else "a broker with keys answers to --key FILE alone"
            raise BackboneError(f"no broker answers at {endpoint}{f' ({hint})' if endpoint.startswith('tcp') else ''}")
        try:
            return admin_frames.parse_answer_untrusted(dealer.recv())
        except MalformedMessage as exc:
            raise BackboneError(f"what answers at {endpoint} is no broker: {exc}") from exc


def _answers(dealer: "zmq.Socket[bytes]", endpoint: str, answer_s: float) -> bool:
    """Wait for an answer; return False if none comes in time, and raise BackboneError if the key is denied."""
    with dealer.context.socket(zmq.PAIR) as denied:
        denied.connect(MONITOR)
        poller = zmq.Poller()
        for each in (dealer, denied):
            poller.register(each, zmq.POLLIN)
        try:
            ready = [each for each, _ in poller.poll(int(answer_s * 1000))]
        finally:
            dealer.monitor(None, 0)  # also after Ctrl-C: before what it reports to is closed
    if ready and dealer not in ready:
        raise BackboneError(
            f"the broker at {endpoint} does not accept this operator's key (python -m broker keys list)"
        )
    return bool(ready)


def _check(endpoint: str) -> None:
    """Raise BackboneError if no program listens at an endpoint: ZeroMQ would go on connecting."""
    kind, _, place = endpoint.partition("://")
    host, _, port = place.rpartition(":")
    try:
        if kind == "ipc":
            with closing(socket.socket(socket.AF_UNIX)) as knock:
                knock.settimeout(CONNECT_S)
                knock.connect(place)
        else:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as exc:
        raise BackboneError(f"no broker answers at {endpoint}: {exc.strerror or exc}") from exc
