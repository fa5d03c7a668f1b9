"""Wait for a condition that nothing tells: look again and again, for as long as a busy machine may need."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 60.0
LOOK_S = 0.005


async def until(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Return as soon as `holds()`; raise TimeoutError if it never does."""
    async with asyncio.timeout(patience_s):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(LOOK_S)


def wait_until(holds: Callable[[], object], what: str = "waited in vain", patience_s: float = PATIENCE_S) -> None:
    """Return as soon as `holds()`; fail the test, and say `what` is wrong, if it never does."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(LOOK_S)


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, even if its parent never asks: the first one of a container may not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"
