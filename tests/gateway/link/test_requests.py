"""gateway/link/requests.py, in a whole link."""

import math

import pytest

from gateway.link.canary import CANARY_S
from gateway.link.link import ALIVE_S
from gateway.link.requests import ASK_AGAIN_S, FOLLOW_UP_S, FOLLOW_UPS
from tests.gateway.link.here import CREATE, TIMEOUT_S, Here
from tests.support.fakes import a_grant
from tsudoi.protocol.backbone import (
    Accepted,
    Create,
    Item,
    Join,
    ListRooms,
    Publish,
    Refused,
    Reply,
    Request,
    Resume,
    Rooms,
    Say,
    Unknown,
    Welcome,
)
from tsudoi.protocol.codes import EntryKind, LeaveReason

RESUME = Resume(CREATE.token_hash)


def test_an_answer_finds_its_question(here: Here) -> None:
    here.ask(ListRooms(1))
    here.ask(ListRooms(2))
    one, two = here.said()
    assert isinstance(one, Request)
    assert isinstance(two, Request)
    assert (one.body, two.body) == (ListRooms(1), ListRooms(2))
    here.handle(Reply(two.id, Rooms(["two"])))
    here.handle(Reply(one.id, Rooms(["one"])))
    here.handle(Reply(one.id, Rooms(["again"])), Reply(999, Rooms(["nobody asked"])))
    assert here.answers == [(Rooms(["two"]), here.now), (Rooms(["one"]), here.now)]


def test_a_question_is_answered_with_none_at_once_while_the_broker_is_away(here: Here) -> None:
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
        here.handle(Accepted(0))
    assert [request.body for request in asked_again] == [Resume(bytes(16))] * 2
    assert len({request.id for request in asked_again}) == 1
    assert [answer for answer, _ in here.answers] == [None]
    assert here.counters.requests_timed_out == 1


@pytest.mark.parametrize("broker", ["broker", "another"])
def test_a_question_is_asked_again_when_the_broker_has_greeted_this_gateway_anew(here: Here, broker: str) -> None:
    here.ask(Resume(bytes(16)))
    here.said()
    here.handle(Unknown(broker), Welcome(broker, 0, True, 0))
    assert Resume(bytes(16)) in [message.body for message in here.tick() if isinstance(message, Request)]


@pytest.mark.parametrize(("number", "times"), [(0, 0), (7, 2)])
def test_a_line_without_a_number_is_not_asked_again_as_it_would_be_said_twice(
    here: Here, number: int, times: int
) -> None:
    line = Say(1, 2, "hello", False, number)
    here.ask(line)
    here.said()
    asked_again = []
    for _ in range(10):
        asked_again += [message for message in here.wait(ASK_AGAIN_S / 2) if isinstance(message, Request)]
        here.handle(Accepted(0))
    assert [request.body for request in asked_again] == [line] * times
    assert [answer for answer, _ in here.answers] == [None]


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


@pytest.mark.parametrize("body", [CREATE, Join("den", "bob", None, bytes(16), "tcrp", "::1", 1)])
def test_a_member_that_is_granted_too_late_is_made_to_leave(here: Here, body: Create) -> None:
    here.ask(body)
    (request,) = here.said()
    assert isinstance(request, Request)
    here.wait(TIMEOUT_S, canaries_come_back=True)
    assert [answer for answer, _ in here.answers] == [None]
    here.handle(Reply(request.id, a_grant(7, room=5)))
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
    here.handle(Reply(one.id, Refused(1, "")), Reply(two.id, a_grant(7)))
    assert len(here.link.publisher) == 0


@pytest.mark.parametrize("made_at", [3.0, math.inf])
def test_a_join_that_was_given_up_is_followed_up_while_its_password_may_be_hashed(here: Here, made_at: float) -> None:
    here.ask(CREATE)
    (request,) = here.said()
    assert isinstance(request, Request)
    here.wait(TIMEOUT_S, canaries_come_back=True)
    asked_at: list[float] = []
    began = here.now
    while here.now < began + 3 * FOLLOW_UP_S:
        for message in here.wait(CANARY_S, canaries_come_back=True):
            if isinstance(message, Request):
                assert message == Request(request.id, Resume(CREATE.token_hash))
                asked_at.append(here.now - began)
                here.handle(Reply(message.id, a_grant(7, room=5) if asked_at[-1] >= made_at else Refused(2, "")))
    ended = min(made_at, FOLLOW_UP_S)
    assert ended <= asked_at[-1] < ended + 2 * ASK_AGAIN_S
    assert len(asked_at) <= 2 + ended / ASK_AGAIN_S
    assert len(here.link.publisher) == (made_at < math.inf)
    assert len(here.link.requests) == 0
    assert here.counters.requests_timed_out == 1


def test_joins_that_were_given_up_are_followed_up_to_a_number(here: Here) -> None:
    for _ in range(FOLLOW_UPS + 1):
        here.ask(CREATE)
    first, second, *_ = [message.id for message in here.said() if isinstance(message, Request)]
    said = here.wait(TIMEOUT_S, canaries_come_back=True)
    followed_up = [message.id for message in said if isinstance(message, Request) and message.body == RESUME]
    assert len(followed_up) == FOLLOW_UPS
    assert (first in followed_up, second in followed_up) == (False, True)
    assert here.counters.requests_not_followed_up == 1


def test_a_broker_that_was_away_is_asked_what_became_of_a_join(here: Here) -> None:
    here.ask(CREATE)
    here.said()
    here.wait(TIMEOUT_S, canaries_come_back=True)
    here.wait(ALIVE_S)
    assert [message for message in here.wait(2 * FOLLOW_UP_S) if isinstance(message, Request)] == []
    here.handle(Welcome("another", 0, True, 0))
    assert RESUME in [message.body for message in here.wait(CANARY_S) if isinstance(message, Request)]
