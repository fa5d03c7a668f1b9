"""TLS of one connection: bytes in, bytes out, by the standard library's `ssl`; no sockets.

It checks records first: the library limits neither the size of a handshake nor the number of empty records.
"""

import contextlib
import ssl

from ..explain.other_protocols import TLS_RECORD

_HEADER_SIZE = 5
_LONGEST = 16_384 + 256
"""Bytes of a record behind its header, at the most (RFC 8446, section 5.2)."""
HANDSHAKE = 16_384
"""Bytes of a client's handshake; with keys against quantum computers it has two thousand. A ClientHello must not
promise more, either: ten bytes that promise the most make the library take 154 KiB."""
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""In a server's answer that asks for another ClientHello (RFC 8446, section 4.1.3)."""
IN_VAIN = 64
"""Records that say nothing, of a connection: its handshake has five. Key updates, of 27 bytes, take 37 µs each, and
the library bounds empty records only (at 32 in a row)."""
_PIECE = 16_384


class Broken(ssl.SSLError):
    """The client speaks TLS as none does that means well."""

    def __init__(self, reason: str) -> None:
        super().__init__(ssl.SSL_ERROR_SSL, reason)
        self.reason = reason


class TlsLayer:
    """The server's end of one TLS connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Begin to shake hands."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._rest = b""
        """Of a record that has not come whole."""
        self._ready = b""
        """Of the server's handshake, to be sent."""
        self._shaken = 0
        """Bytes of the client's handshake so far."""
        self._awaits_hello = True
        """The client's next handshake record begins a ClientHello."""
        self._in_vain = 0
        self.is_open = False
        """The handshake is done."""
        self.has_ended = False
        """The client has said that it sends no more."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the client and return them decrypted; `take` then has what is to be sent, also after an error.

        Raises:
            ssl.SSLError: the client does not speak TLS as it should, or breaks off the handshake.
        """
        data, start, said = self._rest + data, 0, []
        if self._shaken == 0 and not TLS_RECORD.startswith(data[: len(TLS_RECORD)]):
            raise Broken("no TLS")
        while len(data) >= start + _HEADER_SIZE and not self.has_ended:
            size = int.from_bytes(data[start + 3 : start + _HEADER_SIZE])
            if size > _LONGEST:
                raise Broken("a record is too long")
            end = start + _HEADER_SIZE + size
            if len(data) < end:
                break
            if piece := self._take_record(data[start:end]):
                said.append(piece)
            else:
                self._in_vain += 1
                if self._in_vain > IN_VAIN:
                    raise Broken("too many records say nothing")
            start = end
        self._rest = b"" if self.has_ended else data[start:]
        return b"".join(said)

    def _take_record(self, record: bytes) -> bytes:
        if not self.is_open:
            self._look_at_handshake(record)
        self._in.write(record)
        try:
            if not self.is_open:
                self._tls.do_handshake()
                self.is_open = True
            piece = self._tls.read(_PIECE)
        except ssl.SSLWantReadError:
            self._ready += self._out.read()
            self._awaits_hello = not self.is_open and _RETRY in self._ready
            return b""
        except ssl.SSLZeroReturnError:
            piece = b""
        self.has_ended = not piece
        return piece

    def _look_at_handshake(self, record: bytes) -> None:
        """Raise `Broken` if it would take too much memory."""
        self._shaken += len(record)
        promised = 0
        if self._awaits_hello and record.startswith(TLS_RECORD):
            # | record's header: 5 | message's type: 1 | its size: 3 | …
            promised = int.from_bytes(record[6:9]) if len(record) >= 9 else HANDSHAKE + 1
        if max(promised, self._shaken) > HANDSHAKE:
            raise Broken("the handshake is too long")

    def send(self, data: bytes) -> bytes:
        """Return the bytes that carry some data."""
        self._tls.write(data)
        return self._out.read()

    def take(self) -> bytes:
        """Return what TLS itself has to send."""
        ready, self._ready = self._ready, b""
        return ready + self._out.read()

    def close(self) -> bytes:
        """Return the bytes that say that nothing more is sent."""
        with contextlib.suppress(ssl.SSLError):  # the client has not said the same yet, and need not
            self._tls.unwrap()
        return self._out.read()
