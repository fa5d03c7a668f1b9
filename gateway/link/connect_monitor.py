"""Find out why a socket does not reach the broker, from libzmq's connection events (zmq_socket_monitor).

libzmq tries again for ever and reports nothing by itself. A client of a broker that refuses it sees:

    the key is not accepted (ZAP 400)         an ERROR frame; then it gives up
    the broker stands still                   silence, until HANDSHAKE_IVL is over
    another broker's key                      the connection ends during the handshake
    a key here and none there, or vice versa  sometimes the same, in the end "mechanism mismatch": then it gives up
    no listener, or no such host              it tries again without having been connected
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from tsudoi.protocol.backbone import is_ip, is_tcp, split_tcp

CONNECTED, RETRIED, SUCCEEDED = int(zmq.EVENT_CONNECTED), int(zmq.EVENT_CONNECT_RETRIED), 0x1000
NO_DETAIL, PROTOCOL, AUTH = 0x0800, 0x2000, 0x4000
"""EVENT_HANDSHAKE_…; pyzmq has names for them only where it was built with them."""
EVENTS = CONNECTED | RETRIED | SUCCEEDED | NO_DETAIL | PROTOCOL | AUTH
MISMATCH = 0x11000002
"""ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH"""
NOBLOCK = int(zmq.NOBLOCK)
CONNECT_AGAIN_S = 1.0
"""When to connect again after libzmq gave up: the key may be added, or the broker started again with keys."""


class ConnectMonitor:
    """Watches one connecting socket."""

    def __init__(
        self,
        context: "zmq.Context[Any]",
        watched: "zmq.Socket[bytes]",
        endpoint: str,
        has_key: bool,
        name: str,
        on_reconnected: Callable[[], None],
    ) -> None:
        """Watch a socket that will be connected to `endpoint`.

        `name` is unique among the context's monitors; `on_reconnected` is called when a connection takes the place of
        another one: what was sent last over that may be lost.
        """
        self.connect_error = ""
        """The reason why it is not connected; empty if none is known."""
        self._watched = watched
        self._endpoint = endpoint
        self._has_key = has_key
        self._on_reconnected = on_reconnected
        self._loop = asyncio.get_running_loop()
        self._was_connected = False
        host = split_tcp(endpoint)[0] if is_tcp(endpoint) else ""
        self._doubt = ", or the host is not known here" if host and not is_ip(host) else ""
        """libzmq does not report which."""
        self._is_mismatch = False
        """Only one side has keys."""
        self._was_admitted = self._is_denied = False
        """The broker has accepted this key before; it has denied it last."""
        self._timer: asyncio.TimerHandle | None = None
        place = f"inproc://monitor-{name}"
        watched.monitor(place, EVENTS)
        self._events: zmq.Socket[bytes] = context.socket(zmq.PAIR)
        self._events.setsockopt(zmq.LINGER, 0)
        # libzmq's I/O thread would block if there were no room for an event.
        self._events.setsockopt(zmq.RCVHWM, 0)
        self._events.connect(place)

    def start(self) -> None:
        """Read the events from now on."""
        self._loop.add_reader(self._events, self._read)
        self._read()

    def close(self) -> None:
        """Stop watching; the socket may be closed after that."""
        self._loop.remove_reader(self._events)
        if self._timer is not None:
            self._timer.cancel()
        self._watched.monitor(None, 0)
        self._events.close(0)

    def _read(self) -> None:
        # Read all events: the descriptor is edge-triggered.
        with contextlib.suppress(zmq.Again):
            while True:
                happened = parse_monitor_message(self._events.recv_multipart(NOBLOCK))
                self._note(happened["event"], happened["value"])

    def _note(self, event: int, value: int) -> None:
        if event == SUCCEEDED:
            self.connect_error, was_admitted = "", self._was_admitted
            self._was_admitted = True
            self._is_mismatch = self._is_denied = False
            if was_admitted:
                self._on_reconnected()
        elif event == CONNECTED:
            self._was_connected = True
        elif event == RETRIED:
            if not self._was_connected:
                self._is_mismatch = self._is_denied = False
                self.connect_error = f"nobody listens at {self._endpoint}{self._doubt}"
            self._was_connected = False
        else:
            self._note_failure(event, value)

    def _note_failure(self, event: int, value: int) -> None:
        """Describe a failed handshake in `connect_error`."""
        broker, peer = f"the broker at {self._endpoint}", f"what listens at {self._endpoint}"
        is_mismatch = event == PROTOCOL and value == MISMATCH
        if event == AUTH:
            self._is_denied = True
            self.connect_error = (
                f"{broker} no longer accepts this gateway's key: it was removed there (python -m broker keys list)"
                if self._was_admitted
                else f"{broker} does not accept this gateway's key: add it there (python -m broker keys add)"
            )
        elif self._is_denied:
            pass  # what comes after an ERROR frame says less
        elif event == NO_DETAIL and value == errno.EAGAIN:
            self.connect_error = f"{peer} says nothing: the broker stands still, or it is something else"
        elif is_mismatch:
            wants = "uses no keys, and we have one" if self._has_key else "wants a key: --key FILE"
            self.connect_error = f"{broker} {wants}"
        elif not self._is_mismatch:  # a broker with a mismatch may also hang up, before and after it is known
            self.connect_error = (
                f"{peer} is not the broker that this key is for, or uses no keys"
                if self._has_key
                else f"{peer} hangs up: it is no broker, or wants a key (--key FILE)"
            )
        self._is_mismatch = self._is_mismatch or is_mismatch
        if event in (PROTOCOL, AUTH) and self._timer is None:
            self._timer = self._loop.call_later(CONNECT_AGAIN_S, self._connect_again)

    def _connect_again(self) -> None:
        self._timer = None
        with contextlib.suppress(zmq.ZMQError):
            self._watched.disconnect(self._endpoint)
        self._watched.connect(self._endpoint)
