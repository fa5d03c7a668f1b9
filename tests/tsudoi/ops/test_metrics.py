"""tsudoi/ops/histogram.py, tsudoi/ops/metrics.py and tsudoi/ops/exposition.py"""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tsudoi.ops.exposition import exposition
from tsudoi.ops.histogram import SECONDS, Histogram
from tsudoi.ops.metrics import Row, counter, gauge, histogram


def told(*rows: Row) -> dict[str, float]:
    """All samples of an exposition, as a reader of Prometheus' text format has them, but for the process's own."""
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(exposition(rows)().decode())
        for sample in family.samples
        if sample.name.startswith("t_")
    }


def test_counters_and_gauges_are_read_when_somebody_asks() -> None:
    numbers = {"now": 1.0}
    ask = exposition([counter("t_said", "Said", lambda: numbers["now"])])
    assert b"t_said_total 1.0" in ask()
    numbers["now"] = 2.0
    assert b"t_said_total 2.0" in ask()


def test_a_label_has_a_number_for_each_value() -> None:
    rows = [gauge("t_waiting", "Waiting", lambda: {"a": 1, "b": 2}, "queue")]
    assert told(*rows) == {"t_waiting{a}": 1, "t_waiting{b}": 2}


def test_whatever_is_in_a_label_is_escaped() -> None:
    assert list(told(gauge("t_x", "X", lambda: {'"}\n\\': 1.0}, "label"))) == ['t_x{"}\n\\}']


@given(st.lists(st.floats(0, 10)))
def test_a_histogram_counts_each_value_once_and_buckets_hold_all_below(values: list[float]) -> None:
    spread = Histogram()
    for value in values:
        spread.note(value)
    samples = told(histogram("t_seconds", "Seconds", lambda: spread))
    assert samples["t_seconds_count"] == samples["t_seconds_bucket{+Inf}"] == len(values)
    assert abs(samples["t_seconds_sum"] - sum(values)) < 1e-6
    for bound in SECONDS:
        assert samples[f"t_seconds_bucket{{{bound:g}}}"] == sum(value <= bound for value in values)


def test_the_process_tells_of_itself() -> None:
    assert b"process_resident_memory_bytes" in exposition([])()
