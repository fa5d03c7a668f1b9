"""Read the keys that verify signed tokens from their files, and verify; PROTOCOL.md, "Trust".

The key determines the algorithm, never the token: so a public key is never used as a shared secret, and `none` is not
the algorithm of any key. Imported only if there is a key file: the library costs start-up time and memory.
"""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jwt

from tsudoi.protocol.errors import MalformedMessage, SettingError, WrongPassword

from .key_forms import Key, parse_public_keys, parse_shared_secret

_jws = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """All keys of the issuer."""

    keys: tuple[Key, ...]

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


def load_keys(public: Path | None, secret: Path | None) -> TokenKeys:
    """Return the keys in the files of `--auth-key` and `--auth-secret`, of which one may be missing.

    Raises:
        SettingError: a file can not be read, others may write it (or read a secret in it), or its keys are no good.
    """
    keys = () if public is None else _load(public, parse_public_keys)
    if secret is not None:
        keys += _load(secret, lambda raw: (parse_shared_secret(raw),))
    return TokenKeys(keys)


def _load(path: Path, parse: Callable[[bytes], tuple[Key, ...]]) -> tuple[Key, ...]:
    try:
        raw, mode = path.read_bytes(), path.stat().st_mode
    except OSError as exc:
        raise SettingError(f"can not read the key file {path}: {exc.strerror}") from exc
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingError(f"others may write the key file {path}: chmod go-w {path}")
    try:
        keys = parse(raw)
    except SettingError as exc:
        raise SettingError(f"the key file {path} is of no use: {exc}") from exc
    if mode & stat.S_IROTH and any(key.is_secret for key in keys):
        raise SettingError(f"everybody may read the secret in the key file {path}: chmod o-r {path}")
    return keys
