"""broker/core.py"""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from broker.config import Limits
from broker.core import CLOSED_S
from broker.news import BUNDLE_SIZE
from broker.rooms import replays
from tests.broker.scripted import (
    A,
    B,
    Broker,
    a_create,
    a_join,
    a_token,
    left,
    said,
)
from tests.support.fakes import hash_of
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Accepted,
    Answer,
    Canary,
    Create,
    Delivered,
    Granted,
    Hashed,
    HashPassword,
    Hello,
    Item,
    ListRooms,
    News,
    Positions,
    Publish,
    Question,
    Refused,
    Replay,
    Replayed,
    Reply,
    Request,
    Resume,
    RoomPositions,
    Rooms,
    Unknown,
    Welcome,
)
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind, LeaveReason, Status

# --- who gateways are ---------------------------------------------------------------------------------------------


def test_a_stranger_is_told_so_and_nothing_is_kept_of_it() -> None:
    broker = Broker(None, A)
    for message in (
        Publish(1, [Item(EntryKind.SAID, 1, 2, "hi", 0)]),
        Request(1, ListRooms(10)),
        Canary(1),
        Delivered([(1, 1, 1)]),
        backbone.Bye(),
    ):
        assert broker.say("/stranger", message) == [Unknown("broker-1")]
    assert not broker.turns[-1].batch
    assert broker.core.counters.from_unknown_gateways == 5
    assert broker.store.load().accepted == {}


def test_a_gateway_of_another_version_is_not_known() -> None:
    broker = Broker(None, A)
    assert broker.say(B, Hello(backbone.VERSION + 1)) == []
    assert broker.say(B, Canary(1)) == [Unknown("broker-1")]


def test_bytes_that_are_no_frame_are_counted_and_dropped(broker: Broker) -> None:
    for frame in (b"", b"\xc1", b"\x91\x02", b"garbage" * 100, backbone.encode(Welcome("me", 1, True, 0))):
        broker.receive(A, frame)
    assert broker.core.counters.malformed == 5
    assert not broker.turn().batch


@given(frame=st.binary(max_size=60))
def test_no_bytes_at_all_raise(frame: bytes) -> None:
    broker = Broker(None, A)
    broker.receive(A, frame)
    broker.receive("\xff\x00", frame)
    broker.core.subscribed(frame)
    broker.turn()


def test_hello_again_tells_how_far_the_gateway_was_heard(broker: Broker) -> None:
    member = broker.create()
    broker.publish(A, said(member, "one"), said(member, "two"))
    assert broker.say(A, Hello(backbone.VERSION)) == [Welcome("broker-1", 2, False, 0)]


def test_a_gateway_that_says_bye_is_not_known_any_more(broker: Broker) -> None:
    broker.say(A, backbone.Bye())
    assert broker.say(A, Canary(1)) == [Unknown("broker-1")]


def test_a_canary_comes_back_to_its_gateway_alone(broker: Broker) -> None:
    broker.handle(A, Canary(5))
    broker.handle(B, Canary(7))
    broker.handle(A, Canary(6))
    broker.turn()
    assert dict(broker.bundles) == {
        backbone.own_topic(A): backbone.Bundle("broker-1", 0, [5, 6], []),
        backbone.own_topic(B): backbone.Bundle("broker-1", 0, [7], []),
    }
    assert backbone.own_topic(A) != backbone.own_topic(B)


# --- a turn -------------------------------------------------------------------------------------------------------


def test_a_turn_is_kept_then_published_then_answered(broker: Broker) -> None:
    member = broker.create()
    broker.news.clear()
    broker.handle(A, Publish(1, [said(member, "one"), said(member, "two")]))
    turn = broker.turn()
    (chunk,) = turn.batch.chunks
    assert (chunk.room, chunk.first, chunk.last, chunk.at_ms) == (member.room, 2, 3, broker.moment.wall_ms)
    assert turn.batch.accepted == {A: 2}
    bundle = backbone.encode_bundle("broker-1", 2, [], [(member.room, chunk.news)])
    assert turn.news == [(backbone.own_topic(A), bundle)]
    news = backbone.parse_news_untrusted(chunk.news)
    assert (news.epoch, news.last) == (member.epoch, 3)
    assert [(entry.offset, entry.text, entry.sender, entry.member) for entry in news.entries] == [
        (2, "one", "alice", member.member),
        (3, "two", "alice", member.member),
    ]
    assert turn.replies == [(A, Accepted(2))]


def test_news_of_rooms_that_one_gateway_serves_come_to_it_in_one_frame(broker: Broker) -> None:
    rooms = [broker.create(f"den-{number}", token=number) for number in range(3)]
    broker.news.clear()
    broker.bundled()
    broker.publish(A, *(said(member, "hi") for member in rooms))
    assert [(room, news.last) for room, news in broker.bundled(A)] == [(member.room, 2) for member in rooms]
    assert broker.news == []


def test_news_of_rooms_with_members_at_several_gateways_go_by_topic(broker: Broker) -> None:
    host = broker.create(peer=A)
    guest = broker.join(peer=B)
    broker.news.clear()
    broker.bundled()
    broker.publish(A, said(host, "hi"))
    assert [(topic, news.last) for topic, news in broker.news] == [(backbone.room_topic(host.room), 3)]
    broker.news.clear()
    # The gateway that goes must hear yet why.
    broker.publish(B, left(guest))
    assert [(topic, news.last) for topic, news in broker.news] == [(backbone.room_topic(host.room), 4)]
    assert broker.bundled() == []
    broker.news.clear()
    broker.publish(A, said(host, "alone?"))
    assert broker.news == []
    assert [(room, news.last) for room, news in broker.bundled(A)] == [(host.room, 5)]


def test_what_is_accepted_comes_with_the_news_or_by_itself(broker: Broker) -> None:
    host, guest = broker.create(peer=A), broker.join(peer=B)
    alone = broker.create("attic", peer=A, token=3)
    answers: list[list[tuple[str, object]]] = []
    x, y, z = said(alone, "x"), said(host, "y"), said(alone, "z")
    turns: list[list[tuple[int, list[Item]]]] = [[(1, [x])], [(1, [x])], [(2, [y])], [(4, [])], [(2, [y]), (3, [z])]]
    for frames in turns:
        for first, items in frames:
            broker.handle(A, Publish(first, items))
        turn = broker.take_turn()
        in_bundles = [
            (A, Accepted(backbone.parse_bundle_untrusted(body).accepted))
            for topic, body in turn.news
            if backbone.topic_room(topic) is None
        ]
        answers.append([("bundle", answer) for answer in in_bundles] + [("reply", answer) for answer in turn.replies])
    # A gateway that says something again, or leaves something out, has missed it: it hears it surely.
    assert answers == [
        [("bundle", (A, Accepted(1)))],
        [("reply", (A, Accepted(1)))],
        [("reply", (A, Accepted(2)))],
        [("reply", (A, Accepted(2)))],
        [("bundle", (A, Accepted(3))), ("reply", (A, Accepted(3)))],
    ]
    assert guest.room == host.room


def test_a_great_turn_goes_in_frames_of_bounded_size(broker: Broker) -> None:
    rooms = [broker.create(f"den-{number}", token=number) for number in range(40)]
    broker.bundles.clear()
    broker.publish(A, *(said(member, "x" * 4_000) for member in rooms for _ in range(25)))
    sizes = [len(bundle.news) for _, bundle in broker.bundles]
    assert len(sizes) > 1
    assert max(sizes) * 25 * 4_000 <= BUNDLE_SIZE
    assert [room for room, _ in broker.bundled()] == [member.room for member in rooms]


def test_all_that_came_for_a_room_in_a_turn_is_one_chunk_and_one_news(broker: Broker) -> None:
    one, two = broker.create("den", peer=A, token=1), broker.create("attic", peer=B, token=2)
    three = broker.join("den", peer=B, token=3)
    broker.news.clear()
    broker.handle(A, Publish(1, [said(one, "a1")]))
    broker.handle(B, Publish(1, [said(two, "b1"), said(three, "b2")]))
    broker.handle(A, Publish(2, [said(one, "a2")]))
    turn = broker.turn()
    assert len(turn.batch.chunks) == len(turn.news) == 2
    assert turn.batch.accepted == {A: 2, B: 2}
    assert turn.replies == [(A, Accepted(2)), (B, Accepted(2))] or turn.replies == [(B, Accepted(2)), (A, Accepted(2))]
    assert broker.texts(one.room) == ["a1", "b2", "a2"]
    assert broker.texts(two.room) == ["b1"]


def test_nothing_of_a_turn_is_left_for_the_next(broker: Broker) -> None:
    member = broker.create()
    broker.publish(A, said(member, "one"))
    turn = broker.turn()
    assert not turn.batch
    assert (turn.news, turn.replies) == ([], [])


# --- publish ------------------------------------------------------------------------------------------------------


def test_repeated_items_are_taken_once_and_accepted_again(broker: Broker) -> None:
    member = broker.create()
    items = [said(member, number) for number in range(1, 6)]
    assert broker.say(A, Publish(1, items[:3])) == [Accepted(3)]
    assert broker.say(A, Publish(1, items[:3])) == [Accepted(3)]
    assert broker.say(A, Publish(2, items[1:5])) == [Accepted(5)]
    assert broker.say(A, Publish(1, items[:1]), Publish(3, items[2:4])) == [Accepted(5)]
    assert broker.texts(member.room) == ["1", "2", "3", "4", "5"]
    assert broker.core.counters.repeated_items == 3 + 2 + 1 + 2


def test_items_that_overtook_others_are_left_for_later(broker: Broker) -> None:
    member = broker.create()
    assert broker.say(A, Publish(3, [said(member, "3")])) == [Accepted(0)]
    assert broker.say(A, Publish(1, [said(member, "1"), said(member, "2")])) == [Accepted(2)]
    assert broker.say(A, Publish(3, [said(member, "3")])) == [Accepted(3)]
    assert broker.texts(member.room) == ["1", "2", "3"]


def test_number_zero_is_nobodys(broker: Broker) -> None:
    member = broker.create()
    assert broker.say(A, Publish(0, [said(member, "0"), said(member, "1")])) == [Accepted(1)]
    assert broker.texts(member.room) == ["1"]


def test_refused_items_count_too(broker: Broker) -> None:
    member = broker.create()
    bad = [
        Item(EntryKind.SAID, member.room, 99, "no such member", 0),
        Item(EntryKind.SAID, 99, member.member, "not in that room", 0),
        Item(99, member.room, member.member, "no such kind", 0),
        Item(EntryKind.JOINED, member.room, member.member, "not for gateways to say", 0),
        Item(EntryKind.CLOSED, member.room, member.member, "nor this", 0),
    ]
    assert broker.say(A, Publish(1, [*bad, said(member, "good")])) == [Accepted(6)]
    assert broker.texts(member.room) == ["good"]
    assert broker.core.counters.refused_items == 5


def test_a_gateway_says_nothing_for_another_ones_member(broker: Broker) -> None:
    member = broker.create(peer=B)
    items = [
        said(member, "I am alice"),
        left(member),
        Item(EntryKind.ADDRESSED, member.room, member.member, "192.0.2.66 1 0", 1),
        Item(EntryKind.RELEASED, member.room, member.member, "handover", 1),
    ]
    assert broker.say(A, Publish(1, items)) == [Accepted(4)]
    assert broker.core.counters.refused_items == 4
    assert broker.texts(member.room) == []
    assert broker.core.directory.members[member.member].address == b""


def test_a_gateway_can_not_bring_terminal_escapes_in(broker: Broker) -> None:
    member = broker.create()
    broker.publish(A, said(member, "\x1b[2Ja\x9b\u202eb"))
    assert broker.texts(member.room) == ["[2Ja\u202eb\u202c"]


def test_after_leaving_a_member_says_nothing(broker: Broker) -> None:
    broker.create()
    guest = broker.join()
    broker.publish(A, said(guest, "one"), left(guest), said(guest, "two"))
    assert broker.texts(guest.room) == ["one"]
    assert [entry.kind for entry in broker.log(guest.room)][-1] == EntryKind.LEFT


def test_the_host_leaving_closes_the_room_in_the_same_turn(broker: Broker) -> None:
    host = broker.create()
    guest = broker.join(peer=B)
    broker.news.clear()
    broker.publish(A, said(host, "bye"), left(host))
    ((topic, news),) = broker.news
    assert topic == backbone.room_topic(host.room)
    assert [(entry.kind, entry.text) for entry in news.entries] == [(EntryKind.SAID, "bye"), (EntryKind.CLOSED, "")]
    assert news.entries[-1].code == LeaveReason.HOST_LEFT
    assert broker.core.directory.by_name == {}
    broker.publish(B, said(guest, "hello?"))
    assert broker.core.counters.refused_items == 1
    assert broker.texts(host.room) == ["bye"]


def test_a_room_may_close_and_come_again_in_one_turn(broker: Broker) -> None:
    host = broker.create()
    broker.handle(A, Publish(1, [left(host)]))
    broker.handle(B, Request(1, a_create(token=5)))
    granted = [answer.body for _, answer in broker.turn().replies if isinstance(answer, Reply)]
    assert isinstance(granted[0], Granted)
    assert granted[0].room != host.room
    assert [room.id for room in broker.store.load().rooms if not room.closed_ms] == [granted[0].room]


# --- create and join ----------------------------------------------------------------------------------------------


def test_create_grants_the_host(broker: Broker) -> None:
    granted = broker.create(" den ", "alice")
    room, member, epoch = granted.room, granted.member, broker.moment.wall_ms
    assert granted == Granted(
        room, "den", member, "alice", "tcrp", "192.0.2.1", b"", 100_000, True, epoch, 1, 1, wished="alice", size=1
    )
    assert granted.room in broker.core.directory.rooms


def test_join_grants_a_guest_that_need_not_hear_what_was_before(broker: Broker) -> None:
    host = broker.create()
    broker.publish(A, said(host, "before"))
    guest = broker.join(user="alice", peer=B)
    assert (guest.user, guest.is_host, guest.offset, guest.first) == ("alice#2", False, 3, 1)


def test_a_request_that_comes_again_gets_the_same_answer(broker: Broker) -> None:
    first = broker.create()
    assert broker.create() == first
    guest = broker.join()
    assert broker.join() == guest
    assert len(broker.core.directory.members) == 2
    assert [entry.kind for entry in broker.log(first.room)] == [EntryKind.JOINED] * 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (a_create("den", token=9), Status.ROOM_EXISTS),
        (a_create(" den\n", token=9), Status.ROOM_EXISTS),
        (a_join("nowhere", token=9), Status.ROOM_NOT_FOUND),
        (a_create("", token=9), Status.BAD_REQUEST),
        (a_create("new", "", token=9), Status.BAD_REQUEST),
        (a_create("bell\a", token=9), Status.BAD_REQUEST),
        (a_create("new", "x" * 256, token=9), Status.BAD_REQUEST),
        (a_join("den", "\u202ebob", token=9), Status.BAD_REQUEST),
        (Resume(a_token(9)), Status.ROOM_NOT_FOUND),
    ],
)
def test_what_can_not_be_is_refused(broker: Broker, body: Question, status: Status) -> None:
    broker.create()
    refused = broker.ask(B, body)
    assert isinstance(refused, Refused)
    assert refused.status == status
    assert bool(refused.detail) == (status is Status.BAD_REQUEST)
    assert not broker.turns[-1].batch
    assert len(broker.core.directory.members) == 1


def test_rooms_are_listed_oldest_first_and_the_newest_of_too_many(broker: Broker) -> None:
    assert broker.ask(A, ListRooms(10)) == Rooms([])
    for number in range(5):
        broker.create(f"room {number}", token=10 + number)
    for limit, listed in ((10, range(5)), (2, range(3, 5)), (0, range(4, 5)), (2**63 - 1, range(5))):
        rooms = broker.ask(A, ListRooms(limit))
        assert isinstance(rooms, Rooms)
        assert rooms.names == [f"room {number}" for number in listed]
        assert rooms.ids == [broker.core.directory.by_name[name].id for name in rooms.names]


# --- passwords ----------------------------------------------------------------------------------------------------


def hash_all(broker: Broker) -> Iterator[Answer]:
    """Hash what the last turn wants to be hashed, and yield the answers."""
    for job in broker.turns[-1].passwords:
        broker.hash(job)
        for _, reply in broker.turn().replies:
            assert isinstance(reply, Reply)
            yield reply.body


def with_password(broker: Broker, body: Create) -> Answer:
    """The answer to a create or join; its password is hashed if the broker does not know it."""
    if replies := broker.say(A, Request(7, body)):
        (reply,) = replies
        assert isinstance(reply, Reply)
        return reply.body
    (answer,) = hash_all(broker)
    return answer


def forget_passwords(broker: Broker) -> None:
    """Start the broker again: it knows hashes, and no passwords."""
    broker.restart(A)


def test_a_password_is_hashed_before_there_is_a_room(broker: Broker) -> None:
    broker.say(A, Request(7, a_create(password="secret")))
    (job,) = broker.turns[-1].passwords
    assert (job.peer, job.request.id, job.password, job.stored) == (A, 7, "secret", "")
    assert broker.core.directory.rooms == {}
    (granted,) = hash_all(broker)
    assert isinstance(granted, Granted)
    assert broker.store.load().rooms[0].password_hash == hash_of("secret")


def test_a_locked_room_opens_to_its_password_alone(broker: Broker) -> None:
    with_password(broker, a_create(password="secret"))
    wrong = Refused(Status.WRONG_PASSWORD, "")
    assert with_password(broker, a_join(password="guess")) == wrong
    assert broker.ask(A, a_join(password=None)) == wrong
    assert broker.ask(A, a_join(password="")) == wrong
    assert len(broker.core.directory.members) == 1
    assert isinstance(with_password(broker, a_join(password="secret")), Granted)


def test_a_password_for_an_open_room_is_not_looked_at(broker: Broker) -> None:
    broker.create()
    assert isinstance(broker.ask(A, a_join(password="anything")), Granted)
    assert broker.turns[-1].passwords == []


def test_of_two_who_create_a_room_while_passwords_are_hashed_one_is_refused(broker: Broker) -> None:
    broker.handle(A, Request(1, a_create(password="one", token=1)))
    broker.handle(B, Request(2, a_create(password="two", token=2)))
    broker.turn()
    first, second = hash_all(broker)
    assert isinstance(first, Granted)
    assert second == Refused(Status.ROOM_EXISTS, "")


@pytest.mark.parametrize("kind", ["create", "join"])
def test_a_request_that_comes_again_while_its_password_is_hashed_makes_one_member(broker: Broker, kind: str) -> None:
    if kind == "join":
        with_password(broker, a_create(password="secret", token=9))
    body = a_join(password="secret") if kind == "join" else a_create(password="secret")
    if kind == "join":
        forget_passwords(broker)
    broker.handle(A, Request(1, body))
    broker.handle(A, Request(1, body))
    broker.turn()
    first, *others = hash_all(broker)
    assert all(other == first for other in others)
    assert isinstance(first, Granted)
    broker.publish(A, left(first))
    assert broker.core.directory.by_token.get(a_token(2)) is None


def test_a_room_that_closed_while_a_password_was_checked_is_not_found(broker: Broker) -> None:
    host = with_password(broker, a_create(password="secret"))
    assert isinstance(host, Granted)
    forget_passwords(broker)
    broker.say(A, Request(8, a_join(password="secret")))
    (job,) = broker.turns[-1].passwords
    broker.publish(A, left(host))
    broker.hash(job)
    assert broker.turn().replies == [(A, Reply(8, Refused(Status.ROOM_NOT_FOUND, "")))]


def test_a_password_is_judged_by_the_room_as_it_is_when_it_has_been_checked(broker: Broker) -> None:
    host = with_password(broker, a_create(password="old"))
    assert isinstance(host, Granted)
    forget_passwords(broker)
    broker.say(A, Request(8, a_join(password="old")))
    broker.handle(A, Request(9, a_join(password="new", token=3)))
    old, new = broker.turns[-1].passwords + broker.turn().passwords
    broker.publish(A, left(host))
    with_password(broker, a_create(password="new", token=5))
    broker.hash(old)
    broker.hash(new)
    replies = {reply.id: reply.body for _, reply in broker.turn().replies if isinstance(reply, Reply)}
    assert replies[8] == Refused(Status.WRONG_PASSWORD, "")
    assert isinstance(replies[9], Granted)


def test_a_password_that_is_taken_off_while_one_is_checked_keeps_no_member_out(broker: Broker) -> None:
    host = with_password(broker, a_create(password="old"))
    assert isinstance(host, Granted)
    forget_passwords(broker)
    broker.say(A, Request(8, a_join(password="guess")))
    (job,) = broker.turns[-1].passwords
    broker.publish(A, Item(EntryKind.COMMANDED, host.room, host.member, "/password", 0))
    broker.hash(job)
    (answer,) = [reply.body for _, reply in broker.turn().replies if isinstance(reply, Reply)]
    assert isinstance(answer, Granted)


def test_a_class_that_joins_at_once_costs_one_hash(broker: Broker) -> None:
    with_password(broker, a_create(password="secret"))
    for number in range(40):
        assert isinstance(broker.ask(A, a_join(password="secret", token=10 + number)), Granted)
    forget_passwords(broker)
    for number in range(40):
        broker.handle(A, Request(100 + number, a_join(password="secret", token=60 + number)))
    assert len(broker.turn().passwords) == 1
    assert len([answer for answer in hash_all(broker) if isinstance(answer, Granted)]) == 40
    assert len(broker.core.directory.members) == 81


def replaced(body: Create, **fields: object) -> Create:
    return structs.replace(body, **fields)


def test_an_address_over_its_limit_is_let_in_if_it_gave_this_password_before(broker: Broker) -> None:
    busy, wrong = Refused(Status.BUSY, ""), Refused(Status.WRONG_PASSWORD, "")
    with_password(broker, replaced(a_create(password="secret"), ip="192.0.2.9"))
    right, guess = (replaced(a_join(password=password), known_only=True) for password in ("secret", "guess"))
    # A guesser can not tell the right one from others.
    assert [broker.ask(A, right), broker.ask(A, guess)] == [busy, busy]
    assert isinstance(broker.ask(A, a_join(password="secret", token=3)), Granted)
    assert isinstance(broker.ask(A, right), Granted)
    assert broker.ask(A, replaced(guess, token_hash=a_token(4))) == wrong
    assert broker.ask(A, replaced(right, token_hash=a_token(4), ip="192.0.2.8")) == busy


def test_what_an_address_gave_counts_for_that_password_alone(broker: Broker) -> None:
    host = with_password(broker, a_create(password="secret"))
    assert isinstance(host, Granted)
    broker.handle(A, Request(8, HashPassword(host.room, host.member, "moon")))
    (job,) = broker.turn().passwords
    broker.hash(job)
    ((_, reply),) = broker.turn().replies
    assert isinstance(reply, Reply)
    assert isinstance(reply.body, Hashed)
    new_hash = reply.body.password_hash
    broker.publish(A, Item(EntryKind.COMMANDED, host.room, host.member, f"/password {new_hash}", 0))
    assert broker.core.directory.by_name["den"].password_hash == new_hash
    for password in ("secret", "moon"):
        assert broker.ask(A, replaced(a_join(password=password), known_only=True)) == Refused(Status.BUSY, "")


def test_a_proxy_is_not_known_by_what_one_client_behind_it_gave(broker: Broker) -> None:
    shared = int(MemberOptions.SHARED_ADDRESS)
    with_password(broker, replaced(a_create(password="secret"), options=shared))
    assert isinstance(broker.ask(A, replaced(a_join(password="secret"), options=shared)), Granted)
    over = replaced(a_join(password="secret", token=3), options=shared, known_only=True)
    assert broker.ask(A, over) == Refused(Status.BUSY, "")


def test_too_many_passwords_are_answered_busy(broker: Broker) -> None:
    broker.say(A, Request(7, a_create(password="secret")))
    (job,) = broker.turns[-1].passwords
    broker.core.requests.busy(job)
    assert broker.turn().replies == [(A, Reply(7, Refused(Status.BUSY, "")))]
    assert broker.core.counters.passwords_refused == 1


def test_all_that_wait_for_one_password_are_answered_busy(broker: Broker) -> None:
    with_password(broker, a_create(password="secret"))
    forget_passwords(broker)
    for number in (7, 8):
        broker.handle(A, Request(number, a_join(password="secret", token=number)))
    (job,) = broker.turn().passwords
    broker.core.requests.busy(job)
    assert broker.turn().replies == [(A, Reply(number, Refused(Status.BUSY, ""))) for number in (7, 8)]


# --- positions and replays ----------------------------------------------------------------------------------------


def test_a_subscription_is_answered_with_the_rooms_position(broker: Broker) -> None:
    member = broker.create()
    broker.news.clear()
    broker.core.subscribed(backbone.room_topic(member.room))
    broker.core.subscribed(backbone.room_topic(member.room))
    broker.core.subscribed(backbone.own_topic(A))
    broker.turn()
    assert broker.news == [(backbone.room_topic(member.room), News(member.epoch, 1, []))]


def test_news_of_the_same_turn_are_answer_enough(broker: Broker) -> None:
    member = broker.create()
    broker.join(peer=B)
    broker.news.clear()
    broker.core.subscribed(backbone.room_topic(member.room))
    broker.publish(A, said(member, "hi"))
    ((_, news),) = broker.news
    assert len(news.entries) == 1


def test_a_subscription_to_a_closed_room_says_that_it_is_no_more(broker: Broker) -> None:
    member = broker.create()
    broker.publish(A, left(member))
    broker.news.clear()
    for room in (member.room, 12345):
        broker.core.subscribed(backbone.room_topic(room))
    broker.turn()
    assert dict(broker.news) == {
        backbone.room_topic(member.room): News(0, 2, []),
        backbone.room_topic(12345): News(0, 0, []),
    }


def test_a_gateway_may_ask_where_rooms_stand(broker: Broker) -> None:
    one, two = broker.create(), broker.create("attic", token=2)
    broker.publish(A, said(one, "hi"), left(two))
    answer = broker.ask(B, Positions([(room, one.epoch, 2, 0) for room in (one.room, two.room, 99)]))
    assert answer == RoomPositions([(one.room, one.epoch, 2), (two.room, 0, 2), (99, 0, 0)])


@pytest.mark.parametrize("is_same", [True, False])
def test_a_log_is_older_if_its_last_entry_was_stamped_at_another_time(broker: Broker, is_same: bool) -> None:
    host = broker.create()
    broker.wait(1.0, A)
    broker.join()
    last = broker.log(host.room)[-1]
    answer = broker.ask(B, Positions([(host.room, host.epoch, last.offset, last.at_ms + (not is_same))]))
    assert isinstance(answer, RoomPositions)
    assert (answer.positions[0][1] == host.epoch) == is_same


def test_a_rooms_position_is_told_once_more_as_its_last_news_may_be_dropped(broker: Broker) -> None:
    member = broker.create()
    broker.join(peer=B)
    broker.wait(3.0, A, B)
    broker.news.clear()
    broker.publish(A, said(member, "hi"))
    broker.wait(1.5, A, B)
    topic = backbone.room_topic(member.room)
    assert [(len(news.entries), news.last) for heard, news in broker.news if heard == topic] == [(1, 3), (0, 3)]
    broker.news.clear()
    broker.wait(3.0, A, B)
    assert [heard for heard, _ in broker.news if heard == topic] == []


class TestReplay:
    @pytest.fixture
    def member(self, broker: Broker) -> Granted:
        """A member of a room with ten entries, in chunks of 1, 4 and 5."""
        member = broker.create()
        broker.publish(A, *(said(member, number) for number in range(2, 6)))
        broker.publish(A, *(said(member, number) for number in range(6, 11)))
        return member

    def replay(self, broker: Broker, member: Granted, after: int, limit: int = 100, epoch: int = 0) -> Replayed:
        answer = broker.ask(B, Replay(member.room, epoch or member.epoch, after, limit))
        assert isinstance(answer, Replayed)
        assert answer.room == member.room
        assert [entry.offset for entry in answer.entries] == list(
            range(answer.first, answer.first + len(answer.entries))
        )
        return answer

    @pytest.mark.parametrize("after", range(10))
    def test_is_complete(self, broker: Broker, member: Granted, after: int) -> None:
        answer = self.replay(broker, member, after)
        assert (answer.epoch, answer.first, answer.last, len(answer.entries)) == (
            member.epoch,
            after + 1,
            10,
            10 - after,
        )

    def test_has_nothing_after_the_end(self, broker: Broker, member: Granted) -> None:
        answer = self.replay(broker, member, 10)
        assert (answer.epoch, answer.first, answer.last, answer.entries) == (member.epoch, 11, 10, [])

    @pytest.mark.parametrize(("after", "limit"), [(0, 1), (0, 3), (2, 1), (4, 3), (4, 2), (9, 1)])
    def test_is_limited(self, broker: Broker, member: Granted, after: int, limit: int) -> None:
        answer = self.replay(broker, member, after, limit)
        assert (answer.first, answer.last, len(answer.entries)) == (after + 1, 10, limit)

    def test_limit_is_at_least_one_and_at_most_the_brokers(self) -> None:
        broker = Broker(Limits(replay_entries=3), A, B)
        member = broker.create()
        broker.publish(A, *(said(member, number) for number in range(2, 9)))
        assert len(self.replay(broker, member, 0, 0).entries) == 1
        assert len(self.replay(broker, member, 0, 2**63 - 1).entries) == 3

    def test_tells_a_gap(self, broker: Broker, member: Granted) -> None:
        broker.core.trimmed(broker.store.trim(5, 0))
        answer = self.replay(broker, member, 2)
        assert (answer.epoch, answer.first, answer.last, len(answer.entries)) == (member.epoch, 6, 10, 5)
        assert broker.join(token=8).first == 6

    def test_of_another_epoch_begins_at_the_start(self, broker: Broker, member: Granted) -> None:
        answer = self.replay(broker, member, 8, epoch=7)
        assert (answer.epoch, answer.first, answer.last, len(answer.entries)) == (member.epoch, 1, 10, 10)

    def test_of_another_epoch_goes_on_after_what_both_have(self, broker: Broker, member: Granted) -> None:
        at_ms = broker.log(member.room)[7].at_ms
        answer = broker.ask(B, Replay(member.room, 7, 8, 100, at_ms))
        assert isinstance(answer, Replayed)
        assert (answer.epoch, answer.first, len(answer.entries)) == (member.epoch, 9, 2)

    @pytest.mark.parametrize(
        ("after", "at_ms", "first"),
        [(8, 1, 9), (11, 5, 11), (12, 0, 11), (12, 5, 11), (2**63 - 1, 0, 11)],
        ids=["other entry", "other entry of this run", "beyond the end", "beyond the end, stamped", "far beyond"],
    )
    def test_of_a_later_state_of_the_store_begins_a_new_epoch_once(
        self, broker: Broker, member: Granted, after: int, at_ms: int, first: int
    ) -> None:
        broker.restart(A, B)
        broker.publish(A, said(member, 11))
        broker.news.clear()
        epochs = set()
        for _ in range(3):
            answer = broker.ask(B, Replay(member.room, member.epoch, after, 100, at_ms))
            assert isinstance(answer, Replayed)
            # What came before this run of the broker may be what the gateway has received.
            assert [entry.offset for entry in answer.entries] == list(range(first, 12))
            epochs.add(answer.epoch)
        assert len(epochs) == 1
        assert epochs != {member.epoch}
        broker.turn()
        assert [(news.epoch, news.last) for _, news in broker.news] == [(*epochs, 11)]
        assert {(room.epoch, room.epoch_after) for room in broker.store.load().rooms} == {(*epochs, 10)}

    def test_of_a_closed_room_tells_its_end_for_a_while(self, broker: Broker, member: Granted) -> None:
        broker.publish(A, said(member, "bye"), left(member))
        answer = self.replay(broker, member, 8)
        assert (answer.epoch, answer.last) == (member.epoch, 12)
        assert [entry.kind for entry in answer.entries] == [1, 1, 1, EntryKind.CLOSED]
        broker.wait(CLOSED_S + 2, A, B)
        answer = self.replay(broker, member, 8)
        assert (answer.epoch, answer.entries) == (0, [])
        assert broker.store.load().ends == {}

    def test_of_a_closed_room_is_answered_after_a_restart_too(self, broker: Broker, member: Granted) -> None:
        broker.publish(A, left(member))
        broker.start_again("broker-2")
        broker.say(B, Hello(backbone.VERSION))
        assert self.replay(broker, member, 9).entries[-1].kind == EntryKind.CLOSED
        broker.wait(CLOSED_S + 2, B)
        assert self.replay(broker, member, 9).epoch == 0
        assert broker.store.load().ends == {}

    def test_of_no_room_says_that_it_is_no_more(self, broker: Broker) -> None:
        assert broker.ask(A, Replay(12345, 1, 0, 10)) == Replayed(12345, 0, 1, 0, [])


def test_news_of_many_rooms_that_a_few_gateways_share_go_to_each_in_one_frame(broker: Broker) -> None:
    hosts = [broker.create(f"room {number}", peer=A, token=10 + number) for number in range(3)]
    for number, host in enumerate(hosts):
        broker.join(host.room_name, peer=B, token=20 + number)
    rooms = [host.room for host in hosts]
    broker.news.clear()
    broker.bundles.clear()
    # Three rooms, two gateways: one frame for each of these is less.
    broker.publish(A, *(said(host, "hi") for host in hosts))
    assert broker.news == []
    told = {topic: [room for room, _ in bundle.news] for topic, bundle in broker.bundles}
    assert told == {backbone.own_topic(A): rooms, backbone.own_topic(B): rooms}
    broker.bundles.clear()
    # Two rooms: there is nothing to save, and the rooms' topics reach both.
    broker.publish(A, *(said(host, "hi") for host in hosts[:2]))
    assert [topic for topic, _ in broker.news] == [backbone.room_topic(room) for room in rooms[:2]]
    assert broker.bundled(B) == []


def test_a_position_does_not_overtake_the_news_of_its_turn(broker: Broker) -> None:
    host = broker.create(peer=A)
    broker.core.subscribed(backbone.room_topic(host.room))
    broker.handle(A, Publish(1, [said(host, "hi")]))
    turn = broker.take_turn()
    assert [topic for topic, _ in turn.news] == [backbone.own_topic(A), backbone.room_topic(host.room)]


def test_a_room_that_goes_while_its_log_is_read_is_gone(broker: Broker) -> None:
    host = broker.create()
    broker.say(A, Publish(1, [said(host, "one")]))
    directory = broker.core.directory
    steps = replays.steps(directory, Replay(host.room, host.epoch, 1, 100, 7))
    assert next(steps) == (host.room, 0, 1)
    room = directory.rooms[host.room]
    directory.close(room, LeaveReason.HOST_LEFT, 0)
    broker.turn()
    directory.purge(room)
    broker.turn()
    assert steps.send([]) == (host.room, 1, 100)
    with pytest.raises(StopIteration) as done:
        steps.send([])
    assert done.value.value == Replayed(host.room, 0, 1, 0, [])
    assert not broker.take_turn().batch


def test_of_a_room_that_is_no_more_the_log_is_empty(broker: Broker) -> None:
    assert broker.ask(A, Replay(12345, 7, 5, 100, 7)) == Replayed(12345, 0, 1, 0, [])


def test_a_replay_of_what_is_being_committed_is_no_gap(broker: Broker) -> None:
    host = broker.create()
    broker.handle(A, Publish(1, [said(host, "one")]))
    in_flight = broker.core.take_turn(broker.moment)
    question = Replay(host.room, host.epoch, host.offset, 100)
    directory, read = broker.core.directory, broker.store.read
    assert replays.answer(directory, question, read) == Replayed(host.room, host.epoch, 2, 1, [])
    broker.store.commit(in_flight.batch)
    assert [entry.text for entry in replays.answer(directory, question, read).entries] == ["one"]
