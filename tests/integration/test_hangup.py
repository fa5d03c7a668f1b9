"""SIGHUP: a service that has a terminal ends with it; one without reads its settings again."""

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import forked
from tests.support.services import ROOT
from tests.support.waiting import has_ended, wait_until

PATIENCE_S = 60.0
GATEWAY = ("gateway", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data", "{}")
SERVICES = [
    GATEWAY,
    (*GATEWAY, "--workers", "2"),
    ("broker", "--bind", "tcp://127.0.0.1:0", "--store", "sqlite:{}/x.sqlite"),
]


def take_terminal_deaf() -> None:
    forked.take_terminal()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


class Window:
    """A terminal, and a program that has it as its controlling one."""

    def __init__(self, arguments: Sequence[str], folder: Path, is_deaf: bool = False) -> None:
        """`is_deaf`: started by nohup, which ignores SIGHUP, but with the terminal as its output."""
        command = (sys.executable, "-m", *(argument.format(folder) for argument in arguments))
        self._terminal, theirs = pty.openpty()
        self._program = forked.Popen(
            command,
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=take_terminal_deaf if is_deaf else forked.take_terminal,
        )
        self.pid = self._program.pid
        os.close(theirs)
        self._shown = b""
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, words: bytes) -> str:
        """Return the line that has these words."""
        deadline = threading.Event()
        for _ in range(int(PATIENCE_S / 0.02)):
            for line in self._shown.splitlines():
                if words in line:
                    return line.decode()
            deadline.wait(0.02)
        raise AssertionError(f"{words!r} was not shown: {self._shown!r}")

    def close(self) -> None:
        """Close the terminal, as if its window was closed."""
        self._closing.set()
        self._reader.join()  # while it reads, the terminal would stay open
        os.close(self._terminal)

    def status(self) -> int:
        """Wait for the end of the program, and return its exit status."""
        try:
            return self._program.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
            raise AssertionError("it still runs") from None

    def _read(self) -> None:
        with suppress(OSError):
            while not self._closing.is_set():
                if select.select([self._terminal], [], [], 0.02)[0]:
                    self._shown += os.read(self._terminal, 4096)


def children(pid: int) -> list[int]:
    """Return the children of all threads; the system may leave out some while another one ends."""
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]


@pytest.mark.parametrize("arguments", SERVICES, ids=["gateway", "workers", "broker"])
def test_a_service_ends_in_good_order_with_its_terminal(arguments: Sequence[str], tmp_path: Path) -> None:
    window = Window(arguments, tmp_path)
    window.wait_for(b"ready ")
    count = 3 if "--workers" in arguments else 0
    wait_until(lambda: len(children(window.pid)) == count)
    family = children(window.pid)
    window.close()
    assert window.status() == 0
    assert all(has_ended(child) for child in family)


def test_what_is_sent_by_kill_stops_a_service_with_a_terminal_too(tmp_path: Path) -> None:
    window = Window(GATEWAY, tmp_path)
    window.wait_for(b"ready tcp ")
    os.kill(window.pid, signal.SIGHUP)
    window.wait_for(b"this service has a terminal, so it stops with it")
    assert window.status() == 0
    window.close()


def test_a_service_that_was_started_to_outlive_its_terminal_goes_on_without_it(tmp_path: Path) -> None:
    window = Window(GATEWAY, tmp_path, is_deaf=True)
    ready = window.wait_for(b"ready tcp ")
    port = int(ready.split()[2].rpartition(":")[2])
    window.close()
    os.kill(window.pid, signal.SIGHUP)  # a reload, whose log line nothing can show
    os.kill(window.pid, signal.SIGUSR1)
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as stranger:
        stranger.sendall(bytes(32))
        assert stranger.recv(100)
    os.kill(window.pid, signal.SIGTERM)
    assert window.status() == 0


@pytest.mark.parametrize(
    ("arguments", "number"),
    list(zip(SERVICES, (signal.SIGINT, signal.SIGTERM, signal.SIGTERM), strict=True)),
    ids=["gateway", "workers", "broker"],
)
def test_signals_that_come_while_a_service_ends_do_not_change_its_exit_status(
    arguments: Sequence[str], number: signal.Signals, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", *(argument.format(tmp_path) for argument in arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as service:
        assert service.stdout is not None
        assert service.stdout.readline().startswith(b"ready ")
        while service.poll() is None:
            service.send_signal(number)
            time.sleep(0.002)  # their pace
    assert service.returncode == 0


IN_AN_IMPORT = """
import importlib, os, sys
sys.path.remove(__file__.rpartition("/")[0])
print("importing", flush=True)
os.read(0, 1)
del sys.modules["click"]
sys.modules["click"] = importlib.import_module("click")
"""
"""Stands in the way of a library that each program imports, until a line comes."""


@pytest.fixture
def slow_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "click.py").write_text(IN_AN_IMPORT)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def begin(*arguments: str) -> "subprocess.Popen[str]":
    """Start a program without a terminal, and wait until it is in the midst of its imports."""
    command, pipe = [sys.executable, "-m", *arguments], subprocess.PIPE
    program = subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "importing\n"
    return program


def go_on(program: "subprocess.Popen[str]") -> None:
    assert program.stdin is not None
    program.stdin.write("\n")
    program.stdin.flush()


@pytest.mark.usefixtures("slow_import")
@pytest.mark.parametrize("arguments", [GATEWAY, SERVICES[2], ("tsudoi", "serve", *GATEWAY[1:])], ids=lambda row: row[0])
def test_signals_during_the_imports_do_not_end_a_service_and_its_settings_are_read_again(
    arguments: Sequence[str], tmp_path: Path
) -> None:
    with begin(*(argument.format(tmp_path) for argument in arguments)) as service:
        for number in (signal.SIGUSR1, signal.SIGHUP):
            service.send_signal(number)
        go_on(service)
        assert service.stdout is not None
        assert service.stdout.readline().startswith("ready ")
        assert service.stderr is not None
        assert any("settings reloaded" in line for line in service.stderr)  # it reads them after it has said so
        service.terminate()
        service.communicate(timeout=PATIENCE_S)
    assert service.returncode == 0


@pytest.mark.usefixtures("slow_import")
def test_a_signal_during_the_imports_ends_what_is_no_service() -> None:
    with begin("tsudoi", "rooms") as program:
        program.send_signal(signal.SIGHUP)
        assert program.communicate("\n", timeout=PATIENCE_S) == ("", "")  # it may have ended already
    assert program.returncode == -signal.SIGHUP


@pytest.mark.usefixtures("slow_import")
def test_a_terminal_that_is_closed_during_the_imports_ends_a_service(tmp_path: Path) -> None:
    window = Window(GATEWAY, tmp_path)
    window.wait_for(b"importing")
    window.close()
    assert window.status() == -signal.SIGHUP


def test_closed_streams_are_nobodys(tmp_path: Path) -> None:
    """No socket or file gets the number of a standard stream, into which whatever prints would write."""
    arguments = [argument.format(tmp_path) for argument in GATEWAY]
    script = 'exec "$@" <&- >&- 2>&-'
    with subprocess.Popen(["sh", "-c", script, "sh", sys.executable, "-m", *arguments], cwd=ROOT) as service:
        wait_until((tmp_path / "tsudoi.sqlite.admin").exists)
        found = {os.readlink(f"/proc/{service.pid}/fd/{number}") for number in range(3)}
        assert found == {"/dev/null"}
        service.terminate()
        assert service.wait(PATIENCE_S) == 0
