"""tests/support/watchdog.py, and that a test of this tree which takes too long is ended and told."""

import subprocess
import sys
import threading
from pathlib import Path

from tests.support.services import ROOT
from tests.support.watchdog import Watchdog

STUCK = """
import threading
def test_stuck():
    threading.Event().wait(60)
"""


def test_what_is_not_called_off_in_time_expires_once() -> None:
    watchdog, early, late, again = Watchdog(0.01), threading.Event(), threading.Event(), threading.Event()
    watchdog.watch(0.1, early.set)
    watchdog.rest()
    watchdog.watch(0.1, late.set)
    assert late.wait(60)
    watchdog.watch(0.1, again.set)
    assert again.wait(60)
    assert not early.is_set()


def test_a_test_that_takes_too_long_ends_its_process_and_its_stack_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(STUCK)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--timeout", "0.5", "--rootdir", str(ROOT)]
    done = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "threading.Event().wait(60)" in done.stdout
    assert " Timeout " in done.stdout
