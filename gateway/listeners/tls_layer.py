"""TLS on a connection that began like any other: bytes in, bytes out, by the standard library's `ssl`; no sockets.

The listener need not know beforehand which client speaks TLS, so clients that do not pay nothing for it.
"""

import contextlib
import ssl

RECORD = b"\x16\x03"
"""How a TLS connection begins: a handshake record of version 3. No request does: there is no operation 3."""
MAX_UNREAD = 65_536
"""Bytes that a client may have sent in vain: a handshake has less."""
_PIECE = 16_384


class TlsLayer:
    """The server's end of one TLS connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Begin to shake hands."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self.is_open = False
        """The handshake is done."""
        self.has_ended = False
        """The client has said that it sends no more."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the client; return what they say. `take` what is to be sent afterwards, also after an error.

        Raises:
            ssl.SSLError: the client does not speak TLS as it should, or breaks off the handshake.
        """
        self._in.write(data)
        if not self.is_open:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                if self._in.pending > MAX_UNREAD:
                    raise ssl.SSLError("the handshake is too long") from None
                return b""
            self.is_open = True
        pieces = []
        try:
            while piece := self._tls.read(_PIECE):
                pieces.append(piece)
            self.has_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        return b"".join(pieces)

    def send(self, data: bytes) -> bytes:
        """Return the bytes that carry some data."""
        self._tls.write(data)
        return self._out.read()

    def take(self) -> bytes:
        """Return what TLS itself has to send."""
        return self._out.read()

    def close(self) -> bytes:
        """Return the bytes that say that nothing more is sent."""
        with contextlib.suppress(ssl.SSLError):  # the client has not said the same yet, and need not
            self._tls.unwrap()
        return self._out.read()
