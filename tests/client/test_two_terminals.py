"""Two people chat on whole screens, in tmux, through a real service that is killed meanwhile."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from client.tui.questions import SEEN_S
from scenarios.cluster import Gateway

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


class Terminals:
    """Windows of a tmux server of our own."""

    def __init__(self, state: Path) -> None:
        self._name = f"tsudoi-test-{os.getpid()}"
        self._state = state

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-L", self._name, "-f", "/dev/null", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def open(self, window: str, columns: int, *arguments: str, **environment: str) -> None:
        known = {"XDG_STATE_HOME": str(self._state / window), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        variables = [f"{name}={value}" for name, value in (known | environment).items()]
        words = ["env", *variables, sys.executable, "-m", "tsudoi", "chat", *arguments]
        # tmux itself does not always see that a pane's program has ended.
        line = f"{shlex.join(words)}; echo STATUS $?; exec cat"
        self.tmux("new-session", "-d", "-s", window, "-x", str(columns), "-y", "20", "-c", str(ROOT), line)

    def screen(self, window: str) -> str:
        return self.tmux("capture-pane", "-p", "-t", f"={window}:")

    def type(self, window: str, text: str) -> None:
        self.tmux("send-keys", "-t", f"={window}:", "-l", text)
        self.press(window, "Enter")

    def press(self, window: str, *keys: str) -> None:
        self.tmux("send-keys", "-t", f"={window}:", *keys)

    def wait_for(self, window: str, *texts: str) -> str:
        return self.wait_until(window, lambda screen: all(text in screen for text in texts))

    def wait_until(self, window: str, is_right: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while not is_right(screen := self.screen(window)):
            assert time.monotonic() < deadline, screen
            time.sleep(0.05)
        return screen

    def confirm(self, window: str, question: str) -> None:
        """Press Ctrl-C until the question has gone. One that comes before it has stood for a moment does not count."""
        pressed_at = time.monotonic()

        def has_gone(screen: str) -> bool:
            nonlocal pressed_at
            if question not in screen:
                return True
            if time.monotonic() - pressed_at > 2 * SEEN_S:
                self.press(window, "C-c")
                pressed_at = time.monotonic()
            return False

        self.wait_until(window, has_gone)

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.tmux("kill-server")


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    terminals = Terminals(tmp_path)
    try:
        yield terminals
    finally:
        terminals.close()


@pytest.mark.parametrize("dialect", ["tsudoi", "tsudoi-2"])
def test_two_people_chat_while_the_service_is_killed(dialect: str, terminals: Terminals, tmp_path: Path) -> None:
    with Gateway(data=tmp_path / "data", steady=True) as gateway:
        server = f"127.0.0.1:{gateway.tcp['auto'][1]}:{gateway.udp[1]}"
        common = ("--server", server, "--dialect", dialect)
        terminals.open("alice", 80, "create", "den", "--name", "alice", *common)
        terminals.wait_for("alice", "1 here")
        terminals.open("hanako", 40, "join", "den", "--name", "ハナコ", *common, LC_ALL="ja_JP.UTF-8")
        terminals.wait_for("hanako", "den に入りました")
        terminals.wait_for("alice", "ハナコ has joined.", "2 here")

        terminals.type("alice", "hello! 日本語でも大丈夫？")
        terminals.wait_for("hanako", "alice: hello! 日本語でも大丈夫？")
        terminals.type("hanako", "alice、こんにちは")
        screen = terminals.wait_for("alice", "alice、こんにちは")
        line = next(line for line in screen.splitlines() if "こんにちは" in line)
        assert cell_len(line[: line.rindex("│")]) == 62, "the border of the people's panel stands in its column"

        gateway.kill()
        terminals.type("alice", "is anybody there?")
        if dialect == "tsudoi-2":
            terminals.wait_for("alice", "[not kept yet]", "The server is away")
        else:
            terminals.wait_for("alice", "The server does not answer")
        gateway.start()
        if dialect == "tsudoi-2":
            terminals.wait_for("alice", "Nothing was missed.")
            terminals.wait_for("hanako", "is anybody there?")
            terminals.wait_until("alice", lambda screen: "not kept yet" not in screen)
        terminals.type("hanako", "います")
        terminals.wait_for("alice", "います")

        terminals.tmux("resize-window", "-t", "=hanako:", "-x", "120", "-y", "20")
        terminals.wait_for("hanako", "2 人", "1 den")

        terminals.press("alice", "C-c")
        terminals.wait_for("alice", "You are the host of den")
        terminals.confirm("alice", "You are the host of den")
        terminals.wait_for("alice", "STATUS 0")
        terminals.wait_for("hanako", "ホストの alice さんが退室し、ルームが閉じられました。")
        terminals.press("hanako", "C-d")
        terminals.wait_for("hanako", "STATUS 0")
        assert "Traceback" not in terminals.screen("alice") + terminals.screen("hanako")
