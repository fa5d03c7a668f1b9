"""docker-compose.yml under a Docker Engine, and clients of its published ports.

The clients are the plain sockets of the `classic` dialect, since that is what the published ports are for. They can not
reconnect.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from scenarios.ports import steady_port
from tests.support.legacy.wire import header

TOP = Path(__file__).parents[2]
UP_S = 600  # an image is built; on a slow line most of it is downloading
SETTLE_S = 60  # a killed program is back, reconnected and healthy
ANSWER_S = 10
POLL_S = 0.2

CREATE, JOIN = 1, 2


def find_compose() -> list[str] | None:
    """Return the compose command of this machine, or None if it has none or no engine answers."""

    def works(*command: str) -> bool:
        return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True).returncode == 0

    candidates = (["docker", "compose"], ["docker-compose"])
    return next((each for each in candidates if works("docker", "ps") and works(*each, "version")), None)


def until(holds: Callable[[], bool], what: str, limit_s: float = SETTLE_S) -> None:
    """Return as soon as `holds()`; fail the test when it never does."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {limit_s} s in vain: {what}")
        time.sleep(POLL_S)


@dataclass
class Stack:
    """One project of docker-compose.yml, under a name and ports of its own."""

    command: list[str]
    profile: str
    """Empty: the one that the file .env says."""
    project: str = field(default_factory=lambda: f"tsudoi-test-{os.getpid()}")
    tcp: dict[str, int] = field(default_factory=dict)
    udp: dict[str, int] = field(default_factory=dict)
    web: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for gateway in ("gateway1", "gateway2"):
            self.tcp[gateway] = steady_port()
            self.udp[gateway] = steady_port()
            self.web[gateway] = steady_port()

    def compose(self, *args: str, check: bool = True) -> str:
        ports = {f"{name.upper()}_TCP": str(port) for name, port in self.tcp.items()}
        ports |= {f"{name.upper()}_UDP": str(port) for name, port in self.udp.items()}
        ports |= {f"{name.upper()}_WEB": str(port) for name, port in self.web.items()}
        profile = ("--profile", self.profile) if self.profile else ()
        done = subprocess.run(
            [*self.command, "--project-name", self.project, *profile, *args],
            cwd=TOP,
            env=os.environ | ports,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and done.returncode != 0:
            pytest.fail(f"compose {' '.join(args)}:\n{done.stdout}")
        return done.stdout

    def inspect(self, service: str) -> dict[str, dict[str, object]]:
        container = self.compose("ps", "--all", "--quiet", service).strip()
        told = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True).stdout
        found: dict[str, dict[str, object]] = json.loads(told)[0]
        return found

    def is_healthy(self, service: str) -> bool:
        health = self.inspect(service)["State"]["Health"]
        return isinstance(health, dict) and health["Status"] == "healthy"

    def wait_healthy(self, *services: str) -> None:
        for service in services:
            until(partial(self.is_healthy, service), f"{service} healthy")


@contextmanager
def running(profile: str, *services: str) -> Iterator[Stack]:
    """The containers of a profile, once these are healthy; skip the test where there is no engine."""
    command = find_compose()
    if command is None:
        pytest.skip("no Docker Engine with compose answers here")
    stack = Stack(command, profile)
    try:
        stack.compose("up", "-d", "--build")
        stack.wait_healthy(*services)
        yield stack
    finally:
        print(stack.compose("logs", "--no-color", check=False))  # pytest shows it with a failure
        stack.compose("down", "--volumes", check=False)


class Member:
    """A client of the `classic` dialect: a TCP connection for the token, then bare datagrams."""

    def __init__(self, room: str, user: str, token: bytes, udp_port: int) -> None:
        self.user = user
        self._head = bytes((len(room.encode()), len(token))) + room.encode() + token
        self._listener = ("127.0.0.1", udp_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(ANSWER_S)
        self._send("")  # tells the gateway where this member is

    @classmethod
    def create(cls, stack: Stack, gateway: str, room: str, user: str) -> Member:
        with socket.create_connection(("127.0.0.1", stack.tcp[gateway]), ANSWER_S) as tcp:
            tcp.sendall(header(len(room), CREATE, 0, len(user)) + room.encode() + user.encode())
            return cls(room, user, token_of(tcp), stack.udp[gateway])

    @classmethod
    def join(cls, stack: Stack, gateway: str, room: str, user: str) -> Member:
        """Join as soon as this gateway lists the room: one that was made at another may be missing for a moment."""
        joined: list[Member] = []

        def joins() -> bool:
            with socket.create_connection(("127.0.0.1", stack.tcp[gateway]), ANSWER_S) as tcp:
                tcp.sendall(header(0, JOIN, 0, len(user)) + user.encode())
                if f"'{room}'" not in tcp.recv(4096).decode():
                    return False
                tcp.sendall(room.encode())
                joined.append(cls(room, user, token_of(tcp), stack.udp[gateway]))
                return True

        until(joins, f"{gateway} lists {room}")
        return joined[0]

    def say(self, text: str) -> None:
        self._send(f"{self.user}: {text}")

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def move(self, stack: Stack, gateway: str) -> None:
        self._listener = ("127.0.0.1", stack.udp[gateway])
        self._send("")

    def receive(self, limit_s: float) -> list[str]:
        """Return what arrives in a time; much comes at once after a pause, and the kernel keeps only some of it."""
        heard, deadline = [], time.monotonic() + limit_s
        while select.select([self._socket], [], [], max(deadline - time.monotonic(), 0.0))[0]:
            heard.append(self.hear())
        return heard

    def close(self) -> None:
        self._socket.close()

    def _send(self, text: str) -> None:
        self._socket.sendto(self._head + text.encode(), self._listener)


def token_of(tcp: socket.socket) -> bytes:
    token = tcp.recv(255)
    assert len(token) == 32, token
    return token
