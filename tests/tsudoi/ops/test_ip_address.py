"""tsudoi/ops/ip_address.py"""

import pytest

from tsudoi.ops.ip_address import full_form, looks_like_address, same_host


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


def test_addresses_networks_and_ranges_look_like_addresses() -> None:
    for text in ("192.0.2.1", "192.0.2.*", "192.0.2.0/24", "300.1.1", "2001:db8::1", "[::1]:9001", "2001:db8::/48"):
        assert looks_like_address(text)
    for text in ("127.1", "127.0.1", "1.5", "0177.0.0.1", "0x7f.1", "2130706433", "0x7f000001", " 192.0.2.1 "):
        assert looks_like_address(text)
    for text in ("192.0.2.1.", "１９２．０．２．１"):
        assert looks_like_address(text)
    for text in ("", "alice", "alice#2", "7", "2026", "0x7", "1.5.0.0.1.x", "1..2", "09.1", "256.1", "a:b", "server"):
        assert not looks_like_address(text)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("127.1", "127.0.0.1"),
        ("10.1.2", "10.1.0.2"),
        ("0177.0.0.01", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("127.16777216", ""),
        ("1.2.3.256", ""),
        ("16777215", ""),
        ("4294967296", ""),
        ("1.2.3.4.5", ""),
        ("", ""),
    ],
)
def test_short_and_odd_forms_mean_what_the_system_takes_them_for(text: str, full: str) -> None:
    assert full_form(text) == full
