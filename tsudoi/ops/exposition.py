"""Write metrics in Prometheus' text format. Imported where it is served: the library takes a twentieth of a start."""

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .histogram import SECONDS, Histogram
from .metrics import Row


class _Rows(Collector):
    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)

    def collect(self) -> Iterable[Metric]:
        for row in self._rows:
            yield _family(row, row.read())

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registration reads no row."""
        return ()


def _family(row: Row, value: float | Mapping[str, float] | Histogram) -> Metric:
    if isinstance(value, Histogram):
        spread = HistogramMetricFamily(row.name, row.help)
        counts = list(value.counts)
        bounds = [*(f"{bound:g}" for bound in SECONDS), "+Inf"]
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
