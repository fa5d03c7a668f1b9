"""One TLS connection: a protocol for its socket, and a transport for the `Connection` that is served inside.

OpenSSL works on two buffers in memory here, and knows no socket. The event loop's own TLS would compute a handshake as
soon as its bytes come, tell nobody of a connection before its handshake is done, encrypt all that is written at once,
and not say how much of that waits. Here a handshake waits for its turn (`tls.py`); a connection is counted from the
moment it is accepted, so that a stranger who never finishes has a place like one who says nothing; and of what a client
does not take, no more than a piece is encrypted.
"""

import asyncio
import ssl
from collections import deque
from typing import Any, cast

from gateway.net.connection import Connection
from gateway.net.tls import HANDSHAKE_SIZE, Handshakes
from tsudoi.ops import logs

PIECE = 16_384
"""Bytes that are encrypted at once, one record of TLS; the next when these are on their way."""

logger = logs.get("gateway.tls")


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """What is between a socket and a `Connection`."""

    _raw: asyncio.Transport

    def __init__(self, handshakes: Handshakes, connection: Connection) -> None:
        """Wait for the socket; `connection` is served when its client has shown that it speaks TLS."""
        super().__init__()
        self._handshakes = handshakes
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        """Made when the client says something: it takes more memory than all else of a connection."""
        self._arrived = False
        self._shaken = False
        """The TLS handshake is done."""
        self._said = 0
        """Bytes of it that the client has said."""
        self._turn = False
        """It is waited for: nothing is read meanwhile."""
        self._paused = False
        """The connection wants to hear nothing for now."""
        self._full = False
        """The client does not take what it is told: nothing is read or encrypted meanwhile."""
        self._unsent: deque[memoryview] = deque()
        """What is not encrypted yet."""
        self._closing = False
        self._parting = False
        """We have said goodbye."""

    # --- what happens at the socket (asyncio.BufferedProtocol) ----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come; it has a place from now on, or is turned away."""
        # Not asserted: uvloop's transports are no asyncio.Transport by name.
        self._raw = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if peer is None or not self._connection.arrive(str(peer[0])):
            self._raw.abort()
            return
        self._arrived = True
        # So we are told when all is on its way.
        self._raw.set_write_buffer_limits(0)
        self._handshakes.begin(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where what comes is to be put."""
        return self._handshakes.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self._incoming.write(self._handshakes.buffer[:nbytes])
        if self._shaken:
            self._read()
        else:
            self._said += nbytes
            self._turn = True
            self._mind_reading()
            self._handshakes.wait_turn(self)

    def eof_received(self) -> bool:
        """The client has ended its half, and with it all: who ends a half of TLS says goodbye before."""
        return False

    def pause_writing(self) -> None:
        """The client does not take what it is told."""
        self._full = True
        self._mind_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        self._mind_reading()
        self._encrypt()
        if self._shaken:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is no more."""
        self._handshakes.end(self)
        if self._shaken:
            self._connection.connection_lost(exc)
        elif self._arrived and self._connection.end_unless_connected():
            self._handshakes.counters.tls_failed += 1
        self._unsent.clear()
        self._tls = None
        # A circle, and what the library holds is much: it is not to wait until somebody looks for these.
        del self._connection

    # --- the handshake (Shaking) ----------------------------------------------------------------------------------

    def shake_hands(self) -> None:
        """See `Shaking`."""
        self._turn = False
        if self._raw.is_closing():
            return
        try:
            if self._tls is None:
                context = self._handshakes.credentials.context
                self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            if self._said > HANDSHAKE_SIZE:
                self._fail("it is too long")
            self._mind_reading()
        except ssl.SSLError as exc:
            self._flush()
            self._fail((exc.reason or str(exc)).lower().replace("_", " "))
        else:
            self._shaken = True
            self._handshakes.end(self)
            self._flush()
            self._connection.connection_made(self)
            self._mind_reading()
            self._read()

    def _fail(self, why: str) -> None:
        logger.debug("no TLS handshake", ip=self._connection.ip, why=why)
        self._raw.close()

    def time_is_up(self) -> None:
        """See `Waiting`."""
        self.abort()

    # --- what the connection does (asyncio.Transport) -------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Tell the client something, in time."""
        if not self.is_closing():
            self._unsent.append(memoryview(data))
            self._encrypt()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the client has not been told yet."""
        return sum(map(len, self._unsent)) + self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: `resume_writing` is called whenever something has gone on its way."""

    def pause_reading(self) -> None:
        """Hear nothing for now."""
        self._paused = True
        self._mind_reading()

    def resume_reading(self) -> None:
        """Hear what the client says."""
        if self._paused:
            self._paused = False
            self._mind_reading()
            # Not now: who calls is in the midst of something.
            asyncio.get_running_loop().call_soon(self._read)

    def close(self) -> None:
        """Tell what was written, say goodbye, wait for the client's, and end."""
        if not self.is_closing():
            self._closing = True
            self._paused = False
            self._mind_reading()
            self._encrypt()

    def abort(self) -> None:
        """End it at once."""
        self._raw.abort()

    def is_closing(self) -> bool:
        """Say whether nothing can be written any more."""
        return self._closing or self._raw.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known of the socket."""
        return self._raw.get_extra_info(name, default)

    # --- how ------------------------------------------------------------------------------------------------------

    def _mind_reading(self) -> None:
        if self._turn or self._paused or self._full:
            self._raw.pause_reading()
        elif not self._raw.is_closing():
            self._raw.resume_reading()

    def _read(self) -> None:
        """Hand on what has come; what is said when we have said goodbye is for nobody."""
        ended = False
        try:
            while self._tls is not None and not self._paused and not self._raw.is_closing() and not ended:
                data = self._tls.read(HANDSHAKE_SIZE)
                ended = not data
                if data and not self._closing:
                    self._connection.data_received(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError:
            self.abort()
        self._flush()
        if ended and self._parting:
            self._raw.close()
        elif ended and not self._closing:
            self._connection.eof_received()
            self.close()

    def _encrypt(self) -> None:
        """Encrypt what is to be told, as fast as the client takes it; then say goodbye, if it is time for that."""
        while self._tls is not None and self._unsent and not self._full and not self._raw.is_closing():
            data = self._unsent.popleft()
            try:
                rest = data[self._tls.write(data[:PIECE]) :]
            except ssl.SSLError:
                self.abort()
                return
            if rest:
                self._unsent.appendleft(rest)
            self._flush()
        if self._closing and not self._unsent and not self._parting:
            self._part()

    def _part(self) -> None:
        self._parting = True
        if self._tls is None or self._raw.is_closing():
            return
        self._handshakes.waits.begin(self)
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            # It speaks on, which is for nobody.
            self._flush()
            self._raw.close()
        else:
            self._flush()
            self._raw.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())
