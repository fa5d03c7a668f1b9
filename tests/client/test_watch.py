"""client/watch.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.net import metrics as broker_metrics
from client.watch import Pair, Reading, names_read, view
from gateway.process import metrics as gateway_metrics
from tsudoi.ops.histogram import SECONDS, Histogram
from tsudoi.ops.metrics import Row, counter, exposition, gauge, histogram

NOBODY: object = None


def reading(at: float, messages: float, drops: dict[str, float], spread: Histogram) -> Reading:
    rows: list[Row] = [
        gauge("tsudoi_gateway_healthy", "h", lambda: 1),
        gauge("tsudoi_gateway_rooms", "h", lambda: 3),
        gauge("tsudoi_gateway_queue_length", "h", lambda: {"a": 1, "b": 2}, "queue"),
        counter("tsudoi_gateway_datagrams", "h", lambda: messages),
        counter("tsudoi_gateway_dropped", "h", lambda: drops, "reason"),
        histogram("tsudoi_gateway_accept_seconds", "h", lambda: spread),
    ]
    return Reading.parse_untrusted(exposition(rows)().decode(), at)


def test_a_view_has_rates_quantiles_and_what_was_dropped_since() -> None:
    spread = Histogram(SECONDS)
    before = reading(10.0, 100, {"rate": 5, "malformed": 1}, spread)
    for _ in range(99):
        spread.note(0.003)
    spread.note(0.3)
    seen = view("a", Pair(before, reading(12.0, 300, {"rate": 9, "malformed": 1}, spread)))
    assert (seen.program, seen.state, seen.rooms, seen.waiting) == ("gateway", "ok", 3, 3)
    assert seen.per_second_in == 100
    assert seen.drops == {"rate": 4}
    assert (seen.p50_s, seen.p99_s) == (0.005, 0.005)
    for _ in range(10):
        spread.note(0.3)
    assert view("a", Pair(before, reading(12.0, 300, {}, spread))).p99_s == 0.5


def test_a_program_that_was_started_again_has_no_rates_below_nothing() -> None:
    spread = Histogram(SECONDS)
    seen = view("a", Pair(reading(1, 100, {"rate": 5}, spread), reading(2, 3, {"rate": 1}, spread)))
    assert seen.per_second_in == 0
    assert seen.drops == {}
    assert seen.p50_s is None


def test_who_does_not_answer_is_told_so() -> None:
    seen = view("a", Pair(Reading(1.0, {}, "Connection refused"), Reading(2.0, {}, "Connection refused")))
    assert (seen.program, seen.state) == ("", "Connection refused")


def test_other_programs_are_not_ours() -> None:
    other = Reading.parse_untrusted("up 1\n", 1.0)
    assert view("a", Pair(other, other)).state == "not a gateway nor a broker"


@given(st.text(max_size=200))
def test_whatever_a_server_answers_is_a_reading(text: str) -> None:
    one = Reading.parse_untrusted(text, 1.0)
    view("a", Pair(one, Reading.parse_untrusted(text, 2.0)))


def test_it_reads_names_that_there_are() -> None:
    told = {row.name for rows in (gateway_metrics.rows, broker_metrics.rows) for row in rows(NOBODY)}  # type: ignore[arg-type]
    assert set(names_read()) <= told


@pytest.mark.parametrize("text", ["tsudoi_gateway_rooms{", "x" * 10_000, "# HELP\n# TYPE a b c\n", 'a{b="'])
def test_broken_texts_do_not_break_it(text: str) -> None:
    assert Reading.parse_untrusted(text, 1.0).program == ""
