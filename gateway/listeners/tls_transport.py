"""Put TLS between a transport and a connection: to the connection it is a transport of plain bytes.

At listeners for TLS it stands between from the start; an ordinary TCP listener puts it there when a client's first
bytes say that it speaks TLS.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, cast

from tsudoi.ops.rate_key import rate_key

from ..counters import Counters
from .accepted import AcceptedConnection
from .handshake_turns import HandshakeTurns
from .tls_layer import HANDSHAKE, Broken, TlsLayer

PEEKED = 64
"""Bytes that are looked at to say why a handshake failed."""


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """The transport of a connection over TLS, and the protocol of the transport `below` it."""

    __slots__ = ("_below", "_connection", "_context", "_counters", "_failure", "_hello", "_is_over", "_layer", "_turns")
    _below: asyncio.Transport

    def __init__(
        self,
        connection: AcceptedConnection,
        context: Callable[[], ssl.SSLContext],
        turns: HandshakeTurns,
        counters: Counters,
    ) -> None:
        """Serve a client by `connection` once its handshake, which waits for its turn, is done."""
        super().__init__()
        self._connection, self._context, self._turns, self._counters = connection, context, turns, counters
        self._layer: TlsLayer | None = None
        """None before the client's first bytes have had their turn: until then TLS takes no memory."""
        self._hello = b""
        """What has come of its handshake and waits for its turn."""
        self._failure: ssl.SSLError | None = None
        self._is_over = False
        """The client has been told that nothing more is sent; what it still sends is dropped."""

    # --- the protocol of the transport below ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client, or close its connection at once."""
        self._below = cast(asyncio.Transport, transport)
        if not self._connection.accept(self._below):
            self._below.abort()

    def take_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Stand between an admitted connection and its transport from now on; `data` has come already."""
        self._below = transport
        transport.set_protocol(self)
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client; those of its handshake wait for their turn.

        They are read while they wait, so a client that has closed the connection loses its turn and costs no signature.
        """
        if self._is_open:
            self._receive(data)
            return
        if not self._hello:
            self._turns.add(rate_key(self._connection.ip), self._take_turn)
        self._hello += data
        self._connection.peeked = self._connection.peeked or self._hello[:PEEKED]
        if len(self._hello) > HANDSHAKE:
            if self._layer is None:
                self._fail(Broken("the handshake is too long"))
            self._below.pause_reading()

    def eof_received(self) -> bool:
        """Handle that the client has ended its half, which ends TLS."""
        if self._is_open and not self._is_over:
            self._connection.eof_received()
        return False

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a handshake that has failed; free the connection's place."""
        self._counters.tls_failed += self._connection.is_admitted and not self._is_open
        self._connection.connection_lost(self._failure or exc)

    @property
    def _is_open(self) -> bool:
        """Whether the handshake is done."""
        return self._layer is not None and self._layer.is_open

    def _take_turn(self) -> None:
        data, self._hello = self._hello, b""
        if not self._below.is_closing():
            self._below.resume_reading()
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        if self._is_over:
            return
        if self._layer is None:
            self._layer = TlsLayer(self._context())
        layer, was_open, had_ended = self._layer, self._layer.is_open, self._layer.has_ended
        try:
            plain = layer.receive(data)
        except ssl.SSLError as exc:
            self._below.write(layer.take())
            self._fail(exc)
            return
        if out := layer.take():
            self._below.write(out)
        if layer.is_open and not was_open:
            self._connection.connection_made(self)
        if plain:
            self._connection.data_received(plain)
        if layer.has_ended and not had_ended and not self.is_closing():
            self._connection.eof_received()

    def _fail(self, failure: ssl.SSLError) -> None:
        self._failure = failure
        self._below.abort()

    # --- the connection's transport -------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and self._layer is not None and not self._is_over and not self.is_closing():
            self._below.write(self._layer.send(bytes(data)))

    def write_eof(self) -> None:
        """Tell the client that nothing more is sent."""
        self._say_goodbye()
        self._below.write_eof()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self._say_goodbye()
        self._below.close()

    def _say_goodbye(self) -> None:
        if self._layer is not None and not self._is_over and not self.is_closing():
            self._is_over = True
            self._below.write(self._layer.close())

    def abort(self) -> None:
        self._below.abort()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes, sealed, have not left."""
        return self._below.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)
