"""A client of version 2, written from PROTOCOL.md alone, with asyncio."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.second_client.session import BODY, GONE, HEAD, PART, RETRY, TAG, Address, Line, Refused, Session, read

LARGEST_PACKET = 1200
WINDOW = 1024
ON_THEIR_WAY = 32
TICK_S = 0.01
SUSPECT_S, AWAY_S, LINGER_S = 1.5, 10.0, 10.0
CALM_S = 0.5
"""After a `resumed`: a retry may be late, and a ping shows whether it was."""


@dataclass
class Said:
    """A line of this client that is not known to be kept."""

    text: str
    after: int
    kept: asyncio.Future[None]
    tries: int = 0
    again_at: float = 0.0
    wait_s: float = 0.0

    def settle(self, refusal: str = "") -> None:
        if not self.kept.done():  # its task may have been cancelled
            self.kept.set_exception(Refused(refusal)) if refusal else self.kept.set_result(None)


@dataclass
class Repeated:
    """When to send a thing again."""

    first_s: float
    longest_s: float
    at: float = 0.0
    wait_s: float = field(default=0.0)

    def begin(self, at: float) -> None:
        self.at, self.wait_s = at, self.first_s

    def due(self, now: float) -> bool:
        if now < self.at:
            return False
        self.at, self.wait_s = now + self.wait_s, min(self.wait_s * 2, self.longest_s)
        return True


def nothing_lost(packet: bytes) -> bool:
    return False


class Client(asyncio.DatagramProtocol):
    """A member: `events` are the room's entries in their order, exactly once, and what the server tells beside them."""

    def __init__(
        self,
        session: Session,
        server: Address,
        lost: Callable[[bytes], bool] = nothing_lost,
        quiet_s: tuple[float, float] = (20, 25),
    ) -> None:
        """`lost` decides for each packet, up and down, whether the network loses it; `quiet_s`: when to send a ping."""
        self.session, self.server, self.lost, self._quiet = session, server, lost, quiet_s
        granted = session.granted
        self.name, self.epoch, self.offset = granted["name"], granted["epoch"], granted["offset"]
        self.events: asyncio.Queue[Line] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.resumed = asyncio.Event()
        self.heard: list[Line] = []
        self.dropped = 0
        """Packets from the server that were not taken."""
        self.wants = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._beats: asyncio.Task[None] | None = None
        self._run, self._count = bytes(6), 0
        self._runs = {self._run}
        self._away = False
        self._ending: tuple[Line, int, float] | None = None
        self._top, self._seen = 0, set[int]()
        self._parts: dict[tuple[bytes, int], dict[int, bytes]] = {}
        self._to, self._resumes, self._resumed_at = 0, set[int](), -1.0
        self._cookie, self._cookies, self._resuming = b"", set[bytes](), Repeated(0.25, 2.0)
        self._held: dict[int, tuple[int, list[Line]]] = {}
        self._last, self._hole = 0, Repeated(0.1, 1.0)
        self._lines: dict[int, Said] = {}
        self._number, self._after = 1, 0  # of the next line, and of the one that it follows
        self._pings: dict[int, tuple[float, asyncio.Future[Line]]] = {}
        self._ping, self._leaving = Repeated(0.25, 2.0), Repeated(0.25, 2.0, float("inf"))
        self._rtt, self._sent_at, self._asked_at = 0.1, 0.0, float("inf")
        self._quiet_s = random.uniform(*self._quiet)

    async def open(self) -> "Client":
        self._resuming.begin(time.monotonic())
        await self.move()
        self._beats = asyncio.create_task(self._beat())
        await asyncio.wait_for(self.resumed.wait(), 20)
        return self

    async def move(self, host: str = "127.0.0.1") -> None:
        """Go on from another port, and know nothing of it, as behind a NAT that has forgotten us."""
        if self._transport is not None:
            self._transport.close()
        made = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(host, 0), remote_addr=self.server
        )
        self._transport = made[0]

    async def close(self) -> None:
        """End without leaving."""
        if self._beats is not None:
            self._beats.cancel()
        if self._transport is not None:
            self._transport.close()
        await asyncio.sleep(0)

    async def say(self, text: str) -> None:
        """Return when the line is kept; raise Refused."""
        number, self._number = self._number, self._number + 1
        line = self._lines[number] = Said(text, self._after, asyncio.get_running_loop().create_future())
        self._after = number
        await line.kept

    async def ping(self) -> Line:
        """Return the pong."""
        word = random.randrange(1, 2**31)
        self._pings[word] = time.monotonic(), asyncio.get_running_loop().create_future()
        self._ping.begin(0)
        try:
            return await self._pings[word][1]
        finally:
            self._pings.pop(word, None)

    async def leave(self) -> None:
        self._leaving.begin(0)
        await self.ended.wait()

    # What goes up

    def send(self, *lines: Line, asks: bool = True, resumes: bool = False) -> None:
        body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
        room = LARGEST_PACKET - HEAD - TAG
        pieces = [body]
        if len(body) > room:
            room -= 2
            cut = [body[at : at + room] for at in range(0, len(body), room)]
            pieces = [bytes((index, len(cut))) + piece for index, piece in enumerate(cut)]
        for piece in pieces:
            self._count += 1
            if resumes:
                self._resumes.add(self._count)
            packet = self.session.pack(BODY if len(pieces) == 1 else PART, self._run, self._count, piece)
            if self._transport is not None and not self.lost(packet):
                self._transport.sendto(packet)
        self._sent_at = time.monotonic()
        if asks:
            self._asked_at = min(self._asked_at, self._sent_at)

    async def _beat(self) -> None:
        while not self.ended.is_set():
            now = time.monotonic()
            self._look(now)
            if not self.resumed.is_set():
                if self._resuming.due(now):
                    self._resume()
            else:
                self._speak(now)
            await asyncio.sleep(TICK_S)

    def _look(self, now: float) -> None:
        """See whether the server is silent though it must answer, and whether the end is waited for long enough."""
        if now - self._asked_at > SUSPECT_S and self.resumed.is_set():
            self._begin_to_resume(now)
        if now - self._asked_at > AWAY_S and not self._away:
            self._away = True
            self._tell({"away": True})
        if self._ending is not None and (self.offset >= self._ending[1] or now > self._ending[2]):
            self._end(self._ending[0])

    def _resume(self) -> None:
        position = {"epoch": self.epoch, "offset": self.offset, "next": min(self._lines, default=self._number)}
        self.send({"resume": {"cookie": self._cookie.hex(), **position}}, resumes=True)

    def _begin_to_resume(self, now: float) -> None:
        self.resumed.clear()
        self._cookie = b""
        self._resuming.begin(now)

    def _speak(self, now: float) -> None:
        for number, line in list(self._lines.items())[:ON_THEIR_WAY]:
            if now >= line.again_at:
                numbered: Line = {"say": line.text, "number": number}
                self.send(numbered if line.after == number - 1 else {**numbered, "after": line.after})
                line.wait_s = line.wait_s * 1.5 if line.tries > 3 else min(max(0.1, 1.5 * self._rtt), 1.0)
                line.tries += 1
                line.again_at = now + min(line.wait_s, 2.0)
            if line.tries == 0:
                break  # refused for now: nothing behind it goes before it
        missing = min(self._held, default=self._last)
        if missing <= self.offset:
            self._hole.begin(float("inf"))
        elif self._hole.at == float("inf"):
            self._hole.begin(now + 0.04)
        elif self._hole.due(now):
            self.wants += 1
            self.send({"want": [self.offset, missing]})
        if now - self._sent_at > self._quiet_s and not self._pings:
            self._quiet_s = random.uniform(*self._quiet)
            self._pings[0] = now, asyncio.get_running_loop().create_future()
            self._ping.begin(0)
        if self._pings and self._ping.due(now):
            self.send(*({"ping": word} for word in self._pings))
        if self._leaving.due(now):
            self.send({"leave": True})

    # What comes down

    def error_received(self, exc: Exception) -> None:
        """The server is down just now."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.lost(data) or self.ended.is_set():
            return
        if len(data) < HEAD or data[0] != 0 or data[2:18] != self.session.id or not self._take(data):
            self.dropped += 1

    def _take(self, packet: bytes) -> bool:
        kind, run, count = packet[1], packet[18:24], int.from_bytes(packet[24:30], "big")
        now = time.monotonic()
        if kind in (RETRY, GONE):
            return self.session.holds(packet) and self._take_cookie(kind, packet[18:HEAD], now)
        if kind not in (BODY, PART) or (run == self._run and (count in self._seen or count <= self._top - WINDOW)):
            return False
        body = self.session.unpack(packet)
        if body is None:
            return False
        if kind == PART:
            body = self._join(run, count - body[0], body)
            if body is None:
                self._note(run, count)
                return True
        lines = read(body)
        if run != self._run and not any(self._is_answer(line) for line in lines):
            self._is_elsewhere(run, now)
            return False
        self._asked_at = float("inf")
        self.heard += lines
        for line in lines:
            if self._is_answer(line):
                self._accept(line["resumed"], run, now)
        self._note(run, count)
        self._obey(lines, now)
        return True

    def _is_elsewhere(self, run: bytes, now: float) -> None:
        """Resume if a run shows that another server has taken the session."""
        if run not in self._runs and self.resumed.is_set():
            if now - self._resumed_at < CALM_S:
                self._ask_when_calm(now)
            else:
                self._begin_to_resume(now)

    def _ask_when_calm(self, now: float) -> None:
        if not self._pings:
            self._pings[0] = now, asyncio.get_running_loop().create_future()
            self._ping.begin(self._resumed_at + CALM_S)

    def _take_cookie(self, kind: int, cookie: bytes, now: float) -> bool:
        if kind == GONE:
            if cookie != self._cookie:
                return False
            self._end({"ended": "gone"} if self._ending is None else self._ending[0])
        else:
            if cookie in self._cookies:
                return False
            if self.resumed.is_set() and now - self._resumed_at < CALM_S:
                self._ask_when_calm(now)
                return False
            self._cookies.add(cookie)
            self._begin_to_resume(now)
            self._cookie = cookie
        return True

    def _note(self, run: bytes, count: int) -> None:
        if run == self._run:
            self._top = max(self._top, count)
            self._seen = {seen for seen in self._seen if seen > self._top - WINDOW} | {count}

    def _join(self, run: bytes, first: int, part: bytes) -> bytes | None:
        """Return a body when its last part has come."""
        parts = self._parts.setdefault((run, first), {})
        parts[part[0]] = part[2:]
        while len(self._parts) > 64:
            del self._parts[next(iter(self._parts))]
        if len(parts) < part[1]:
            return None
        del self._parts[run, first]
        return b"".join(parts[index] for index in range(part[1]))

    def _is_answer(self, line: Line) -> bool:
        """Whether a line answers one of this client's `resume`s, later than the one that was answered before."""
        return "resumed" in line and line["resumed"]["to"] > self._to and line["resumed"]["to"] in self._resumes

    def _accept(self, answer: Line, run: bytes, now: float) -> None:
        self._run, self._top, self._seen, self._parts = run, 0, set(), {}
        self._runs.add(run)
        self._away = False
        self._to, self._resumed_at, self.name = answer["to"], now, answer["name"]
        self.resumed.set()
        self._held.clear()
        self._last = 0
        self._place(answer)
        self._keep(answer["said"])
        self._after = answer["said"]
        for number, line in self._lines.items():
            line.after, self._after = self._after, number
            line.tries, line.again_at = 0, 0.0
        self._ping.begin(0)

    def _place(self, answer: Line) -> None:
        """Be where the server begins; but a position that this client has reached meanwhile stays."""
        if answer["epoch"] != self.epoch or answer["offset"] > self.offset:
            self.epoch, self.offset = answer["epoch"], answer["offset"]
        if answer["state"] != "complete":
            self._tell({"state": answer["state"], "lost": answer.get("lost")})
        self._deliver()

    def _obey(self, lines: list[Line], now: float) -> None:
        entries: list[Line] = []
        for line in lines:
            match line:
                case {"after": int(after), "to": int(to)}:
                    entries = []
                    self._held[after] = max(self._held.get(after, (0, [])), (to, entries), key=lambda held: held[0])
                case {"n": int()}:
                    entries.append(line)
                case {"resumed": {"to": 0}}:
                    self._place(line["resumed"])
                case {"kept": int(number)}:
                    self._keep(number)
                case {"refused": int(number)} if number in self._lines and self.resumed.is_set():
                    self._refuse(number, line, now)
                case {"pong": int(word)} if word in self._pings:
                    asked, pong = self._pings.pop(word)
                    self._rtt = now - asked
                    pong.set_result(line)
                    self._last = line["last"] if line["epoch"] == self.epoch else 0
                case {"ended": str()}:
                    last = 0 if line["ended"] == "left" else line.get("last", 0)
                    self._ending = self._ending or (line, last, now + LINGER_S)
                    self._last = max(self._last, last)
                case {"notice": str()}:
                    self._tell(line)
        self._deliver()
        self._look(now)

    def _deliver(self) -> None:
        for after in sorted(self._held):
            to, entries = self._held[after]
            if after > self.offset:
                break
            del self._held[after]
            for entry in entries:
                if entry["n"] > self.offset:
                    self._tell(entry)
                    if entry.get("member") == self.session.granted["member"]:
                        self._keep(entry["number"])
            self.offset = max(self.offset, to)

    def _keep(self, number: int) -> None:
        if not self.resumed.is_set():
            return  # The next server may begin with a lower `said`, and waits for what follows that.
        for kept in [kept for kept in self._lines if kept <= number]:
            self._lines.pop(kept).settle()

    def _refuse(self, number: int, refusal: Line, now: float) -> None:
        if refusal.get("again"):
            self._lines[number].tries, self._lines[number].again_at = 0, now + 1.0
            return
        given_up = self._lines.pop(number)
        given_up.settle(refusal["text"])
        behind = [line for later, line in self._lines.items() if later > number]
        for line in behind:
            line.tries, line.again_at = 0, 0.0
        if behind:
            behind[0].after = given_up.after
        else:
            self._after = given_up.after

    def _tell(self, event: Line) -> None:
        self.events.put_nowait(event)

    def _end(self, event: Line) -> None:
        self._tell(event)
        self.ended.set()
        for line in self._lines.values():
            line.settle(event["ended"])
