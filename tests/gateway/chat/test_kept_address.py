"""gateway/chat/kept_address.py"""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat import kept_address
from gateway.listeners import sockaddr

IPV4 = sockaddr.pack("192.0.2.1", 5_000)
LINK = sockaddr.pack("fe80::1", 5_000, 3)
PLACES = {
    "192.0.2.1 5000 2": IPV4,
    "192.0.2.1 5000 2 192.0.2.9": IPV4 + bytes((192, 0, 2, 9)),
    "2001:db8::1 5000 2 2001:db8::9": sockaddr.pack("2001:db8::1", 5_000)
    + sockaddr.local_bytes(sockaddr.parse_ip("2001:db8::9"), 4),
    "fe80::1 5000 2 fe80::9%3": LINK + sockaddr.local_bytes(sockaddr.parse_ip("fe80::9"), 3),
    "fe80::1 5000 2 %3": LINK,
}


@pytest.mark.parametrize("text", PLACES)
def test_an_address_is_read_as_it_was_written(text: str) -> None:
    assert kept_address.write(PLACES[text], 2) == text
    assert kept_address.parse(text) == (PLACES[text], 2)


@pytest.mark.parametrize("text", PLACES)
def test_an_address_with_a_session_is_read_as_it_was_written_and_is_none_for_gateways_that_know_none(text: str) -> None:
    session = bytes(range(16))
    written = kept_address.write(PLACES[text], 2, session)
    assert kept_address.parse_with_session(written) == (PLACES[text], 2, session)
    with pytest.raises((ValueError, OverflowError)):
        kept_address.parse(written)


@pytest.mark.parametrize("text", PLACES)
def test_an_address_that_is_not_proven_is_read_as_it_was_written(text: str) -> None:
    written = kept_address.write(PLACES[text], 2, unproven_from=7)
    assert kept_address.parse(written) == (PLACES[text], 2)
    assert kept_address.unproven_from(written) == 7
    assert kept_address.unproven_from(text) is None
    assert kept_address.displaced_from(written) is kept_address.displaced_from(text) is None
    displaced = kept_address.write(PLACES[text], 2, unproven_from=7, is_displaced=True)
    assert kept_address.parse(displaced) == (PLACES[text], 2)
    assert kept_address.unproven_from(displaced) == kept_address.displaced_from(displaced) == 7


def test_an_address_of_ipv4_is_written_so_wherever_it_came_from() -> None:
    mapped = sockaddr.pack("::ffff:192.0.2.1", 5_000)
    here = sockaddr.local_bytes(sockaddr.mapped(bytes((192, 0, 2, 9))), 0)
    assert kept_address.write(mapped + here, 2) == "192.0.2.1 5000 2 192.0.2.9"


def test_a_local_address_of_another_family_is_none() -> None:
    assert kept_address.parse("192.0.2.1 5000 2 ::9") == (IPV4, 2)


@given(st.text() | st.lists(st.sampled_from([*"0123 .:%x=?", "fe80::1", "70000", "-1", "192.0.2.1"])).map(" ".join))
def test_any_other_text_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        kept_address.parse(text)
    with contextlib.suppress(ValueError, OverflowError):
        kept_address.parse_with_session(text)
    kept_address.unproven_from(text)
