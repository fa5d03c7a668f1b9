"""TLS at a TCP door: the certificate, and who may come in with it. What is said inside is served like any other.

A connection is counted from the moment it is accepted, and not from the end of its TLS handshake: a stranger who never
finishes that has a place like one who says nothing, and loses it as soon. So we accept by ourselves; asyncio's servers
tell nobody of a connection before its handshake is done.
"""

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Callable
from typing import NoReturn

from gateway.config import TlsFiles
from gateway.counters import Counters
from gateway.net.connection import Connection
from ops import logs
from protocol.errors import SettingError

HANDSHAKE_S = 5.0
"""How long the TLS handshake may take, from the first moment of the connection."""
CLOSE_S = 5.0
"""How long a client may take to say goodbye."""
RETRY_S = 0.1
"""How long to wait when the system has no descriptor for who comes."""
MAX_SIZE = 2**20

logger = logs.get("gateway.tls")


class Credentials:
    """The certificate that is shown to who comes now."""

    def __init__(self, files: TlsFiles) -> None:
        """Read it.

        Raises:
            SettingError: as in `load`.
        """
        self.context, self._shown = load(files)

    def renew(self, loaded: tuple[ssl.SSLContext, bytes]) -> bool:
        """Show what `load` returned from now on; say whether it is another. Who is connected goes on with the old."""
        before, (self.context, self._shown) = self._shown, loaded
        return self._shown != before


def load(files: TlsFiles) -> tuple[ssl.SSLContext, bytes]:
    """Return what a TLS server needs (1.2 or newer), and the certificate's file as it was read.

    Raises:
        SettingError: a file can not be read, others can read or write the key, or the two do not belong together.
    """
    certificate, key = files.certificate, files.key
    shown, _ = _read("certificate", str(certificate))
    _, mode = _read("key", str(key))
    if mode & (stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH):
        raise SettingError(f"others may read or write the TLS key {key}: chmod 600 {key}")

    def has_passphrase() -> NoReturn:
        raise SettingError(f"the TLS key {key} has a passphrase; nobody is here to type it")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(certificate, key, has_passphrase)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise SettingError(f"the TLS key {key} is not that of the certificate {certificate}") from exc
        raise SettingError(f"{certificate} and {key} are no TLS certificate and key (PEM): {_why(exc)}") from exc
    except OSError as exc:
        raise SettingError(f"can not read the TLS certificate {certificate} or its key: {exc.strerror}") from exc
    return context, shown


class TlsListener:
    """Accepts at one TLS door."""

    def __init__(
        self,
        sock: socket.socket,
        credentials: Credentials,
        counters: Counters,
        new_connection: Callable[[], Connection],
        look: Callable[[], None],
    ) -> None:
        """Begin.

        Args:
            sock: listens, and does not block; ours from now on.
            credentials: what is shown.
            counters: for handshakes that fail.
            new_connection: makes what serves one.
            look: called when the system has no descriptor left.
        """
        self._sock = sock
        self._credentials = credentials
        self._counters = counters
        self._new_connection = new_connection
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        """As many as connections are allowed, at most."""
        self._accepting = self._loop.create_task(self._accept())

    async def close(self) -> None:
        """Take nobody any more, and end the handshakes that are not done."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        # Each has begun by now, so each sees that it ends.
        handshakes = list(self._handshakes)
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)
        self._sock.close()

    async def _accept(self) -> None:
        while True:
            try:
                sock, address = await self._loop.sock_accept(self._sock)
            except OSError:
                self._look()
                await asyncio.sleep(RETRY_S)
                continue
            connection = self._new_connection()
            if connection.arrive(str(address[0])):
                task = self._loop.create_task(self._shake_hands(sock, connection))
                self._handshakes.add(task)
                task.add_done_callback(self._handshakes.discard)
            else:
                sock.close()

    async def _shake_hands(self, sock: socket.socket, connection: Connection) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection,
                sock,
                ssl=self._credentials.context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=CLOSE_S,
            )
        except OSError as exc:
            logger.debug("no TLS handshake", ip=connection.ip, why=_why(exc))
        finally:
            if connection.end_unless_connected():
                self._counters.tls_failed += 1


def _read(what: str, path: str) -> tuple[bytes, int]:
    """Return (what a file has, its mode)."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_SIZE + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as exc:
        raise SettingError(f"can not read the TLS {what} {path}: {exc.strerror}") from exc
    if len(raw) > MAX_SIZE:
        raise SettingError(f"the TLS {what} {path} has more than {MAX_SIZE} bytes")
    return raw, mode


def _why(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or "it is not PEM").lower().replace("_", " ")
    return exc.strerror or str(exc) or type(exc).__name__
