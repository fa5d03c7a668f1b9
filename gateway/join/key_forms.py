"""Return the keys in a key file's bytes: the issuer's public keys, or one shared secret.

Public keys come as PEM (with comments), DER or its base64, lines of OpenSSH, a JWK or a JWK set. A shared secret is
never guessed: it has a setting of its own, or is a JWK of type `oct`, so a public key in an unknown form is never taken
for one.
"""

import base64
import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tsudoi.protocol.errors import SettingError

try:
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import (
        load_der_public_key,
        load_pem_public_key,
        load_ssh_public_key,
    )
except ImportError as exc:  # pragma: no cover - the project's own environments have it
    raise SettingError(f"signed tokens need the extra `auth` (pip install 'tsudoi[auth]'): {exc}") from exc

MIN_SECRET = 32
"""Bytes of a shared secret; no fewer than its hash has (RFC 7518, section 3.2)."""
MIN_RSA_BITS = 2048
ALGORITHMS = frozenset({"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"})

_PEM = b"-----BEGIN "
_SSH = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")
_UNFIT = (ValueError, TypeError, UnsupportedAlgorithm)
"""What the library raises for bytes that are none of what it was asked for."""

PRIVATE = "it has a private key, which only the issuer of tokens should have; give the public one"
CERTIFICATE = "it is a certificate: give its public key alone (openssl x509 -pubkey -noout -in FILE)"
UNKNOWN = (
    "it is no public key in a form that is known here (PEM, DER, OpenSSH, JWK, JWK set); a shared secret is for"
    " --auth-secret FILE"
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and the one algorithm that it is used with."""

    id: str | None
    """The issuer's name for it (`kid`)."""
    algorithm: str
    material: Any = None
    """In the library's form."""

    @property
    def is_secret(self) -> bool:
        """Whether it could also sign."""
        return self.algorithm.startswith("HS")

    def __repr__(self) -> str:
        return f"<{self.algorithm} key {self.id or 'without a name'}>"


def parse_public_keys(raw: bytes) -> tuple[Key, ...]:
    """Return the keys in the bytes of `--auth-key`'s file: public ones, or a JWK set's.

    Raises:
        SettingError: the form is unknown or of no use, or a key is too weak, private, or of an unknown kind.
    """
    text = raw.removeprefix(codecs.BOM_UTF8).strip()
    if not text:
        raise SettingError("it is empty")
    if text.startswith((b"{", b"[")):
        keys = tuple(_from_json(text))
    elif b"PRIVATE KEY-----" in text:
        raise SettingError(PRIVATE)
    elif b"-----BEGIN CERTIFICATE-----" in text:
        raise SettingError(CERTIFICATE)
    else:
        try:
            keys = tuple(map(_public, _load(raw, text)))
        except _UNFIT as exc:
            raise SettingError(UNKNOWN) from exc
    if not keys:
        raise SettingError("it has no keys")
    return keys


def parse_shared_secret(raw: bytes) -> Key:
    """Return the secret in the bytes of `--auth-secret`'s file: one line of text, without the white space around it.

    Raises:
        SettingError: it is too short, no line of text, or has the form of a key.
    """
    if raw.startswith(codecs.BOM_UTF8):
        raise SettingError("it begins with a byte order mark, which the issuer may take for a part of it: remove that")
    secret = raw.strip()
    if len(secret) >= MIN_SECRET and _has_form_of_key(secret):
        raise SettingError("it has the form of a key and not of a shared secret: a public key is for --auth-key FILE")
    try:
        is_line = secret.decode().isprintable()
    except UnicodeDecodeError:
        is_line = False
    if not is_line:
        raise SettingError("it is not one line of text: make it with openssl rand -hex 32")
    return _secret(None, "HS256", secret)


def _has_form_of_key(text: bytes) -> bool:
    if text.startswith((b"{", b"[", *_SSH)) or b"---- BEGIN " in text:
        return True
    try:
        der = _der(text)
    except ValueError:
        return False
    # Every key and certificate is one SEQUENCE, as long as it says.
    size = der[1] - 0x80 if der[1] >= 0x80 else 0
    length = int.from_bytes(der[2 : 2 + size], "big") if size else der[1]
    return der[0] == 0x30 and len(der) == 2 + size + length


def _load(raw: bytes, text: bytes) -> list[Any]:
    """Return the library's keys; raise one of `_UNFIT`. `text` is `raw` without what may stand around a text."""
    if _PEM in text:
        return [load_pem_public_key(_PEM + block) for block in text.split(_PEM)[1:]]
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(b"#")]
    if lines and lines[0].startswith(_SSH):
        return [load_ssh_public_key(line) for line in lines]
    return [load_der_public_key(_der(raw))]


def _der(raw: bytes) -> bytes:
    """Return DER, which may be in base64; raise ValueError."""
    return base64.b64decode(b"".join(raw.split()), validate=True) if raw.isascii() else raw


def _public(key: Any) -> Key:
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise SettingError(f"its RSA key has {key.key_size} bits; {MIN_RSA_BITS} is the least")
        return Key(None, "RS256", key)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Key(None, "ES256", key)
    if isinstance(key, Ed25519PublicKey):
        return Key(None, "EdDSA", key)
    raise SettingError("its key is neither RSA, P-256 nor Ed25519")


def _from_json(raw: bytes) -> Iterator[Key]:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise SettingError("it begins as a JWK does and is none") from exc
    keys = found if isinstance(found, list) else found.get("keys", [found])
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise SettingError('"keys" is not a list of keys')
    for key in keys:
        if key.get("use", "sig") == "sig":
            yield _from_jwk(key)


def _from_jwk(fields: dict[str, Any]) -> Key:
    if fields.get("kty") != "oct" and "d" in fields:
        raise SettingError(PRIVATE)
    named = fields.get("kid")
    try:
        key = jwt.PyJWK(fields)
    except (jwt.PyJWTError, KeyError, AttributeError, *_UNFIT) as exc:
        # The library does not check that all fields of a key are there, nor their types.
        raise SettingError(f"its key {named or ''} is none that is known here".replace("  ", " ")) from exc
    if key.algorithm_name not in ALGORITHMS:
        raise SettingError(f"its algorithm {key.algorithm_name} is not one of {', '.join(sorted(ALGORITHMS))}")
    if key.algorithm_name.startswith("HS"):
        return _secret(named, key.algorithm_name, key.key)
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS:
        raise SettingError(f"its RSA key has {key.key.key_size} bits; {MIN_RSA_BITS} is the least")
    return Key(named if isinstance(named, str) else None, key.algorithm_name, key.key)


def _secret(named: Any, algorithm: str, secret: bytes) -> Key:
    if len(secret) < MIN_SECRET:
        raise SettingError(f"its secret has {len(secret)} bytes; {MIN_SECRET} is the least (openssl rand -hex 32)")
    return Key(named if isinstance(named, str) else None, algorithm, secret)
