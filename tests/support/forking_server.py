"""A process that has imported a program of the tree, and forks for each start of it. tests/support/forked.py uses it.

One request is one message: JSON, and the descriptors that it numbers. It asks for one process, which then runs the
program as `python -m PROGRAM` does. When that process has ended, its status goes down the pipe that came with the
request. When the socket is closed, all processes that still run are killed, so none outlives the tests.
"""

import contextlib
import fcntl
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import termios
from dataclasses import dataclass
from importlib import import_module
from typing import Any

IMPORTED_BEFORE = {
    "gateway": ("gateway.cli", "broker.config", "broker.net.service"),
    "broker": ("broker.cli", "broker.net.service"),
    "client": ("client.cli", "client.plain_terminal", "client.tui.run"),
    "tsudoi": ("tsudoi.cli", "gateway.cli", "broker.cli", "client.cli"),
}
"""By program, what it imports to do its work; what else it needs, the forked process imports."""
LARGEST = 2**20
"""The largest request, in bytes."""
MOST_DESCRIPTORS = 64
STATUS = struct.Struct("i")
"""A status as of `os.waitpid`."""


def take_terminal() -> None:
    """Make standard input the controlling terminal of this session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """What a forked process begins with."""

    arguments: list[str]
    environment: dict[str, str]
    numbers: list[int]
    """Of the descriptors that come with the request, after the pipe for the status."""
    new_session: bool
    takes_terminal: bool


def serve(control: socket.socket) -> Request:
    """Fork at each request; return in the forked process. In the server itself it does not return."""
    running: dict[int, tuple[int, int]] = {}
    """By a descriptor that tells its end: the process, and where its status goes."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for ready, _ in poll.poll():
            if ready != control.fileno():
                poll.unregister(ready)
                pid, status = running.pop(ready)
                os.close(ready)
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, STATUS.pack(os.waitpid(pid, 0)[1]))
                os.close(status)
                continue
            data, descriptors, _, _ = socket.recv_fds(control, LARGEST, MOST_DESCRIPTORS)
            if not data:
                for pid, _ in running.values():
                    _kill(pid)
                os._exit(0)
            if (pid := os.fork()) == 0:
                control.detach()
                request = Request(**json.loads(data))
                _begin(request, descriptors[1:])
                return request
            status, *given = descriptors
            for descriptor in given:
                os.close(descriptor)
            ended = os.pidfd_open(pid)
            running[ended] = pid, status
            poll.register(ended, select.POLLIN)
            with contextlib.suppress(BrokenPipeError):  # the next message is then the end
                control.send(STATUS.pack(pid))


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


def _begin(request: Request, descriptors: list[int]) -> None:
    """Make of a forked process what a new one would be."""
    if request.new_session:
        os.setsid()
    above = max(request.numbers) + 1
    aside = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above) for descriptor in descriptors]
    for descriptor, number in zip(aside, request.numbers, strict=True):
        os.dup2(descriptor, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in request.numbers:
            with contextlib.suppress(OSError):  # the one of listdir is closed already
                os.close(int(name))
    if request.takes_terminal:
        take_terminal()
    os.environ.clear()
    os.environ.update(request.environment)
    sys.stdin = sys.__stdin__ = _stream(0, "r", sys.stdin)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _stream(1, "w", sys.stdout)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _stream(2, "w", sys.stderr)  # type: ignore[misc]


def _stream(number: int, mode: str, before: Any) -> Any:
    """Open a standard stream as Python does when it starts."""
    buffered = 1 if number == 2 or os.isatty(number) else -1
    return open(number, mode, buffered, before.encoding, before.errors, closefd=False)


def main() -> None:
    """Import a program, serve, and in each forked process run it."""
    program, descriptor = sys.argv[1], int(sys.argv[2])
    for module in IMPORTED_BEFORE[program]:
        import_module(module)
    gc.collect()
    gc.freeze()  # so that the collector does not copy the pages of what was imported
    request = serve(socket.socket(fileno=descriptor))
    sys.argv = [program, *request.arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
