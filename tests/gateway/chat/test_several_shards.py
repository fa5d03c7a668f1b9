"""The gateway's components where rooms belong to several shards, in a whole gateway without I/O."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.join.room_list import Listing, RoomList
from gateway.link.canary import CANARY_S
from gateway.link.routes import unpack_untrusted
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, BOB, raw
from tests.support.fakes import BROKER, FakeGateway, a_grant, room_name, said, token_of
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Answer,
    Browse,
    Browsed,
    Canary,
    Cluster,
    Delivered,
    Hello,
    Item,
    ListRooms,
    Positions,
    Publish,
    Question,
    Reconcile,
    Reconciled,
    Refused,
    Request,
    Resume,
    Rooms,
)
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind, Status

A, B = "tcp://10.0.0.1:9003", "tcp://10.0.0.2:9003"
SHARDS = 2


def shard(room: int) -> int:
    found = backbone.shard_named(room_name(room), SHARDS)
    assert found is not None
    return found


FIRST, SECOND = (next(room for room in range(1, 50) if shard(room) == each) for each in range(SHARDS))
"""A room of each shard."""


class Gateway(FakeGateway):
    """A gateway with two shards, one at each broker. The test is both brokers."""

    def __init__(self) -> None:
        super().__init__("a/1", Settings())
        self.now = 100.0
        self.owners: list[str | None] = [A, B]
        self.term = 1
        self.silent: set[int] = set()
        """Shards whose brokers say nothing."""
        self.requests: list[tuple[int, Request]] = []
        self.items: list[tuple[int, Item]] = []
        self.others: list[tuple[int, object]] = []
        self.reconciled: list[int] = []
        """Shards that were asked for their members."""
        self.tell(BROKER)
        self.wait(1.0)

    def tell(self, by: str = A) -> None:
        owners = [(self.term, 0 if owner is None else [A, B].index(owner) + 1) for owner in self.owners]
        self.core.handle_news(by, backbone.CLUSTER_TOPIC + backbone.encode(Cluster([A, B], 1, owners)), self.now)

    def move(self, number: int, owner: str | None) -> None:
        """Give a shard another owner; all terms rise, which only this shard's link can notice."""
        self.owners[number] = owner
        owners = [
            (2 if each == number else 1, [A, B].index(to) + 1 if to else 0) for each, to in enumerate(self.owners)
        ]
        self.core.handle_news(A, backbone.CLUSTER_TOPIC + backbone.encode(Cluster([A, B], 1, owners)), self.now)
        self.listen()

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now += CANARY_S
            self.core.tick(self.now)
            self.listen()

    def listen(self) -> None:
        for _ in range(5):
            self.core.reports.report_if_due(self.now)
            for endpoint, frames in self.routes.frames(self.now):
                for frame in frames:
                    for number, part in unpack_untrusted(frame):
                        if number is None:
                            self.tell(endpoint)
                        else:
                            assert endpoint == self.owners[number]
                            self.take(number, backbone.parse_upward_untrusted(part))

    def take(self, number: int, message: object) -> None:
        match message:
            case _ if number in self.silent:
                pass
            case Hello():
                assert self.routes.owners is not None
                term = self.routes.owners.term(number)
                self.answer(number, backbone.Welcome(self.core_of(number), 0, True, term))
            case Canary(canary):
                body = backbone.for_shard(number, backbone.encode_bundle(self.core_of(number), 0, [canary], []))
                self.core.handle_news(self.owners[number] or "", backbone.own_topic(self.instance) + body, self.now)
            case Publish(first, items):
                self.items += [(number, item) for item in items]
                self.answer(number, backbone.Accepted(first + len(items) - 1))
            case Request(request, Reconcile()):
                self.reconciled.append(number)
                self.reply(number, request, Reconciled([], []))
            case Request(request, Positions(rooms)):
                self.reply(number, request, backbone.RoomPositions([(room, 1, last) for room, _, last, _ in rooms]))
            case Request() as request:
                self.requests.append((number, request))
            case _:
                self.others.append((number, message))

    def core_of(self, number: int) -> str:
        return f"{number} at {self.owners[number]}"

    def answer(self, number: int, message: backbone.Downward) -> None:
        frame = backbone.for_shard(number, backbone.encode(message))
        self.core.handle_answer(self.owners[number] or "", frame, self.now)

    def reply(self, number: int, request: int, body: Answer) -> None:
        self.answer(number, backbone.Reply(request, body))

    def asked(self, kind: type[Question]) -> list[tuple[int, Request]]:
        self.listen()
        found = [each for each in self.requests if isinstance(each[1].body, kind)]
        self.requests = [each for each in self.requests if not isinstance(each[1].body, kind)]
        return found

    def enter(self, number: int, room: int, address: bytes) -> None:
        granted = msgspec.structs.replace(a_grant(number, room=room), options=int(MemberOptions.COMMANDS))
        self.core.enter(granted, token_of(number), self.now)
        self.publish(room, last=1)
        self.send(number, room, b"", address)

    def send(self, number: int, room: int, text: bytes, address: bytes) -> None:
        name = room_name(room).encode()
        self.core.handle_datagrams(0, [(raw(number, text, room=name), address)], self.now)

    def heard(self, address: bytes) -> list[str]:
        return [payload.decode().partition(": ")[2] for payload in self.outbound.to(address)]

    def publish(self, room: int, *entries: backbone.Entry, last: int = 0) -> None:
        news = backbone.News(1, entries[-1].offset if entries else last, list(entries))
        self.core.handle_news(A, backbone.room_topic(room) + backbone.encode(news), self.now)


@pytest.fixture
def gateway() -> Gateway:
    """Alice is in a room of the first shard, and Bob in one of the second."""
    gateway = Gateway()
    gateway.enter(1, FIRST, ALICE)
    gateway.enter(2, SECOND, BOB)
    gateway.wait(CANARY_S)
    return gateway


def test_what_members_say_goes_to_the_shard_of_their_room(gateway: Gateway) -> None:
    gateway.items.clear()
    gateway.send(1, FIRST, b"one", ALICE)
    gateway.send(2, SECOND, b"two", BOB)
    gateway.listen()
    assert [(number, item.text) for number, item in gateway.items] == [(0, "one"), (1, "two")]


def test_a_shard_whose_broker_is_away_fences_its_rooms_only(gateway: Gateway) -> None:
    gateway.silent.add(1)
    gateway.wait(2.0)
    gateway.publish(FIRST, said(2, 9, "to alice"))
    gateway.publish(SECOND, said(2, 9, "to bob"))
    assert (gateway.heard(ALICE), gateway.heard(BOB)) == (["to alice"], [])
    assert gateway.counters.fenced == 1


def test_a_shard_is_away_when_it_is_without_a_broker_for_longer_than_it_takes_to_move(gateway: Gateway) -> None:
    room = gateway.members.rooms[SECOND]
    gateway.owners = [A, B]
    gateway.move(1, None)
    gateway.wait(1.0)
    assert not gateway.core.broker_away.is_away(room)
    gateway.wait(1.0)
    assert gateway.core.broker_away.is_away(room)


def test_rooms_of_a_shard_that_moves_go_on_when_the_new_owner_has_said_whose_they_are(gateway: Gateway) -> None:
    gateway.owners = [A, B]
    gateway.move(1, None)
    gateway.publish(SECOND, said(2, 9, "2"))
    assert gateway.heard(BOB) == []
    gateway.move(1, A)
    gateway.term = 2
    gateway.listen()
    gateway.wait(CANARY_S)
    assert not gateway.core.fencing.is_fenced(1, gateway.now)
    assert gateway.asked(backbone.Replay)


def test_a_shard_that_moves_between_two_ticks_is_asked_for_its_members_too(gateway: Gateway) -> None:
    """What the former owner said last, such as an Adopt, is passed over once the gateway knows of the move."""
    gateway.reconciled.clear()
    gateway.move(1, None)
    gateway.move(1, A)
    gateway.listen()
    assert gateway.reconciled == [1]


def test_an_unknown_token_is_asked_for_at_the_shard_of_its_room(gateway: Gateway) -> None:
    gateway.send(3, SECOND, b"hello", BOB)
    ((number, request),) = gateway.asked(Resume)
    assert number == 1
    # The same token with another room is another question; the answer to one says nothing of the other.
    gateway.send(3, FIRST, b"hello", BOB)
    ((other, wrong),) = gateway.asked(Resume)
    assert other == 0
    gateway.reply(0, wrong.id, Refused(Status.ROOM_NOT_FOUND, ""))
    gateway.items.clear()
    gateway.reply(1, request.id, a_grant(3, room=SECOND))
    gateway.listen()
    assert [item.text for _, item in gateway.items if item.kind == EntryKind.SAID] == ["hello"]
    gateway.send(4, FIRST, b"x", BOB)
    ((_, wrong),) = gateway.asked(Resume)
    gateway.reply(0, wrong.id, Refused(Status.ROOM_NOT_FOUND, ""))
    gateway.send(4, SECOND, b"x", BOB)
    assert [number for number, _ in gateway.asked(Resume)] == [1]


def test_what_an_unknown_member_sends_waits_for_the_next_owner_of_its_shard(gateway: Gateway) -> None:
    gateway.items.clear()
    gateway.move(1, None)
    gateway.send(3, SECOND, b"one", BOB)
    gateway.wait(3.5)
    gateway.send(3, SECOND, b"two", BOB)
    assert gateway.asked(Resume) == []
    gateway.term = 2
    gateway.move(1, A)
    (_, request), *_ = gateway.asked(Resume)
    gateway.reply(1, request.id, a_grant(3, room=SECOND))
    gateway.listen()
    assert [item.text for _, item in gateway.items if item.kind == EntryKind.SAID] == ["one", "two"]


def test_a_room_name_in_another_form_of_unicode_leads_to_the_same_shard(gateway: Gateway) -> None:
    name = "が" * 3
    decomposed = "\u304b\u3099" * 3
    for number, each in ((3, name), (4, decomposed)):
        gateway.core.handle_datagrams(0, [(raw(number, b"x", room=each.encode()), BOB)], gateway.now)
    (first, _), (second, _) = gateway.asked(Resume)
    assert first == second == backbone.shard_named(name, SHARDS)


def test_a_token_with_a_name_that_no_room_can_have_is_unknown(gateway: Gateway) -> None:
    for room in (b"\xff", b"a\x00b", b"  "):
        gateway.core.handle_datagrams(0, [(raw(3, b"x", room=room), BOB)], gateway.now)
    assert gateway.asked(Resume) == []
    assert gateway.counters.unknown_tokens == 3


def test_deliveries_are_reported_to_each_shard(gateway: Gateway) -> None:
    gateway.others.clear()
    gateway.publish(FIRST, said(2, 9, "2"))
    gateway.publish(SECOND, said(2, 9, "2"))
    gateway.wait(CANARY_S)
    reports = [(number, other.positions) for number, other in gateway.others if isinstance(other, Delivered)]
    assert reports == [(0, [(FIRST, 1, 2)]), (1, [(SECOND, 1, 2)])]


def test_a_member_that_leaves_while_its_broker_is_away_holds_no_other_up(gateway: Gateway) -> None:
    gateway.silent.add(0)
    gateway.wait(2.0)
    for number, room, address in ((1, FIRST, ALICE), (2, SECOND, BOB)):
        gateway.send(number, room, b"/leave", address)
    gateway.wait(15.0)
    assert list(gateway.members.rooms) == [FIRST]


def test_rooms_of_all_shards_are_one_page(gateway: Gateway) -> None:
    gateway.send(1, FIRST, b"/rooms", ALICE)
    first, second = gateway.asked(Browse)
    gateway.reply(first[0], first[1].id, Browsed(1, [("old", 2, False)], [10]))
    assert gateway.heard(ALICE) == []
    gateway.reply(second[0], second[1].id, Browsed(2, [("older", 1, False), ("new", 1, False)], [5, 20]))
    (page,) = [payload.decode() for payload in gateway.outbound.to(ALICE)]
    assert re.findall(r"older|old|new|3", page) == ["3", "older", "old", "new"]


def test_a_page_that_would_lack_a_shard_is_not_sent(gateway: Gateway) -> None:
    gateway.move(1, None)
    gateway.send(1, FIRST, b"/rooms", ALICE)
    ((number, request),) = gateway.asked(Browse)
    gateway.reply(number, request.id, Browsed(1, [("den", 2, False)], [10]))
    (answer,) = (payload.decode() for payload in gateway.outbound.to(ALICE))
    assert "busy" in answer


@given(st.lists(st.tuples(st.sampled_from([b"", b"S\x00", b"S\x01", b"S\x02"]), st.binary(max_size=40)), max_size=8))
def test_no_frame_raises(frames: list[tuple[bytes, bytes]]) -> None:
    gateway = Gateway()
    gateway.enter(1, FIRST, ALICE)
    for prefix, frame in frames:
        for topic in (b"", backbone.CLUSTER_TOPIC, backbone.own_topic(gateway.instance), backbone.room_topic(FIRST)):
            gateway.core.handle_news(A, topic + prefix + frame, gateway.now)
            gateway.core.handle_news(A, topic + backbone.PACKED + backbone.encode([prefix + frame]), gateway.now)
        gateway.core.handle_answer(A, prefix + frame, gateway.now)
    gateway.core.tick(gateway.now)


def test_a_list_for_a_join_keeps_what_a_shard_has_answered_last(gateway: Gateway) -> None:
    rooms, told = RoomList(gateway.routes), list[Listing | None]()
    rooms.ask(gateway.now, told.append)
    for number, request in gateway.asked(ListRooms):
        gateway.reply(number, request.id, Rooms([f"room {number}"], [10 - number]))
    assert told == [Listing(["room 1", "room 0"])]
    gateway.move(1, None)
    gateway.now += 1.0
    rooms.ask(gateway.now, told.append)
    ((number, request),) = gateway.asked(ListRooms)
    gateway.reply(number, request.id, Rooms(["room 0", "room 2"], [10, 12]))
    assert told[1:] == [Listing(["room 1", "room 0", "room 2"])]
    # A room that was made here is asked for at its shard only.
    rooms.forget(room_name(FIRST))
    rooms.ask(gateway.now, told.append)
    assert [number for number, _ in gateway.asked(ListRooms)] == [0]
