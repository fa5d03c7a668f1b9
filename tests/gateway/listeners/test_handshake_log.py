"""gateway/listeners/handshake_log.py"""

from gateway.explain.opening import Opening
from gateway.join.account import Account, Outcome
from gateway.listeners.handshake_log import ADDRESS_BURST, ADDRESS_S, ALL_BURST, SILENT_AGAIN_S, HandshakeLog
from gateway.listeners.options import Listener
from tests.gateway.explain.mistakes_made import handshake, request
from tsudoi.protocol.client.dialects import TCRP

LISTENER = Listener("0.0.0.0", 9001, "tcrp")
CREATED = handshake("tcrp", request(TCRP))
SILENT = Account(Opening(b"", "tcrp"), Outcome.SILENT, why="its time was up")


def test_a_line_names_address_port_and_listener() -> None:
    line = HandshakeLog().line(LISTENER, "192.0.2.1", 50_000, CREATED, 0.0)
    assert line is not None
    assert (line["ip"], line["source_port"]) == ("192.0.2.1", 50_000)
    assert (line["listener"], line["outcome"]) == ("0.0.0.0:9001=tcrp", "created")


def test_one_address_gets_its_burst_and_its_rate_and_says_what_was_left_out() -> None:
    log = HandshakeLog()
    lines = [log.line(LISTENER, f"2001:db8::{number:x}", 50_000, CREATED, 0.0) for number in range(100)]
    assert len([line for line in lines if line]) == ADDRESS_BURST
    other = log.line(LISTENER, "192.0.2.2", 50_000, CREATED, 0.0)
    assert other is not None
    assert other["lines_left_out"] == 100 - ADDRESS_BURST
    later = log.line(LISTENER, "2001:db8::1", 50_000, CREATED, 1 / ADDRESS_S)
    assert later is not None
    assert "lines_left_out" not in later


def test_websockets_have_lines_and_the_same_bounds() -> None:
    log = HandshakeLog()
    assert log.web_line("192.0.2.1", 50_000, "den", "joined", 0.0) == {
        "ip": "192.0.2.1",
        "source_port": 50_000,
        "dialect": "web",
        "room": "den",
        "outcome": "joined",
    }
    lines = [log.web_line("192.0.2.1", 50_000, "", "refused: too many", 0.0) for _ in range(100)]
    assert len([line for line in lines if line]) == ADDRESS_BURST - 1
    other = log.web_line("192.0.2.2", 50_000, "", "refused: too many", 0.0)
    assert other is not None
    assert other["lines_left_out"] == 101 - ADDRESS_BURST


def test_all_addresses_together_are_bounded() -> None:
    log = HandshakeLog()
    lines = [
        log.line(LISTENER, f"192.0.{number // 250}.{number % 250}", 50_000, CREATED, 0.0) for number in range(1_000)
    ]
    assert len([line for line in lines if line]) == ALL_BURST


def test_a_health_check_that_only_connects_is_logged_once_in_a_while() -> None:
    log = HandshakeLog()
    times = [second for second in range(0, 600, 5) if log.line(LISTENER, "127.0.0.1", 50_000, SILENT, float(second))]
    assert len(times) == 600 / SILENT_AGAIN_S
    assert log.line(LISTENER, "127.0.0.1", 50_000, CREATED, 600.0)
