"""Serve TLS listeners: load the certificate, and bound each connection's handshake; asyncio does the TLS."""

import asyncio
import hashlib
import math
import socket
import ssl
import stat
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from tsudoi.ops import logs
from tsudoi.ops.small_file import read_small, require_small
from tsudoi.protocol.errors import SettingError

from ..counters import Counters
from .accepted import AcceptedConnection
from .options import TlsFiles

HANDSHAKE_S = 5.0
"""How long a TLS handshake may take."""
PEEKED = 64
"""Bytes that are looked at to say why a handshake failed."""
ACCEPT_AGAIN_S = 0.25
"""How long to wait after the system had no descriptor for a new connection."""

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

logger = logs.get("gateway.tls")


class Certificate:
    """The certificate and key that clients are shown."""

    def __init__(self, files: TlsFiles) -> None:
        """Read both files; raises what `load` raises."""
        self.context, self._pem = load(files)

    @classmethod
    def of_pem(cls, pem: bytes) -> "Certificate":
        """Return a certificate and key that are in no file."""
        with tempfile.TemporaryDirectory() as folder:  # `ssl` reads keys from files only; the folder has mode 0700
            path = Path(folder, "pem")
            path.touch(0o600)
            path.write_bytes(pem)
            return cls(TlsFiles(path, path))

    @property
    def sha256(self) -> str:
        """The fingerprint that clients remember: of the certificate, without those of its authority."""
        return hashlib.sha256(self._der).hexdigest()

    @property
    def expires_at(self) -> float:
        """When clients begin to refuse it, in Unix seconds; NaN: that can not be read."""
        from cryptography import x509

        try:
            return x509.load_der_x509_certificate(self._der).not_valid_after_utc.timestamp()
        except ValueError:  # it is stricter than OpenSSL, which has taken the certificate
            return math.nan

    @property
    def _der(self) -> bytes:
        _, _, rest = self._pem.decode("ascii", "ignore").partition(_BEGIN)
        return ssl.PEM_cert_to_DER_cert(_BEGIN + rest.partition(_END)[0] + _END)

    def replace(self, loaded: tuple[ssl.SSLContext, bytes]) -> bool:
        """Show what `load` returned to new clients; return whether it differs. Open connections keep the old one."""
        before, (self.context, self._pem) = self._pem, loaded
        return self._pem != before


class TlsListener:
    """Accepts connections at one socket and does their TLS handshakes.

    A connection counts from the moment it is accepted, so that the limits on connections also hold for clients that
    never finish a handshake. asyncio's own TLS server does not report a connection before that.
    """

    def __init__(
        self,
        sock: socket.socket,
        certificate: Certificate,
        counters: Counters,
        connect: Callable[[], AcceptedConnection],
    ) -> None:
        """Accept from now on; each client is served by a connection from `connect`."""
        self._sock = sock
        self._certificate = certificate
        self._counters = counters
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._next = asyncio.Lock()
        self._accepting = self._loop.create_task(self._accept())

    async def close(self) -> None:
        """Stop accepting, and end unfinished handshakes; established connections stay."""
        tasks = [self._accepting, *self._handshakes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sock.close()

    async def _accept(self) -> None:
        while True:
            try:
                sock, address = await self._loop.sock_accept(self._sock)
            except OSError as exc:
                logger.debug("a connection could not be accepted", why=exc.strerror)
                await asyncio.sleep(ACCEPT_AGAIN_S)
                continue
            connection = self._connect()
            handshake = self._loop.create_task(self._shake_hands(sock, connection))
            if connection.accept(str(address[0]), int(address[1]), handshake.cancel):
                self._handshakes.add(handshake)
                handshake.add_done_callback(partial(self._done, sock, connection))
            else:
                handshake.cancel()
                sock.close()
            # One in each turn of the event loop, however many wait.
            await asyncio.sleep(0)

    async def _shake_hands(self, sock: socket.socket, connection: AcceptedConnection) -> None:
        """Let asyncio call `connection_made` once the handshake is done; raise OSError if it fails."""
        async with asyncio.timeout(HANDSHAKE_S):
            await self._readable(sock)
            connection.peeked = sock.recv(PEEKED, socket.MSG_PEEK)
            # asyncio computes the answer to a client's first bytes as soon as it has them, which costs as much as a
            # hundred chat messages, with an RSA key as thousands. So handshakes begin one by one, with a turn of the
            # event loop between two of them.
            async with self._next:
                await asyncio.sleep(0)
            await self._loop.connect_accepted_socket(lambda: connection, sock, ssl=self._certificate.context)

    async def _readable(self, sock: socket.socket) -> None:
        """Wait for a client's first bytes; until then its connection takes no memory for TLS."""
        came = asyncio.Event()
        self._loop.add_reader(sock, came.set)
        try:
            await came.wait()
        finally:
            self._loop.remove_reader(sock)

    def _done(self, sock: socket.socket, connection: AcceptedConnection, handshake: asyncio.Task[None]) -> None:
        """Free the place of a connection whose handshake failed or was ended."""
        self._handshakes.discard(handshake)
        why = None if handshake.cancelled() else handshake.exception()
        if why is None and not handshake.cancelled():
            return
        if not isinstance(why, OSError | None):
            logger.error("a TLS handshake failed because of a bug", exc_info=why)
        self._counters.tls_failed += 1
        connection.connection_lost(why if isinstance(why, Exception) else None)
        sock.close()


def load(files: TlsFiles) -> tuple[ssl.SSLContext, bytes]:
    """Return the context of a TLS server (1.2 or newer), and the bytes of the certificate's file.

    Raises:
        SettingError: a file can not be read, others can read or write the key, or the two do not belong together.
    """
    certificate, key = files.certificate, files.key

    def has_passphrase() -> NoReturn:
        raise SettingError(f"the TLS key {key} has a passphrase, which can not be asked for here")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        pem = read_small(certificate)
        require_small(key)
        if key.stat().st_mode & (stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH):
            raise SettingError(f"others may read or write the TLS key {key}: chmod 600 {key}")
        context.load_cert_chain(certificate, key, has_passphrase)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise SettingError(f"the TLS key {key} is not that of the certificate {certificate}") from exc
        why = exc.reason.lower().replace("_", " ") if exc.reason else "one of them is something else"
        raise SettingError(f"{certificate} and {key} are no TLS certificate and key (PEM): {why}") from exc
    except OSError as exc:
        raise SettingError(f"can not read {exc.filename or key} for TLS: {exc.strerror}") from exc
    return context, pem
