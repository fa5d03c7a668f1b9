"""Load the certificate that clients of TLS are shown."""

import hashlib
import math
import ssl
import stat
from datetime import UTC, datetime
from typing import NoReturn

from tsudoi.protocol.errors import SettingError

from .options import TlsFiles

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Certificate:
    """The certificate and key that clients are shown."""

    def __init__(self, files: TlsFiles) -> None:
        """Read both files; raises what `load` raises."""
        self.context, self._pem = load(files)

    @property
    def sha256(self) -> str:
        """The fingerprint that clients remember: of the certificate, without those of its authority."""
        return hashlib.sha256(self._der).hexdigest()

    @property
    def expires_at(self) -> float:
        """When clients begin to refuse it, in Unix seconds; NaN: that can not be read."""
        return self._validity[1]

    def why_refused(self, now: float) -> str:
        """Return why clients refuse it at `now`, in Unix seconds; empty: its time has come and is not over."""
        begins_at, expires_at = self._validity
        if now > expires_at:
            return f"it has expired at {datetime.fromtimestamp(expires_at, UTC):%Y-%m-%d %H:%M} UTC"
        if now < begins_at:
            return f"it is not valid before {datetime.fromtimestamp(begins_at, UTC):%Y-%m-%d %H:%M} UTC"
        return ""

    @property
    def _validity(self) -> tuple[float, float]:
        from cryptography import x509

        try:
            read = x509.load_der_x509_certificate(self._der)
        except ValueError:  # it is stricter than OpenSSL, which has taken the certificate
            return math.nan, math.nan
        return read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp()

    @property
    def _der(self) -> bytes:
        _, _, rest = self._pem.decode("ascii", "ignore").partition(_BEGIN)
        return ssl.PEM_cert_to_DER_cert(_BEGIN + rest.partition(_END)[0] + _END)

    def replace(self, loaded: tuple[ssl.SSLContext, bytes]) -> bool:
        """Show what `load` returned to new clients; return whether it differs. Open connections keep the old one."""
        before, (self.context, self._pem) = self._pem, loaded
        return self._pem != before


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
        pem = certificate.read_bytes()
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
