"""gateway/identify/packets.py: packets are opened for a look, and what came of them is told by the counters"""

import pytest

from gateway.counters import Counters
from gateway.identify import words
from gateway.identify.packets import counted, is_packet, open_packet, packet_outcomes
from gateway.sealed.keys import SECRET_SIZE, SessionKeys
from tsudoi.protocol.sealed.packets import HEADER_SIZE, Kind, serialize_header
from tsudoi.protocol.sealed.suites import AES_128_GCM, CHACHA20_POLY1305, PLAIN, cipher

BODY = b'{"ping":1}'


def packet(keys: SessionKeys, session: bytes, suite: str, *, up: bool) -> bytes:
    header = serialize_header(Kind.BODY, session, bytes(6), 1)
    return header + cipher(suite, keys.keys(session)[not up]).encrypt(header[18:], BODY, header)


@pytest.mark.parametrize("suite", [AES_128_GCM, CHACHA20_POLY1305, PLAIN])
def test_packets_of_both_directions_are_opened(suite: str) -> None:
    keys, others = SessionKeys([bytes(SECRET_SIZE)]), SessionKeys([b"x" * SECRET_SIZE])
    session = keys.new(suite, 0, 0)
    for up in (True, False):
        data = packet(keys, session, suite, up=up)
        assert is_packet(data)
        assert open_packet(keys, data, up=up) == BODY
        assert open_packet(others, data, up=up) is None
        if suite != PLAIN:
            assert open_packet(keys, data, up=not up) is None
            assert open_packet(keys, data[:-1], up=up) is None
        assert open_packet(keys, data[: HEADER_SIZE - 1], up=up) is None


def test_outcomes_follow_the_counters() -> None:
    counters = Counters()
    before = Counters()
    assert packet_outcomes(before, counters, True) == [words.DIRECTORY_ASKED]
    counters.sealed_dropped["forged"] += 1
    assert packet_outcomes(before, counters, False) == [words.PACKET_OUTCOMES["forged"]]
    assert packet_outcomes(before, counters, True) == [words.NO_LINES]
    counters = Counters(sealed_retries=1)
    assert packet_outcomes(before, counters, True) == [words.PACKET_OUTCOMES["retry"]]


def test_each_counter_of_packets_has_words() -> None:
    assert set(counted(Counters())) == set(words.PACKET_OUTCOMES)
