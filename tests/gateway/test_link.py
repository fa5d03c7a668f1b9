"""gateway/link.py"""

import pytest

from gateway.counters import Counters
from gateway.link import ALIVE_S, ASK_AGAIN_S, CANARY_S, CLEARED_UP_S, GIVEN_UP, HEALTHY_S, HELLO_S, LEASE_S, Link
from tests.support.fakes import a_grant
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Accepted,
    Answer,
    Canary,
    Create,
    Delivered,
    Hello,
    Item,
    ListRooms,
    Publish,
    Refused,
    Reply,
    Request,
    Resume,
    Rooms,
    Unknown,
    Upward,
    Welcome,
)
from tsudoi.protocol.codes import EntryKind, LeaveReason

HELLO = Hello(backbone.VERSION)
TIMEOUT_S = 3.0
CREATE = Create("den", "alice", None, bytes(16), "tcrp", "::1", 100_000)


class Here:
    """A link, its clock, and the answers that came."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.link = Link("g/1", 100, TIMEOUT_S, self.counters)
        self.now = 50.0
        self.answers: list[tuple[Answer | None, float]] = []

    def said(self) -> list[Upward]:
        """What it has to say now."""
        return [backbone.parse_upward_untrusted(frame) for frame in self.link.frames(self.now)]

    def tick(self) -> list[Upward]:
        self.link.tick(self.now)
        return self.said()

    def wait(self, seconds: float, *, canaries_come_back: bool = False) -> list[Upward]:
        """Let time go by; return what it said meanwhile, but for canaries."""
        said: list[Upward] = []
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(self.now + CANARY_S, until)
            for message in self.tick():
                if not isinstance(message, Canary):
                    said.append(message)
                elif canaries_come_back:
                    self.link.canary_back(message.number, self.now)
        return said

    def hear(self, *messages: backbone.Downward) -> None:
        for message in messages:
            self.link.handle(message, self.now)

    def ask(self, body: backbone.Question) -> None:
        self.link.ask(body, self.now, lambda answer, now: self.answers.append((answer, now)))


@pytest.fixture
def here() -> Here:
    """A link that the broker has welcomed."""
    here = Here()
    assert here.tick() == [HELLO]
    here.hear(Welcome("broker", 0, True))
    return here


# --- hello --------------------------------------------------------------------------------------------------------


def test_it_says_hello_until_it_is_welcome() -> None:
    here = Here()
    assert here.tick() == [HELLO]
    assert here.wait(HELLO_S - 0.01) == []
    assert here.wait(2 * HELLO_S) == [HELLO, HELLO]
    here.hear(Welcome("broker", 0, True))
    assert here.wait(ALIVE_S - CANARY_S) == []


def test_it_says_hello_again_when_nothing_is_heard(here: Here) -> None:
    assert here.wait(ALIVE_S) == []
    assert HELLO in here.wait(2 * CANARY_S)


def test_one_that_is_not_known_says_hello_at_once_and_once(here: Here) -> None:
    here.tick()
    here.hear(*[Unknown("broker")] * 5)
    assert here.said() == [HELLO]
    assert here.tick() == []
    here.now += HELLO_S
    assert here.tick() == [HELLO]


def test_nothing_is_published_before_the_next_welcome(here: Here) -> None:
    here.link.publisher.add(Item(EntryKind.SAID, 1, 2, "a", 0))
    assert len(here.said()) == 1
    here.hear(Unknown("other"))
    here.link.publisher.add(Item(EntryKind.SAID, 1, 2, "b", 0))
    assert here.said() == [HELLO]
    here.hear(Welcome("other", 1, True))
    assert here.said() == [Publish(2, [Item(EntryKind.SAID, 1, 2, "b", 0)])]


def test_what_may_be_lost_is_not_said_to_a_broker_that_does_not_know_us() -> None:
    here = Here()
    here.link.tell(Delivered([(1, 2)]))
    assert here.said() == []
    here.hear(Welcome("broker", 0, True))
    here.link.tell(Delivered([(1, 2)]))
    assert here.said() == [Delivered([(1, 2)])]


def test_accepted_reaches_the_publisher(here: Here) -> None:
    here.link.publisher.add(Item(EntryKind.SAID, 1, 2, "a", 0))
    here.said()
    here.hear(Accepted(1))
    assert len(here.link.publisher) == 0


def test_items_may_wait_for_company(here: Here) -> None:
    here.link.publisher.add(Item(EntryKind.SAID, 1, 2, "a", 0))
    assert here.link.frames(here.now, publish=False) == []
    assert len(here.link.frames(here.now)) == 1


# --- alive, healthy, leased ---------------------------------------------------------------------------------------


def test_a_broker_is_alive_while_it_is_heard(here: Here) -> None:
    assert here.link.is_alive(here.now)
    assert here.link.is_alive(here.now + ALIVE_S - 0.01)
    assert not here.link.is_alive(here.now + ALIVE_S)
    here.now += ALIVE_S
    here.hear(Accepted(0))
    assert here.link.is_alive(here.now)
    here.hear(Unknown("broker"))
    assert not here.link.is_alive(here.now)


def test_health_is_a_canary_that_came_back_lately(here: Here) -> None:
    assert here.link.illness(here.now) == "the broker has not been reached yet"
    here.wait(1.0, canaries_come_back=True)
    assert here.link.illness(here.now) == ""
    # Answers alone do not make it well: news must come too.
    for _ in range(10):
        here.wait(CANARY_S)
        here.hear(Accepted(0))
    assert here.link.illness(here.now) == "nothing came back from the broker for 2.5 s"
    here.wait(CANARY_S, canaries_come_back=True)
    assert here.link.illness(here.now) == ""


def test_a_canary_that_was_not_sent_or_came_before_proves_nothing(here: Here) -> None:
    (canary,) = (message for message in here.tick() if isinstance(message, Canary))
    assert here.link.canary_back(canary.number + 1, here.now)
    assert here.link.illness(here.now)
    here.link.canary_back(canary.number, here.now)
    assert not here.link.illness(here.now)
    here.now += HEALTHY_S
    here.link.canary_back(canary.number, here.now)
    assert here.link.illness(here.now)


def test_the_lease_counts_from_when_a_canary_was_sent(here: Here) -> None:
    assert not here.link.may_deliver(here.now)
    sent_at = here.now
    (canary,) = (message for message in here.tick() if isinstance(message, Canary))
    here.now += 1.0
    here.link.canary_back(canary.number, here.now)
    assert here.link.may_deliver(here.now)
    assert here.link.may_deliver(sent_at + LEASE_S - 0.01)
    assert not here.link.may_deliver(sent_at + LEASE_S)


@pytest.mark.parametrize("message", [Unknown("broker"), Welcome("another", 0, True)])
def test_a_broker_that_does_not_know_us_ends_the_lease(here: Here, message: backbone.Downward) -> None:
    (early,) = (message for message in here.tick() if isinstance(message, Canary))
    here.wait(CANARY_S, canaries_come_back=True)
    assert here.link.may_deliver(here.now)
    here.hear(message)
    assert not here.link.may_deliver(here.now)
    # A canary from before does not bring it back.
    here.link.canary_back(early.number, here.now)
    assert not here.link.may_deliver(here.now)


def test_a_welcome_of_the_same_broker_leaves_the_lease_alone(here: Here) -> None:
    here.wait(CANARY_S, canaries_come_back=True)
    here.hear(Welcome("broker", 0, True))
    assert here.link.may_deliver(here.now)


def test_canaries_that_never_came_back_show_that_news_were_lost(here: Here) -> None:
    first, second, third = (
        next(message.number for message in here.tick() if isinstance(message, Canary)) for _ in range(3)
    )
    assert here.link.canary_back(first, here.now)
    assert not here.link.canary_back(third, here.now)
    assert here.link.canaries_lost == 1
    assert here.link.canary_back(second, here.now)
    fourth = next(message.number for message in here.tick() if isinstance(message, Canary))
    assert here.link.canary_back(fourth, here.now)


def test_canaries_of_a_long_absence_are_not_all_remembered_but_their_loss_is(here: Here) -> None:
    here.wait(300.0)
    assert not here.link.canary_back(next(m.number for m in here.tick() if isinstance(m, Canary)), here.now)
    assert here.link.canaries_lost <= 100
    assert here.link.canary_back(next(m.number for m in here.tick() if isinstance(m, Canary)), here.now)


# --- questions ----------------------------------------------------------------------------------------------------


def test_an_answer_finds_its_question(here: Here) -> None:
    here.ask(ListRooms(1))
    here.ask(ListRooms(2))
    one, two = here.said()
    assert isinstance(one, Request)
    assert isinstance(two, Request)
    assert (one.body, two.body) == (ListRooms(1), ListRooms(2))
    here.hear(Reply(two.id, Rooms(["two"])))
    here.hear(Reply(one.id, Rooms(["one"])))
    here.hear(Reply(one.id, Rooms(["again"])), Reply(999, Rooms(["nobody asked"])))
    assert here.answers == [(Rooms(["two"]), here.now), (Rooms(["one"]), here.now)]


def test_who_asks_while_the_broker_is_away_is_told_at_once(here: Here) -> None:
    here.now += ALIVE_S
    here.ask(ListRooms(1))
    assert here.answers == [(None, here.now)]
    assert here.said() == []


def test_a_question_is_asked_again_and_then_given_up(here: Here) -> None:
    here.ask(Resume(bytes(16)))
    here.said()
    asked_again = []
    for _ in range(10):
        asked_again += [message for message in here.wait(ASK_AGAIN_S / 2) if isinstance(message, Request)]
        here.hear(Accepted(0))
    assert [request.body for request in asked_again] == [Resume(bytes(16))] * 2
    assert len({request.id for request in asked_again}) == 1
    assert [answer for answer, _ in here.answers] == [None]
    assert here.counters.requests_timed_out == 1


def test_questions_do_not_wait_for_each_other(here: Here) -> None:
    here.ask(ListRooms(1))
    here.wait(2.0, canaries_come_back=True)
    here.ask(ListRooms(2))
    here.wait(1.0, canaries_come_back=True)
    assert [answer for answer, _ in here.answers] == [None]
    here.wait(2.0, canaries_come_back=True)
    assert [answer for answer, _ in here.answers] == [None, None]


def test_a_question_may_be_asked_while_others_are_given_up(here: Here) -> None:
    here.link.ask(ListRooms(1), here.now, lambda _answer, now: here.ask(ListRooms(2)))
    here.said()
    said = here.wait(TIMEOUT_S, canaries_come_back=True)
    assert [message.body for message in said if isinstance(message, Request)][-1] == ListRooms(2)


@pytest.mark.parametrize("body", [CREATE, backbone.Join("den", "bob", None, bytes(16), "tcrp", "::1", 1)])
def test_a_grant_that_comes_too_late_is_given_back(here: Here, body: Create) -> None:
    here.ask(body)
    (request,) = here.said()
    assert isinstance(request, Request)
    here.wait(TIMEOUT_S, canaries_come_back=True)
    assert [answer for answer, _ in here.answers] == [None]
    here.hear(Reply(request.id, a_grant(7, room=5)))
    here.hear(Reply(request.id, a_grant(7, room=5)))
    (publish,) = (message for message in here.said() if isinstance(message, Publish))
    assert publish.items == [Item(EntryKind.LEFT, 5, 7, "", LeaveReason.LEFT)]
    assert len(here.answers) == 1


def test_a_refusal_that_comes_too_late_and_a_late_resume_are_passed_over(here: Here) -> None:
    for body in (CREATE, Resume(bytes(16))):
        here.ask(body)
    one, two = here.said()
    here.wait(TIMEOUT_S, canaries_come_back=True)
    assert isinstance(one, Request)
    assert isinstance(two, Request)
    here.hear(Reply(one.id, Refused(1, "")), Reply(two.id, a_grant(7)))
    assert len(here.link.publisher) == 0


def test_only_so_many_late_grants_are_remembered(here: Here) -> None:
    for _ in range(GIVEN_UP + 1):
        here.ask(CREATE)
    requests = [message for message in here.said() if isinstance(message, Request)]
    here.wait(TIMEOUT_S, canaries_come_back=True)
    here.hear(Reply(requests[0].id, a_grant(1)))
    assert len(here.link.publisher) == 0
    here.hear(Reply(requests[1].id, a_grant(2)))
    assert len(here.link.publisher) == 1
    assert here.counters.requests_not_cleared_up == 1


def test_what_became_of_a_join_that_was_given_up_is_asked_until_nothing_can_come_of_it(here: Here) -> None:
    here.ask(CREATE)
    (request,) = here.said()
    here.wait(TIMEOUT_S, canaries_come_back=True)
    asked_at: list[float] = []
    began = here.now
    while here.now < began + 3 * CLEARED_UP_S:
        for message in here.wait(CANARY_S, canaries_come_back=True):
            if isinstance(message, Request):
                assert isinstance(request, Request)
                assert message == Request(request.id, Resume(CREATE.token_hash))
                asked_at.append(here.now - began)
                # The password was hashed in the end.
                answer = a_grant(7, room=5) if 3.0 <= here.now - began < CLEARED_UP_S else Refused(2, "")
                here.hear(Reply(message.id, answer))
    assert asked_at == sorted(asked_at)
    assert CLEARED_UP_S < asked_at[-1] < 2 * CLEARED_UP_S
    assert len(asked_at) < 6
    assert len(here.link.publisher) == 1


def test_a_broker_that_is_away_is_not_asked_what_became_of_a_join(here: Here) -> None:
    here.ask(CREATE)
    here.said()
    here.wait(TIMEOUT_S, canaries_come_back=True)
    here.wait(ALIVE_S)
    assert [message for message in here.wait(20.0) if isinstance(message, Request)] == []
    here.hear(Welcome("another", 0, True))
    (again,) = (message for message in here.wait(CANARY_S) if isinstance(message, Request))
    assert again.body == Resume(CREATE.token_hash)


def test_what_another_broker_accepted_says_nothing_of_our_numbers(here: Here) -> None:
    for number in range(3):
        here.link.publisher.add(Item(EntryKind.SAID, 1, 2, str(number), 0))
    here.said()
    here.link.accepted("broker", 1, here.now)
    assert len(here.link.publisher) == 2
    here.hear(Welcome("another", 0, True))
    here.link.accepted("broker", 3, here.now)
    assert len(here.link.publisher) == 2
    here.link.accepted("another", 2, here.now)
    assert len(here.link.publisher) == 0


def test_a_welcome_that_news_have_overtaken_takes_nothing_back(here: Here) -> None:
    for number in range(3):
        here.link.publisher.add(Item(EntryKind.SAID, 1, 2, str(number), 0))
    here.said()
    here.link.accepted("broker", 2, here.now)
    here.hear(Welcome("broker", 1, False))
    assert [(publish.first, len(publish.items)) for publish in here.said() if isinstance(publish, Publish)] == [(3, 1)]
    # One that has forgotten us, or is another, counts from what it says.
    here.hear(Welcome("broker", 0, True))
    assert [(publish.first, len(publish.items)) for publish in here.said() if isinstance(publish, Publish)] == [(1, 1)]
