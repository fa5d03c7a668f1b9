"""broker/rooms/handovers.py: Resumes that come late; test_lost_gateways.py has the rest."""

import pytest

from tests.broker.scripted import A, B, Broker, a_token, released
from tsudoi.protocol.backbone import Granted, Refused, Release, Request, Resume
from tsudoi.protocol.codes import Status


@pytest.fixture
def broker() -> Broker:
    return Broker(None, A, B)


def resume(count: int) -> Resume:
    return Resume(a_token(1), "192.0.2.1", 0, True, count)


def test_a_resume_that_was_held_up_moves_no_session_back(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.say(B, Request(5, resume(9)))
    (release,) = [message for message in broker.told(A) if isinstance(message, Release)]
    broker.publish(A, released(release, 1))
    members = broker.core.directory.members
    assert members[member.member].gateway == B
    assert broker.ask(A, resume(8)) == Refused(Status.BUSY, "")
    assert broker.core.counters.resumed_late == 1
    # The answer may be lost, so B asks again.
    assert isinstance(broker.ask(B, resume(9)), Granted)
    assert members[member.member].gateway == B


@pytest.mark.parametrize("count", [10, 0], ids=["newer", "not of version 2"])
def test_other_resumes_move_it(broker: Broker, count: int) -> None:
    broker.create(peer=A)
    broker.ask(A, resume(9))
    assert broker.say(B, Request(5, resume(count))) == []
    assert isinstance(broker.told(A)[-1], Release)
