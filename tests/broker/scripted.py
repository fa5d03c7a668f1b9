"""A broker without sockets, and gateways that a test speaks for."""

from collections.abc import Callable

from broker.config import Limits
from broker.turn import Turn
from tests.support.fakes import FakeBroker
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Accepted,
    Answer,
    Bundle,
    Canary,
    Create,
    Downward,
    Granted,
    Hello,
    Item,
    Join,
    News,
    Publish,
    Question,
    Release,
    Reply,
    Request,
    Welcome,
)
from tsudoi.protocol.codes import EntryKind, LeaveReason

A, B = "/000000000000000a", "/000000000000000b"


class Broker(FakeBroker):
    """A broker, and gateways that say one thing at a time and hear what is answered to that."""

    def __init__(self, limits: Limits | None = None, *peers: str) -> None:
        super().__init__(limits=limits)
        self.heard: list[tuple[str, Downward]] = []
        self.news: list[tuple[bytes, News]] = []
        """What went by rooms' topics."""
        self.bundles: list[tuple[bytes, Bundle]] = []
        """What went to one gateway alone."""
        self.numbers: dict[str, int] = {}
        self.last_id = 0
        for peer in peers or (A,):
            assert self.say(peer, Hello(backbone.VERSION)) == [Welcome("broker-1", 0, True, 0)]

    def turn(self) -> Turn:
        """Take a turn; an Accepted that comes among the news counts as an answer."""
        turn = self.take_turn()
        peers = {backbone.own_topic(peer): peer for peer in self.core.gateways.known}
        for topic, body in turn.news:
            if topic in peers and (number := backbone.parse_bundle_untrusted(body).accepted):
                accepted = (peers[topic], Accepted(number))
                turn.replies += [accepted] if accepted not in turn.replies else []
        self.heard += turn.replies
        for topic, body in turn.news:
            if backbone.topic_room(topic) is not None:
                self.news.append((topic, backbone.parse_news_untrusted(body)))
            else:
                self.bundles.append((topic, backbone.parse_bundle_untrusted(body)))
        return turn

    def bundled(self, peer: str = A) -> list[tuple[int, News]]:
        """The (room, news) that one gateway alone heard since this was asked last, and no other did."""
        told = [item for topic, bundle in self.bundles if topic == backbone.own_topic(peer) for item in bundle.news]
        self.bundles.clear()
        return told

    def say(self, peer: str, *messages: backbone.Upward) -> list[Downward]:
        """Say something, and return what the broker answers to that gateway in the same turn."""
        for message in messages:
            self.handle(peer, message)
        return [answer for to, answer in self.turn().replies if to == peer]

    def ask(self, peer: str, body: Question) -> Answer:
        """Ask, and return the one answer."""
        self.last_id += 1
        answers = self.say(peer, Request(self.last_id, body))
        assert len(answers) == 1, answers
        reply = answers[0]
        assert isinstance(reply, Reply)
        assert reply.id == self.last_id
        return reply.body

    def create(self, room: str = "den", user: str = "alice", peer: str = A, token: int = 1) -> Granted:
        granted = self.ask(peer, a_create(room, user, token=token))
        assert isinstance(granted, Granted), granted
        return granted

    def join(self, room: str = "den", user: str = "bob", peer: str = A, token: int = 2) -> Granted:
        granted = self.ask(peer, a_join(room, user, token=token))
        assert isinstance(granted, Granted), granted
        return granted

    def publish(self, peer: str, *items: Item) -> None:
        """Publish items under the next numbers."""
        first = self.numbers.get(peer, 0) + 1
        self.numbers[peer] = first + len(items) - 1
        assert Accepted(self.numbers[peer]) in self.say(peer, Publish(first, list(items)))

    def restart(self, *peers: str) -> None:
        """Start the broker again, and let gateways greet it."""
        self.start_again("broker-2")
        for peer in peers or (A, B):
            self.say(peer, Hello(backbone.VERSION))

    def wait(self, seconds: float, *alive: str) -> None:
        """Let time go by; the gateways that are `alive` say so."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + 0.25, until)
            for peer in alive:
                self.handle(peer, Canary(0))
            self.core.tick(self.moment)
            self.turn()

    def told(self, peer: str) -> list[Downward]:
        """What was said to a gateway since this was asked last."""
        told = [message for to, message in self.heard if to == peer]
        self.heard = [(to, message) for to, message in self.heard if to != peer]
        return told

    def stored(self, act: Callable[[], object]) -> dict[tuple[int, str], int]:
        """Act, and return the reports of deliveries that went to the store meanwhile."""
        known = len(self.turns)
        act()
        return {key: offset for turn in self.turns[known:] for key, offset in turn.batch.delivered.items()}

    def texts(self, room: int) -> list[str]:
        return [entry.text for entry in self.log(room) if entry.kind == EntryKind.SAID]


def a_token(number: int) -> bytes:
    return number.to_bytes(16, "big")


def a_create(room: str = "den", user: str = "alice", password: str | None = None, token: int = 1) -> Create:
    return Create(room, user, password, a_token(token), "tcrp", "192.0.2.1", 100_000)


def a_join(room: str = "den", user: str = "bob", password: str | None = None, token: int = 2) -> Join:
    return Join(room, user, password, a_token(token), "tcrp", "192.0.2.1", 100_000)


def said(member: Granted, text: object) -> Item:
    return Item(EntryKind.SAID, member.room, member.member, str(text), 0)


def left(member: Granted, reason: LeaveReason = LeaveReason.LEFT) -> Item:
    return Item(EntryKind.LEFT, member.room, member.member, "", reason)


def addressed(member: Granted, heard: int, where: str = "192.0.2.1 5000 0") -> Item:
    return Item(EntryKind.ADDRESSED, member.room, member.member, where, heard)


def released(release: Release, heard: int) -> Item:
    """The item by which a gateway says that it has given a member up."""
    fields = {name: getattr(release, name) for name in release.__struct_fields__}
    extra = {name: value for name, value in fields.items() if name not in ("room", "member")}
    text = str(next(iter(extra.values()))) if extra else ""
    return Item(EntryKind.RELEASED, release.room, release.member, text, heard)


def replace_address(member: Granted, offset: int = 0) -> Granted:
    fields = {name: getattr(member, name) for name in member.__struct_fields__}
    return Granted(**(fields | {"address": b"192.0.2.1 5000 0", "offset": offset or member.offset}))
