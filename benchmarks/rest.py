"""What a service costs that has little to do: a lone message, and nobody there."""

import contextlib
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases import us
from benchmarks.joining import seats
from benchmarks.processes import SERVICE_CORE, Process, Tsudoi, family
from benchmarks.runner import Row, Runner, median_of, ratio_of, relay, tsudoi

SIZE, EVERY_S = 5, 0.01


def lone_message(runner: Runner) -> list[Row]:
    """A message every 10 ms in a room of five, beside the C relay."""
    with tsudoi(seats(1, SIZE)) as ours, relay(seats(1, SIZE)) as theirs:
        seconds = runner.pick(4.0, 1.0)
        runs = runner.turns([ours.rival, theirs.rival], 1 / EVERY_S, seconds)
    mine, floor = (SIZE * median_of(made, us) for made in runs)
    return [
        Row(
            "a lone message: a room of 5, one every 10 ms",
            f"{mine:,.0f} µs CPU a message",
            f"C relay {floor:,.0f} µs",
            ratio_of(runs[0], runs[1], us),
            f"p50 {median_of(runs[0], lambda run: run.p50):,.0f} µs; gateway and broker in one process",
            "lone",
        )
    ]


def nobody(runner: Runner) -> list[Row]:
    """A service without members: processor time, and how often it wakes up."""
    with TemporaryDirectory() as folder, Tsudoi(Path(folder, "data"), cores=(SERVICE_CORE,)) as service:
        time.sleep(1.0)
        seconds = runner.pick(20.0, 4.0)
        with runner.watch(service):
            used, woken = service.cpu_s(), _wake_ups(service)
            time.sleep(seconds)
            used, woken = service.cpu_s() - used, _wake_ups(service) - woken
    return [
        Row(
            "nobody there",
            f"{100 * used / seconds:.2f} % of a core, {woken / seconds:.1f} wake-ups a second",
            note="all threads of all processes",
            aim="rest",
            figure=woken / seconds,
        )
    ]


def _wake_ups(service: Process) -> int:
    """Return how often the threads of a service have gone to sleep and were woken up."""
    count = 0
    for pid in family(service.pid):
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):
                found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.MULTILINE)
                count += int(found[1]) if found else 0
    return count
