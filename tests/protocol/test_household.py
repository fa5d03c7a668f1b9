"""protocol/household.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.household import household


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
    assert household(ip) == counted


@given(st.text() | st.ip_addresses().map(str))
def test_what_it_is_counted_as_is_counted_as_itself(ip: str) -> None:
    assert household(household(ip)) == household(ip)
