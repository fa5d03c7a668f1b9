"""gateway/chat/dropped_log.py"""

from gateway.chat.dropped_log import AGAIN_S, ALL_BURST, Drop, DroppedLog
from gateway.explain.datagram_hints import Known
from gateway.listeners.sockaddr import parse_ip
from tests.gateway.explain.mistakes_made import TOKEN
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialects import TCRP

RIGHT = serialize("den", TOKEN, "a secret text")


def whose(token: bytes) -> Known | None:
    return Known(b"den", TCRP, b"alice") if token == TOKEN.encode() else None


def test_a_line_says_why_and_what_may_be_wrong_and_never_the_text() -> None:
    line = DroppedLog().line(parse_ip("192.0.2.1"), Drop.NO_TOKEN, b"\4" + RIGHT[1:], whose, 0.0)
    assert line == {
        "ip": "192.0.2.1",
        "why": "no known token",
        "hint": "the room size is 4, but the token begins after 3 bytes of name",
    }
    assert DroppedLog().line(parse_ip("192.0.2.1"), Drop.OTHER_ROOM, serialize("alice", TOKEN, "hi"), whose, 0.0) == {
        "ip": "192.0.2.1",
        "why": "the token belongs to another room",
        "hint": "in place of the room's name stands the user's; the server knows the user by the token",
    }


def test_an_accepted_datagram_has_a_line_if_its_text_is_not_utf8() -> None:
    log = DroppedLog()
    assert log.line(parse_ip("192.0.2.1"), None, RIGHT, whose, 0.0) is None
    assert log.line(parse_ip("192.0.2.2"), None, RIGHT + "秘密".encode("cp932"), whose, 0.0) == {
        "ip": "192.0.2.2",
        "hint": "the text is not UTF-8; it seems to be cp932",
    }
    assert log.line(parse_ip("192.0.2.2"), None, RIGHT + b"\xff", whose, AGAIN_S / 2) is None


def test_an_address_gets_a_line_for_each_reason_once_in_a_while() -> None:
    log = DroppedLog()
    lines = [
        log.line(parse_ip("2001:db8::1"), why, b"", whose, at) for at in (0.0, AGAIN_S / 2, AGAIN_S) for why in Drop
    ]
    assert [line is not None for line in lines] == [True] * 4 + [False] * 4 + [True] * 4
    assert log.line(parse_ip("2001:db8::2"), Drop.SHORT, b"", whose, AGAIN_S) is None  # the same 64 bits


def test_all_addresses_together_are_bounded() -> None:
    log = DroppedLog()
    lines = [log.line(parse_ip(f"192.0.{n // 250}.{n % 250}"), Drop.NO_TOKEN, RIGHT, whose, 0.0) for n in range(1_000)]
    assert len([line for line in lines if line]) == ALL_BURST
    later = log.line(parse_ip("198.51.100.1"), Drop.NO_TOKEN, RIGHT, whose, 2.0)
    assert later is not None
    assert later["lines_left_out"] == 1_000 - ALL_BURST
