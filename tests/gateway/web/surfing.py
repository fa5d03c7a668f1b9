"""Clients of PROTOCOL.md, "WebSocket", in a World: sessions of real gateways' cores, without sockets."""

import json
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from gateway.chat.stream_group import PendingGroups, StreamGroup
from gateway.join.admission import AdmissionRules
from gateway.join.session_tokens import SessionTokens
from gateway.web.session import Session
from tests.support.fakes import WALL_MS, FakeGateway, Node, World
from tsudoi.protocol.web.codes import Close

IP = "192.0.2.7"


def rules_of(gateway: FakeGateway) -> AdmissionRules:
    """Return what the sessions of a gateway share."""
    return AdmissionRules(gateway.settings, gateway.counters, gateway.core, SessionTokens(1), None)


_PENDING: WeakKeyDictionary[Node, PendingGroups] = WeakKeyDictionary()


def pending_of(node: Node) -> PendingGroups:
    """Return the groups of a gateway that have something to write: one for all its connections."""
    if node not in _PENDING:
        _PENDING[node] = PendingGroups(lambda payload: payload, lambda: None)
    return _PENDING[node]


class FakePort:
    """What carries a session: what is written is parsed and kept."""

    def __init__(self, pending: PendingGroups) -> None:
        self.got: list[dict[str, Any]] = []
        self.closed: list[tuple[Close, str]] = []
        self.frames = 0
        self.reads_slowly = False
        self.pending = pending
        self.lose: Callable[[], None] = lambda: None
        self.logged: list[tuple[str, str]] = []
        self.is_full = False
        self.took: list[str] = []

    @property
    def write(self) -> Callable[[bytes], object]:
        return self._write

    @property
    def is_behind(self) -> bool:
        return self.reads_slowly

    def _write(self, frame: bytes) -> None:
        self.frames += 1
        self.got += [json.loads(line) for line in frame.split(b"\n")]

    def send(self, payload: bytes) -> None:
        self.pending.flush()
        self._write(payload)

    def new_group(self) -> StreamGroup:
        return StreamGroup(self.pending)

    def log(self, outcome: str, room: str) -> None:
        self.logged.append((outcome, room))

    def has_place(self, room: str, now: float) -> bool:
        return not self.is_full

    def take_place(self, room: str, now: float) -> None:
        self.took.append(room)

    def close(self, code: Close, reason: str) -> None:
        self.closed.append((code, reason))
        self.lose()


class Surfer:
    """A client's connection to one gateway."""

    def __init__(self, world: World, node: Node, name: str = "alice", **data: str) -> None:
        self.world, self.node = world, node
        self.name = name
        self.port = FakePort(pending_of(node))
        self.port.lose = self.lose
        self.got = self.port.got
        self.session = Session(rules_of(node.gateway), IP, self.port, world.now)
        self._last = 0
        self.send(connect={"data": {"name": name, **data}})

    def raw(self, text: str) -> None:
        """Send a frame as it is."""
        self.raw_bytes(text.encode())

    def raw_bytes(self, frame: bytes) -> None:
        self.session.receive(frame, self.world.now, WALL_MS / 1000)
        self.world.flush(self.node)

    def send(self, **command: Any) -> int:
        """Send a command, and return its id."""
        self._last += 1
        self.raw(json.dumps({"id": self._last, **command}))
        return self._last

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command, and return its reply: the result, or what has `code`."""
        number = self.send(**command)
        self.world.run_until(lambda: any(each.get("id") == number for each in self.got))
        (reply,) = (each for each in self.got if each.get("id") == number)
        found: dict[str, Any] = reply["error"] if "error" in reply else reply[next(iter(command))]
        return found

    def enter(self, room: str = "den", **about: Any) -> dict[str, Any]:
        """Subscribe to a room, which is created if there is none."""
        return self.ask(subscribe={"channel": room, "data": {"create": True}, **about})

    def say(self, text: str, number: int = 0, room: str = "den") -> dict[str, Any]:
        return self.ask(publish={"channel": room, "data": {"text": text, "number": number}})

    def pubs(self) -> list[dict[str, Any]]:
        """Return all publications, of replies and of pushes, in order."""
        self.port.pending.flush()
        found: list[dict[str, Any]] = []
        for each in self.got:
            found += each.get("subscribe", {}).get("publications", [])
            if "pub" in each.get("push", {}):
                found.append(each["push"]["pub"])
        return found

    def texts(self) -> list[str]:
        """Return the texts of the messages that came."""
        return [pub["data"]["text"] for pub in self.pubs() if "from" in pub["data"]]

    def notices(self) -> list[str]:
        return [pub["data"]["notice"] for pub in self.pubs() if "notice" in pub["data"]]

    def reasons(self) -> list[str]:
        """Return why rooms ended, in words."""
        pushes = [each["push"] for each in self.got if "push" in each]
        return [each["unsubscribe"]["reason"] for each in pushes if "unsubscribe" in each]

    def ended(self) -> list[tuple[str, int]]:
        """Return the rooms that ended, with the codes."""
        pushes = [each["push"] for each in self.got if "push" in each]
        return [(each["channel"], each["unsubscribe"]["code"]) for each in pushes if "unsubscribe" in each]

    @property
    def secret(self) -> str:
        """The session's secret."""
        return str(self.got[0]["connect"]["data"]["session"])

    def position(self) -> dict[str, Any]:
        """Return what to subscribe with to go on after the last publication."""
        reply = next(each["subscribe"] for each in reversed(self.got) if "subscribe" in each)
        offsets = [pub["offset"] for pub in self.pubs() if pub.get("offset")]
        return {"recover": True, "epoch": reply["epoch"], "offset": max([reply["offset"], *offsets])}

    def lose(self) -> None:
        """Lose the connection."""
        self.session.lost(self.world.now)

    def again(self, node: Node | None = None) -> "Surfer":
        """Return the same client by another connection."""
        return Surfer(self.world, node or self.node, self.name, session=self.secret)
