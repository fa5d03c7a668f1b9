"""The highest rates with and without segmentation (`gateway/listeners/segments.py`), for equal and for real lengths."""

from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.cases import us
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
    with ExitStack() as stack:
        rivals = [stack.enter_context(tsudoi(wanted, module=module, lengths=lengths)) for module in MODULES]
        if beside_relay and not runner.quick:
            rivals.append(stack.enter_context(relay(wanted)))
        found = runner.highest_rates([each.rival for each in rivals], start)
    (rate, run), (without, run_without), *others = found
    beside = "".join(f"; C relay {most:,.0f} messages/s, ours ÷ that {rate / most:.2f}" for most, _ in others)
    return Row(
        title,
        f"{rate:,.0f} messages/s in, {rate * size:,.0f} out, {us(run):.2f} µs CPU a delivery",
        f"without segmentation {without:,.0f} in, {us(run_without):.2f} µs",
        rate / without,
        f"{run.verdict}{beside}",
        aim,
    )
