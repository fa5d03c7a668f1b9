"""Recognise the form of a key file's bytes, and return its keys: the issuer's public keys, or one shared secret.

Public keys come as PEM (with comments, or a byte order mark), DER, bare base64 of DER, lines of OpenSSH, a JWK or a JWK
set. A form that is known and of no use here is refused by its name, with what to do. A shared secret is never guessed:
it has a setting of its own, or is a JWK of type `oct`, so a public key in an unknown form is never taken for one.
"""

import base64
import binascii
import codecs
import re
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
        load_der_private_key,
        load_der_public_key,
        load_pem_public_key,
        load_ssh_public_key,
    )
    from cryptography.x509 import load_der_x509_certificate
except ImportError as exc:  # pragma: no cover - the project's own environments have it
    raise SettingError(f"signed tokens need the extra `auth` (pip install 'tsudoi[auth]'): {exc}") from exc

MIN_SECRET = 32
"""Bytes of a shared secret; no fewer than its hash has (RFC 7518, section 3.2)."""
MIN_RSA_BITS = 2048
ALGORITHMS = frozenset({"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"})

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]{40,}={0,2}\s*")
_SSH = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")
_TAGS = b"\x02\x03\x04\x05\x06"
"""Of DER, one of which is in every key."""
_UNFIT = (ValueError, TypeError, UnsupportedAlgorithm)
"""What the library raises for bytes that are none of what it was asked for."""

PRIVATE = "it has a private key, which only the issuer of tokens should have; give the public one"
CERTIFICATE = "it is a certificate: give its public key alone (openssl x509 -pubkey -noout -in FILE)"
PKCS7 = "it is a PKCS #7 bundle: give the public key alone (openssl pkcs7 -print_certs, openssl x509 -pubkey -noout)"
SSH2 = "it is a public key in the form of RFC 4716: convert it (ssh-keygen -i -f FILE)"
PGP = "it is a PGP key, with which no token is signed: give a public key in PEM"
UNKNOWN = (
    "it is no public key in a form that is known here (PEM, DER, OpenSSH, JWK, JWK set); a shared secret is for"
    " --auth-secret FILE"
)
_LABELS = {b"CERTIFICATE": CERTIFICATE, b"TRUSTED CERTIFICATE": CERTIFICATE, b"PKCS7": PKCS7, b"CMS": PKCS7}


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
    if _is_der(raw):
        return (_from_der(raw),)
    text = _as_utf8(raw).strip()
    if not text:
        raise SettingError("it is empty")
    if text.startswith((b"{", b"[")):
        keys = tuple(_from_json(text))
    elif b"-----BEGIN " in text:
        keys = tuple(_from_pem(text))
    elif any(line.startswith(_SSH) for line in text.splitlines()):
        keys = tuple(_from_ssh(text))
    elif (der := _bare_base64(text)) is not None:
        keys = (_from_der(der),)
    else:
        raise SettingError(_unknown(text))
    if not keys:
        raise SettingError("it has no keys")
    return keys


def parse_shared_secret(raw: bytes) -> Key:
    """Return the secret in the bytes of `--auth-secret`'s file: one line of text, without the white space around it.

    Raises:
        SettingError: it is too short, no line of text, or has the form of a key.
    """
    if raw.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
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


def _as_utf8(raw: bytes) -> bytes:
    """Return a text in UTF-8 without its byte order mark; PowerShell, for example, writes UTF-16."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding, errors="replace").encode()
    return raw.removeprefix(codecs.BOM_UTF8)


def _has_form_of_key(text: bytes) -> bool:
    has_mark = text.startswith((b"{", b"[", *_SSH)) or b"---- BEGIN " in text or b"-----BEGIN " in text
    return has_mark or _is_der(text) or _bare_base64(text) is not None


def _is_der(raw: bytes) -> bool:
    """Return whether bytes are one SEQUENCE in DER, as every key and certificate is: as long as it says."""
    # A text may begin with the digit 0, which is 30 in hexadecimal, but it has no tags.
    if raw[:1] != b"\x30" or len(raw) < 40 or min(raw) > max(_TAGS):
        return False
    if raw[1] < 0x80:
        return raw[1] + 2 == len(raw)
    size = raw[1] & 0x7F
    return int.from_bytes(raw[2 : 2 + size], "big") + 2 + size == len(raw)


def _bare_base64(text: bytes) -> bytes | None:
    """Return the DER in a text that is nothing but its base64; None if it is not."""
    if not _BASE64.fullmatch(text):
        return None
    try:
        der = base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return None
    return der if _is_der(der) else None


def _unknown(text: bytes) -> str:
    if text.startswith(b"---- BEGIN SSH2"):
        return SSH2
    if text.startswith(b"eyJ"):
        return "it is a signed token, and no key"
    if text.startswith(b"<"):
        return "it is XML: give the public key in PEM, or as a JWK"
    return UNKNOWN


# --- the forms ----------------------------------------------------------------------------------------------------


def _from_pem(text: bytes) -> Iterator[Key]:
    if b"PRIVATE KEY-----" in text:
        raise SettingError(PRIVATE)
    text = text.replace(b"\\n", b"\n")  # as in a variable of the environment
    found = list(_PEM.finditer(text))
    if len(found) != text.count(b"-----BEGIN "):
        raise SettingError("it has a block in PEM without its end, so no keys")
    for each in found:
        block, label = each[0], each[1]
        if label in _LABELS:
            raise SettingError(_LABELS[label])
        if label.startswith(b"PGP"):
            raise SettingError(PGP)
        if label not in (b"PUBLIC KEY", b"RSA PUBLIC KEY"):
            raise SettingError(f"it has a block {label.decode()!r} in PEM; give a PUBLIC KEY alone")
        try:
            yield _public(load_pem_public_key(block))
        except _UNFIT as exc:
            raise SettingError("it is no public key in PEM") from exc


def _from_ssh(text: bytes) -> Iterator[Key]:
    for line in text.splitlines():
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            yield _public(load_ssh_public_key(line))
        except _UNFIT as exc:
            what = "an OpenSSH certificate" if b"-cert-v01@" in line else "no public key of OpenSSH that is known here"
            raise SettingError(f"it is {what}: give the public key in PEM (ssh-keygen -e -m PKCS8 -f FILE)") from exc


def _from_der(raw: bytes) -> Key:
    try:
        return _public(load_der_public_key(raw))
    except _UNFIT:
        pass
    try:
        load_der_private_key(raw, None)
    except TypeError:
        raise SettingError(PRIVATE) from None  # it has a passphrase
    except _UNFIT:
        pass
    else:
        raise SettingError(PRIVATE)
    try:
        load_der_x509_certificate(raw)
    except _UNFIT as exc:
        # The object identifier of PKCS #7's signedData.
        known = PKCS7 if b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" in raw[:32] else "it is DER, and no public key"
        raise SettingError(known) from exc
    raise SettingError(CERTIFICATE)


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
    if keys == [found] and "jwks_uri" in found:
        raise SettingError("it is an OpenID configuration: give the JWK set that its jwks_uri names")
    if keys == [found] and "kty" not in found and b"-----BEGIN CERTIFICATE" in raw:
        raise SettingError("it is a table of certificates: give the issuer's JWK set")
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
