"""A program of docs/ with a person who types at it."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scenarios.process import Output
from tests.support.legacy.wire import PATIENCE_S


class Typist:
    """Types at a minimal client, and reads what it shows."""

    def __init__(self, program: Path, server: str, command: str, room: str, name: str) -> None:
        # -I and -S: the standard library is there, and nothing else.
        python = [sys.executable, "-I", "-S", "-X", "utf8", str(program)]
        self._heard, self._complaints = Output(self._has_ended), Output(self._has_ended)
        self._process = subprocess.Popen(
            [*python, command, room, name, server],
            stdin=subprocess.PIPE,
            stdout=self._heard.fileno(),
            stderr=self._complaints.fileno(),
            encoding="utf-8",
        )

    def types(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def reads(self, line: str) -> None:
        self._reads(line, lambda text: text == line)

    def reads_what_begins(self, words: str) -> None:
        self._reads(words, lambda text: text.startswith(words))

    def _reads(self, words: str, is_it: Callable[[str], bool]) -> None:
        assert self._heard.wait_for(is_it, PATIENCE_S), (words, self._heard.text, self.complaint)

    def greeting(self) -> str:
        return self._heard.wait_for(lambda text: True, PATIENCE_S) or self.complaint

    @property
    def lines(self) -> list[str]:
        return self._heard.text.splitlines()

    def presses_ctrl_c(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def presses_ctrl_d(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def ends(self) -> int:
        return self._process.wait(PATIENCE_S)

    @property
    def complaint(self) -> str:
        self._complaints.wait_for(lambda line: False, 0.1 if self._process.poll() is None else PATIENCE_S)
        return self._complaints.text.rstrip("\n")

    def _has_ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._heard.close()
        self._complaints.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


Start = Callable[[str, str, str], Typist]


@contextmanager
def typists(program: Path, server: str) -> Iterator[Start]:
    """Give what starts the program, `start(command, room, name)`; all that were started are ended."""
    with ExitStack() as stack:

        def start(command: str, room: str, name: str) -> Typist:
            typist = Typist(program, server, command, room, name)
            stack.callback(typist.close)
            return typist

        yield start


def two_in(start: Start, room: str, host: str = "alice", guest: str = "bob") -> tuple[Typist, Typist]:
    """Return two that have come into a new room."""
    first = start("create", room, host)
    first.reads(f"You are in {room}, {host}.")
    second = start("join", room, guest)
    second.reads(f"You are in {room}, {guest}.")
    return first, second


def they_chat(start: Start, room: str) -> tuple[Typist, Typist]:
    """Return two that have come into a new room, when each has read what the other has typed."""
    alice, bob = two_in(start, room, "アリス")
    bob.types("hello\nanybody here?")
    alice.reads("bob: hello")
    alice.reads("bob: anybody here?")
    alice.types("お茶をどうぞ")
    bob.reads("アリス: お茶をどうぞ")
    return alice, bob
