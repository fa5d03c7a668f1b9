"""client/cli.py without some of its libraries, as in a small image: what does not need them works."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tsudoi.fake_server import Served
from tsudoi.ops.missing_extra import EXTRAS, advice
from tsudoi.protocol.client.dialects import TSUDOI

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
WITHOUT = """
import importlib.abc, runpy, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing = sys.argv.pop(1).split(",")
sys.meta_path.insert(0, Missing())
runpy.run_module("client", run_name="__main__")
"""


def command(missing: str, *words: str) -> list[str]:
    return [sys.executable, "-c", WITHOUT, missing, *words]


def run(missing: str, *words: str) -> subprocess.CompletedProcess[str]:
    given = command(missing, *words)
    return subprocess.run(given, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)


LIBRARIES = "prompt_toolkit,rich,yaml,zmq,uvloop,structlog,prometheus_client,argon2,jwt"


def test_help_and_rooms_need_none_of_them() -> None:
    helped = run(LIBRARIES, "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "rooms" in helped.stdout
    listed = run(LIBRARIES, "rooms", "--server", "127.0.0.1:1:1")
    assert listed.returncode == 1
    assert listed.stderr.startswith("client: ")
    assert "Traceback" not in listed.stderr


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("yaml", ("scenario", "a.yaml")),
        ("scenarios", ("scenario", "--help")),
        ("rich", ("scenario", "--dialect-port", "tcrp=1", "x")),
    ],
)
def test_a_command_without_its_library_is_one_line(missing: str, words: tuple[str, ...]) -> None:
    ended = run(missing, *words)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"client: {missing} is not installed here: pip install 'tsudoi[{EXTRAS[missing]}]'\n"


def test_a_chat_on_a_pipe_needs_none_of_them() -> None:
    with Served(TSUDOI) as server:
        where = ("--server", str(server.fake.address), "--linger", "0")
        ended = run(LIBRARIES, "create", "den", "--name", "alice", *where, "--dialect", "tsudoi")
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
        assert list(server.fake.rooms) == ["den"]


def test_a_terminal_without_its_library_is_one_line_and_enters_no_room() -> None:
    ours, theirs = pty.openpty()
    try:
        given = command("prompt_toolkit", "create", "den", "--name", "alice", "--server", "127.0.0.1:1:1")
        ended = subprocess.run(
            given, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == 1
    assert ended.stderr == "client: prompt_toolkit is not installed here: pip install 'tsudoi[chat]'\n"


def test_a_module_of_our_own_that_is_missing_is_a_bug() -> None:
    assert advice(ModuleNotFoundError("No module named 'tsudoi.net.nothing'", name="tsudoi.net.nothing")) == ""
    assert "scenario" in advice(ModuleNotFoundError("No module named 'tsudoi.scenarios'", name="tsudoi.scenarios"))
