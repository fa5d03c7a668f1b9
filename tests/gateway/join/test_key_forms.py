"""gateway/join/key_forms.py: a public key in any form is taken for what it is, and never for a shared secret."""

import base64
import datetime
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.join.key_forms import MIN_SECRET, parse_public_keys, parse_shared_secret
from tsudoi.protocol.errors import SettingError

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
KEYS: dict[str, Any] = {"RS256": RSA, "ES256": P256, "EdDSA": ED25519}


def public(
    key: Any, encoding: Encoding = Encoding.PEM, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo
) -> bytes:
    found: bytes = key.public_key().public_bytes(encoding, form)
    return found


def der(key: Any) -> bytes:
    return public(key, Encoding.DER)


def jwk(key: Any, algorithm: str) -> dict[str, Any]:
    found = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    assert isinstance(found, dict)
    return found


def a_certificate(encoding: Encoding) -> bytes:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")]), datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(RSA.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
    return builder.sign(RSA, hashes.SHA256()).public_bytes(encoding)


PUBLIC: dict[str, Callable[[Any], bytes]] = {
    "PEM": public,
    "PEM with a byte order mark": lambda key: b"\xef\xbb\xbf" + public(key),
    "PEM below a comment": lambda key: b"# signing key of the website\n" + public(key),
    "PEM with text on both sides": lambda key: b"Public-Key: (2048 bit)\n" + public(key) + b"\nthe end",
    "PEM of Windows": lambda key: public(key).replace(b"\n", b"\r\n"),
    "DER": der,
    "base64 of DER": lambda key: base64.b64encode(der(key)) + b"\n",
    "base64 of DER in lines": lambda key: base64.encodebytes(der(key)),
    "OpenSSH": lambda key: public(key, Encoding.OpenSSH, PublicFormat.OpenSSH) + b" alice@example\n",
    "OpenSSH below a comment": lambda key: b"# mine\n\n" + public(key, Encoding.OpenSSH, PublicFormat.OpenSSH),
}


@pytest.mark.parametrize("form", PUBLIC)
@pytest.mark.parametrize("algorithm", KEYS)
def test_a_public_key_is_understood_in_each_form(form: str, algorithm: str) -> None:
    key = KEYS[algorithm]
    (found,) = parse_public_keys(PUBLIC[form](key))
    assert found.algorithm == algorithm
    assert found.material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == der(key)
    assert not found.is_secret


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_jwk_is_understood_alone_in_a_set_in_a_list_and_with_a_byte_order_mark(algorithm: str) -> None:
    one = jwk(KEYS[algorithm], algorithm)
    for raw in (json.dumps(one), json.dumps({"keys": [one]}), json.dumps([one]), json.dumps(one, indent=2)):
        for mark in (b"", b"\xef\xbb\xbf"):
            (found,) = parse_public_keys(mark + raw.encode())
            assert (found.algorithm, found.is_secret) == (algorithm, False)


def test_the_form_of_pkcs1_is_understood() -> None:
    (found,) = parse_public_keys(public(RSA, form=PublicFormat.PKCS1))
    assert found.algorithm == "RS256"


PASSPHRASE = BestAvailableEncryption(b"moon")
PKCS8 = PrivateFormat.PKCS8
UNKNOWN = "no public key in a form that is known"
REFUSED = {
    "private PEM": (RSA.private_bytes(Encoding.PEM, PKCS8, NoEncryption()), "private key"),
    "private PEM, PKCS #1": (
        RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "private key",
    ),
    "private PEM below a comment": (
        b"# mine\n" + P256.private_bytes(Encoding.PEM, PKCS8, NoEncryption()),
        "private key",
    ),
    "private PEM behind a public one": (
        public(ED25519) + ED25519.private_bytes(Encoding.PEM, PKCS8, NoEncryption()),
        "private key",
    ),
    "private PEM with a passphrase": (RSA.private_bytes(Encoding.PEM, PKCS8, PASSPHRASE), "private key"),
    "private OpenSSH": (
        ED25519.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "private key",
    ),
    "private DER": (RSA.private_bytes(Encoding.DER, PKCS8, NoEncryption()), UNKNOWN),
    "private DER of Ed25519": (ED25519.private_bytes(Encoding.DER, PKCS8, NoEncryption()), UNKNOWN),
    "private DER with a passphrase": (RSA.private_bytes(Encoding.DER, PKCS8, PASSPHRASE), UNKNOWN),
    "private base64": (base64.b64encode(P256.private_bytes(Encoding.DER, PKCS8, NoEncryption())), UNKNOWN),
    "private JWK": (b'{"kty": "RSA", "n": "AA", "e": "AQAB", "d": "AA"}', "private key"),
    "certificate": (a_certificate(Encoding.PEM), "certificate.*openssl x509"),
    "certificate in DER": (a_certificate(Encoding.DER), UNKNOWN),
    "certificate in base64": (base64.b64encode(a_certificate(Encoding.DER)), UNKNOWN),
    "certificate below a key": (public(RSA) + a_certificate(Encoding.PEM), "certificate"),
    "certificate request": (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", UNKNOWN),
    "PEM without its end": (public(RSA)[:-20], UNKNOWN),
    "PGP": (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----", UNKNOWN),
    "OpenSSH certificate": (b"ssh-rsa-cert-v01@openssh.com AAAA alice", UNKNOWN),
    "OpenSSH nonsense": (b"ssh-rsa nonsense", UNKNOWN),
    "OpenID configuration": (
        b'{"issuer": "https://example", "jwks_uri": "https://example/keys"}',
        "none that is known",
    ),
    "JSON": (b"[1, 2]", "not a list of keys"),
    "token": (jwt.encode({"exp": 1}, b"a secret of at least thirty-two bytes").encode(), UNKNOWN),
    "DER of something else": (b"\x30\x30" + b"\x02\x01\x00" * 16, UNKNOWN),
    "raw bytes of a public key": (bytes(range(128, 160)), "--auth-secret"),
    "its hexadecimal digits": (bytes(range(32)).hex().encode(), "--auth-secret"),
    "a long text": (b"what a nice day it is to talk about keys", "--auth-secret"),
    "nothing": (b" \n", "empty"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_another_form_is_refused(form: str) -> None:
    raw, words = REFUSED[form]
    with pytest.raises(SettingError, match=words) as told:
        parse_public_keys(raw)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("form", PUBLIC)
def test_no_form_of_a_public_key_is_a_shared_secret(form: str, algorithm: str) -> None:
    with pytest.raises(SettingError):
        parse_shared_secret(PUBLIC[form](KEYS[algorithm]))


@pytest.mark.parametrize("form", [form for form in REFUSED if "private" in form or "certificate" in form])
def test_nor_is_a_private_key_or_a_certificate(form: str) -> None:
    with pytest.raises(SettingError):
        parse_shared_secret(REFUSED[form][0])


@given(st.binary(min_size=MIN_SECRET, max_size=64))
def test_a_secret_as_the_documents_make_it_is_taken(raw: bytes) -> None:
    secret = raw.hex().encode()
    for text in (secret, secret + b"\n", secret + b"\r\n"):
        found = parse_shared_secret(text)
        assert (found.algorithm, found.material, found.is_secret) == ("HS256", secret, True)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"short", "5 bytes; 32 is the least"),
        (b"\xef\xbb\xbf" + b"a" * 40, "byte order mark"),
        (("a" * 40).encode("utf-16"), "not one line"),
        (b"# the secret\n" + b"a" * 40, "not one line"),
        (bytes(range(1, 41)), "not one line"),
        (b'{"kty": "oct", "k": "' + b"A" * 44 + b'"}', "form of a key"),
    ],
)
def test_what_is_no_secret_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        parse_shared_secret(raw)


def test_a_secret_may_stand_in_a_jwk_which_says_that_it_is_one() -> None:
    raw = json.dumps({"kty": "oct", "alg": "HS256", "kid": "one", "k": base64.urlsafe_b64encode(b"s" * 32).decode()})
    (found,) = parse_public_keys(raw.encode())
    assert (found.id, found.algorithm, found.is_secret, found.material) == ("one", "HS256", True, b"s" * 32)
