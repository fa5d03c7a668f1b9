"""gateway/link/abandoned_joins.py, in a whole link."""

import pytest

from gateway.link.abandoned_joins import ABANDONED, FOLLOW_UP_S
from gateway.link.canary import CANARY_S
from gateway.link.link import ALIVE_S
from tests.gateway.link.here import CREATE, TIMEOUT_S, Here
from tests.support.fakes import a_grant
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Create, Item, Publish, Refused, Reply, Request, Resume, Welcome
from tsudoi.protocol.codes import EntryKind, LeaveReason


@pytest.mark.parametrize("body", [CREATE, backbone.Join("den", "bob", None, bytes(16), "tcrp", "::1", 1)])
def test_a_grant_that_comes_too_late_is_given_back(here: Here, body: Create) -> None:
    here.ask(body)
    (request,) = here.said()
    assert isinstance(request, Request)
    here.wait(TIMEOUT_S, canaries_come_back=True)
    assert [answer for answer, _ in here.answers] == [None]
    here.handle(Reply(request.id, a_grant(7, room=5)))
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


def test_abandoned_requests_are_bounded(here: Here) -> None:
    for _ in range(ABANDONED + 1):
        here.ask(CREATE)
    requests = [message for message in here.said() if isinstance(message, Request)]
    here.wait(TIMEOUT_S, canaries_come_back=True)
    here.handle(Reply(requests[0].id, a_grant(1)))
    assert len(here.link.publisher) == 0
    here.handle(Reply(requests[1].id, a_grant(2)))
    assert len(here.link.publisher) == 1
    assert here.counters.requests_not_cleared_up == 1


def test_an_abandoned_join_is_followed_up_until_nothing_can_come_of_it(here: Here) -> None:
    here.ask(CREATE)
    (request,) = here.said()
    here.wait(TIMEOUT_S, canaries_come_back=True)
    asked_at: list[float] = []
    began = here.now
    while here.now < began + 3 * FOLLOW_UP_S:
        for message in here.wait(CANARY_S, canaries_come_back=True):
            if isinstance(message, Request):
                assert isinstance(request, Request)
                assert message == Request(request.id, Resume(CREATE.token_hash))
                asked_at.append(here.now - began)
                # The password was hashed in the end.
                answer = a_grant(7, room=5) if 3.0 <= here.now - began < FOLLOW_UP_S else Refused(2, "")
                here.handle(Reply(message.id, answer))
    assert asked_at == sorted(asked_at)
    assert FOLLOW_UP_S < asked_at[-1] < 2 * FOLLOW_UP_S
    assert len(asked_at) < 6
    assert len(here.link.publisher) == 1


def test_a_broker_that_is_away_is_not_asked_what_became_of_a_join(here: Here) -> None:
    here.ask(CREATE)
    here.said()
    here.wait(TIMEOUT_S, canaries_come_back=True)
    here.wait(ALIVE_S)
    assert [message for message in here.wait(20.0) if isinstance(message, Request)] == []
    here.handle(Welcome("another", 0, True, 0))
    (again,) = (message for message in here.wait(CANARY_S) if isinstance(message, Request))
    assert again.body == Resume(CREATE.token_hash)
