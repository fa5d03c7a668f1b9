"""broker/rooms/webhooks.py and what of requests.py and directory.py is for webhooks."""

from dataclasses import replace

import pytest
from msgspec import structs

from broker.rooms import webhooks
from broker.store.interface import FOREVER, PostRow, Restriction, RestrictionKind
from tests.broker.scripted import A, Broker, a_create
from tsudoi.protocol.backbone import Answer, Granted, Item, Post, Posted, Refused, Reply, Request
from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.lines import MAX_LINES
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason, Status

KEY = bytes(range(16))
WALL = 1_700_000_000_000
POST = Post("den", "ci", "build 7 failed", KEY, None, "203.0.113.9")


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def den(broker: Broker) -> Granted:
    return broker.create()


def posted(broker: Broker, post: Post = POST) -> Posted:
    answer = broker.ask(A, post)
    assert isinstance(answer, Posted), answer
    return answer


def another(number: int, **changes: object) -> Post:
    return structs.replace(POST, key=number.to_bytes(16, "big"), **changes)


def restrict(broker: Broker, kind: RestrictionKind, name: str = "", ip: str = "", room: int = 0) -> None:
    broker.core.directory.bans_and_mutes.add(Restriction(room, kind, name, ip, FOREVER))


def test_a_post_is_an_entry_like_any_message_under_a_name_with_the_mark(broker: Broker, den: Granted) -> None:
    broker.news.clear()
    answer = posted(broker)
    entry = broker.log(den.room)[-1]
    assert (entry.kind, entry.member, entry.sender, entry.text) == (EntryKind.SAID, 0, "ci[bot]", "build 7 failed")
    assert answer == Posted("ci[bot]", den.epoch, entry.offset, True)
    assert [entry] in [body.entries for _, body in (*broker.news, *broker.bundled())]


def test_it_is_answered_in_the_turn_that_keeps_it(broker: Broker, den: Granted) -> None:
    broker.handle(A, Request(9, POST))
    turn = broker.turn()
    assert [chunk.room for chunk in turn.batch.chunks] == [den.room]
    assert [reply.body for _, reply in turn.replies if isinstance(reply, Reply)] == [
        Posted("ci[bot]", den.epoch, den.offset + 1, True)
    ]


def test_a_repeated_post_is_said_once_and_gets_the_same_answer(broker: Broker, den: Granted) -> None:
    first = posted(broker)
    broker.ask(A, another(1, text="meanwhile"))
    assert posted(broker) == first
    broker.restart(A)
    assert posted(broker) == first
    assert broker.texts(den.room) == ["build 7 failed", "meanwhile"]


def test_a_key_that_was_used_for_another_text_says_nothing(broker: Broker, den: Granted) -> None:
    first = posted(broker)
    answer = posted(broker, structs.replace(POST, text="build 8 failed"))
    assert (answer.is_same, answer.offset) == (False, first.offset)
    assert broker.texts(den.room) == ["build 7 failed"]


def test_a_key_means_nothing_to_a_later_room_of_the_same_name(broker: Broker, den: Granted) -> None:
    posted(broker)
    broker.core.directory.close(broker.core.directory.rooms[den.room], LeaveReason.HOST_CLOSED, WALL)
    later = broker.create(token=7)
    assert posted(broker).is_same
    assert broker.texts(later.room) == ["build 7 failed"]


def test_of_very_many_posts_the_newest_are_remembered(
    broker: Broker, den: Granted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "POSTS", 2)
    for number in range(3):
        posted(broker, another(number))
    assert [row.key for row in broker.store.load().posts] == [another(n).key for n in (1, 2)]


def test_a_purged_rooms_posts_are_forgotten(broker: Broker, den: Granted) -> None:
    posted(broker)
    room = broker.core.directory.rooms[den.room]
    broker.core.directory.close(room, LeaveReason.HOST_CLOSED, WALL)
    broker.turn()
    broker.core.directory.purge(room)
    broker.turn()
    assert broker.store.load().posts == []


def test_there_must_be_a_room(broker: Broker) -> None:
    assert broker.ask(A, POST) == Refused(Status.ROOM_NOT_FOUND, "")
    assert broker.core.directory.rooms == {}


def test_a_persistent_room_without_members_keeps_it(broker: Broker) -> None:
    room = broker.core.directory.persist("den", WALL)  # type: ignore[arg-type]
    posted(broker)
    assert broker.texts(room.id) == ["build 7 failed"]


@pytest.mark.parametrize("kind", RestrictionKind)
@pytest.mark.parametrize("by", [{"name": "ci"}, {"name": "ci[bot]"}, {"ip": "203.0.113.9"}])
def test_bans_and_mutes_hold_for_it(broker: Broker, den: Granted, kind: RestrictionKind, by: dict[str, str]) -> None:
    restrict(broker, kind, room=den.room, **by)
    answer = broker.ask(A, POST)
    assert isinstance(answer, Refused)
    assert answer.status == Status.BAD_REQUEST
    assert ("muted" if kind is RestrictionKind.MUTE else "banned") in answer.detail
    assert broker.texts(den.room) == []


def test_a_proxys_address_is_not_covered_by_a_ban_of_a_member(broker: Broker, den: Granted) -> None:
    restrict(broker, RestrictionKind.BAN, "bob", "203.0.113.9", den.room)
    assert isinstance(broker.ask(A, POST), Refused)
    posted(broker, another(2, options=int(MemberOptions.SHARED_ADDRESS)))


def test_a_ban_elsewhere_does_not_hold(broker: Broker, den: Granted) -> None:
    other = broker.create("other", token=5)
    restrict(broker, RestrictionKind.BAN, "ci", room=other.room)
    posted(broker)


@pytest.mark.parametrize("order", ["/ban ci[bot] 5", "/mute ci[bot] 5"])
def test_the_host_stops_a_webhook_by_its_name(broker: Broker, den: Granted, order: str) -> None:
    broker.publish(A, Item(EntryKind.COMMANDED, den.room, den.member, order, 0))
    assert (broker.log(den.room)[-1].code, broker.log(den.room)[-1].text) == (Phrase.WEBHOOK_STOPPED, "ci[bot]")
    assert isinstance(broker.ask(A, POST), Refused)
    posted(broker, another(2, user="cd"))
    undo = order.replace("/", "/un").removesuffix(" 5")
    broker.publish(A, Item(EntryKind.COMMANDED, den.room, den.member, undo, 0))
    posted(broker)


def answer_of(broker: Broker, post: Post) -> Answer:
    """Ask with a password, which is checked meanwhile."""
    broker.last_id += 1
    assert broker.say(A, Request(broker.last_id, post)) == []
    (job,) = broker.turns[-1].passwords
    broker.hash(job)
    ((_, reply),) = broker.turn().replies
    assert isinstance(reply, Reply)
    return reply.body


@pytest.fixture
def locked(broker: Broker) -> Broker:
    broker.say(A, Request(7, a_create(password="moon")))
    (job,) = broker.turns[-1].passwords
    broker.hash(job)
    broker.turn()
    # A new run knows no password without checking it.
    broker.restart(A)
    return broker


def test_a_locked_room_wants_its_password(locked: Broker) -> None:
    wrong = Refused(Status.WRONG_PASSWORD, "")
    assert locked.ask(A, POST) == wrong
    assert answer_of(locked, structs.replace(POST, password="sun")) == wrong
    assert isinstance(answer_of(locked, structs.replace(POST, password="moon")), Posted)
    posted(locked, another(2, password="moon"))
    assert locked.turns[-1].passwords == []


def test_a_client_that_guessed_too_often_is_not_told_whether_a_password_is_right(locked: Broker) -> None:
    busy, right = Refused(Status.BUSY, ""), another(2, password="moon")
    assert locked.ask(A, another(1, password="moon", known_only=True)) == busy
    assert isinstance(answer_of(locked, right), Posted)
    assert isinstance(locked.ask(A, another(3, password="moon", known_only=True)), Posted)
    assert locked.ask(A, another(4, password="moon", known_only=True, ip="192.0.2.77")) == busy


def test_a_repeated_post_to_a_locked_room_is_said_once(locked: Broker) -> None:
    right = structs.replace(POST, password="moon")
    for number in (21, 22):
        locked.handle(A, Request(number, right))
    for job in locked.turn().passwords:
        locked.hash(job)
    answers = [reply.body for _, reply in locked.turn().replies if isinstance(reply, Reply)]
    assert len(answers) == 2
    assert answers[0] == answers[1]


def test_a_password_that_was_changed_meanwhile_is_wrong(locked: Broker) -> None:
    locked.handle(A, Request(9, structs.replace(POST, password="moon")))
    (job,) = locked.turn().passwords
    (room,) = locked.core.directory.rooms.values()
    locked.core.directory.set_password(room, "hash of sun", None, WALL)
    locked.hash(job)
    (job,) = locked.turn().passwords
    locked.hash(job)
    ((_, reply),) = [each for each in locked.turn().replies if isinstance(each[1], Reply)]
    assert reply == Reply(9, Refused(Status.WRONG_PASSWORD, ""))


def test_a_text_is_cleaned_and_cut(broker: Broker, den: Granted) -> None:
    posted(broker, another(1, text="a\x1b[2Jb"))
    posted(broker, another(2, text="あ" * 4_000))
    posted(broker, another(4, text="a\n\n\nb" + "\nc" * 80))
    first, second, lines = broker.texts(den.room)
    assert (lines[:5], lines.count("\n")) == ("a\n\nb\n", MAX_LINES - 1)
    assert first == "a[2Jb"
    assert len(second.encode()) <= MAX_UP
    assert isinstance(broker.ask(A, another(3, text="\x1b")), Refused)


def test_no_member_has_a_webhooks_name(broker: Broker, den: Granted) -> None:
    assert broker.join(user="ci[bot]").user == "ci[bot]#2"
    assert broker.join(user="ci［BOT］\u2060", token=3).user.endswith("#2")


def test_rows_are_loaded_oldest_first() -> None:
    old = PostRow(b"a" * 16, 1, 1, 1, b"", 5)
    posts = webhooks.Posts([old, replace(old, key=b"b" * 16, at_ms=6)])
    assert posts.changes == {}
