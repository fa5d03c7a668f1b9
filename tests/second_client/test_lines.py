"""What the lines of version 2 do at their edges, as PROTOCOL.md says it: with a socket that sends what it likes."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.second_client.conftest import NewRoom
from tests.second_client.members import created, event, joined, texts
from tests.second_client.probe import Probe
from tests.second_client.session import CREATE, JOIN, PART, Line, enter
from tests.support.services import Gateway
from tests.support.trimming import TrimmingBroker


@pytest.fixture
def probe(service: Gateway, new_room: NewRoom) -> Iterator[Probe]:
    """A member that is alone in its room, resumed."""
    session = asyncio.run(enter(service.tcp["auto"], CREATE, new_room(), "alice"))
    with Probe(session, service.udp) as made:
        assert made.resume()[0]["resumed"]["state"] == "complete"
        yield made


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense",
        b"[1]",
        b"\xff",
        b"",
        b'{"ping":1.5}',
        b'{"ping":true}',
        b'{"ping":-1}',
        b'{"ping":9007199254740992}',
        b'{"say":5,"number":1}',
        b'{"say":"x","number":0}',
        b'{"say":"\\ud800","number":1}',
        b'{"want":[1]}',
        b'{"resume":{}}',
        b"[" * 1100,
        b"9" * 1100,
    ],
)
def test_a_body_with_a_bad_line_is_dropped_whole(probe: Probe, raw: bytes) -> None:
    probe.send(raw=raw + b'\n{"ping":1}')
    probe.send({"ping": 2}, {"unknown": []})
    assert probe.until("pong")["pong"] == 2


@pytest.mark.parametrize("raw", [b"", b"\0", b"\0\1x", b"\0\0", b"\5\2x", b"\0\x11x", b"\0\xffx", b"\1\2x"])
def test_bad_parts(probe: Probe, raw: bytes) -> None:
    probe.send(raw=raw, kind=PART)
    probe.send({"ping": 2})
    assert probe.until("pong")["pong"] == 2


def test_a_line_is_taken_directly_behind_the_one_that_it_names(probe: Probe) -> None:
    probe.send({"say": "two", "number": 2})
    probe.send({"say": "one", "number": 1})
    assert [probe.until("from")["text"] for _ in range(2)] == ["one", "two"]
    probe.send({"say": "", "number": 3})
    assert not probe.until("refused").get("again", False)
    probe.send({"say": "five", "number": 5})
    probe.send({"say": "four", "number": 4, "after": 2})
    while probe.until("from")["text"] != "five":
        pass
    probe.send({"say": "one again", "number": 1})
    assert probe.until("kept")["kept"] == 5


@pytest.mark.parametrize("position", [{"offset": 10**6}, {"epoch": 2}, {"epoch": 0}])
def test_reset(probe: Probe, position: dict[str, Any]) -> None:
    """Of a position that the room has never had, the answer says so, and where this member is now."""
    answer = probe.resume(**position)[0]["resumed"]
    granted = probe.session.granted
    assert (answer["state"], answer["epoch"], answer["offset"]) == ("reset", granted["epoch"], granted["offset"])


def test_an_end_that_was_lost(service: Gateway, probe: Probe) -> None:
    """A host's `leave` whose `ended` was lost is repeated: the answers are *retry*, and *ended* when it has resumed."""
    probe.send({"leave": True})
    ended = probe.until("ended")
    assert (ended["ended"], ended["last"]) == ("closed", probe.session.granted["offset"])
    probe.send({"leave": True})
    assert probe.until("retry")
    assert probe.resume()[0]["resumed"]["state"] == "complete"
    assert probe.until("ended") == ended


def test_wants(probe: Probe) -> None:
    for number in range(1, 9):
        probe.send({"say": f"{number}", "number": number})
    while probe.until("from")["text"] != "8":
        pass
    probe.lines(0.3)  # the last body comes twice more
    first = probe.session.granted["offset"]
    probe.send({"want": [first + 2, first + 5]})
    wanted = {line["n"]: line["text"] for line in probe.lines(0.2) if "from" in line}
    assert {first + 3: "3", first + 4: "4", first + 5: "5"}.items() <= wanted.items()


async def test_commands_beyond_the_rate(service: Gateway, new_room: NewRoom) -> None:
    """Each of sixty commands at once is either carried out or refused."""
    async with created(service, new_room()) as alice:
        said = [asyncio.create_task(alice.say("/time")) for _ in range(60)]
        await asyncio.wait(said, timeout=2)
        await alice.ping()
        told = sum(line.get("code") == "time-is" for line in alice.heard)
        assert told == sum(task.done() and task.exception() is None for task in said)
        for task in said:
            task.cancel()
        await asyncio.wait(said)


@pytest.mark.slow
def test_gap_and_another_gateway(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A member is away while the log is cut: it is told what is lost; then it goes on at the other gateway."""
    folder = tmp_path_factory.mktemp("gap")
    secret = ("--session-secret", str(folder / "secret"))
    with (
        TrimmingBroker(folder / "rooms.sqlite", "--log-entries", "10") as broker,
        Gateway(*secret, broker=broker) as one,
        Gateway(*secret, broker=broker) as other,
    ):

        async def run() -> None:
            async with created(one, "den") as alice:
                bob = await enter(one.tcp["auto"], JOIN, "den", "bob")
                with Probe(bob, other.udp) as probe:
                    answer: Line = {"state": "complete"}
                    said = 0
                    while answer["state"] == "complete":
                        await asyncio.gather(*(alice.say(f"{said + number}") for number in range(32)))
                        said += 32
                        # A retry instead: there was one more on its way.
                        answer = (await asyncio.to_thread(probe.resume))[0].get("resumed", answer)
                    assert answer["state"] == "gap"
                    assert answer["lost"] == [bob.granted["offset"] + 1, answer["offset"]]
                async with joined(other, "den", "carol") as carol:
                    await carol.say("hello")
                    while (await event(alice, "from"))["text"] != "hello":
                        pass
                    carol.server = one.udp  # the other gateway takes its session over
                    await carol.move()
                    await asyncio.gather(alice.say("welcome"), carol.say("hello again"))
                    assert sorted(await texts(carol, 3)) == ["hello", "hello again", "welcome"]

        asyncio.run(run())
