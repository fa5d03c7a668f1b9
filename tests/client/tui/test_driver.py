"""client/tui/driver.py on real terminals: they are closed, stand still, or change their size."""

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key

from client.tui.driver import PatientDriver
from tests.support import forked
from tests.tsudoi.fake_server import Served
from tsudoi.ops.threaded_output import ThreadedOutput
from tsudoi.protocol.client import downlink_encoder
from tsudoi.protocol.client.dialects import TSUDOI

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Terminal:
    """A client on a pseudo-terminal, which is its controlling one or not."""

    def __init__(self, served: Served, state: Path, has_control: bool = True, wrapper: tuple[str, ...] = ()) -> None:
        self._ours, theirs = pty.openpty()
        self.path = os.ttyname(theirs)
        self.resize(80, 24)
        server = f"127.0.0.1:{served.fake.address.tcp}:{served.fake.address.udp}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TSUDOI_", "TMUX"))}
        environment |= {"TERM": "xterm-256color", "XDG_STATE_HOME": str(state), "LC_ALL": "C.UTF-8"}
        self._errors = state / "errors"
        with self._errors.open("wb") as errors:
            self.process = forked.Popen(
                [
                    *wrapper,
                    sys.executable,
                    "-m",
                    "client",
                    "create",
                    "den",
                    "--name",
                    "alice",
                    "--server",
                    server,
                    "--dialect",
                    "tsudoi",
                ],
                cwd=ROOT,
                stdin=theirs,
                stdout=theirs,
                stderr=errors,
                env=environment | {"COLUMNS": "33", "LINES": "7"},
                start_new_session=True,
                preexec_fn=forked.take_terminal if has_control else None,
            )
        os.close(theirs)
        self.shown = b""
        _started.append(self)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, is_right: Callable[[bytes], bool]) -> None:
        """Read what is shown from now on."""
        self.shown = b""
        deadline = time.monotonic() + PATIENCE_S
        while not is_right(self.shown):
            assert time.monotonic() < deadline, self.shown[-2000:]
            if select.select([self._ours], [], [], 0.1)[0]:
                self.shown += os.read(self._ours, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        if self._ours >= 0:
            os.close(self._ours)
            self._ours = -1

    def wait(self) -> int:
        """Read on, as a terminal does, until the client has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            if self._ours >= 0 and select.select([self._ours], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self._ours, 65536)
                except OSError:
                    self.close()
        assert self._errors.read_text().strip() == ""
        return self.process.returncode


_started: list[Terminal] = []


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TSUDOI) as served:
        yield served
    while _started:
        terminal = _started.pop()
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


def start(served: Served, state: Path, has_control: bool = True) -> Terminal:
    terminal = Terminal(served, state, has_control)
    terminal.read_until(lambda shown: b"clear/quit" in shown and b"its host" in shown)
    return terminal


@pytest.mark.parametrize("has_control", [True, False], ids=["a window", "a terminal that sends no signal"])
def test_a_client_ends_with_its_terminal(has_control: bool, served: Served, tmp_path: Path) -> None:
    terminal = start(served, tmp_path, has_control)
    terminal.close()
    assert terminal.wait() == 128 + signal.SIGTERM
    served.hears(b"/leave")


def test_a_client_ends_with_its_terminal_however_often_it_is_told(served: Served, tmp_path: Path) -> None:
    terminal = start(served, tmp_path)
    terminal.close()
    deadline = time.monotonic() + PATIENCE_S
    while terminal.process.poll() is None:
        assert time.monotonic() < deadline, "it still runs"
        terminal.process.send_signal(signal.SIGHUP)
        time.sleep(0.002)
    assert terminal.wait() in (128 + signal.SIGTERM, -signal.SIGHUP)  # the latter: when all was done
    served.hears(b"/leave")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130)],
    ids=lambda value: str(value),
)
def test_a_signal_ends_it_and_the_terminal_is_as_before(
    number: signal.Signals, status: int, served: Served, tmp_path: Path
) -> None:
    terminal = start(served, tmp_path)
    terminal.process.send_signal(number)
    assert terminal.wait() == status
    assert b"\x1b[?1049l" in terminal.shown
    served.hears(b"/leave")
    terminal.close()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP], ids=lambda value: value.name)
def test_a_client_that_was_stopped_draws_all_and_leaves_the_terminal_as_it_was(
    number: signal.Signals, served: Served, tmp_path: Path
) -> None:
    terminal = Terminal(served, tmp_path)
    with os.fdopen(os.open(terminal.path, os.O_RDONLY | os.O_NOCTTY)) as held:
        before = termios.tcgetattr(held)
        terminal.read_until(lambda shown: b"clear/quit" in shown and b"its host" in shown)
        assert termios.tcgetattr(held) != before
        terminal.process.send_signal(number)
        about = Path(f"/proc/{terminal.process.pid}/stat")
        wait_for(lambda: about.read_text().rpartition(")")[2].split()[0] == "T")
        terminal.process.send_signal(signal.SIGCONT)
        terminal.read_until(lambda shown: b"clear/quit" in shown and b"its host" in shown)
        terminal.type(b"again\r")
        wait_for(lambda: any(each.endswith(b"again") for each in served.fake.datagrams))
        terminal.type(b"\x04")
        assert terminal.wait() == 0
        assert termios.tcgetattr(held) == before
        terminal.close()


@pytest.mark.parametrize("flag", ["--no-mouse", "--plain"])
def test_ctrl_z_leads_to_the_shell_and_fg_back(flag: str, served: Served, tmp_path: Path) -> None:
    # A shell with job control: it tells that the client has stopped, and continues it when Enter is pressed.
    shell = ("bash", "-c", f'exec 2>/dev/tty; set -m; "$@" {flag}; echo stopped: $?; read; fg', "bash")
    terminal = Terminal(served, tmp_path, wrapper=shell)
    terminal.read_until(lambda shown: b"its host" in shown and (b"clear/quit" in shown or b"/help" in shown))
    terminal.type(b"typed\x1a")
    terminal.read_until(lambda shown: b"stopped: 14" in shown)
    terminal.type(b"\n")
    terminal.read_until(lambda shown: b"typed" in shown)
    terminal.type(b" on\r")
    wait_for(lambda: any(each.endswith(b"typed on") for each in served.fake.datagrams))
    terminal.type(b"\x04")
    assert terminal.wait() == 0
    terminal.close()


def test_ctrl_z_stops_nothing_where_no_shell_would_continue_it(served: Served, tmp_path: Path) -> None:
    terminal = start(served, tmp_path)
    terminal.type(b"typed\x1a on\r")
    wait_for(lambda: any(each.endswith(b"typed on") for each in served.fake.datagrams))


def test_a_terminal_that_stands_still_stops_nothing(served: Served, tmp_path: Path) -> None:
    terminal = start(served, tmp_path)
    for number in range(300):
        # Nothing reads meanwhile.
        served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", number, "bob", f"{number} " + "x" * 900))
        time.sleep(0.002)
    served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", 301, "bob", "last line"))
    terminal.type(b"I am here\r")
    served.hears(b"I am here")
    terminal.read_until(lambda shown: b"last line" in shown)
    terminal.type(b"\x04")
    assert terminal.wait() == 0
    terminal.close()


class _Screen:
    def __init__(self) -> None:
        self.drawn = 0

    @property
    def screen(self) -> "_Screen":
        return self

    def refresh(self, layout: bool) -> None:
        self.drawn += 1


async def _slow_terminal() -> int:
    """Write more than a terminal takes; return how much of it was kept for it."""
    reading, writing = os.pipe()
    screen: Any = _Screen()
    driver = PatientDriver.__new__(PatientDriver)
    driver._app, driver._loop, driver._skips = screen, asyncio.get_running_loop(), False
    with os.fdopen(writing, "w") as file:
        driver._output = ThreadedOutput(file)
        for _ in range(1_000):
            driver.write("x" * 1_000)
        assert not screen.drawn
        os.set_blocking(reading, False)  # what waits may have left before it is read
        shown = bytearray()
        while not screen.drawn:
            shown += _read(reading)
            await asyncio.sleep(0)
        driver.write("the screen, drawn anew")
        while not shown.endswith(b"anew"):
            shown += _read(reading)
            await asyncio.sleep(0)
    os.close(reading)
    return len(shown)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except BlockingIOError:
        return b""


def test_frames_are_left_out_for_a_slow_terminal_and_the_screen_is_drawn_anew() -> None:
    assert asyncio.run(_slow_terminal()) < 300_000


def test_the_size_is_the_terminals_and_not_that_of_variables(served: Served, tmp_path: Path) -> None:
    terminal = start(served, tmp_path)
    terminal.resize(40, 24)
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.read_until(lambda shown: b"\x1b[24;" in shown or b"older" in shown)
    terminal.type(b"\x04")
    assert terminal.wait() == 0
    terminal.close()


def test_what_is_typed_before_the_screen_is_there_is_said(served: Served, tmp_path: Path) -> None:
    terminal = Terminal(served, tmp_path)
    terminal.type(b"early\r")
    terminal.read_until(lambda shown: b"clear/quit" in shown)
    served.hears(b"early")
    terminal.process.terminate()
    assert terminal.wait() == 143
    terminal.close()


@pytest.mark.parametrize("key", ["1", "9", "a", "d", "u"])
def test_alt_is_known_also_when_text_follows_at_once(key: str) -> None:
    events = XTermParser().feed(f"\x1b{key}い")
    assert [event.key for event in events if isinstance(event, Key)] == [f"alt+{key}", "い"]


@pytest.mark.parametrize("key", ["<", ">", ".", "-", "0", "x", "Z", "@"])
def test_alt_and_another_key_writes_nothing_also_when_text_follows_at_once(key: str) -> None:
    events = XTermParser().feed(f"\x1b{key}い")
    written = [event.character for event in events if isinstance(event, Key) and event.is_printable]
    assert written == ["い"]
