"""gateway/chat/kept_address.py"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.kept_address import KeptAddress
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


MARKS: dict[str, dict[str, Any]] = {
    "": {},
    "?7": {"unproven_from": 7},
    "!7": {"unproven_from": 7, "is_displaced": True},
    "=0a0b": {"session": b"\x0a\x0b"},
}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("text", PLACES)
def test_an_address_is_written_as_the_directory_has_it(text: str, mark: str) -> None:
    ip, port, listener, *local = text.split(" ")
    written = " ".join([ip, port, listener, *([mark] if mark else []), *local])
    kept = KeptAddress(PLACES[text], 2, **MARKS[mark])
    assert kept.serialize() == written
    assert KeptAddress.parse(written.encode()) == kept


IPS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(lambda ip: sockaddr.parse_ip(str(ip)))
OFFSETS = st.integers(0, 10**19 - 1)


@given(IPS, IPS | st.just(b""), st.integers(0, 65_535), st.integers(1, 2**32 - 1), st.integers(0, 99), st.data())
def test_every_address_is_read_as_it_was_written(
    ip: bytes, here: bytes, port: int, scope: int, listener: int, data: st.DataObject
) -> None:
    address = sockaddr.pack_bytes(ip, port, scope if sockaddr.is_link_local(ip) else 0)
    address += sockaddr.local_bytes(here, scope) if len(here) == len(ip) else b""
    marks: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries({"session": st.binary(min_size=1)})
    marks |= st.fixed_dictionaries({"unproven_from": OFFSETS, "is_displaced": st.booleans()})
    kept = KeptAddress(address, listener, **data.draw(marks))
    assert KeptAddress.parse(kept.serialize().encode()) == kept
    assert (kept.displaced_from is not None) == kept.is_displaced


def test_an_address_of_ipv4_is_written_so_wherever_it_came_from() -> None:
    mapped = sockaddr.pack("::ffff:192.0.2.1", 5_000)
    here = sockaddr.local_bytes(sockaddr.mapped(bytes((192, 0, 2, 9))), 0)
    assert KeptAddress(mapped + here, 2).serialize() == "192.0.2.1 5000 2 192.0.2.9"


def test_a_local_address_of_another_family_is_none() -> None:
    assert KeptAddress.parse(b"192.0.2.1 5000 2 ::9") == KeptAddress(IPV4, 2)


REFUSED = (
    b"",
    b"192.0.2.1",
    b"192.0.2.1 5000",
    b"192.0.2.1 65536 2",
    b"192.0.2.1 -1 2",
    b"nowhere 5000 2",
    b"192.0.2.1 5000 2 ?",
    b"192.0.2.1 5000 2 ?-7",
    b"192.0.2.1 5000 2 ?7 =0a",
    b"192.0.2.1 5000 2 =0",
    b"192.0.2.1 5000 2 *7",
    b"fe80::1 5000 2 %4294967296",
    b"192.0.2.1 5000 2 192.0.2.9 more",
    b"\xff",
)


@pytest.mark.parametrize("raw", REFUSED)
def test_what_is_no_address_is_none(raw: bytes) -> None:
    assert KeptAddress.parse(raw) is None


@given(
    st.binary()
    | st.lists(st.sampled_from([*"0123 .:%x=?!", "fe80::1", "70000", "-1", "192.0.2.1"])).map(" ".join).map(str.encode)
)
def test_all_bytes_are_an_address_or_none(raw: bytes) -> None:
    kept = KeptAddress.parse(raw)
    assert kept is None or KeptAddress.parse(kept.serialize().encode()) == kept
