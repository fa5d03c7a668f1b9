"""tests/support/forked.py: a forked program is as one that a new Python runs."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import forked
from tests.support.waiting import has_ended, wait_until
from tests.test_documents import ROOT

PATIENCE_S = 60.0
BROKER = [sys.executable, "-m", "broker", "--bind", "tcp://127.0.0.1:0", "--store", "memory", "--insecure"]
ABANDONED = f"""
import os
from tests.support import forked
broker = forked.Popen({BROKER}, stdout=forked.subprocess.PIPE, start_new_session=True)
assert broker.stdout.readline().startswith(b"ready ")
print(broker.pid, flush=True)
os._exit(1)
"""
Start = Callable[..., "subprocess.Popen[Any]"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["broker", "keys", "--help"], None),
        (["client"], None),
        (["gateway", "--rate", "caf\udce9"], None),
        (["broker", "--store", "memory", "admin", "persist", "den", "--ask-password"], "a line\n"),
    ],
    ids=lambda value: " ".join(value or ()).encode("ascii", "replace").decode(),
)
def test_it_prints_the_same_and_ends_with_the_same_status(arguments: list[str], text: str | None) -> None:
    command = [sys.executable, "-m", *arguments]
    options: dict[str, Any] = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": PATIENCE_S, "input": text}
    one, other = subprocess.run(command, **options), forked.run(command, **options)
    assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)


def descriptors(start: Start) -> tuple[list[str], Counter[str]]:
    """Return what its standard streams are, and how many of each kind it has; their numbers are a matter of threads."""
    with start(BROKER, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as broker:
        assert broker.stdout is not None
        assert broker.stdout.readline().startswith(b"ready ")
        folder = Path(f"/proc/{broker.pid}/fd")
        kinds = {each.name: os.readlink(each).partition(":")[0] for each in folder.iterdir()}
        assert os.getsid(broker.pid) == broker.pid
        broker.kill()
    assert broker.returncode == -signal.SIGKILL
    return [kinds[number] for number in "012"], Counter(kinds.values())


def test_it_has_the_same_descriptors() -> None:
    assert descriptors(subprocess.Popen) == descriptors(forked.Popen)


def test_what_python_itself_reads_is_left_to_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("print('mine')")
    for variable, is_read in (("PYTHONPATH", True), ("TSUDOI_PATH", False)):
        environment = {**os.environ, variable: str(tmp_path)}
        command = [sys.executable, "-m", "broker", "keys", "--help"]
        ended = forked.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
        assert ended.stdout.startswith("mine") == is_read


def test_it_ends_with_the_tests_that_started_it() -> None:
    ended = subprocess.run([sys.executable, "-c", ABANDONED], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    wait_until(lambda: has_ended(int(ended.stdout)))
