"""Why a socket does not reach the broker, from what libzmq tells of its connections (zmq_socket_monitor).

libzmq tries again for ever and says nothing. What its client sees of a broker that does not want it:

    the key is not on the list (ZAP 300)      silence, until HANDSHAKE_IVL is over
    another broker's key                      the connection ends during the handshake
    a key here and none there, or vice versa  sometimes the same, in the end "mechanism mismatch": then it gives up
    nobody listens, or no such host           it tries again without having been connected
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

CONNECTED, RETRIED, SUCCEEDED = int(zmq.EVENT_CONNECTED), int(zmq.EVENT_CONNECT_RETRIED), 0x1000
NO_DETAIL, PROTOCOL, AUTH = 0x0800, 0x2000, 0x4000
"""EVENT_HANDSHAKE_…; pyzmq has names for them only where it was built with them."""
EVENTS = CONNECTED | RETRIED | SUCCEEDED | NO_DETAIL | PROTOCOL | AUTH
MISMATCH = 0x11000002
"""ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH"""
NOBLOCK = int(zmq.NOBLOCK)
CONNECT_AGAIN_S = 1.0
"""After libzmq gave up: a broker that was started without its keys may be started again with them."""
RESOLVE_S = 2.0
"""Between two questions for a host's address, at least."""


class Monitor:
    """Watches one connecting socket; `trouble` says why it is not connected, for people, empty if nothing is known."""

    def __init__(
        self, context: "zmq.Context[Any]", watched: "zmq.Socket[bytes]", endpoint: str, has_key: bool, name: str
    ) -> None:
        """Watch from before it connects, which is done here.

        Args:
            context: the socket's.
            watched: it.
            endpoint: where it connects.
            has_key: it shows a key.
            name: of it, unlike that of any other in the context.
        """
        self.trouble = ""
        self.is_connected = False
        """As far as is known; of a connection that ended, that shows when the next is tried."""
        self._watched = watched
        self._endpoint = endpoint
        self._has_key = has_key
        self._loop = asyncio.get_running_loop()
        self._was_connected = False
        self._is_mismatch = False
        """It is known that the other side has keys and we have none, or vice versa."""
        self._resolving: asyncio.Task[None] | None = None
        self._resolve_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        place = f"inproc://monitor-{name}"
        watched.monitor(place, EVENTS)
        self._events: zmq.Socket[bytes] = context.socket(zmq.PAIR)
        self._events.setsockopt(zmq.LINGER, 0)
        # libzmq's I/O thread waits where there is no room for an event: there must always be.
        self._events.setsockopt(zmq.RCVHWM, 0)
        self._events.connect(place)
        watched.connect(endpoint)

    def start(self) -> None:
        """Look from now on, whenever something happens."""
        self._loop.add_reader(self._events, self._read)
        self._read()

    def close(self) -> None:
        """Watch no more; the socket may be closed after that."""
        self._loop.remove_reader(self._events)
        if self._timer is not None:
            self._timer.cancel()
        if self._resolving is not None:
            self._resolving.cancel()
        self._watched.monitor(None, 0)
        self._events.close(0)

    def _read(self) -> None:
        # All of them: the descriptor is edge-triggered.
        with contextlib.suppress(zmq.Again):
            while True:
                happened = parse_monitor_message(self._events.recv_multipart(NOBLOCK))
                self._note(happened["event"], happened["value"])

    def _note(self, event: int, value: int) -> None:
        if event == SUCCEEDED:
            self.trouble = ""
            self.is_connected = True
            self._is_mismatch = False
        elif event == CONNECTED:
            self._was_connected = True
        elif event == RETRIED:
            self.is_connected = False
            if not self._was_connected:
                self._is_mismatch = False
                self._ask_for_host()
            self._was_connected = False
        else:
            self._note_failure(event, value)

    def _note_failure(self, event: int, value: int) -> None:
        """A handshake failed: say what that means."""
        what, has_key = f"what listens at {self._endpoint}", self._has_key
        if event == NO_DETAIL and value == errno.EAGAIN:
            if has_key:
                self.trouble = (
                    f"the broker at {self._endpoint} lets this key in no more, or not yet (there: python -m broker keys"
                    " list), or stands still"
                )
            else:
                self.trouble = f"{what} says nothing: the broker stands still, or it is something else"
        elif event == PROTOCOL and value == MISMATCH:
            wanted = "uses no keys, and we have one" if has_key else "wants a key: --key FILE"
            self.trouble = f"the broker at {self._endpoint} {wanted}"
        elif not self._is_mismatch:  # who hangs up before it has said so, may do it after that too
            if has_key:
                self.trouble = f"{what} is not the broker that this key is for, or uses no keys"
            else:
                self.trouble = f"{what} hangs up: it is no broker, or wants a key (--key FILE)"
        self._is_mismatch = self._is_mismatch or (event == PROTOCOL and value == MISMATCH)
        if event == PROTOCOL and self._timer is None:
            self._timer = self._loop.call_later(CONNECT_AGAIN_S, self._connect_again)

    def _connect_again(self) -> None:
        self._timer = None
        with contextlib.suppress(zmq.ZMQError):
            self._watched.disconnect(self._endpoint)
        self._watched.connect(self._endpoint)

    def _ask_for_host(self) -> None:
        """Nobody is there: find out whether the host is known; libzmq does not tell."""
        if self._resolving is None and self._loop.time() >= self._resolve_at:
            self._resolve_at = self._loop.time() + RESOLVE_S
            self._resolving = self._loop.create_task(self._resolve())

    async def _resolve(self) -> None:
        host, _, port = self._endpoint.removeprefix("tcp://").rpartition(":")
        trouble = f"nobody listens at {self._endpoint}"
        if self._endpoint.startswith("tcp://") and not _is_address(host):
            try:
                await self._loop.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
            except OSError as exc:
                trouble = f"the broker's host {host} is not known here: {exc.strerror}"
        self._resolving = None
        if not self._was_connected:
            self.trouble = trouble


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
