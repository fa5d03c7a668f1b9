"""gateway/join/rate_keys.py"""

from ipaddress import ip_network

import pytest

from gateway.join.rate_keys import RateKeys, limited_key
from gateway.listeners import sockaddr
from gateway.settings import Settings


@pytest.mark.parametrize(
    ("ip", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::ffff:127.0.0.1", ""),
        ("::1", ""),
    ],
)
def test_an_address_has_a_rate_key(ip: str, key: str) -> None:
    assert limited_key(sockaddr.parse_ip(ip), Settings.unlimited) == key


def test_networks_are_left_out_as_told() -> None:
    assert limited_key(sockaddr.parse_ip("192.0.2.1"), (ip_network("192.0.2.0/24"),)) == ""
    assert limited_key(sockaddr.parse_ip("127.0.0.1"), ()) == "127.0.0.1"


def test_what_is_key_can_be_changed() -> None:
    settings = Settings()
    rate_keys = RateKeys(settings)
    assert rate_keys.of("127.0.0.1") == ""
    settings.unlimited = ()
    assert rate_keys.of("127.0.0.1") == "127.0.0.1"
