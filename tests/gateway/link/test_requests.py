"""gateway/link/requests.py, in a whole link."""

import pytest

from gateway.link.link import ALIVE_S
from gateway.link.requests import ASK_AGAIN_S
from tests.gateway.link.here import TIMEOUT_S, Here
from tsudoi.protocol.backbone import Accepted, ListRooms, Reply, Request, Resume, Rooms, Say, Unknown, Welcome


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
