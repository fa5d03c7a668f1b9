"""Programs that post by HTTP: of all clients they alone are told what was accepted.

A post is repeated, at any gateway, until it is answered with 200; it must then be in the log, once and where the answer
says, whatever happened in between.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import jwt

from tests.chaos.clients import key_of, text_of
from tests.chaos.history import History, Key, Sent
from tests.support.legacy.wire import Address

FIRST_ID = 9_000
"""The first number of a poster among clients."""
ANSWER_S = 3.0
PATIENCE_S = 25.0
_GONE = 404


def write_secret(folder: Path) -> Path:
    """Write the secret for posters' tokens to a file, and return that."""
    file = folder / "secret"
    file.write_text("a secret for the posters of a chaos run\n")
    file.chmod(0o600)
    return file


class Poster:
    """One program; it posts into one room."""

    def __init__(self, number: int, room: str, gateways: Sequence[Address], history: History, secret: Path) -> None:
        """Args:
        gateways: their addresses for posts.
        history: what is posted is appended to `sent`.
        """
        self.accepted: dict[Key, int] = {}
        """Post → its offset, by the answer."""
        self.given_up: list[str] = []
        self._id = FIRST_ID + number
        self._path = f"/rooms/{quote(room, '')}/messages"
        self._gateways = gateways
        self._history = history
        self._dice = random.Random(f"poster {history.seed} {number}")
        claims = {"name": f"poster{number}", "rooms": ["*"], "aud": "tsudoi-webhook", "exp": int(time.time()) + 3_600}
        self._token = jwt.encode(claims, secret.read_text().strip(), algorithm="HS256")

    async def run(self, lasts: float) -> None:
        """Post one message after the other for a time, and until the last of them is answered; or the room is gone."""
        end = time.monotonic() + lasts
        number = 0
        while time.monotonic() < end:
            number += 2  # a text with a tab is none for a webhook
            if not await self._post(number):
                return
            await asyncio.sleep(self._dice.expovariate(5.0))

    async def _post(self, number: int) -> bool:
        text = text_of(self._id, number)
        began_at, status, body = time.time(), 0, b""
        self._history.sent.append(Sent(began_at, self._id, text, 0))
        while time.time() < give_up_at(self._history, began_at):
            status, body = await self._ask(self._dice.choice(self._gateways), f"{self._id}-{number}", text)
            if status == 200:
                self.accepted[self._id, number] = json.loads(body)["offset"]
                return True
            if status == _GONE:
                return False
            await asyncio.sleep(0.1)
        answer = f"the last answer was {status} {body!r}"
        self.given_up.append(f"{text!r} was not accepted {PATIENCE_S:g} s after all faults, {answer}")
        return False

    async def _ask(self, gateway: Address, key: str, text: str) -> tuple[int, bytes]:
        """Send a request; return status and body of the answer, or 0 and why there is none."""
        body = text.encode()
        head = (
            f"POST {self._path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
            f"Authorization: Bearer {self._token}\r\nIdempotency-Key: {key}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(*gateway)
                try:
                    writer.write(head.encode() + body)
                    answer = await reader.read(65_536)
                    while b"\r\n\r\n" in answer and not answer.endswith(b"\n") and (more := await reader.read(65_536)):
                        answer += more
                finally:
                    writer.transport.abort()
            return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]
        except (OSError, TimeoutError, IndexError, ValueError) as exc:
            return 0, repr(exc).encode()


def give_up_at(history: History, began_at: float) -> float:
    """Return until when a post may have no answer: without its standby, a database takes nothing."""
    return max([began_at, *(outage.end for outage in history.outages)]) + PATIENCE_S


def unkept(history: History, accepted: dict[Key, int]) -> Iterator[str]:
    """Yield each post that was answered with 200 and is not in the log where the answer says."""
    found: dict[Key, set[int]] = {}
    for room in history.log.values():
        for entry in room.entries:
            if (key := key_of(entry.text.encode())) in accepted:
                assert key is not None
                found.setdefault(key, set()).add(entry.offset)
    for key, offset in accepted.items():
        if found.get(key) != {offset}:
            yield f"post {key} was accepted at {offset}, the log has it at {sorted(found.get(key, ()))}"
