"""docker-compose.yml with one broker, as it stands: built, started, chatted through, and hurt. Slow; `make
container-test` runs it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.compose import SETTLE_S, UP_S, Member, Stack, running, until

pytestmark = [pytest.mark.container, pytest.mark.timeout(UP_S + 2 * SETTLE_S)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running("", "broker", "gateway1", "gateway2") as started:
        yield started


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
