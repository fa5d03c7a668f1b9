"""Honest people who chat while somebody attacks: what they lose, and how late they hear."""

import json
import random
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field

from tests.support.legacy.wire import Listener, header

PATIENCE_S = 10.0
PAUSE_S = 0.05
"""Between two messages of a speaker."""


def enter(
    listener: Listener, operation: int, room: str, name: str, password: str = "", source: str = "127.0.0.1"
) -> bytes:
    """Create (1) or join (2) a room; return the token. Raises OSError or ValueError when refused."""
    fields = {"tsudoi": 1, "name": name} | ({"password": password} if password else {})
    payload, raw_room = json.dumps(fields).encode(), room.encode()
    with socket.create_connection(listener.tcp, PATIENCE_S, source_address=(source, 0)) as tcp:
        tcp.sendall(header(len(raw_room), operation, 0, len(payload)) + raw_room + payload)
        with tcp.makefile("rb") as frames:
            while head := frames.read(32):
                body = json.loads(frames.read(head[0] + int.from_bytes(head[3:], "big"))[head[0] :])
                if "token" in body:
                    return str(body["token"]).encode()
                if body["status"]:
                    raise ValueError(body["message"])
    raise ConnectionError("closed without an answer")


class Person:
    """A member with a UDP socket of its own."""

    def __init__(self, listener: Listener, room: str, name: str, token: bytes) -> None:
        self.room, self.name, self.token = room, name, token
        self.heard = 0
        self._head = bytes((len(room.encode()), len(token))) + room.encode() + token
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
        self.udp.connect(listener.udp)
        self.udp.setblocking(False)
        self.say("")

    def say(self, text: str) -> None:
        self.udp.send(self._head + text.encode())


@dataclass
class Measured:
    """What a stretch of time was like."""

    latencies_ms: list[float] = field(default_factory=list)
    expected: int = 0
    joins_ms: list[float] = field(default_factory=list)
    joins_failed: int = 0

    @property
    def lost(self) -> int:
        return self.expected - len(self.latencies_ms)

    def percentile(self, part: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else float("inf")

    def __str__(self) -> str:
        joins = sorted(self.joins_ms) or [float("inf")]
        return (
            f"{self.expected:>6} expected {self.lost:>4} lost   p50 {self.percentile(0.5):6.1f} ms"
            f"   p99 {self.percentile(0.99):6.1f} ms   worst {self.percentile(1.0):6.1f} ms"
            f"   joins: worst {joins[-1]:6.1f} ms, {self.joins_failed} failed"
        )


class Watch:
    """Rooms across both gateways in which one speaks and the others listen, and somebody who keeps joining."""

    def __init__(self, listeners: list[Listener], rooms: int = 10, hearers: int = 4) -> None:
        self._listeners = listeners
        self._selector = selectors.DefaultSelector()
        self.rooms: list[list[Person]] = []
        for number in range(rooms):
            room = f"room{number}"
            people = []
            for seat in range(1 + hearers):
                listener = listeners[(number + seat) % len(listeners)]
                token = enter(listener, 2 if seat else 1, room, f"p{seat}")
                people.append(Person(listener, room, f"p{seat}", token))
            for person in people[1:]:
                self._selector.register(person.udp, selectors.EVENT_READ, person)
            self.rooms.append(people)
        self._marked = Measured()
        self._lock = threading.Lock()
        self._running = True
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._chat, self._join)]
        for thread in self._threads:
            thread.start()

    def measure(self, seconds: float) -> Measured:
        """Return what the next `seconds` are like; what was said in them is waited for a second longer."""
        with self._lock:
            self._marked = measured = Measured()
        time.sleep(seconds)
        with self._lock:
            self._marked = Measured()
        deadline = time.monotonic() + 1.0
        while measured.lost and time.monotonic() < deadline:
            time.sleep(0.01)
        return measured

    def close(self) -> None:
        self._running = False
        for thread in self._threads:
            thread.join()
        for people in self.rooms:
            for person in people:
                person.udp.close()

    def _chat(self) -> None:
        due = [(time.monotonic() + random.random() * PAUSE_S, number) for number in range(len(self.rooms))]
        of: dict[str, tuple[float, Measured]] = {}
        count = 0
        while self._running:
            due.sort()
            at, number = due[0]
            wait_s = at - time.monotonic()
            if wait_s <= 0:
                due[0] = (at + PAUSE_S, number)
                count += 1
                with self._lock:
                    measured = self._marked
                measured.expected += len(self.rooms[number]) - 1
                of[f"m{count}"] = (time.monotonic(), measured)
                self.rooms[number][0].say(f"m{count}")
                for person in self.rooms[number][1:]:
                    if count % 97 == 0:
                        person.say("")
                continue
            for key, _ in self._selector.select(wait_s):
                self._hear(key.data, of)

    def _hear(self, person: Person, of: dict[str, tuple[float, Measured]]) -> None:
        while True:
            try:
                heard = json.loads(person.udp.recv(4096))
            except BlockingIOError:
                return
            if heard.get("text") in of:
                sent, measured = of[heard["text"]]
                measured.latencies_ms.append((time.monotonic() - sent) * 1000)

    def _join(self) -> None:
        count = 0
        while self._running:
            count += 1
            began = time.monotonic()
            with self._lock:
                measured = self._marked
            listener = self._listeners[count % len(self._listeners)]
            try:
                token = enter(listener, 2, "room0", "guest")
            except (OSError, ValueError):
                measured.joins_failed += 1
            else:
                measured.joins_ms.append((time.monotonic() - began) * 1000)
                guest = Person(listener, "room0", "guest", token)
                guest.say("/leave")
                guest.udp.close()
            time.sleep(0.2)
