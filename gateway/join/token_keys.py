"""Read the keys that verify signed tokens from their file, and verify; PROTOCOL.md, "Trust".

The key determines the algorithm, never the token: so a public key is never used as a shared secret, and `none` is not
the algorithm of any key. Imported only if there is a key file: the library costs start-up time and memory.
"""

import hashlib
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tsudoi.protocol.errors import MalformedMessage, SettingError, WrongPassword

try:
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
except ImportError as exc:  # pragma: no cover - the project's own environments have it
    raise SettingError(f"signed tokens need the extra `auth` (pip install 'tsudoi[auth]'): {exc}") from exc

MIN_SECRET = 32
"""Bytes of a shared secret; no fewer than its hash has (RFC 7518, section 3.2)."""
MIN_RSA_BITS = 2048
ALGORITHMS = frozenset({"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"})

_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
_jws = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and the one algorithm that it is used with."""

    id: str | None
    """The issuer's name for it (`kid`)."""
    algorithm: str
    material: Any = None
    """In the library's form."""

    def __repr__(self) -> str:
        return f"<{self.algorithm} key {self.id or 'without a name'}>"


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """All keys of a file."""

    keys: tuple[Key, ...]
    secret: bool
    """A shared secret is among them: it could also sign, so others may not read the file."""
    digest: bytes = field(repr=False)
    """A hash of the file."""

    def verify_untrusted(self, token: str) -> bytes:
        """Return the claims (bytes that should be JSON) in a token that one of the keys has signed.

        Raises:
            MalformedMessage: the text is no signed token.
            WrongPassword: none of the keys has signed it.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, RecursionError) as exc:
            raise MalformedMessage("the token can not be read") from exc
        named = header.get("kid")
        for key in self.keys:
            if key.algorithm != header.get("alg") or (named is not None and key.id not in (None, named)):
                continue
            try:
                claims: bytes = _jws.decode(token, key.material, algorithms=[key.algorithm])
            except jwt.PyJWTError:
                continue
            return claims
        raise WrongPassword("the token is not signed by a key that is known here")


def load_keys(path: Path) -> TokenKeys:
    """Return the keys in a file.

    Raises:
        SettingError: the file can not be read, others may write it (or read a secret in it), or its keys are no good.
    """
    try:
        raw, mode = path.read_bytes(), path.stat().st_mode
    except OSError as exc:
        raise SettingError(f"can not read the key file {path}: {exc.strerror}") from exc
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingError(f"others may write the key file {path}: chmod go-w {path}")
    try:
        keys = parse_keys(raw)
    except SettingError as exc:
        raise SettingError(f"the key file {path} is of no use: {exc}") from exc
    if keys.secret and mode & stat.S_IROTH:
        raise SettingError(f"everybody may read the secret in the key file {path}: chmod o-r {path}")
    return keys


def parse_keys(raw: bytes) -> TokenKeys:
    """Return the keys in the bytes of a key file.

    It has PEM public keys (RSA, P-256 or Ed25519; one after the other), or a JWK or a JWK set (RFC 7517). Anything else
    is a shared secret, without the white space around it.

    Raises:
        SettingError: a key can not be read, is too weak, or is a private key, which only the issuer should have.
    """
    raw = raw.strip()
    if raw.startswith(b"-----BEGIN"):
        keys = tuple(_from_pem(match[0], match[1]) for match in _PEM.finditer(raw))
    elif raw.startswith(b"{"):
        keys = _from_json(raw)
    else:
        keys = (_secret(None, "HS256", raw),)
    if not keys:
        raise SettingError("it has no keys")
    return TokenKeys(keys, any(key.algorithm.startswith("HS") for key in keys), hashlib.sha256(raw).digest())


def _from_pem(block: bytes, label: bytes) -> Key:
    if label.endswith(b"PRIVATE KEY"):
        raise SettingError("it has a private key, which only the issuer of tokens should have; give the public one")
    try:
        key = load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise SettingError("it is no public key in PEM") from exc
    if isinstance(key, RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise SettingError(f"its RSA key has {key.key_size} bits; {MIN_RSA_BITS} is the least")
        return Key(None, "RS256", key)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Key(None, "ES256", key)
    if isinstance(key, Ed25519PublicKey):
        return Key(None, "EdDSA", key)
    raise SettingError("its key is neither RSA, P-256 nor Ed25519")


def _from_json(raw: bytes) -> tuple[Key, ...]:
    try:
        found = msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise SettingError("it begins as a JWK does and is none") from exc
    keys = found.get("keys", [found])
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise SettingError('"keys" is not a list of keys')
    return tuple(_from_jwk(key) for key in keys if key.get("use", "sig") == "sig")


def _from_jwk(fields: dict[str, Any]) -> Key:
    if fields.get("kty") != "oct" and "d" in fields:
        raise SettingError("it has a private key, which only the issuer of tokens should have; give the public one")
    named = fields.get("kid")
    try:
        key = jwt.PyJWK(fields)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm) as exc:
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
