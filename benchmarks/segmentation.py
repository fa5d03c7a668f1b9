"""The highest rates with and without segmentation (`gateway/listeners/segments.py`), for equal and for real lengths."""

from collections.abc import Sequence

from benchmarks.cases import us, verdict
from benchmarks.joining import Seat, seats
from benchmarks.runner import Row, Runner, relay, tsudoi

ROOMS = (
    ("one room of 1000, 50 send", seats(1, 1000, senders=50), 1000, 250.0),
    ("one room of 100, 4 send", seats(1, 100, senders=4), 100, 2_500.0),
    ("one room of 10, all send", seats(1, 10), 10, 16_000.0),
)
"""Title, seats, size, a rate to begin with."""
MEDIAN, SPREAD = 40, 0.8
"""Of lines of real chat: bytes, and the deviation of their logarithm."""
MODULES = ("gateway", "benchmarks.without_segments")


def segmentation(runner: Runner) -> list[Row]:
    """Search the highest rates on one core, of the relay and of a gateway with and without segmentation."""
    rows = []
    for title, wanted, size, start in ROOMS:
        aim = "chat lengths" if size == 10 else ""
        rows.append(_row(runner, f"{title}, highest rate", wanted, size, start, beside_relay=True))
        name = f"{title}, lengths of real chat (median {MEDIAN} bytes), highest rate"
        rows.append(_row(runner, name, wanted, size, start, (MEDIAN, SPREAD), aim))
    return rows


def _row(
    runner: Runner,
    title: str,
    wanted: Sequence[Seat],
    size: int,
    start: float,
    lengths: tuple[int, float] = (100, 0.0),
    aim: str = "",
    beside_relay: bool = False,
) -> Row:
    found = []
    for module in MODULES:
        with tsudoi(wanted, module=module, lengths=lengths) as ours:
            found.append(runner.highest_rate(ours.load, ours.service, start))
    (rate, run), (without, run_without) = found
    beside = ""
    if beside_relay and not runner.quick:
        with relay(wanted) as theirs:
            most, _ = runner.highest_rate(theirs.load, theirs.service, start)
        beside = f"; C relay {most:,.0f} messages/s, ours ÷ that {rate / max(most, 1):.2f}"
    return Row(
        title,
        f"{rate:,.0f} messages/s in, {rate * size:,.0f} out, {us(run):.2f} µs CPU a delivery",
        f"without segmentation {without:,.0f} in, {us(run_without):.2f} µs",
        rate / without if without else None,
        f"{verdict(run)}{beside}",
        aim,
    )
