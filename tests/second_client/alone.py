"""The second client with a test in the place of its server."""

import asyncio
import json
from typing import Any

from tests.second_client.client import Client
from tests.second_client.session import BODY, HEAD, Line, Session

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
        self.counts: dict[bytes, int] = {}

    def sendto(self, packet: bytes) -> None:
        self.sent += map(json.loads, packet[HEAD:].split(b"\n"))

    def tell(self, line: Line, run: bytes = RUNS[0]) -> None:
        self.tell_all([line], run)

    def tell_all(self, lines: list[Any], run: bytes) -> None:
        self.counts[run] = self.counts.get(run, 0) + 1
        body = b"\n".join(json.dumps(line).encode() for line in lines)
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
