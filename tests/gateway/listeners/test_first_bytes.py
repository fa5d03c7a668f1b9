"""gateway/listeners/first_bytes.py: what a client speaks is known by its first two bytes, and seldom needs both."""

import pytest

from gateway.listeners.first_bytes import Spoken, recognise_spoken


@pytest.mark.parametrize(
    ("data", "spoken"),
    [
        (b"\x16", Spoken.UNKNOWN),
        (b"\x16\x03", Spoken.TLS),
        (b"\x16\x03\x01\x02", Spoken.TLS),
        (b"\x16\x01", Spoken.REQUEST),
        (b"\x00", Spoken.UNKNOWN),
        (b"\x00\x1e", Spoken.PACKETS),
        (b"\x00\x1d", Spoken.REQUEST),
        (b"\x04", Spoken.REQUEST),
        (b"\x04\x01\x00", Spoken.REQUEST),
    ],
)
def test_two_bytes_tell_what_a_client_speaks(data: bytes, spoken: Spoken) -> None:
    assert recognise_spoken(data, may_be_tls=True, may_be_packets=True) is spoken


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03", b"\x00", b"\x00\x1e"])
def test_what_is_not_served_here_is_a_request(data: bytes) -> None:
    assert recognise_spoken(data, may_be_tls=False, may_be_packets=False) is Spoken.REQUEST
