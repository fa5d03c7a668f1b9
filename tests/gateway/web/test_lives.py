"""Clients by WebSocket under faults, by a seed: connections and gateways are lost, the broker is killed, news dropped.

Each client has all messages, once and in order, and every line that was kept is in the log once.
"""

import random

import pytest

from tests.gateway.web.surfing import Surfer
from tests.support.fakes import Node, Weather, World
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.web.codes import Ending

CLIENTS, ROUNDS = 4, 60


class Life:
    """A client that comes back with its position, and numbers its lines."""

    def __init__(self, world: World, node: Node, name: str) -> None:
        self.world, self.name, self.node = world, name, node
        self.heard: list[tuple[int, str]] = []
        self.epoch, self.offset = "", 0
        self.line = 0
        self.kept = True
        """The last line is known to be kept."""
        self.secret = f"{name:x<32}"
        self.surfer = self._connect(node)
        self._read = 0
        self._asked = 0

    def _connect(self, node: Node) -> Surfer:
        self.node = node
        surfer = Surfer(self.world, node, self.name, session=self.secret)
        self._read = 0
        self.is_in = False
        self._subscribe_id = 0
        return surfer

    def lose(self, node: Node) -> None:
        """Lose the connection, and come back at a gateway."""
        self.read()
        if not self.node.is_dead:
            self.surfer.lose()
        self.surfer = self._connect(node)

    def read(self) -> None:
        """Take what has come."""
        self.surfer.port.pending.flush()
        got = self.surfer.got
        while self._read < len(got):
            each = got[self._read]
            self._read += 1
            if "subscribe" in each:
                reply = each["subscribe"]
                self.is_in = True
                if "was_recovering" in reply:
                    assert reply["recovered"] is True, reply
                    assert reply["offset"] == self.offset
                self.epoch, self.offset = reply["epoch"], reply["offset"]
                for pub in reply.get("publications", []):
                    self._take(pub)
            elif "pub" in each.get("push", {}):
                self._take(each["push"]["pub"])
            elif "unsubscribe" in each.get("push", {}):
                assert each["push"]["unsubscribe"]["code"] in (Ending.INSUFFICIENT, Ending.ELSEWHERE)
                self.is_in, self._subscribe_id = False, 0
            elif each.get("id") == self._subscribe_id and "error" in each:
                assert each["error"].get("temporary"), each
                self._subscribe_id = 0
            elif each.get("id") == self._asked and self._asked:
                self.kept = "publish" in each
                self._asked = 0

    def _take(self, pub: dict[str, object]) -> None:
        offset = int(str(pub.get("offset", 0)))
        assert offset > self.offset or not offset, (offset, self.offset)
        self.offset = offset or self.offset
        data = pub["data"]
        assert isinstance(data, dict)
        if "from" in data:
            self.heard.append((offset, data["text"]))

    def live(self) -> None:
        """Subscribe if it must, else say a line, or the last one again."""
        self.read()
        if self.node.is_dead:
            return
        if not self.is_in and not self._subscribe_id:
            position = {"recover": True, "epoch": self.epoch, "offset": self.offset} if self.epoch else {}
            self._subscribe_id = self.surfer.send(subscribe={"channel": "den", "data": {"create": True}, **position})
        elif self.is_in and not self._asked:
            if self.kept:
                self.line += 1
                self.kept = False
            text = f"{self.name} {self.line}"
            self._asked = self.surfer.send(publish={"channel": "den", "data": {"text": text, "number": self.line}})

    def forget_asked(self) -> None:
        self._asked = 0


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_or_doubled_whatever_breaks(seed: int) -> None:
    dice = random.Random(seed)
    weather = Weather(delay_s=0.05, dropped_news=0.1, repeated_news=0.05, breaks=0.1, restarts=0.03)
    world = World(seed)
    nodes = [world.start_gateway() for _ in range(2)]
    lives = [Life(world, nodes[number % 2], f"m{number}") for number in range(CLIENTS)]
    for life in lives:
        while not life.is_in:
            life.live()
            world.run(0.2)
    world.weather = weather
    for _ in range(ROUNDS):
        world.run(dice.uniform(0.05, 0.4))
        for life in lives:
            living = [node for node in nodes if not node.is_dead]
            if life.node.is_dead or dice.random() < 0.08:
                life.lose(dice.choice(living))
                life.forget_asked()
            life.live()
        if dice.random() < 0.03 and sum(not node.is_dead for node in nodes) > 1:
            world.kill(dice.choice([node for node in nodes if not node.is_dead]))
            nodes.append(world.start_gateway())
    world.settle()
    for _ in range(60):
        for life in lives:
            if life.node.is_dead:
                life.lose(nodes[-1])
                life.forget_asked()
            life.read()
            if not (life.is_in and life.kept):
                life.live()
        world.run(0.25)
    room = world.broker.core.directory.by_name["den"]
    log = [(entry.offset, entry.text) for entry in world.broker.log(room.id) if entry.kind == EntryKind.SAID]
    texts = [text for _, text in log]
    assert len(set(texts)) == len(texts)
    assert len(texts) > CLIENTS * 5
    for life in lives:
        life.read()
        assert life.kept
        assert [text for text in texts if text.startswith(f"{life.name} ")] == [
            f"{life.name} {number}" for number in range(1, life.line + 1)
        ]
        assert life.heard == log[log.index(life.heard[0]) :]
