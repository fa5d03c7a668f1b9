"""docker-compose.yml as it stands: built, started, chatted through, and hurt. Slow; `make container-test` runs it.

The clients are the plain sockets of the `classic` dialect, since that is what the published ports are for.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

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


pytestmark = [pytest.mark.container, pytest.mark.timeout(UP_S + 2 * SETTLE_S)]


def until(holds: Callable[[], bool], what: str, limit_s: float = SETTLE_S) -> None:
    """Return as soon as `holds()`; fail the test when it never does."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {limit_s} s in vain: {what}")
        time.sleep(POLL_S)


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("0.0.0.0", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Stack:
    """One project of docker-compose.yml, under a name and ports of its own."""

    command: list[str]
    project: str = field(default_factory=lambda: f"tsudoi-test-{os.getpid()}")
    tcp: dict[str, int] = field(default_factory=dict)
    udp: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for gateway in ("gateway1", "gateway2"):
            self.tcp[gateway] = free_port(socket.SOCK_STREAM)
            self.udp[gateway] = free_port(socket.SOCK_DGRAM)

    def compose(self, *args: str, check: bool = True) -> str:
        ports = {f"{name.upper()}_TCP": str(port) for name, port in self.tcp.items()}
        ports |= {f"{name.upper()}_UDP": str(port) for name, port in self.udp.items()}
        done = subprocess.run(
            [*self.command, "--project-name", self.project, *args],
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


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    command = find_compose()
    if command is None:
        pytest.skip("no Docker Engine with compose answers here")
    running = Stack(command)
    try:
        running.compose("up", "-d", "--build")
        running.wait_healthy("broker", "gateway1", "gateway2")
        yield running
    finally:
        print(running.compose("logs", "--no-color", check=False))  # pytest shows it with a failure
        running.compose("down", "--volumes", check=False)


class Member:
    """A client of the `classic` dialect: a TCP connection for the token, then bare datagrams."""

    def __init__(self, room: str, user: str, token: bytes, udp_port: int) -> None:
        self.user = user
        self._head = bytes((len(room.encode()), len(token))) + room.encode() + token
        self._door = ("127.0.0.1", udp_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(ANSWER_S)
        self._send("")  # tells the gateway where this member is

    @classmethod
    def create(cls, stack: Stack, gateway: str, room: str, user: str) -> Member:
        with socket.create_connection(("127.0.0.1", stack.tcp[gateway]), ANSWER_S) as tcp:
            tcp.sendall(header(len(room), CREATE, len(user)) + room.encode() + user.encode())
            return cls(room, user, token_of(tcp), stack.udp[gateway])

    @classmethod
    def join(cls, stack: Stack, gateway: str, room: str, user: str) -> Member:
        with socket.create_connection(("127.0.0.1", stack.tcp[gateway]), ANSWER_S) as tcp:
            tcp.sendall(header(0, JOIN, len(user)) + user.encode())
            rooms = tcp.recv(4096).decode()
            assert f"'{room}'" in rooms
            tcp.sendall(room.encode())
            return cls(room, user, token_of(tcp), stack.udp[gateway])

    def say(self, text: str) -> None:
        self._send(f"{self.user}: {text}")

    def hear(self) -> str:
        return self._socket.recv(4096).decode()

    def move(self, stack: Stack, gateway: str) -> None:
        self._door = ("127.0.0.1", stack.udp[gateway])
        self._send("")

    def close(self) -> None:
        self._socket.close()

    def _send(self, text: str) -> None:
        self._socket.sendto(self._head + text.encode(), self._door)


def header(room_size: int, operation: int, payload_size: int) -> bytes:
    return bytes((room_size, operation, 0)) + payload_size.to_bytes(29, "big")


def token_of(tcp: socket.socket) -> bytes:
    token = tcp.recv(255)
    assert len(token) == 32, token
    return token


@dataclass
class Room:
    name: str
    alice: Member
    """the host, at gateway1"""
    bob: Member
    """a guest, at gateway2"""

    def chat(self, *texts: str) -> None:
        """Everyone hears every line, and in one order; the dialect echoes to the sender."""
        for text in texts:
            for speaker in (self.alice, self.bob):
                speaker.say(text)
                line = f"{speaker.user}: {text}"
                assert [self.alice.hear(), self.bob.hear()] == [line, line]


@pytest.fixture
def room(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Room]:
    name = request.node.name.removeprefix("test_")
    alice = Member.create(stack, "gateway1", name, "alice")
    bob = Member.join(stack, "gateway2", name, "bob")
    yield Room(name, alice, bob)
    alice.close()
    bob.close()


def test_a_room_spans_both_gateways(room: Room) -> None:
    room.chat("こんにちは", "hello")


def test_a_killed_broker_comes_back_with_its_rooms(stack: Stack, room: Room) -> None:
    room.chat("before")
    stack.compose("kill", "broker")
    stack.compose("up", "-d", "broker")
    stack.wait_healthy("broker", "gateway1", "gateway2")
    room.chat("after")
    carol = Member.join(stack, "gateway2", room.name, "carol")
    room.alice.say("welcome")
    assert carol.hear() == "alice: welcome"
    carol.close()


def test_what_is_said_while_the_broker_is_away_arrives_later(stack: Stack, room: Room) -> None:
    room.chat("before")
    stack.compose("kill", "broker")
    room.alice.say("anybody there?")
    stack.compose("up", "-d", "broker")
    stack.wait_healthy("broker", "gateway1", "gateway2")
    assert room.bob.hear() == "alice: anybody there?"


def test_members_of_a_killed_gateway_go_on_at_the_other(stack: Stack, room: Room) -> None:
    room.chat("before")
    stack.compose("kill", "gateway2")
    room.bob.move(stack, "gateway1")
    room.chat("after")
    stack.compose("up", "-d", "gateway2")
    stack.wait_healthy("gateway2")


def test_the_programs_run_without_privileges(stack: Stack) -> None:
    for service in ("broker", "gateway1", "gateway2"):
        inspected = stack.inspect(service)
        assert inspected["Config"]["User"] == "tsudoi"
        assert inspected["HostConfig"]["ReadonlyRootfs"] is True
        assert inspected["HostConfig"]["CapDrop"] == ["ALL"]
        uid = stack.compose("exec", "-T", service, "python", "-c", "import os; print(os.getuid())")
        assert uid.strip() == "10001"


def test_only_the_gateways_are_published(stack: Stack) -> None:
    for service, published in (("broker", False), ("gateway1", True), ("gateway2", True)):
        assert bool(stack.inspect(service)["HostConfig"]["PortBindings"]) is published


def test_ports_are_published_to_this_machine_alone(stack: Stack) -> None:
    for service in ("gateway1", "gateway2"):
        bindings = stack.inspect(service)["HostConfig"]["PortBindings"]
        assert isinstance(bindings, dict)
        assert {each["HostIp"] for port in bindings.values() for each in port} == {"127.0.0.1"}


def test_memory_and_logs_have_limits(stack: Stack) -> None:
    for service in ("broker", "gateway1", "gateway2"):
        host = stack.inspect(service)["HostConfig"]
        assert host["Memory"] == 512 * 2**20
        assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "5", "max-size": "10m"}}


def test_each_container_sees_its_own_secret_and_no_other(stack: Stack) -> None:
    search = ("find", "/keys", "/key", "/public", "-name", "*.key")
    for service in ("broker", "gateway1", "gateway2"):
        own = {"broker": "/keys/broker.key"}.get(service, "/key/gateway.key")
        assert stack.compose("exec", "-T", service, *search).split() == [own]
    for service in ("key1", "key2"):
        found = stack.compose("run", "--rm", "-T", "--no-deps", "--entrypoint", "find", service, *search[1:])
        assert [line for line in found.splitlines() if line.startswith("/key")] == ["/key/gateway.key"]


def test_the_image_has_the_client(stack: Stack) -> None:
    listed = stack.compose("exec", "-T", "gateway1", "client", "rooms", "--server", "127.0.0.1:9001:9002")
    assert "Traceback" not in listed
    helped = stack.compose("exec", "-T", "gateway1", "tsudoi", "chat", "--help")
    assert "Create ROOM" in helped
    missing = stack.compose("exec", "-T", "gateway1", "client", "scenario", "story.yaml", check=False)
    assert missing.strip() == "client: scenarios is not installed here: pip install 'tsudoi[scenario]'"


def test_a_removed_key_is_the_cause_in_the_log_and_comes_back(stack: Stack) -> None:
    def causes() -> list[str]:
        lines = stack.compose("logs", "--no-color", "gateway2").splitlines()
        return [line for line in lines if "can not be reached" in line]

    before = len(causes())
    remove = ("exec", "-T", "broker", "python", "-m", "broker", "keys", "remove", "gateway2")
    stack.compose(*remove)
    until(lambda: len(causes()) > before, "gateway2 logs a cause")
    assert "no longer accepts this gateway's key: it was removed there" in causes()[before]
    stack.compose("up", "-d")
    assert "gateway2" not in stack.compose("exec", "-T", "broker", "python", "-m", "broker", "keys", "list")
    stack.compose("run", "--rm", "-T", "key2", "--again")
    stack.wait_healthy("gateway2")
    stack.compose("run", "--rm", "-T", "key2", "--replace")
    stack.compose("restart", "gateway2")
    stack.wait_healthy("gateway2")


def test_programs_end_in_time_when_told_to(stack: Stack) -> None:
    stack.compose("stop")
    for service in ("broker", "gateway1", "gateway2"):
        assert stack.inspect(service)["State"]["ExitCode"] == 0, f"{service} did not end by itself"
    stack.compose("up", "-d")
    stack.wait_healthy("broker", "gateway1", "gateway2")
