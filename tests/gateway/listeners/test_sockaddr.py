"""gateway/listeners/sockaddr.py"""

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listeners import sockaddr
from tests.support.sockets import needs_ipv6

IPS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
PORTS = st.integers(0, 65535)


@given(ip=IPS, port=PORTS, scope=st.integers(0, 2**32 - 1))
def test_what_is_packed_is_unpacked(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, scope: int) -> None:
    raw = sockaddr.pack(str(ip), port, scope)
    assert len(raw) == (16 if ip.version == 4 else 28)
    assert sockaddr.is_ipv6(raw) == (ip.version == 6)
    assert sockaddr.scope(raw) == (scope if ip.version == 6 else 0)
    text, got = sockaddr.unpack(raw)
    assert got == port
    if ip.version == 6 and ip.ipv4_mapped:
        assert text == str(ip.ipv4_mapped)
    else:
        assert ipaddress.ip_address(text) == ip
        assert sockaddr.pack(text, got, scope) == raw
    assert sockaddr.unpack(sockaddr.with_port(raw, 7)) == (text, 7)


@pytest.mark.parametrize(
    ("family", "host"),
    [(socket.AF_INET, "127.0.0.1"), pytest.param(socket.AF_INET6, "::1", marks=needs_ipv6)],
    ids=["ipv4", "ipv6"],
)
def test_the_layout_is_the_kernels(family: socket.AddressFamily, host: str) -> None:
    from gateway.listeners.sendmmsg import DatagramIo

    with socket.socket(family, socket.SOCK_DGRAM) as here, socket.socket(family, socket.SOCK_DGRAM) as there:
        for sock in (here, there):
            sock.bind((host, 0))
        there.sendto(b"x", here.getsockname())
        here.settimeout(2)
        here.recv(1, socket.MSG_PEEK)
        ((_, source),) = DatagramIo(here).receive()
        assert source == sockaddr.pack(host, there.getsockname()[1])


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "1.2.3.4.5", "::g", "1.2.3.4:5"])
def test_what_is_no_ip_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        sockaddr.pack(text, 1)
    with pytest.raises(ValueError, match="does not appear to be"):
        sockaddr.parse_ip(text)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_what_is_no_port_is_an_overflow_error(port: int) -> None:
    with pytest.raises(OverflowError):
        sockaddr.pack("127.0.0.1", port)


def test_a_scope_in_text_is_passed_over() -> None:
    assert sockaddr.pack("fe80::1%eth0", 5) == sockaddr.pack("fe80::1", 5)


def test_an_ipv4_address_mapped_into_ipv6_is_the_same_host() -> None:
    assert sockaddr.parse_ip("::ffff:192.0.2.1") == sockaddr.parse_ip("192.0.2.1")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("127.0.0.1", "127.9.9.9", True),
        ("127.0.0.1", "::1", True),
        ("::ffff:127.0.0.1", "::1", True),
        ("192.0.2.1", "127.0.0.1", False),
        ("::2", "::1", False),
        ("::", "::1", False),
    ],
)
def test_loopback_addresses_count_as_one_host(one: str, other: str, same: bool) -> None:
    assert sockaddr.same_host(sockaddr.parse_ip(one), sockaddr.parse_ip(other)) is same
    assert sockaddr.same_host(sockaddr.parse_ip(other), sockaddr.parse_ip(one)) is same


def test_a_local_address_follows_and_changes_nothing_else() -> None:
    for ip, here in (("192.0.2.1", bytes((10, 0, 0, 7))), ("2001:db8::1", bytes((0xFD,)) + bytes(15))):
        alone = sockaddr.pack(ip, 5_000, 3)
        both = alone + sockaddr.local_bytes(here, 9)
        assert (sockaddr.peer(both), sockaddr.peer(alone)) == (alone, alone)
        assert sockaddr.local(both)[: len(here)] == here
        assert sockaddr.local(alone) == b""
        assert sockaddr.unpack(both) == (ip, 5_000)
        assert sockaddr.scope(both) == sockaddr.scope(alone)
        assert sockaddr.with_port(both, 6) == sockaddr.pack(ip, 6, 3) + sockaddr.local(both)


def test_a_local_address_has_a_scope_on_a_link_alone() -> None:
    assert sockaddr.local_bytes(bytes((0xFE, 0x80)) + bytes(14), 7)[16:] == struct.pack("=I", 7)
    assert sockaddr.local_bytes(bytes((0xFD, 0x80)) + bytes(14), 7)[16:] == bytes(4)


def test_no_datagram_leaves_from_a_group_or_from_nowhere() -> None:
    assert [sockaddr.local_bytes(ip, 1) for ip in (bytes(4), bytes(16), b"\xff\x02" + bytes(14))] == [b""] * 3


def test_a_port_beside_a_connection_has_its_two_ends() -> None:
    address = sockaddr.beside(("192.0.2.1", 4_000), 5_000, ("192.0.2.9", 9_001))
    assert address == sockaddr.pack("192.0.2.1", 5_000) + bytes((192, 0, 2, 9))
    # As an IPv6 socket for both writes it.
    assert address == sockaddr.beside(("::ffff:192.0.2.1", 4_000, 0, 0), 5_000, ("::ffff:192.0.2.9", 9_001, 0, 0))
    on_link = sockaddr.beside(("fe80::1%3", 4_000, 0, 3), 5_000, ("fe80::2%3", 9_001, 0, 3))
    assert (sockaddr.scope(on_link), sockaddr.local(on_link)[16:]) == (3, struct.pack("=I", 3))


def test_ipv4_mapped_into_ipv6_is_written_as_ipv4() -> None:
    assert sockaddr.plain_text("::ffff:192.0.2.1") == "192.0.2.1"
    for other in ("192.0.2.1", "::1", "fe80::1%3", "::ffff:0:0:1"):
        assert sockaddr.plain_text(other) == other
