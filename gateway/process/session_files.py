"""Read the service's secret for sessions of version 2, and the certificate that it shows; make them at the first start.

Gateways with the same file take over each other's sessions. It has a secret a line, 32 bytes or more in hexadecimal:
the first is for new sessions, the others are still taken. Beside it, in FILE.pem, is the certificate with its key.
"""

import dataclasses
import datetime
import secrets
import stat
import tempfile
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import time

from tsudoi.ops import logs
from tsudoi.ops.is_there import is_there
from tsudoi.ops.new_file import new_file
from tsudoi.protocol.errors import SettingError

from ..config import Config
from ..listeners.options import TlsFiles
from ..listeners.tls import Certificate
from ..sealed.keys import SECRET_SIZE, SessionKeys

logger = logs.get("gateway")

LASTS = datetime.timedelta(days=3650)
"""Clients know the certificate by its fingerprint; a new one would alarm them."""
MAX_SECRETS = 8
"""Each costs a hash for every session that is none of this service's."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """What sessions are made with."""

    keys: SessionKeys
    file: Path | None = None
    """The file with their secrets; None: they are of this process alone."""
    operators: Certificate | None = None
    """The operator's certificate (`--tls-cert`)."""
    own: Certificate | None = None
    """Else the one that was made here."""
    why_not_kept: str = ""
    """Why the files are of this run alone, so that a later one has another secret, and another certificate of its own;
    empty: they are kept."""

    @property
    def shown(self) -> Certificate | None:
        """The certificate for clients that speak TLS at ordinary listeners; None: they can not."""
        return self.operators or self.own

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate that clients are shown, in hexadecimal; empty: they are shown none."""
        return self.shown.sha256 if self.shown is not None else ""


class _NoPlace(SettingError):
    """A file can be neither read nor made."""


def open_sessions(config: Config, stack: ExitStack | AsyncExitStack) -> Sessions:
    """Return what the files have, and make those that are missing.

    A gateway without a broker of its own can do without a folder, as in a container that can not be written: it then
    has temporary files, until the end of `stack`.

    Raises:
        SettingError: a file can not be read, or has something else; or there is no place for temporary ones either.
    """
    try:
        return _open(config, config.session_file)
    except _NoPlace as exc:
        if config.session_secret is not None or not config.broker:
            raise
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tsudoi-"))  # mode 0700
        except OSError as other:
            raise SettingError(f"{exc}; nor is there a temporary folder: {other.strerror}") from exc
        return dataclasses.replace(_open(config, Path(folder, "session-secret")), why_not_kept=str(exc))


def _open(config: Config, path: Path) -> Sessions:
    keys = SessionKeys(_read_or_make(path))
    if config.tls is not None:
        return Sessions(keys, path, Certificate(config.tls))
    return Sessions(keys, path, own=_own_certificate(path.with_name(f"{path.name}.pem")))


def warn(config: Config, sessions: Sessions) -> None:
    """Log what sessions lack."""
    if sessions.why_not_kept:
        logger.warning(
            "no later run can serve the sessions made here, and it shows another certificate, which clients refuse: "
            "name a file that can be written with --session-secret",
            why=sessions.why_not_kept,
        )
    elif config.session_secret is None and config.broker:
        logger.warning(
            "gateways on other machines can not serve the sessions made here: give all a copy of this file, with "
            "--session-secret",
            file=str(config.session_file),
        )
    if sessions.operators is not None:
        warn_of_certificate(sessions.operators)


def warn_of_certificate(certificate: Certificate) -> None:
    """Log it if clients refuse the certificate for its dates: a refusing client does not say why."""
    if why := certificate.why_refused(time()):
        logger.warning(
            "clients of TLS refuse the certificate: renew it (--tls-cert), and send SIGHUP; or set the clock", why=why
        )


def _read_or_make(path: Path) -> list[bytes]:
    """Return the secrets in a file; make it with one if there is none."""
    try:
        if not is_there(path):
            _make_secret(path)
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingError(f"{path} is open to others: chmod 600 {path}")
        lines = path.read_text().split()
        found = [bytes.fromhex(line) for line in lines]
    except OSError as exc:
        raise _NoPlace(f"can not read --session-secret {path}: {exc.strerror}") from exc
    except ValueError:
        found = []
    if not found or len(found) > MAX_SECRETS or any(not SECRET_SIZE <= len(secret) <= 64 for secret in found):
        raise SettingError(
            f"{path} has no secrets: up to {MAX_SECRETS} lines of 64 to 128 hexadecimal digits (openssl rand -hex 32)"
        )
    return found


def _make_secret(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as unfinished:
            unfinished.write_text(f"{secrets.token_hex(SECRET_SIZE)}\n")
    except FileExistsError:
        pass  # another gateway was faster
    except OSError as exc:
        raise _NoPlace(f"can not make the file for --session-secret {path}: {exc.strerror}") from exc


def _own_certificate(path: Path) -> Certificate:
    """Return the certificate that this service has made for itself, kept in a file."""
    try:
        if not is_there(path):
            with new_file(path) as unfinished:
                unfinished.write_bytes(_make_certificate())
    except FileExistsError:
        pass  # another gateway was faster
    except OSError as exc:
        raise _NoPlace(f"can not make the certificate {path}: {exc.strerror}") from exc
    return Certificate(TlsFiles(path, path))


def _make_certificate() -> bytes:
    """Return a new self-signed certificate and its key, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tsudoi")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LASTS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("tsudoi")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + secret
