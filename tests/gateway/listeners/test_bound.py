"""gateway/listeners/bound.py"""

from gateway.listeners import sockaddr
from gateway.listeners.bound import Bound

IPV4, IPV6 = sockaddr.pack("192.0.2.1", 5_000), sockaddr.pack("2001:db8::1", 5_000)
MAPPED = sockaddr.pack("::ffff:192.0.2.1", 5_000)
HERE = bytes((192, 0, 2, 9))


def test_a_listener_serves_its_family_or_both() -> None:
    for bound, serves in (
        (Bound(), (True, False)),
        (Bound(is_ipv6=True), (False, True)),
        (Bound(is_ipv6=True, takes_both=True), (True, True)),
    ):
        assert (bound.serves(IPV4), bound.serves(IPV6)) == serves
        assert bound.serves(MAPPED) == bound.serves(IPV4)


def test_a_listener_on_one_address_needs_no_local_address() -> None:
    assert Bound().fit(IPV4 + HERE) == Bound().fit(IPV4) == IPV4
    assert Bound(is_wildcard=True).fit(IPV4 + HERE) == IPV4 + HERE


def test_ipv4_is_mapped_where_the_socket_is_ipv6() -> None:
    both = Bound(is_ipv6=True, takes_both=True, is_wildcard=True)
    fitted = both.fit(IPV4 + HERE)
    assert sockaddr.peer(fitted) == MAPPED
    assert sockaddr.local(fitted) == sockaddr.local_bytes(sockaddr.mapped(HERE), 0)
    assert both.fit(IPV4) == MAPPED
    assert both.fit(IPV6) == IPV6
