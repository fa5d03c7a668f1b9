"""Brokers and gateways as real processes: started, waited for, killed, frozen, and checked at the end.

A service is ready when it has printed its `ready` line; ports are always 0, and that line says which ones they became.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.support.legacy.wire import Address, Door

ROOT = Path(__file__).resolve().parents[2]
START_S = 20.0
STOP_S = 5.0
"""What a service has from the signal to its end; it is a promise of the programs, not patience of the tests."""

ALL_DOORS = (
    "auto",
    "classic",
    "tcrp",
    "tcrp-named",
    "tcrp-room",
    "tcrp-json",
    "tcrp-200",
    "tcrp-ok",
    "tcrp-bare-ack",
    "tcrp-empty-ack",
    "tcrp-no-token",
    "tcrp-success",
    "tcrp-single",
    "tcrp-two-sockets",
    "tcrp-202",
    "tsudoi",
)


class Lines:
    """What a process has printed so far; read by a thread, so that no pipe fills up."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        for line in self._stream:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        self._stream.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], patience_s: float) -> str | None:
        """The first line that is `wanted`, or None when the stream ended or the time is over without one."""

        def found() -> str | None:
            return next((line for line in self._lines if wanted(line)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._ended, patience_s)
            return found()

    def join(self) -> None:
        self._thread.join(STOP_S)

    @property
    def text(self) -> str:
        with self._changed:
            return "\n".join(self._lines)


class Service:
    """One process. As a context manager it stops at the end, and that it stops well is then checked."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self.command = [sys.executable, "-m", module, *arguments]
        # A session of its own, so that what it starts can be cleared away with it.
        self._process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("TSUDOI_")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout = Lines(self._process.stdout)
        self.stderr = Lines(self._process.stderr)
        ready = self.stdout.wait_for(lambda line: line.startswith("ready "), START_S)
        if ready is None:
            self._end()
            raise AssertionError(f"{self.command} did not get ready:\n{self.stdout.text}\n{self.stderr.text}")
        self.ready = ready

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if self.running:
                self.stop()
        finally:
            self._end()
        self.check_quiet()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end; it must do so in time and with status 0."""
        self.resume()
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._end()
            raise AssertionError(f"{self.command} did not stop within {STOP_S} s:\n{self.stderr.text}") from None
        assert status == 0, f"{self.command} stopped with status {status}:\n{self.stderr.text}"

    def kill(self) -> None:
        """SIGKILL to this process alone; what it started goes at the context's end."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: alive, connected, and silent."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def check_quiet(self) -> None:
        """Whatever came in from outside, no bug of ours has shown itself."""
        for name, text in (("stdout", self.stdout.text), ("stderr", self.stderr.text)):
            assert "Traceback" not in text, f"{self.command} printed a traceback on {name}:\n{text}"
            assert "never awaited" not in text, f"{self.command} lost a coroutine:\n{text}"

    def _end(self) -> None:
        """Leave nothing behind: neither the process, nor what it started, nor an open pipe."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self.stdout.join()
        self.stderr.join()


class Broker(Service):
    """`python -m broker`, on a port that the system chose."""

    def __init__(self, store: Path | None = None, *extra: str, bind: str = "tcp://127.0.0.1:0") -> None:
        engine = "memory" if store is None else f"sqlite:{store}"
        # Keys that somebody has made in data/ are not ours.
        keys = () if "--keys" in extra else ("--insecure",)
        super().__init__("broker", ("--bind", bind, "--store", engine, *keys, *extra))
        self.endpoint = self.ready.split()[1]


class Gateway(Service):
    """`python -m gateway` with a door for each dialect named, all of which share one UDP socket.

    Nobody is told who comes and goes, so that a stand-in hears what is said and nothing else, unless a test wants it.
    """

    def __init__(
        self,
        *extra: str,
        broker: Broker | None = None,
        data: Path | None = None,
        doors: Sequence[str] = ALL_DOORS,
        host: str = "127.0.0.1",
    ) -> None:
        arguments = [part for dialect in doors for part in ("--tcp", f"{host}:0={dialect}")]
        arguments += ["--udp", f"{host}:0"]
        if broker is not None:
            arguments += ["--broker", broker.endpoint]
        if data is not None:
            arguments += ["--data", str(data)]
        if "--notices" not in extra:
            arguments += ["--notices", "off"]
        super().__init__("gateway", (*arguments, *extra))
        tcp = tuple(self.addresses("tcp"))
        assert len(tcp) == len(doors), self.ready
        self._tcp = dict(zip(doors, tcp, strict=True))
        (self.udp,) = self.addresses("udp")

    def addresses(self, kind: str) -> Iterator[Address]:
        """Where its doors of a kind are: `tcp`, `tls` or `udp`."""
        words = self.ready.split()[1:]
        for name, address in zip(words[::2], words[1::2], strict=True):
            if name == kind:
                host, _, port = address.rpartition(":")
                yield host, int(port)

    def door(self, dialect: str, host: str = "") -> Door:
        """Where clients of a dialect go; `host` when the gateway listens on more than one address."""
        tcp, udp = self._tcp[dialect], self.udp
        return Door((host or tcp[0], tcp[1]), (host or udp[0], udp[1]))
