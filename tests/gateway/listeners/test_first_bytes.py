"""gateway/listeners/first_bytes.py: what a client speaks is known by its first two bytes, and seldom needs both."""

import pytest

from gateway.listeners.first_bytes import Speech, recognise_speech


@pytest.mark.parametrize(
    ("data", "speech"),
    [
        (b"\x16", Speech.UNKNOWN),
        (b"\x16\x03", Speech.TLS),
        (b"\x16\x03\x01\x02", Speech.TLS),
        (b"\x16\x01", Speech.REQUEST),
        (b"\x00", Speech.UNKNOWN),
        (b"\x00\x1e", Speech.PACKETS),
        (b"\x00\x1d", Speech.REQUEST),
        (b"\x04", Speech.REQUEST),
        (b"\x04\x01\x00", Speech.REQUEST),
    ],
)
def test_two_bytes_tell_what_a_client_speaks(data: bytes, speech: Speech) -> None:
    assert recognise_speech(data, may_be_tls=True, may_be_packets=True) is speech


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03", b"\x00", b"\x00\x1e"])
def test_what_is_not_served_here_is_a_request(data: bytes) -> None:
    assert recognise_speech(data, may_be_tls=False, may_be_packets=False) is Speech.REQUEST
