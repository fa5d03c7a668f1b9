"""Define a program's metrics; `exposition.py` writes them in Prometheus' text format.

A `Row` names a metric and the function that reads it. The program counts in plain integers; they are read at each
scrape, in a thread of the HTTP server. So a reader must not iterate over a table that the event loop changes:
`list(table.values())` is one step of the interpreter, and safe.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

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
    return Row(name, "histogram", help, read)
