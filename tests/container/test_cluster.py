"""The profile `cluster` of docker-compose.yml: two people talk while containers are killed. Slow; `make container-test`
runs it.

Only the images come from elsewhere: where no registry can be reached, local ones of the same names will do.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.compose import ANSWER_S, SETTLE_S, UP_S, Member, Stack, running, until

SERVING = ("broker1", "broker2", "gateway1", "gateway2")
DATABASES = ("db1", "db2", "db3")
SHARDS = 64
TAKE_OVER_S = 60.0
"""Patroni notices a lost primary after 20 s; this machine may be slow."""
PAUSE_S = 0.5
"""Between two lines of a member. Messages of a long pause come at once after it, and Docker's proxy
keeps some 270 datagrams, as most clients do."""

pytestmark = [pytest.mark.container, pytest.mark.timeout(UP_S + 6 * SETTLE_S)]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running("cluster", *SERVING, *DATABASES) as started:
        until(lambda: sorted(shards_of(started).values()) == [SHARDS // 2] * 2, "each broker has half of the rooms")
        yield started


def shards_of(stack: Stack) -> Counter[str]:
    """Return broker → how many shards it has, as a broker that runs says."""
    for broker in ("broker1", "broker2"):
        answer = stack.compose("exec", "-T", broker, "python", "-m", "broker", "admin", "--json", "shards", check=False)
        if answer.startswith("{"):
            found, _ = json.JSONDecoder().raw_decode(answer)  # a line about a broker that is lost may follow
            return Counter(shard["broker"] for shard in found["shards"] if shard["broker"])
    return Counter()


def databases(stack: Stack) -> list[dict[str, Any]]:
    """Return the machines of the database as Patroni lists them; empty if none can say."""
    command = ("patronictl", "-c", "/etc/patroni/patroni.yml", "list", "-f", "json")
    for database in DATABASES:
        answer = stack.compose("exec", "-T", database, *command, check=False)
        if answer.startswith("["):
            found: list[dict[str, Any]] = json.loads(answer)
            return found
    return []


def primary(stack: Stack) -> str:
    (name,) = (each["Member"] for each in databases(stack) if each["Role"] == "Leader")
    return str(name)


def is_whole(stack: Stack) -> bool:
    """Return whether a primary and two standbys are there."""
    return sorted(each["State"] for each in databases(stack)) == ["running", "streaming", "streaming"]


class Talk:
    """Members that say a number again and again, each in a thread of its own, and note what they hear."""

    def __init__(self, *members: Member) -> None:
        self._stop = threading.Event()
        self.said: list[str] = []
        self.heard: dict[str, list[str]] = {member.user: [] for member in members}
        self._threads = [threading.Thread(target=self._talk, args=[member]) for member in members]
        for thread in self._threads:
            thread.start()

    def _talk(self, member: Member) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self.said.append(f"{member.user}: {number}")
            member.say(str(number))
            self.heard[member.user] += member.receive(PAUSE_S)
        deadline = time.monotonic() + ANSWER_S
        while not self.has_heard(len(self.said)) and time.monotonic() < deadline:
            self.heard[member.user] += member.receive(PAUSE_S)

    def has_heard(self, count: int) -> bool:
        return all(len(heard) >= count for heard in self.heard.values())

    def wait_until_heard(self) -> None:
        """Return when all that was said before, and a line more of each, is heard: what was killed is replaced then."""
        count = len(self.said) + len(self.heard)
        until(lambda: self.has_heard(count), f"both hear {count} lines", TAKE_OVER_S)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def talking(stack: Stack, room: str) -> Iterator[Talk]:
    """Let alice, at gateway1, and bob, at gateway2, talk; both must hear every line, once, and in one order."""
    alice = Member.create(stack, "gateway1", room, "alice")
    bob = Member.join(stack, "gateway2", room, "bob")
    talk = Talk(alice, bob)
    try:
        talk.wait_until_heard()
        yield talk
        talk.wait_until_heard()
    finally:
        talk.end()
    assert talk.heard["alice"] == talk.heard["bob"]
    assert sorted(talk.heard["alice"]) == sorted(talk.said)
    alice.close()
    bob.close()


@pytest.mark.parametrize("broker", ["broker1", "broker2"])
def test_a_killed_broker_loses_nothing_and_the_other_has_its_rooms(stack: Stack, broker: str) -> None:
    with talking(stack, f"without {broker}") as talk:
        stack.compose("kill", broker)
        talk.wait_until_heard()
        until(lambda: list(shards_of(stack).values()) == [SHARDS], "the other broker has all rooms")
        stack.compose("up", "-d")
        stack.wait_healthy(broker)
        until(lambda: sorted(shards_of(stack).values()) == [SHARDS // 2] * 2, "each has half of the rooms again")


def test_a_killed_primary_loses_nothing(stack: Stack) -> None:
    with talking(stack, "without the primary") as talk:
        lost = primary(stack)
        stack.compose("kill", lost)
        talk.wait_until_heard()
        assert primary(stack) != lost
        stack.compose("up", "-d")
        until(lambda: is_whole(stack), f"{lost} is back as a standby")


def test_a_machine_with_all_on_it_can_be_lost(stack: Stack) -> None:
    with talking(stack, "without a machine") as talk:
        number = primary(stack).removeprefix("db")
        stack.compose("kill", f"db{number}", f"etcd{number}", "broker1")
        talk.wait_until_heard()
        stack.compose("up", "-d")
        until(lambda: is_whole(stack), "the machine is back")
        stack.wait_healthy("broker1")


def test_members_of_a_killed_gateway_go_on_at_the_other(stack: Stack) -> None:
    alice = Member.create(stack, "gateway1", "without a gateway", "alice")
    bob = Member.join(stack, "gateway2", "without a gateway", "bob")

    def chat(text: str) -> None:
        for speaker in (alice, bob):
            speaker.say(text)
            line = f"{speaker.user}: {text}"
            assert [alice.hear(), bob.hear()] == [line, line]

    chat("before")
    stack.compose("kill", "gateway2")
    bob.move(stack, "gateway1")
    chat("after")
    stack.compose("up", "-d")
    stack.wait_healthy("gateway2")
    bob.move(stack, "gateway2")
    chat("back")
    alice.close()
    bob.close()


def test_the_programs_run_without_privileges(stack: Stack) -> None:
    for service in (*SERVING, *DATABASES, "etcd1"):
        inspected = stack.inspect(service)
        assert inspected["Config"]["User"] == ("tsudoi" if service in SERVING else "postgres")
        assert inspected["HostConfig"]["ReadonlyRootfs"] is True
        assert inspected["HostConfig"]["CapDrop"] == ["ALL"]
        assert bool(inspected["HostConfig"]["PortBindings"]) is service.startswith("gateway")


def test_everything_ends_in_time_and_is_there_again(stack: Stack) -> None:
    alice = Member.create(stack, "gateway1", "over night", "alice")
    bob = Member.join(stack, "gateway2", "over night", "bob")
    stack.compose("stop")
    for service in (*SERVING, *DATABASES):
        assert stack.inspect(service)["State"]["ExitCode"] == 0, f"{service} did not end by itself"
    stack.compose("up", "-d")
    stack.wait_healthy(*SERVING, *DATABASES)
    bob.move(stack, "gateway2")  # Docker has forgotten where its datagrams go
    alice.say("good morning")
    assert bob.hear() == "alice: good morning"
    alice.close()
    bob.close()
