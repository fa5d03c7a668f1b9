"""What the lines of version 2 do at their edges, as PROTOCOL.md says it: with a socket that sends what it likes."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import tsudoi
from tests.second_client.probe import Probe
from tests.second_client.session import JOIN, PART, Line, enter
from tests.support.patched_brokers import TrimmingBroker
from tests.support.services import Gateway, at


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


def test_an_end_that_was_lost(probe: Probe) -> None:
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


def test_commands_beyond_the_rate(probe: Probe) -> None:
    """Each of sixty commands at once is either carried out or refused."""
    for number in range(1, 61):
        probe.send({"say": "/time", "number": number})
    lines = probe.lines()
    refused = min(line["refused"] for line in lines if line.get("again"))
    assert sum(line.get("code") == "time-is" for line in lines) == refused - 1
    assert max(line.get("kept", 0) for line in lines) == refused - 1


@pytest.mark.slow
async def test_gap_and_another_gateway(tmp_path: Path) -> None:
    """A member is away while the log is cut: it is told what is lost, by another gateway."""
    secret = ("--session-secret", str(tmp_path / "secret"))
    with (
        TrimmingBroker(tmp_path / "rooms.sqlite", "--log-entries", "10") as broker,
        Gateway(*secret, broker=broker) as one,
        Gateway(*secret, broker=broker) as other,
    ):
        settings = tsudoi.Settings(known_servers=tmp_path / "known")
        about: dict[str, Any] = {"server": at(one), "dialect": "tsudoi-2", "settings": settings}
        async with await tsudoi.create("den", name="alice", **about) as alice:
            bob = await enter(one.tcp["auto"], JOIN, "den", "bob")
            with Probe(bob, other.udp) as probe:
                answer: Line = {"state": "complete"}
                while answer["state"] == "complete":
                    await asyncio.gather(*(alice.say(f"{number}") for number in range(32)))
                    # A retry instead: there was one more on its way.
                    answer = (await asyncio.to_thread(probe.resume))[0].get("resumed", answer)
                assert answer["state"] == "gap"
                assert answer["lost"] == [bob.granted["offset"] + 1, answer["offset"]]
