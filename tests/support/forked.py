"""Start programs of the tree quickly: as `subprocess` does, but by the fork of a process that has imported them.

A new Python takes half a second of a processor for its imports, and a run of the tests starts hundreds. What is tested
is the same from a program's `__main__` on; tests of the imports themselves use `subprocess` (tests/test_programs.py).
A command that is no program of the tree, or asks for what a fork can not have, is started by `subprocess`.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any, cast

from .forking_server import IMPORTED_BEFORE, STATUS, Request, take_terminal

__all__ = ["Popen", "close", "run", "take_terminal"]

_ROOT = Path(__file__).resolve().parents[2]
_AT_START = {name: value for name, value in os.environ.items() if not name.startswith("TSUDOI_")}
_HEEDED = {"stdin", "stdout", "stderr", "cwd", "env", "start_new_session", "preexec_fn", "pass_fds"}
_HEEDED |= {"bufsize", "text", "encoding", "errors", "universal_newlines"}  # these are for our ends of the pipes
"""The options of `subprocess.Popen` that a fork can have."""
_READ_AT_START = ("PYTHON", "COVERAGE", "LD_", "MALLOC_")
"""So begin the variables that are read before a program's first line."""
_UTF8_LOCALES = ("C", "POSIX", "C.UTF-8")
"""In these, Python reads and writes UTF-8."""


def _can_fork(command: Any, options: Mapping[str, Any]) -> bool:
    """Return whether a fork does all that a new process would do."""
    env = os.environ if options.get("env") is None else options["env"]
    return (
        isinstance(command, list | tuple)
        and list(command[:2]) == [sys.executable, "-m"]
        and len(command) > 2
        and command[2] in IMPORTED_BEFORE
        and options.keys() <= _HEEDED
        and Path(options.get("cwd") or Path.cwd()) == _ROOT
        and options.get("preexec_fn") in (None, take_terminal)
        and _read_at_start(env) == _read_at_start(_AT_START)
        and not any(name.startswith("COVERAGE") for name in os.environ)
    )


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    locale = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or "C"
    found = {name: value for name, value in env.items() if name.startswith(_READ_AT_START)}
    return {**found, "locale": "UTF-8" if locale in _UTF8_LOCALES else locale}


class _Server:
    """A forking server of one program."""

    def __init__(self, program: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.forking_server", program, str(number)],
                cwd=_ROOT,
                env=_AT_START,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
                start_new_session=True,
            )

    def fork(self, request: Request, descriptors: Sequence[int]) -> int:
        """Return the process that was forked."""
        socket.send_fds(self._control, [json.dumps(asdict(request)).encode()], list(descriptors))
        answer = self._control.recv(STATUS.size)
        assert answer, "the forking server has ended"
        return int(STATUS.unpack(answer)[0])

    def close(self) -> None:
        self._control.close()
        self._process.wait()


_servers: dict[str, _Server] = {}
_one_at_a_time = threading.Lock()


def _fork(program: str, request: Request, descriptors: Sequence[int]) -> int:
    with _one_at_a_time:
        if program not in _servers:
            _servers[program] = _Server(program)
        return _servers[program].fork(request, descriptors)


@atexit.register
def close() -> None:
    """End the servers, and all that they have started."""
    while _servers:
        _servers.popitem()[1].close()


class Popen(subprocess.Popen[Any]):
    """A started program."""

    def __init__(self, command: Any, **options: Any) -> None:
        self._forks = _can_fork(command, options)
        self._status = -1
        """A pipe from which the status comes when the process has ended."""
        super().__init__(command, **options)

    def _execute_child(self, *given: Any) -> None:
        parent = cast(Any, super())
        if not self._forks:
            parent._execute_child(*given)
            return
        call = signature(parent._execute_child).bind(*given).arguments
        pipes = [call[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        streams = [number if end == -1 else end for number, end in enumerate((pipes[0], pipes[3], pipes[5]))]
        _, _, program, *arguments = map(os.fspath, call["args"])
        environment = dict(os.environ if call["env"] is None else call["env"])
        passed = [*call["pass_fds"]]
        request = Request(
            arguments, environment, [0, 1, 2, *passed], call["start_new_session"], call["preexec_fn"] is not None
        )
        self._status, status = os.pipe()
        self._forget_status = weakref.finalize(self, os.close, self._status)
        try:
            self.pid = _fork(program, request, [status, *streams, *passed])
            self._child_created = True
        finally:
            os.close(status)
            parent._close_pipe_fds(*pipes)

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._status == -1:
            return cast(Any, super())._try_wait(wait_flags)  # type: ignore[no-any-return]
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if not poll.poll(0 if wait_flags & os.WNOHANG else None):
            return 0, 0
        data = os.read(self._status, STATUS.size)
        self._forget_status()
        return self.pid, STATUS.unpack(data)[0] if data else signal.SIGKILL

    def _internal_poll(self, *given: Any, **named: Any) -> int | None:
        parent, lock = cast(Any, super()), cast(Any, self)._waitpid_lock
        if self._status == -1:
            return parent._internal_poll(*given, **named)  # type: ignore[no-any-return]
        if self.returncode is None and lock.acquire(False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid == self.pid:
                        parent._handle_exitstatus(status)
            finally:
                lock.release()
        return self.returncode


def run(
    command: Any,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> "subprocess.CompletedProcess[Any]":
    """Do what `subprocess.run` does."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Popen(command, **options) as process:
        try:
            output, errors = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.wait(), output, errors)
    if check:
        done.check_returncode()
    return done
