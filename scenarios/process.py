"""One program of this machine: start it, read what it prints, freeze, kill and stop it.

Everything here blocks; asyncio callers use `asyncio.to_thread`.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, ClassVar, Self

START_S = 20.0
STOP_S = 5.0
"""How long a program may take from SIGTERM to its end. The programs promise this; it is not patience of the tests."""
_POLL_S = 0.01
_ALARMS = ("Traceback", "never awaited")
"""Words in a log that show a bug, whatever happened to the process."""


class ProcessError(Exception):
    """A process did not start, did not stop well, or is in no state for what was asked; the text is one line."""


class Output:
    """What a process has printed on one stream.

    It goes to an unnamed file, so that no pipe fills up and no thread must read.
    """

    def __init__(self, has_ended: Callable[[], bool]) -> None:
        """Args:
        has_ended: says whether the process has ended, so that nothing more can come.
        """
        self._has_ended = has_ended
        self._file: IO[bytes] | None = tempfile.TemporaryFile()  # noqa: SIM115
        self._final = b""

    def fileno(self) -> int:
        """Return the file's descriptor, so that `subprocess` can use this object as a stream."""
        assert self._file is not None
        return self._file.fileno()

    @property
    def size(self) -> int:
        return os.fstat(self.fileno()).st_size if self._file is not None else len(self._final)

    @property
    def text(self) -> str:
        return self._read(0).decode(errors="replace")

    def wait_for(self, wanted: Callable[[str], bool], patience_s: float, start: int = 0) -> str | None:
        """Return the first line after byte `start` that is `wanted`; None if the process or the time ends before."""
        deadline = time.monotonic() + patience_s
        while True:
            is_last = self._has_ended() or time.monotonic() > deadline
            *lines, rest = self._read(start).split(b"\n")
            start += sum(len(line) + 1 for line in lines)
            for raw in [*lines, rest] if is_last and rest else lines:
                if wanted(line := raw.decode(errors="replace")):
                    return line
            if is_last:
                return None
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Free the file; the text can still be read."""
        if self._file is not None:
            self._final = self._read(0)
            self._file.close()
            self._file = None

    def _read(self, start: int) -> bytes:
        # Not `read`: the process writes where the shared file position is.
        return os.pread(self.fileno(), self.size - start, start) if self._file is not None else self._final[start:]


class Process:
    """One program that prints a line beginning with `ready` when it can be used.

    As a context manager it starts at the beginning; at the end it must stop in time, with status 0, and must not have
    logged a traceback.
    """

    starter: ClassVar[type["subprocess.Popen[bytes]"]] = subprocess.Popen
    """The project's tests put one in its place that forks a process which has imported the program already."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = ""
        """Its last `ready` line; empty while it is not up."""
        self.frozen = False
        self.stdout, self.stderr = Output(self._has_ended), Output(self._has_ended)
        self._popen: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """Return the command line, each time that it is started."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.stop()
        finally:
            self.close()
        self.check_log()

    @property
    def popen(self) -> "subprocess.Popen[bytes]":
        """The process itself, once it has been started."""
        assert self._popen is not None
        return self._popen

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and not self._has_ended()

    def start(self) -> None:
        """Start it, also again after its end, and wait until it is ready; raise ProcessError."""
        if self.running:
            raise ProcessError(f"{self.name} runs already")
        printed = self.stdout.size
        self.launch(self.command())
        line = self.stdout.wait_for(lambda line: line.startswith("ready "), START_S, printed)
        if line is None:
            self.close()
            last = self.stderr.text.rstrip().rpartition("\n")[2] or "it printed nothing"
            raise self._error(f"did not start: {last}")
        self.ready = line

    def launch(self, command: Sequence[str], **options: Any) -> None:
        """Start a program without waiting for it; `options` are those of `subprocess.Popen`."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": self.stdout, "stderr": self.stderr}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TSUDOI_")}
        self.frozen = False
        # A session of its own: a Ctrl-C in the terminal is not for it, and its children can be killed with it.
        self._popen = self.starter(
            command, env=environment, cwd=tree_root(), start_new_session=True, **{**streams, **options}
        )

    def freeze(self) -> None:
        """SIGSTOP: it stays alive and connected, and does nothing."""
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self.frozen = False

    def stop(self) -> None:
        """Send SIGTERM, if it runs; raise ProcessError if it does not end in time and with status 0."""
        self.ready = ""
        if self._popen is None or not self.running:
            return
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            status = self._popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._error(f"did not stop within {STOP_S:g} s") from None
        if status:
            raise self._error(f"stopped with status {status}")

    def kill(self) -> None:
        """SIGKILL to it and to what it has started in its session."""
        self.ready = ""
        if self._popen is not None:
            # Once it and all that it has started have ended, another program may have its number, and then leads a
            # group of that number. While some of what it has started runs, the kernel gives the number to none.
            if self.running or not _exists(self._popen.pid):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()
            for pipe in (self._popen.stdin, self._popen.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()

    def close(self) -> None:
        """Kill it if it still runs, and free its files."""
        self.kill()
        for output in (self.stdout, self.stderr):
            output.close()

    def check_log(self) -> None:
        """Raise ProcessError if the logs show a bug."""
        for word in _ALARMS:
            if word in self.stdout.text or word in self.stderr.text:
                raise self._error(f"printed {word!r}")

    def _signal(self, number: int) -> None:
        if self._popen is None or not self.running:
            raise ProcessError(f"{self.name} does not run")
        self._popen.send_signal(number)

    def _has_ended(self) -> bool:
        return self._popen is not None and self._popen.poll() is not None

    def _error(self, problem: str) -> ProcessError:
        error = ProcessError(f"{self.name} {problem}")
        error.add_note(self.stderr.text)
        return error


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as exc:
        return isinstance(exc, PermissionError)
    return True


def tree_root() -> Path | None:
    """Return the directory from which the programs run by name; None where they are installed."""
    return None if __package__.count(".") else Path(__file__).resolve().parents[1]
