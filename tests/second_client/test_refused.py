"""What the second client says behind a refused line, and while it resumes: PROTOCOL.md, "Up: kept, once"."""

import asyncio
import json
from typing import Any

import pytest

from tests.second_client.client import Client
from tests.second_client.session import BODY, HEAD, Line, Refused, Session

RUNS = [b"run001", b"run002"]


class Alone:
    """A client whose server is this test."""

    def __init__(self) -> None:
        granted = {"name": "bob", "member": 1, "epoch": 1, "offset": 0}
        self.session = Session(bytes(range(1, 17)), "plain", b"", b"", b"", granted)
        self.client = Client(self.session, ("127.0.0.1", 9))
        transport: Any = self
        self.client._transport = transport
        self.sent: list[Line] = []
        self.counts = dict.fromkeys(RUNS, 0)

    def sendto(self, packet: bytes) -> None:
        self.sent += map(json.loads, packet[HEAD:].split(b"\n"))

    def tell(self, line: Line, run: bytes = RUNS[0]) -> None:
        self.counts[run] += 1
        body = json.dumps(line).encode()
        self.client.datagram_received(self.session.pack(BODY, run, self.counts[run], body, upwards=False), None)

    def resumed(self, said: int, run: bytes = RUNS[0]) -> None:
        self.client._resume()
        answer = {"state": "complete", "epoch": 1, "offset": 0, "said": said, "name": "bob"}
        self.tell({"resumed": {"to": self.client._count, **answer}}, run)
        self.sent.clear()

    async def say(self, *texts: str) -> list[asyncio.Task[None]]:
        said = [asyncio.create_task(self.client.say(text)) for text in texts]
        await asyncio.sleep(0)
        return said

    def follows(self) -> list[tuple[int, int]]:
        """Send what is due; return each line with the one that it names."""
        for line in self.client._lines.values():
            line.again_at = 0.0
        self.sent.clear()
        self.client._speak(0.0)
        said = [line for line in self.sent if "say" in line]
        return [(line["number"], line.get("after", line["number"] - 1)) for line in said]


@pytest.fixture
def alone() -> Alone:
    made = Alone()
    made.resumed(0)
    return made


async def test_a_line_goes_on_naming_the_line_before_a_refused_one_in_another_run(alone: Alone) -> None:
    _, two, _ = await alone.say("one", "two", "three")
    alone.tell({"refused": 2, "text": "no"})
    assert alone.follows() == [(1, 0), (3, 1)]
    with pytest.raises(Refused):
        await two
    alone.resumed(0, RUNS[1])
    assert alone.follows() == [(1, 0), (3, 1)]


async def test_a_new_line_names_the_line_before_a_refused_one(alone: Alone) -> None:
    await alone.say("one", "two")
    alone.tell({"refused": 2, "text": "no"})
    await alone.say("three")
    assert alone.follows() == [(1, 0), (3, 1)]


@pytest.mark.parametrize("line", [{"kept": 1}, {"refused": 1, "text": "no"}])
async def test_no_line_is_kept_or_refused_until_the_client_is_resumed(alone: Alone, line: Line) -> None:
    await alone.say("one", "two")
    alone.client._begin_to_resume(0.0)
    alone.tell(line)
    alone.resumed(0, RUNS[1])
    assert alone.follows() == [(1, 0), (2, 1)]
