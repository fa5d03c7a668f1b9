"""broker/core.py: what comes again, and starting again."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from broker.rooms.directory import Directory
from broker.rooms.gateway_leases import ALIVE_S
from tests.broker.scripted import A, B, Broker, a_create, a_join, a_token, addressed, left, released, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Accepted,
    Answer,
    Canary,
    Delivered,
    Granted,
    Hello,
    Item,
    Publish,
    Question,
    Release,
    Reply,
    Request,
    Resume,
    Unknown,
    Welcome,
)
from tsudoi.protocol.codes import Rights

# --- restarts -----------------------------------------------------------------------------------------------------


def test_a_broker_started_again_goes_on_where_it_was(broker: Broker) -> None:
    host, guest = broker.create(peer=A), broker.join(peer=B)
    broker.publish(A, addressed(host, 2), said(host, "one"))
    broker.publish(B, said(guest, "two"))
    broker.say(A, Delivered([(host.room, host.epoch, 3)]))
    broker.wait(0.25)
    broker.start_again("broker-2")
    assert broker.say(A, Canary(1)) == [Unknown("broker-2")]
    assert broker.say(A, Hello(backbone.VERSION)) == [Welcome("broker-2", 2, False, 0)]
    assert broker.say(B, Hello(backbone.VERSION)) == [Welcome("broker-2", 1, False, 0)]
    # What was not acknowledged comes again, and is known.
    assert broker.say(A, Publish(2, [said(host, "one"), said(host, "three")])) == [Accepted(3)]
    assert broker.texts(host.room) == ["one", "two", "three"]
    broker.say(A, backbone.Bye())
    granted = broker.ask(B, Resume(a_token(1)))
    assert isinstance(granted, Granted)
    assert granted.offset == 3


def test_a_report_is_stored_with_the_next_commit_or_tick(broker: Broker) -> None:
    host = broker.create(peer=A)
    room = broker.core.directory.rooms[host.room]
    broker.publish(A, addressed(host, 1), said(host, "one"))
    assert not broker.stored(lambda: broker.say(A, Delivered([(host.room, host.epoch, 2)])))
    assert room.delivered == {A: 2}
    assert broker.stored(lambda: broker.publish(A, said(host, "two"))) == {(host.room, A): 2}
    assert not broker.stored(lambda: broker.say(A, Delivered([(host.room, host.epoch, 3)])))
    assert broker.stored(lambda: broker.wait(0.25)) == {(host.room, A): 3}
    assert not broker.stored(lambda: broker.wait(1.0, A))


def test_a_report_that_comes_with_items_is_stored_with_them(broker: Broker) -> None:
    host = broker.create(peer=A)
    broker.publish(A, addressed(host, 1), said(host, "one"))
    publish = Publish(3, [said(host, "two")], [(host.room, host.epoch, 2)])
    assert broker.stored(lambda: broker.say(A, publish)) == {(host.room, A): 2}
    assert broker.texts(host.room) == ["one", "two"]


def test_a_moderator_is_one_after_a_restart(broker: Broker) -> None:
    host = broker.create(peer=A)
    guest = broker.ask(B, structs.replace(a_join(), rights=int(Rights.MODERATOR | Rights.VERIFIED)))
    stranger = broker.ask(B, structs.replace(a_join(token=3), rights=2**40))
    assert isinstance(guest, Granted)
    assert isinstance(stranger, Granted)
    broker.start_again("broker-2")
    members = broker.core.directory.members
    assert [members[each.member].may_moderate for each in (host, guest, stranger)] == [True, True, False]
    assert members[guest.member].rare.rights == Rights.MODERATOR | Rights.VERIFIED
    assert members[stranger.member].rare.rights == Rights(0)


def test_gateways_of_before_a_restart_have_time_to_come_back(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.start_again("broker-2")
    broker.say(B, Hello(backbone.VERSION))
    # A may be delivering still: nobody else gets its members before it has had the time to say Hello.
    assert broker.say(B, Request(5, Resume(a_token(1)))) == []
    broker.wait(ALIVE_S + 0.5, B)
    assert [message for message in broker.told(B) if isinstance(message, Reply)] == [Reply(5, member)]


class Script:
    """What several gateways publish, in frames that may come again, overlap or be overtaken."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.broker = Broker(None, A, B)
        host = self.broker.create("den", "alice", A, 1)
        others = [self.broker.join("den", "bob", B, 2), self.broker.create("attic", "carol", B, 3)]
        self.members = {A: [host], B: others}
        self.items: dict[str, list[Item]] = {A: [], B: []}
        self.expected: dict[str, list[Item]] = {A: [], B: []}

    def run(self) -> None:
        broker, draw = self.broker, self.data.draw
        for _ in range(draw(st.integers(1, 25))):
            peer = draw(st.sampled_from((A, B)))
            items = self.items[peer]
            for _ in range(draw(st.integers(0, 3))):
                items.append(said(draw(st.sampled_from(self.members[peer])), f"{peer[-1]}{len(items) + 1}"))
            first = draw(st.integers(1, len(items) + 1))
            last = draw(st.integers(first - 1, len(items)))
            broker.handle(peer, Publish(first, items[first - 1 : last]))
            if draw(st.booleans()):
                broker.turn()
        for peer, items in self.items.items():
            assert broker.say(peer, Publish(1, items)) == [Accepted(len(items))]

    def check(self) -> None:
        broker = self.broker
        for room in {member.room for members in self.members.values() for member in members}:
            entries = broker.log(room)
            assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
            for peer, items in self.items.items():
                wanted = [item.text for item in items if item.room == room]
                assert [text for text in broker.texts(room) if text.startswith(peer[-1])] == wanted


@given(data=st.data())
def test_whatever_comes_again_each_item_is_in_its_rooms_order_once(data: st.DataObject) -> None:
    script = Script(data)
    script.run()
    script.check()


class Twins:
    """Two brokers that hear the same; one is started again every now and then, the other never."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.twins = Broker(None, A, B), Broker(None, A, B)
        self.tokens = 0
        self.members: dict[int, Granted] = {}
        """By number of its token."""
        self.home: dict[int, str] = {}

    @property
    def directory(self) -> Directory:
        return self.twins[0].core.directory

    def ask(self, peer: str, body: Question) -> Answer:
        """Ask both; they answer the same."""
        one, other = (twin.ask(peer, body) for twin in self.twins)
        assert one == other
        return one

    def enter(self) -> None:
        peer = self.draw(st.sampled_from((A, B)))
        self.tokens += 1
        room, user = self.draw(st.sampled_from(("den", "attic", "部屋"))), f"user {self.tokens}"
        exists = room in self.directory.by_name
        body = (a_join if exists else a_create)(room, user, token=self.tokens)
        granted = self.ask(peer, body)
        assert isinstance(granted, Granted)
        self.members[self.tokens], self.home[self.tokens] = granted, peer

    def publish(self) -> None:
        number = self.draw(st.sampled_from(sorted(self.members)))
        member = self.members[number]
        last = self.directory.rooms[member.room].last if member.room in self.directory.rooms else 1
        item = self.draw(
            st.sampled_from((said(member, "hi"), said(member, "hi"), addressed(member, last), left(member)))
        )
        for twin in self.twins:
            twin.publish(self.home[number], item)

    def deliver(self) -> None:
        peer, rooms = self.draw(st.sampled_from((A, B))), sorted(self.directory.rooms)
        if rooms:
            room = self.draw(st.sampled_from(rooms))
            epoch = self.directory.rooms[room].epoch
            offset = self.draw(st.integers(0, self.directory.rooms[room].last + 1))
            for twin in self.twins:
                twin.core.reports_due = True  # as after a tick
                twin.say(peer, Delivered([(room, epoch, offset)]))

    def move(self) -> None:
        number = self.draw(st.sampled_from(sorted(self.members)))
        old, member = self.home[number], self.members[number]
        new = B if old == A else A
        for twin in self.twins:
            twin.told(old)
            twin.last_id += 1
            twin.handle(new, Request(twin.last_id, Resume(a_token(number))))
            twin.turn()
            for message in twin.told(old):
                if isinstance(message, Release):
                    twin.publish(old, released(message, max(member.offset, 1)))
        if member.member in self.directory.members:
            self.home[number] = new

    def start_one_again(self) -> None:
        twin = self.twins[1]
        twin.start_again("broker-1")
        for peer in (A, B):
            twin.say(peer, Hello(backbone.VERSION))

    def run(self) -> None:
        self.enter()
        deeds = (self.enter, self.publish, self.publish, self.publish, self.deliver, self.move, self.start_one_again)
        for _ in range(self.draw(st.integers(1, 40))):
            for twin in self.twins:
                twin.now += 0.001
            self.draw(st.sampled_from(deeds))()
        self.start_one_again()


@given(data=st.data())
def test_a_broker_that_was_started_again_is_as_one_that_never_was(data: st.DataObject) -> None:
    twins = Twins(data)
    twins.run()
    one, other = (twin.core.directory for twin in twins.twins)
    assert [(room.row(), room.first, room.last) for room in one.rooms.values()] == [
        (room.row(), room.first, room.last) for room in other.rooms.values()
    ]
    assert [(one.members[member].row(), one.members[member].received()) for member in sorted(one.members)] == [
        (other.members[member].row(), other.members[member].received()) for member in sorted(other.members)
    ]
    assert one.by_token.keys() == other.by_token.keys()
    for room in {member.room for member in twins.members.values()}:
        assert twins.twins[0].log(room) == twins.twins[1].log(room)
    assert twins.twins[0].store.load() == twins.twins[1].store.load()
