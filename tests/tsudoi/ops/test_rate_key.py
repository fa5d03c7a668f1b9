"""tsudoi/ops/rate_key.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.ops.rate_key import rate_key


@pytest.mark.parametrize(
    ("ip", "key"),
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
def test_an_ipv6_address_has_the_key_of_its_network(ip: str, key: str) -> None:
    assert rate_key(ip) == key


@given(st.text() | st.ip_addresses().map(str))
def test_the_key_of_a_key_is_itself(ip: str) -> None:
    assert rate_key(rate_key(ip)) == rate_key(ip)
