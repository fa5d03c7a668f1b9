"""`--workers`: several gateways behind one listener, of which one may die and nobody notices."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.integration.conftest import Enter, NewRoom
from tests.support import forked
from tests.support.services import ROOT, Gateway

PATIENCE_S = 60.0


def children(pid: int) -> dict[int, str]:
    """The processes that one has started, and their command lines."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def workers_of(gateway: Gateway) -> set[int]:
    return {pid for pid, command in children(gateway.pid).items() if " -m gateway " in command}


def test_a_worker_that_is_killed_is_started_again_and_the_chat_goes_on(
    tmp_path: Path, new_room: NewRoom, client: Enter
) -> None:
    with Gateway("--workers", "2", data=tmp_path, dialects=["classic"]) as gateway:
        before = workers_of(gateway)
        assert len(before) == 2
        room = new_room("w")
        people = [client("classic", f"p{number}", gateway) for number in range(8)]
        people[0].create(room)
        for person in people[1:]:
            person.join(room)
        for person in people:
            person.start()
        said: list[str] = []

        def say() -> None:
            for person in people:
                said.append(f"number {len(said)}")
                person.say(said[-1])

        def check() -> None:
            wanted = {person.line(person.name, text) for person, text in zip(people, said[-len(people) :], strict=True)}
            for listener in people:
                missing = set(wanted)
                while missing:
                    missing.discard(listener.hear().shown)

        say()
        check()
        for victim in sorted(before):
            os.kill(victim, signal.SIGKILL)
            # What is said meanwhile waits at the listener, which stays open.
            say()
            check()
            deadline = time.monotonic() + PATIENCE_S
            while len(workers_of(gateway) - {victim}) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert not before & workers_of(gateway)


@pytest.mark.slow
def test_a_second_start_takes_nothing_from_a_service_that_then_restarts_its_broker(
    tmp_path: Path, new_room: NewRoom, client: Enter
) -> None:
    with Gateway("--workers", "2", data=tmp_path, dialects=["classic"]) as gateway:
        room, (alice, bob) = new_room("w"), (client("classic", name, gateway) for name in ("alice", "bob"))
        alice.create(room)
        bob.join(room)
        for each in (alice, bob):
            each.start()
        places = ("--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data", str(tmp_path), "--log-level", "warning")
        command = (sys.executable, "-m", "gateway", "--workers", "2", *places)
        second = forked.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert second.returncode == 2
        assert "another broker has the store" in second.stderr
        (broker,) = children(gateway.pid).keys() - workers_of(gateway)
        os.kill(broker, signal.SIGKILL)
        alice.say("after it")
        while bob.hear().shown != alice.line("alice", "after it"):
            pass
