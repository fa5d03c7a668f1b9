"""gateway/sealed/keys.py and cookies.py"""

import pytest

from gateway.sealed.cookies import VALID_S, Cookies
from gateway.sealed.keys import MOST_KEPT, SessionKeys, derive
from tsudoi.protocol.names import hash_token
from tsudoi.protocol.sealed.suites import AES_128_GCM, KEY_SIZES, PLAIN, SEALED, cipher

ONE, OTHER = bytes(32), b"x" * 32


def test_rfc_7693_appendix_a() -> None:
    """Without a key and a purpose it is the hash of the RFC's example."""
    made = derive(b"", b"abc", b"", 64)
    assert made.hex().startswith("ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1")


def test_all_that_is_derived_of_a_session_differs() -> None:
    """Keys, check key and token have nothing in common, whichever secret and session they are of."""
    found: set[bytes] = set()
    for keys in (SessionKeys([ONE]), SessionKeys([OTHER])):
        for suite in SEALED:
            session = keys.new(suite, 0, 0)
            token = bytes.fromhex(keys.token(session))
            derived = (keys.keys(session).up, keys.keys(session).down, keys.check_key(session), token)
            found |= {each[:16] for each in derived}
    assert len(found) == 2 * len(SEALED) * 4


def test_the_ciphers_of_one_session_are_never_taken_for_those_of_another() -> None:
    """The last ones are remembered."""
    keys = SessionKeys([ONE])
    sessions = [keys.new(AES_128_GCM, 0, 0) for _ in range(3)]
    for session in (*sessions, *reversed(sessions), sessions[0]):
        for found, key in zip(keys.borrow(session), keys.keys(session), strict=True):
            assert found.encrypt(bytes(12), b"text", b"header") == cipher(AES_128_GCM, key).encrypt(
                bytes(12), b"text", b"header"
            )


@pytest.mark.parametrize("suite", KEY_SIZES)
def test_any_gateway_of_the_service_derives_the_same(suite: str) -> None:
    session = SessionKeys([ONE]).new(suite, 7, 9)
    here, there = SessionKeys([ONE]), SessionKeys([OTHER, ONE])
    assert len(session) == 16
    assert session[1:3] == bytes((7, 9))
    assert here.suite_of(session) == there.suite_of(session) == suite
    assert [len(key) for key in here.keys(session)] == [KEY_SIZES[suite]] * 2
    assert here.keys(session) == there.keys(session)
    assert here.token(session) == there.token(session)
    assert here.check_key(session) == there.check_key(session)
    if suite != PLAIN:
        assert len({here.keys(session).up, here.keys(session).down}) == 2


def test_another_service_does_not_know_a_session() -> None:
    session = SessionKeys([ONE]).new(AES_128_GCM, 0, 0)
    assert SessionKeys([OTHER]).suite_of(session) is None
    for at in range(16):
        changed = bytearray(session)
        changed[at] ^= 1
        assert SessionKeys([ONE]).suite_of(bytes(changed)) is None


def test_a_session_that_was_covered_is_uncovered_by_gateways_of_the_service_alone() -> None:
    for suite in KEY_SIZES:
        keys = SessionKeys([ONE])
        session, other = keys.new(suite, 0, 0), keys.new(suite, 0, 0)
        covered, token_hash = keys.cover(session), hash_token(keys.token(session).encode())
        assert covered == keys.cover(session)
        assert covered not in (session, keys.cover(other))
        for gateway in (keys, SessionKeys([OTHER, ONE])):
            assert gateway.uncover_untrusted(covered, token_hash) == session
        assert SessionKeys([OTHER]).uncover_untrusted(covered, token_hash) is None
        assert keys.uncover_untrusted(covered, hash_token(b"another")) is None
        assert keys.uncover_untrusted(covered[:-1], token_hash) is None
        assert keys.uncover_untrusted(b"", token_hash) is None
        another = bytes(a ^ b ^ c for a, b, c in zip(covered, session, other, strict=True))
        assert keys.uncover_untrusted(another, token_hash) is None


def test_new_sessions_are_of_the_first_secret() -> None:
    session = SessionKeys([OTHER, ONE]).new(AES_128_GCM, 0, 0)
    assert SessionKeys([ONE]).suite_of(session) is None
    assert SessionKeys([OTHER]).suite_of(session) == AES_128_GCM


def test_ciphers_are_kept_while_they_are_used_and_borrowing_keeps_none() -> None:
    keys = SessionKeys([ONE])
    session, other = (keys.new(AES_128_GCM, 0, 0) for _ in range(2))
    assert keys.borrow(session) is not keys.borrow(session)
    assert not keys.young
    kept = keys.find(session)
    keys.find(other)
    keys.tick()
    assert keys.borrow(session) is kept
    assert keys.find(session) is kept
    keys.tick()
    keys.tick()
    assert keys.find(session) is not kept


def test_no_more_ciphers_are_kept_than_allowed() -> None:
    keys = SessionKeys([ONE])
    for _ in range(3 * MOST_KEPT):
        keys.find(keys.new(PLAIN, 0, 0))
    assert len(keys.young) <= MOST_KEPT


def test_a_cookie_holds_for_its_session_its_address_and_a_while() -> None:
    cookies = Cookies()
    cookie = cookies.new(b"session", b"address", 100.0)
    assert len(cookie) == 12
    assert cookies.is_valid(cookie, b"session", b"address", 100.0 + VALID_S)
    assert not cookies.is_valid(cookie, b"session", b"address", 100.2 + VALID_S)
    assert not cookies.is_valid(cookie, b"session", b"address", 99.0)
    assert not cookies.is_valid(cookie, b"session", b"elsewhere", 100.0)
    assert not cookies.is_valid(cookie, b"another", b"address", 100.0)
    assert not Cookies().is_valid(cookie, b"session", b"address", 100.0)
    assert not cookies.is_valid(b"", b"session", b"address", 100.0)
