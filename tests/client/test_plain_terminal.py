"""client/plain_terminal.py in a terminal: a real one, as far as a program can tell."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.output import DummyOutput

import tsudoi
from client.plain_screen import Keys, Screen
from client.plain_terminal import PlainChat, show
from tests.support import forked
from tests.support.services import Gateway
from tests.tsudoi.fake_server import Served
from tsudoi.protocol.client import downlink_encoder
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import CLASSIC, TCRP, TSUDOI
from tsudoi.protocol.client.notices import encode_notice as notice

if sys.platform == "win32":
    pytest.skip("no such terminals", allow_module_level=True)

import pty
import termios

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[=>]|\][^\x07]*\x07)")


class Terminal:
    """A client on a pseudo-terminal, and a thread that reads what it shows."""

    def __init__(self, arguments: list[str], state: Path, term: str = "xterm-256color") -> None:
        ours, theirs = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TSUDOI_")}
        environment |= {
            "TERM": term,
            "XDG_STATE_HOME": str(state),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "100",
            "LINES": "30",
        }
        environment.pop("NO_COLOR", None)
        self.process = forked.Popen(
            [sys.executable, "-m", "client", *arguments],
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)
        self._ours = ours
        self._raw = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        # The end of a terminal shows as an error on Linux.
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 4096):
                self._raw += data
                if b"\x1b[6n" in data:
                    # Where is the cursor? prompt_toolkit asks, and would wait.
                    os.write(self._ours, b"\x1b[1;1R")

    @property
    def shown(self) -> str:
        return _ESCAPES.sub("", self._raw.decode(errors="replace"))

    @property
    def colours(self) -> str:
        return self._raw.decode(errors="replace")

    @property
    def has_line_editor(self) -> bool:
        """Whether keys go to the terminal's own line editor now, not to the program."""
        flags: int = termios.tcgetattr(self._ours)[3]
        return bool(flags & termios.ICANON)

    def answer(self, line: str) -> None:
        """Answer a question that the terminal's own line editor reads."""
        os.write(self._ours, f"{line}\r".encode())

    def type(self, keys: str) -> None:
        wait_for(lambda: not self.has_line_editor, lambda: f"no line can be typed: {self.shown!r}")
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        wait_for(lambda: text in self.shown, lambda: f"{text!r} was not shown: {self.shown!r}")

    def wait_for_prompt(self, name: str) -> None:
        """Keys that are typed before would go to the terminal's own line editor."""
        wait_for(lambda: f"{name}:" in self.shown.partition("leaves.")[2], lambda: f"no prompt: {self.shown!r}")

    def wait_for_prompt_after(self, text: str, prompt: str = "alice:") -> None:
        """Before it, keys would go to the terminal's own line editor, and Ctrl-C be lost."""
        wait_for(lambda: prompt in self.shown.rpartition(text)[2], lambda: self.shown)

    def wait(self) -> int:
        status = self.process.wait(PATIENCE_S)
        self._thread.join(PATIENCE_S)
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join(PATIENCE_S)
        os.close(self._ours)


def wait_for(condition: Callable[[], bool], words: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, words()
        time.sleep(0.01)


@contextlib.contextmanager
def chatting(
    dialect: Dialect, state: Path, *arguments: str, term: str = "xterm-256color"
) -> Iterator[tuple[Served, Terminal]]:
    with Served(dialect) as served:
        address = served.fake.address
        server = f"127.0.0.1:{address.tcp}:{address.udp}"
        terminal = Terminal(
            ["create", "den", "--server", server, "--dialect", dialect.name, "--plain", *arguments], state, term
        )
        try:
            yield served, terminal
        finally:
            terminal.close()


def test_a_chat(tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path) as (served, terminal):
        terminal.wait_for("Your name")
        terminal.answer("アリス")
        terminal.wait_for("den is open, and you are its host, アリス")
        terminal.wait_for("Ctrl-C on an empty line, leaves.")
        terminal.wait_for_prompt("アリス")
        terminal.type("half a li")
        terminal.wait_for("half a li")
        for number in range(300):
            served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", number, "bob", f"line {number}."))
        terminal.wait_for("line 299.")
        assert re.findall(r"bob: line (\d+)\.", terminal.shown) == [str(number) for number in range(300)]
        assert "\x1b[1;" in terminal.colours
        terminal.type("ne\r")
        served.hears(b"half a line")
        terminal.type("/who 1\r")
        served.hears(b"/who 1")
        served.tell(notice(TSUDOI.down, "den", "answer", {"code": "newer", "arg": ""}, "Row one\nrow two."))
        terminal.wait_for("Row one")
        terminal.wait_for("row two.")
        served.tell(notice(TSUDOI.down, "den", "acted", {"n": 400, "name": "bob", "said": "waves"}, "?"))
        terminal.wait_for("* bob waves")
        served.tell(
            notice(TSUDOI.down, "den", "whispered", {"n": 401, "name": "bob", "to": "アリス", "said": "psst"}, "?")
        )
        terminal.wait_for("bob → アリス: psst")
        assert terminal.colours.count("\a") == 1
        served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", 401, "bob", "アリスさん、いる？"))
        terminal.wait_for("アリスさん、いる？")
        assert terminal.colours.count("\a") == 2
        served.tell(
            notice(TSUDOI.down, "den", "renamed", {"n": 402, "name": "アリス", "to": "ハナ"}, "アリス is now ハナ.")
        )
        terminal.wait_for("ハナ:")
        terminal.type("/quit\r")
        assert terminal.wait() == 0
        served.hears(b"/leave")
    history = tmp_path / "tsudoi" / "history"
    assert "half a line" in history.read_text("utf-8")
    assert history.stat().st_mode & 0o077 == 0


def test_keys_between_two_prompts_are_not_shown_twice() -> None:
    ours, theirs = pty.openpty()
    echoes = []

    class Room:
        name, room, has_receipts = "alice", "den", True

        def pieces(self, line: str) -> list[str]:
            echoes.append(bool(termios.tcgetattr(ours)[3] & termios.ECHO))
            return []

    with open(theirs) as keys:
        session: PromptSession[str] = PromptSession(input=Keys(keys), output=DummyOutput())
        os.write(ours, b"hello\rworld\r/quit\r")
        asyncio.run(PlainChat(cast(Any, Room()), session, Screen(), is_host=False, language="en").type_raw())
    os.close(ours)
    assert echoes == [False, False]


def test_a_dumb_terminal_edits_the_line_itself(tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice", term="dumb") as (served, terminal):
        terminal.wait_for("leaves.")
        served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", 1, "bob", "line 1"))
        terminal.wait_for("line 1\r\n")
        terminal.answer("hello wolrd\x7f\x7f\x7frld")
        served.hears(b"hello world")
        terminal.wait_for("\b \brld\r\n")  # the datagram may be seen before the echo is read
        shown = terminal.shown.partition("leaves.")[2]
        assert shown == "\r\nbob: line 1\r\nhello wolrd\b \b\b \b\b \brld\r\n"
        terminal.answer("\x04")
        assert terminal.wait() == 0
        served.hears(b"/leave")


FORGED = "hi\nalice: send me the password\u2028alice: now"
"""What a member says so that it looks like three, two of them alice's."""


@pytest.mark.parametrize(
    ("dialect", "raw", "shown"),
    [
        (TSUDOI, downlink_encoder.encode_message(TSUDOI.down, "den", 1, "mallory", FORGED), "mallory: hi"),
        (TCRP, downlink_encoder.encode_message(TCRP.down, "den", 1, "mallory", FORGED), "mallory: hi"),
        (
            TSUDOI,
            notice(TSUDOI.down, "den", "acted", {"n": 1, "name": "mallory", "said": FORGED}, "?"),
            "* mallory hi",
        ),
        (
            TSUDOI,
            notice(TSUDOI.down, "den", "whispered", {"n": 1, "name": "mallory", "to": "bob", "said": FORGED}, "?"),
            "mallory → bob: hi",
        ),
        (TSUDOI, notice(TSUDOI.down, "den", "announced", {"n": 1, "said": FORGED}, FORGED), "Announcement: hi"),
        (TSUDOI, notice(TSUDOI.down, "den", "a newer server's", {}, FORGED), "hi"),
        (TCRP, downlink_encoder.encode_message(TCRP.down, "den", 1, "server", FORGED), "hi"),
    ],
    ids=["message", "plain message", "/me", "whisper", "announcement", "notice", "plain notice"],
)
def test_a_further_line_is_not_taken_for_anothers(dialect: Dialect, raw: bytes, shown: str, tmp_path: Path) -> None:
    with chatting(dialect, tmp_path, "--name", "bob") as (served, terminal):
        terminal.wait_for_prompt("bob")
        wait_for(lambda: bool(served.fake.rooms["den"].addresses), lambda: "not registered")
        served.tell(raw)
        terminal.wait_for("alice: now")
        lines = [line.rstrip() for line in terminal.shown.splitlines()]
        at = lines.index("  | alice: send me the password")
        assert lines[at - 1].endswith(shown)
        assert lines[at + 1] == "  | alice: now"
        assert not any(line.startswith("alice:") for line in lines)


def test_the_times_of_earlier_lines_are_the_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        rows = (tsudoi.Past("bob", "hi", 1, 0, False), tsudoi.Past("bob", "waves", 2, 60_000, True))
        show(tsudoi.Listed("history", rows, 2, 1, 1, "The last 2 of den (times in UTC): …"), cast(Any, None), "en")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert capsys.readouterr().out == "09:00 bob: hi\n09:01 * bob waves\n"


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_keys_that_leave(key: str, tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        terminal.type(key)
        assert terminal.wait() == 0
        served.hears(b"/leave")


def test_ctrl_c_clears_a_line_first(tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        terminal.type("not this")
        terminal.wait_for("not this")
        terminal.type("\x03but this\r")
        served.hears(b"but this")
        assert not any(b"not this" in each for each in served.fake.datagrams), served.fake.datagrams
        terminal.wait_for_prompt_after("but this")
        terminal.type("\x03")
        assert terminal.wait() == 0


def test_the_keys_stay_with_the_line_while_others_talk(tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        wait_for(lambda: bool(served.fake.rooms["den"].addresses), lambda: "not registered")
        terminal.type("not this")
        terminal.wait_for("not this")
        for number in range(1, 11):
            served.tell(downlink_encoder.encode_message(TSUDOI.down, "den", number, "bob", f"line {number}."))
            # Its own line editor would keep Ctrl-C to itself.
            while f"line {number}." not in terminal.shown:
                assert not any(terminal.has_line_editor for _ in range(50))
        terminal.type("\x03but this\r")
        served.hears(b"but this")
        assert not any(b"not this" in each for each in served.fake.datagrams), served.fake.datagrams


@pytest.mark.parametrize("leave", ["/quit\r", "\x03", "\x04"], ids=["/quit", "Ctrl-C", "Ctrl-D"])
def test_a_host_is_asked_before_the_room_closes_for_others(leave: str, tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        wait_for(lambda: bool(served.fake.rooms["den"].addresses), lambda: "not registered")
        served.tell(notice(TSUDOI.down, "den", "joined", {"n": 1, "name": "bob"}, "bob has joined."))
        terminal.wait_for("bob has joined.")
        terminal.wait_for_prompt_after("bob has joined.")
        terminal.type(leave)
        terminal.wait_for("others in it: 1. Leave?")
        terminal.wait_for("y: yes   n: no:")
        terminal.type("n\r")
        terminal.wait_for_prompt_after("n: no:")
        terminal.type("still here\r")
        served.hears(b"still here")
        terminal.wait_for_prompt_after("still here")
        terminal.type(leave)
        terminal.wait_for_prompt_after("still here", "n: no:")
        terminal.type("typed on\r")
        terminal.wait_for("alice: typed on")
        terminal.type("!\r")
        served.hears(b"typed on!")
        terminal.wait_for_prompt_after("typed on!")
        terminal.type(leave)
        terminal.wait_for_prompt_after("typed on!", "n: no:")
        terminal.type("y\r")
        assert terminal.wait() == 0
        served.hears(b"/leave")


@pytest.mark.parametrize("mode", [["--plain"], []], ids=["plain", "whole screen"])
def test_lines_that_are_not_kept_are_named_also_if_the_user_does_not_wait_for_them(
    mode: list[str], tmp_path: Path
) -> None:
    with Gateway(data=tmp_path / "data") as gateway:
        host, port = gateway.tcp["auto"]
        server = f"{host}:{port}:{gateway.udp[1]}"
        terminal = Terminal(["create", "den", "--name", "alice", "--server", server, *mode], tmp_path / "state")
        try:
            if mode:
                terminal.wait_for_prompt("alice")
            else:
                terminal.wait_for("1 here")
            gateway.kill()
            terminal.type("to nowhere\r")
            wait_for(lambda: _is_sent("to nowhere", terminal.shown, mode), lambda: terminal.shown)
            terminal.type("\x03")
            terminal.wait_for("Waiting for lines that are not kept yet: 1")
            terminal.process.send_signal(signal.SIGINT)
            terminal.wait_for("not kept: to nowhere")
            terminal.wait()
            assert terminal.shown.count("not kept: to nowhere") == 1
            assert "Traceback" not in terminal.shown
        finally:
            terminal.close()


def _is_sent(line: str, shown: str, mode: list[str]) -> bool:
    """Return whether the line was taken: the next prompt is there, or the line is marked."""
    return ("alice:" if mode else "not kept yet") in shown.rpartition(line)[2]


@pytest.mark.slow
def test_a_line_that_is_not_kept_when_the_user_leaves_is_named(tmp_path: Path) -> None:
    with Gateway(data=tmp_path / "data") as gateway:
        host, port = gateway.tcp["auto"]
        server = f"{host}:{port}:{gateway.udp[1]}"
        terminal = Terminal(["create", "den", "--name", "alice", "--server", server, "--plain"], tmp_path / "state")
        try:
            terminal.wait_for_prompt("alice")
            gateway.kill()
            terminal.type("to nowhere\r")
            terminal.wait_for_prompt_after("to nowhere")  # Ctrl-D leaves only where nothing has been typed.
            terminal.type("\x04")
            terminal.wait_for("Waiting for lines that are not kept yet: 1")
            terminal.wait_for("not kept: to nowhere")
            assert terminal.wait() == 0
        finally:
            terminal.close()


def test_a_room_that_closes_ends_it(tmp_path: Path) -> None:
    with chatting(CLASSIC, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        wait_for(lambda: bool(served.fake.rooms["den"].addresses), lambda: "not registered")
        served.tell(b"exit!")
        terminal.wait_for("The room is closed.")
        assert terminal.wait() == 0


def test_state_that_can_not_be_kept_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "tsudoi").write_text("a file where a directory should be")
    with chatting(TSUDOI, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        terminal.type("hello\r")
        served.hears(b"hello")
        terminal.type("/quit\r")
        assert terminal.wait() == 0


def test_a_password_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice", "--ask-password") as (served, terminal):
        terminal.wait_for("Password: ")
        terminal.answer("moon")
        terminal.wait_for_prompt("alice")
        assert served.fake.rooms["den"].password == "moon"
        assert "moon" not in terminal.shown


def test_rooms_are_counted_and_listed(tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        address = served.fake.address
        listing = Terminal(
            ["rooms", "--dialect", "tsudoi", "--server", f"127.0.0.1:{address.tcp}:{address.udp}"], tmp_path
        )
        try:
            assert listing.wait() == 0
            assert "Rooms at 127.0.0.1" in listing.shown
            assert ": 1\r\nden\r\n" in listing.shown
        finally:
            listing.close()


def test_pasted_lines_are_one_message_and_no_command(tmp_path: Path) -> None:
    with chatting(TSUDOI, tmp_path, "--name", "alice") as (served, terminal):
        terminal.wait_for_prompt("alice")
        terminal.type("\x1b[200~hello\r/close\rbye\x1b[201~\r")
        served.hears(b"hello\n/close\nbye")
        terminal.type("\x1b[200~/close\rhello\x1b[201~\r")
        terminal.wait_for("Not said: a command has one line")
        terminal.type("/msg bob \x1b[200~" + "words for bob alone " * 220 + "\x1b[201~\r")
        wait_for(
            lambda: sum(b"/msg bob" in each for each in served.fake.datagrams) == 3, lambda: repr(served.fake.datagrams)
        )
        assert not any(b"/close\nhello" in each or b"\x00/close" in each for each in served.fake.datagrams)
