"""gateway/join/signed_tokens.py and token_keys.py"""

import base64
import hashlib
import hmac
import json
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.join.key_forms import Key, parse_public_keys, parse_shared_secret
from gateway.join.signed_tokens import (
    LEEWAY_S,
    MAX_TOKEN,
    Identity,
    TokenVerifier,
    load_keys,
    load_verifier,
)
from gateway.join.token_keys import TokenKeys
from tests.support import strategies
from tsudoi.protocol.client.signed_token import is_signed_token, without_token
from tsudoi.protocol.codes import Operation, Rights, Status
from tsudoi.protocol.errors import InvalidName, MalformedMessage, PeerError, SettingError, WrongPassword

CREATE, JOIN = Operation.CREATE, Operation.JOIN
NOW = 1_800_000_000.0
SECRET = b"a secret of at least thirty-two bytes"
ED25519 = ed25519.Ed25519PrivateKey.generate()
OTHER_ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> bytes:
    """The public half, as a website would give it away."""
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public


def a_token(signed_with: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any) -> str:
    """A token as a website makes it; `exp` in a minute unless told otherwise."""
    said = {"name": "alice", "exp": NOW + 60} | claims
    given = {key: value for key, value in said.items() if value is not None}
    return jwt.encode(given, signed_with, algorithm=algorithm, headers={"kid": kid} if kid else None)


def a_verifier(required: bool = False, raw: bytes = SECRET) -> TokenVerifier:
    keys = (parse_shared_secret(raw),) if raw == SECRET else parse_public_keys(raw)
    return TokenVerifier(TokenKeys(keys), required)


def identify(
    token: str,
    password: str | None = None,
    room: str = "den",
    operation: Operation = JOIN,
    verifier: TokenVerifier | None = None,
) -> Identity:
    return (verifier or a_verifier()).identify_untrusted(operation, room, token, password, NOW)


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# --- what a token grants -------------------------------------------------------------------------------------------


def test_a_token_stands_for_the_name() -> None:
    assert identify(a_token(name=" アリス ")) == Identity(name("アリス"), None, Rights.VERIFIED)


def name(text: str) -> Any:
    return text


def test_a_token_in_the_password_leaves_room_for_the_rooms_own() -> None:
    token = a_token()
    assert identify("whoever", token) == Identity(name("alice"), None, Rights.VERIFIED)
    assert identify("whoever", f"{token} moon and stars") == Identity(name("alice"), "moon and stars", Rights.VERIFIED)
    assert identify(token, "moon") == Identity(name("alice"), "moon", Rights.VERIFIED)


def test_the_subject_is_the_name_where_there_is_none() -> None:
    assert identify(a_token(name=None, sub="bob")).user == "bob"


def test_a_token_without_a_name_lets_its_bearer_choose_and_vouches_for_nothing() -> None:
    assert identify("carol", a_token(name=None)) == Identity(name("carol"), None, Rights(0))
    with pytest.raises(InvalidName):
        identify(a_token(name=None))


def test_a_moderator_is_one_in_every_room_that_the_token_is_for() -> None:
    assert identify(a_token(moderator=True)).rights == Rights.VERIFIED | Rights.MODERATOR


def test_only_a_token_that_says_so_creates_rooms() -> None:
    with pytest.raises(WrongPassword, match="creating"):
        identify(a_token(), operation=CREATE)
    with pytest.raises(WrongPassword, match="creating"):
        identify(a_token(moderator=True), operation=CREATE)
    assert identify(a_token(create=True), operation=CREATE).user == "alice"


@pytest.mark.parametrize(
    ("rooms", "room", "good"),
    [
        (None, "den", True),
        ([], "den", False),
        (["den"], "den", True),
        (["den"], "den2", False),
        (["class-*"], "class-7", True),
        (["class-*"], "my class-7", False),
        (["*"], "部屋1", True),
        (["か\u3099*"], "がっこう", True),
        (["[ab]"], "a", False),
        (["[ab]"], "[ab]", True),
        (["wh?t"], "what", False),
        (["wh?t*"], "wh?t now", True),
    ],
)
def test_a_token_is_for_its_rooms(rooms: list[str] | None, room: str, good: bool) -> None:
    token = a_token(rooms=rooms)
    if good:
        assert identify(token, room=room).user == "alice"
    else:
        with pytest.raises(WrongPassword, match="not for this room"):
            identify(token, room=room)


@given(strategies.names())
def test_a_room_named_in_a_token_is_that_room(room: str) -> None:
    assert identify(a_token(rooms=[room.replace("*", "_")]), room=room.replace("*", "_")).user == "alice"


# --- when it does not hold -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": NOW - LEEWAY_S}, "expired"),
        ({"nbf": NOW + LEEWAY_S + 1}, "does not hold yet"),
        ({"aud": "another"}, "another service"),
        ({"aud": ["another", "yet another"]}, "another service"),
        ({"aud": []}, "another service"),
    ],
)
def test_a_token_does_not_hold_for_ever_nor_everywhere(claims: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongPassword, match=words) as caught:
        identify(a_token(**claims))
    assert caught.value.status is Status.WRONG_PASSWORD


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - LEEWAY_S + 0.1},
        {"nbf": NOW + LEEWAY_S},
        {"aud": "tsudoi"},
        {"aud": ["another", "tsudoi"]},
        {"iat": NOW + 1e6, "jti": "x", "anything": {"else": [1]}},
    ],
)
def test_a_clock_that_is_a_little_off_does_no_harm(claims: dict[str, Any]) -> None:
    assert identify(a_token(**claims)).user == "alice"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": "tomorrow"},
        {"name": 7},
        {"rooms": "den"},
        {"rooms": ["", "den"]},
        {"create": "yes"},
        {"name": "x" * MAX_TOKEN},
    ],
)
def test_claims_that_are_not_as_they_must_be_are_a_bad_request(claims: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage) as caught:
        identify(a_token(**claims))
    assert caught.value.status is Status.BAD_REQUEST


def test_a_name_that_is_none_stays_none_when_it_is_signed() -> None:
    with pytest.raises(InvalidName):
        identify(a_token(name="a\x07b"))


def test_strangers_come_in_only_where_they_may() -> None:
    assert identify("bob", "moon") == Identity(name("bob"), "moon", Rights(0))
    closed = a_verifier(required=True)
    with pytest.raises(WrongPassword, match="a token is needed"):
        identify("bob", "moon", verifier=closed)
    assert identify(a_token(), verifier=closed).user == "alice"


# --- signatures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["exp", "nbf"])
def test_a_time_in_milliseconds_is_refused_with_a_hint(claim: str) -> None:
    """Such a token would never expire."""
    for far in (NOW * 1000, NOW + 101 * 365.25 * 86_400):
        with pytest.raises(WrongPassword, match=f"the token's {claim} is centuries away.*not milliseconds"):
            identify(a_token(exp=far) if claim == "exp" else a_token(nbf=far))
    assert identify(a_token(exp=NOW + 99 * 365 * 86_400)).user == "alice"


@pytest.mark.parametrize(
    ("raw", "key", "algorithm"),
    [
        (SECRET, SECRET, "HS256"),
        (pem(RSA), RSA, "RS256"),
        (pem(P256), P256, "ES256"),
        (pem(ED25519), ED25519, "EdDSA"),
    ],
    ids=["HS256", "RS256", "ES256", "EdDSA"],
)
def test_each_kind_of_key_checks_its_own_signatures(raw: bytes, key: Any, algorithm: str) -> None:
    verifier = a_verifier(raw=raw)
    assert identify(a_token(key, algorithm), verifier=verifier).user == "alice"
    with pytest.raises(WrongPassword, match="not signed"):
        identify(a_token(OTHER_ED25519, "EdDSA"), verifier=verifier)


def test_the_key_and_not_the_token_decides_on_the_algorithm() -> None:
    claims = segment(json.dumps({"name": "alice", "exp": NOW + 60}).encode())
    for header in ({"alg": "none"}, {"alg": "HS256"}, {"alg": ["EdDSA"]}, {"alg": None}, {}):
        token = f"{segment(json.dumps(header | {'typ': 'JWT'}, separators=(',', ':')).encode())}.{claims}."
        with pytest.raises(PeerError):
            identify(token, verifier=a_verifier(raw=pem(ED25519), required=True))
    # A public key, which everybody knows, is no secret to sign with.
    head = segment(b'{"alg":"HS256","typ":"JWT"}')
    signature = segment(hmac.digest(pem(ED25519), f"{head}.{claims}".encode(), hashlib.sha256))
    with pytest.raises(WrongPassword):
        identify(f"{head}.{claims}.{signature}", verifier=a_verifier(raw=pem(ED25519)))


def test_a_changed_token_is_worth_nothing() -> None:
    head, claims, signature = a_token().split(".")
    forged = segment(json.dumps({"name": "root", "exp": NOW + 60, "moderator": True}).encode())
    for token in (f"{head}.{forged}.{signature}", f"{head}.{claims}.", f"{head}.{claims}.{signature[:-4]}AAAA"):
        with pytest.raises(WrongPassword):
            identify(token)


def jwk(key: Any, kid: str) -> dict[str, Any]:
    return jwt.get_algorithm_by_name("EdDSA").to_jwk(key.public_key(), as_dict=True) | {"kid": kid}


def test_keys_are_changed_one_after_the_other() -> None:
    both = json.dumps({"keys": [jwk(ED25519, "old"), jwk(OTHER_ED25519, "new")]}).encode()
    verifier = a_verifier(raw=both)
    assert identify(a_token(ED25519, "EdDSA", kid="old"), verifier=verifier).user == "alice"
    assert identify(a_token(OTHER_ED25519, "EdDSA", kid="new"), verifier=verifier).user == "alice"
    assert identify(a_token(OTHER_ED25519, "EdDSA"), verifier=verifier).user == "alice"
    with pytest.raises(WrongPassword):
        identify(a_token(OTHER_ED25519, "EdDSA", kid="old"), verifier=verifier)
    new = TokenKeys(parse_public_keys(json.dumps(jwk(OTHER_ED25519, "new")).encode()))
    assert verifier.change(new, required=False)
    with pytest.raises(WrongPassword):
        identify(a_token(ED25519, "EdDSA", kid="old"), verifier=verifier)
    assert identify(a_token(OTHER_ED25519, "EdDSA", kid="new"), verifier=verifier).user == "alice"


def test_several_public_keys_stand_one_after_the_other() -> None:
    verifier = a_verifier(raw=pem(RSA) + b"\n" + pem(ED25519))
    assert identify(a_token(RSA, "RS256"), verifier=verifier).user == "alice"
    assert identify(a_token(ED25519, "EdDSA"), verifier=verifier).user == "alice"


PRIVATE = ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SMALL = rsa.generate_private_key(65537, 1024)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"short", "no public key in a form"),
        (SECRET, "--auth-secret"),
        (PRIVATE, "private key"),
        (pem(SMALL), "1024 bits"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "neither"),
        (b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----", "no public key"),
        (b"-----BEGIN PUBLIC KEY-----\nnot finished", "no public key"),
        (b'{"keys": []}', "no keys"),
        (b'{"keys": 7}', "not a list"),
        (b'{"kty": "oct", "k": "AAAA"}', "3 bytes"),
        (b'{"kty": "what"}', "none that is known"),
        (b'{"kty": "oct", "alg": "HS512"}', "none that is known"),
        (b'{"kty": "oct", "k": 7}', "none that is known"),
        (b'{"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}', "private key"),
        (b"{", "is none"),
    ],
)
def test_what_is_no_good_key_is_refused_in_one_line(raw: bytes, words: str) -> None:
    with pytest.raises(SettingError, match=words) as caught:
        parse_public_keys(raw)
    assert "\n" not in str(caught.value)


@given(st.binary() | st.text().map(str.encode) | st.binary().map(lambda raw: b"{" + raw))
def test_a_key_file_is_understood_or_refused(raw: bytes) -> None:
    try:
        keys = parse_public_keys(raw)
    except SettingError:
        return
    assert all(isinstance(key, Key) for key in keys)


# --- hostile bytes -------------------------------------------------------------------------------------------------

HEADS = st.sampled_from(
    [{"alg": "HS256"}, {"alg": "none"}, {"alg": "EdDSA", "kid": "old"}, {"alg": "HS256", "crit": []}]
)
SEGMENTS = st.binary(max_size=40).map(segment) | st.text("abcABC-_019", max_size=20)


@given(
    st.text()
    | st.tuples(HEADS.map(lambda head: segment(json.dumps(head).encode())) | SEGMENTS, SEGMENTS, SEGMENTS).map(".".join)
)
@example("eyJhbGciOiJIUzI1NiJ9..")
@example("eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2V9.eA.eA")
def test_whatever_stands_for_a_name_is_admitted_or_refused(text: str) -> None:
    for verifier in (a_verifier(), a_verifier(raw=pem(ED25519), required=True)):
        for user, password in ((text, None), ("bob", text)):
            try:
                admitted = identify(user, password, verifier=verifier)
            except PeerError:
                continue
            assert admitted.rights == Rights(0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_whatever_is_signed_is_admitted_or_refused(claims: Any) -> None:
    raw = json.dumps(claims, ensure_ascii=False).encode(errors="surrogatepass")
    token = jwt.PyJWS().encode(raw, SECRET, algorithm="HS256")
    with pytest.raises(PeerError):
        identify(token)


@pytest.mark.parametrize(
    "text", ["alice", "eye.of.tiger", "eyJ.a.b", "", "eyJhbGciOiJIUzI1NiJ9.a", "eyJhbGciOiJIUzI1NiJ9.a.b c"]
)
def test_names_are_not_taken_for_tokens(text: str) -> None:
    assert not is_signed_token(text)
    assert without_token(f"{text}: hello") == f"{text}: hello"
    assert without_token(f"{text}:hello") == f"{text}:hello"


def test_a_token_is_not_said_to_the_room() -> None:
    token = a_token()
    assert without_token(f"{token}: hello") == "hello"
    assert without_token(f"{token} : hello") == "hello"
    assert without_token(f"{token}:hello") == "hello"
    assert without_token(f"{token} :hello") == "hello"
    assert without_token("hello") == "hello"


# --- the file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "words"), [(0o620, "may write"), (0o602, "may write"), (0o604, "may read")])
def test_a_key_file_that_others_have_a_hand_in_is_refused(tmp_path: Path, mode: int, words: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    path.chmod(mode)
    with pytest.raises(SettingError, match=words):
        load_verifier(None, path, "optional")


def test_a_public_key_may_be_read_by_all(tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_bytes(pem(ED25519))
    path.chmod(0o644)
    assert identify(a_token(ED25519, "EdDSA"), verifier=load_verifier(path, None, "required")).user == "alice"


def test_keys_are_read_again_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(pem(ED25519))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    verifier = load_verifier(path, None, "optional")
    path.write_bytes(b"nonsense")
    with pytest.raises(SettingError):
        verifier.change(load_keys(path, None), required=False)
    assert identify(a_token(ED25519, "EdDSA"), verifier=verifier).user == "alice"
    path.write_bytes(pem(OTHER_ED25519))
    assert verifier.change(load_keys(path, None), required=False)
    assert identify(a_token(OTHER_ED25519, "EdDSA"), verifier=verifier).user == "alice"
    with pytest.raises(WrongPassword):
        identify(a_token(ED25519, "EdDSA"), verifier=verifier)


@pytest.mark.parametrize("path", ["missing", "."])
def test_a_key_file_that_can_not_be_read_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(SettingError, match="can not read the key file"):
        load_verifier(tmp_path / path, None, "optional")


def test_what_a_website_does_is_in_the_documents(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    script = Path(__file__).resolve().parents[3] / "docs" / "issue_token.py"
    done = subprocess.run(
        [sys.executable, script, path, "アリス", "den*"], capture_output=True, text=True, check=True, timeout=30
    )
    verifier = load_verifier(None, path, "required")
    for room, good in (("den 2", True), ("lab", False)):
        if good:
            admitted = verifier.identify_untrusted(CREATE, room, done.stdout.strip(), None, time.time())
            assert admitted == Identity(name("アリス"), None, Rights.VERIFIED)
        else:
            with pytest.raises(WrongPassword):
                verifier.identify_untrusted(CREATE, room, done.stdout.strip(), None, time.time())
