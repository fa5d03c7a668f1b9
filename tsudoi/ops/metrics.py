"""Export a program's numbers in Prometheus' text format.

A `Row` names a metric and the function that reads it. The program counts in plain integers; they are read at each
scrape, in a thread of the HTTP server. So a reader must not iterate over a table that the event loop changes:
`list(table.values())` is one step of the interpreter, and safe.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .histogram import Histogram

Number = Callable[[], float]
Numbers = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. The name of a counter ends in `_total`; units are base units."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    read: Number | Numbers | Callable[[], Histogram]
    """Returns the number; with a label, one number for each value of the label."""
    label: str = ""


def counter(name: str, help: str, read: Number | Numbers, label: str = "") -> Row:
    """Return a row for a number that only grows; `name` is without `_total`."""
    return Row(f"{name}_total", "counter", help, read, label)


def gauge(name: str, help: str, read: Number | Numbers, label: str = "") -> Row:
    """Return a row for a number that goes up and down."""
    return Row(name, "gauge", help, read, label)


def histogram(name: str, help: str, read: Callable[[], Histogram]) -> Row:
    """Return a row for a histogram."""
    return Row(name, "histogram", help, read)


class _Rows(Collector):
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)

    def collect(self) -> Iterable[Metric]:
        """Yield a metric for each row."""
        for row in self._rows:
            yield _family(row, row.read())

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registration reads no row."""
        return ()


def _family(row: Row, value: float | Mapping[str, float] | Histogram) -> Metric:
    if isinstance(value, Histogram):
        spread = HistogramMetricFamily(row.name, row.help)
        counts = list(value.counts)
        bounds = [*(f"{bound:g}" for bound in value.bounds), "+Inf"]
        spread.add_metric([], list(zip(bounds, accumulate(counts), strict=True)), value.total)
        return spread
    family = (CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily)(
        row.name, row.help, labels=[row.label] if row.label else []
    )
    if isinstance(value, Mapping):
        for label, number in value.items():
            family.add_metric([label], number)
    else:
        family.add_metric([], value)
    return family


def exposition(rows: Iterable[Row]) -> Callable[[], bytes]:
    """Return a function that reads all rows and the process's own numbers, as text."""
    registry = CollectorRegistry()
    registry.register(_Rows(rows))
    ProcessCollector(registry=registry)
    return lambda: generate_latest(registry)
