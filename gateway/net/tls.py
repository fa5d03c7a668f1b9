"""TLS at a TCP door: the certificate, and whose handshake is computed when; `tls_transport.py` has one connection."""

import asyncio
import binascii
import os
import re
import ssl
import stat
from collections import deque
from typing import NoReturn, Protocol

from gateway.config import TlsFiles
from gateway.counters import Counters
from gateway.net.waits import Waiting, Waits
from tsudoi.ops import logs
from tsudoi.protocol.errors import SettingError

HANDSHAKE_S = 5.0
"""How long the TLS handshake may take, from the first moment of the connection; and a client's goodbye, from ours."""
HANDSHAKES_A_TURN = 8
"""Steps of TLS handshakes that are computed before the loop looks at what else has happened. With an EC key that is
two milliseconds, with RSA of 4,096 bits 25; more at once would be no faster, as a turn by itself costs little."""
HANDSHAKE_SIZE = 16_384
"""Bytes that a client may say before its TLS handshake is done: many times as many as one takes."""
MAX_SIZE = 2**20
RSA_BITS = 2_048
"""With twice as many, a TLS handshake takes ten times as long."""

#  | rsaEncryption, NULL | BIT STRING: size | SEQUENCE: size | INTEGER: size, 0, modulus | …   in a certificate, once
_RSA_KEY = re.compile(
    rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82..\x00\x30\x82..\x02\x82(..)\x00", re.DOTALL
)

logger = logs.get("gateway.tls")


class Credentials:
    """The certificate that is shown to who comes now."""

    def __init__(self, files: TlsFiles) -> None:
        """Read it.

        Raises:
            SettingError: as in `load`.
        """
        self.context, self._shown = load(files)
        _warn(self._shown)

    def renew(self, loaded: tuple[ssl.SSLContext, bytes]) -> bool:
        """Show what `load` returned from now on; say whether it is another. Who is connected goes on with the old."""
        before, (self.context, self._shown) = self._shown, loaded
        if self._shown == before:
            return False
        _warn(self._shown)
        return True


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


def rsa_bits(certificates: bytes) -> int:
    """Return how long the RSA key of the first certificate in a PEM file is; 0 if it is very short, or no RSA key."""
    _, _, text = certificates.partition(b"-----BEGIN CERTIFICATE-----")
    try:
        found = _RSA_KEY.search(binascii.a2b_base64(text.partition(b"-----END")[0]))
    except ValueError:
        return 0
    return 0 if found is None else 8 * (int.from_bytes(found[1], "big") - 1)


def _warn(certificates: bytes) -> None:
    bits = rsa_bits(certificates)
    if bits > RSA_BITS:
        logger.warning("a large RSA key makes TLS handshakes slow for all; with an EC key they cost least", bits=bits)


class Shaking(Waiting, Protocol):
    """Whose TLS handshake is not done yet."""

    def shake_hands(self) -> None:
        """Compute the next step of it."""

    def abort(self) -> None:
        """End it."""


class Handshakes:
    """Whose TLS handshakes are going on, for how long, and whose turn it is to be computed.

    A step costs as much as a hundred chat messages, with a large RSA key as thousands: those of all who come at once
    would hold up everybody who chats. So they take turns with all else that happens.
    """

    def __init__(self, credentials: Credentials, counters: Counters) -> None:
        """Begin with nobody.

        Args:
            credentials: what is shown.
            counters: for handshakes that fail.
        """
        self.credentials = credentials
        self.counters = counters
        self.buffer = memoryview(bytearray(HANDSHAKE_SIZE))
        """Where what comes is read to, of all connections: it is taken from there at once."""
        self._loop = asyncio.get_running_loop()
        self.waits = Waits(HANDSHAKE_S)
        """Also of those that wait for a client's goodbye."""
        self._going_on: set[Shaking] = set()
        self._ready: deque[Shaking] = deque()
        """Each once: nothing more is read from it before its turn."""
        self._turn: asyncio.Handle | None = None

    def begin(self, who: Shaking) -> None:
        """It has its time from now, and is to be told when that is up."""
        self._going_on.add(who)
        self.waits.begin(who)

    def end(self, who: Shaking) -> None:
        """It is done, or never will be."""
        self._going_on.discard(who)
        self.waits.end(who)

    def wait_turn(self, who: Shaking) -> None:
        """Something came with which its handshake can go on."""
        self._ready.append(who)
        if self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)

    def end_all(self) -> None:
        """End those that are not done; who is in goes on."""
        for who in list(self._going_on):
            who.abort()

    def _take_turn(self) -> None:
        try:
            for _ in range(min(len(self._ready), HANDSHAKES_A_TURN)):
                self._ready.popleft().shake_hands()
        finally:
            self._turn = self._loop.call_soon(self._take_turn) if self._ready else None


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
