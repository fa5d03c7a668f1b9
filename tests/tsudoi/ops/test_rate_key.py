"""protocol/rate_key.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.ops.rate_key import rate_key, same_host


@pytest.mark.parametrize(
    ("ip", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        *((text, "") for text in ("", "bob", "192.0.2.1/64", "192.0.2", "2001:db8::/48", "2001:db8::/64/64")),
    ],
)
def test_an_address_is_counted_with_its_household(ip: str, counted: str) -> None:
    assert rate_key(ip) == counted


@given(st.text() | st.ip_addresses().map(str))
def test_what_it_is_counted_as_is_counted_as_itself(ip: str) -> None:
    assert rate_key(rate_key(ip)) == rate_key(ip)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("127.0.0.1", "127.9.9.9", True),
        ("127.0.0.1", "::1", True),
        ("::ffff:127.0.0.1", "::1", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("2001:db8::1", "2001:db8::2", False),
        ("", "192.0.2.1", False),
        ("", "", False),
        ("nonsense", "nonsense", False),
    ],
)
def test_hosts_are_the_same(one: str, other: str, same: bool) -> None:
    assert same_host(one, other) is same
    assert same_host(other, one) is same
