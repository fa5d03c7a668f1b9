"""When the second client resumes by itself, and when it has heard all: PROTOCOL.md, "Resuming", "Life"."""

import pytest

from tests.second_client.alone import RUNS, Alone
from tests.second_client.client import CALM_S, SUSPECT_S

LATER = b"run003"


@pytest.fixture
def alone() -> Alone:
    made = Alone()
    for run in RUNS:
        made.resumed(0, run)
    made.client._resumed_at -= CALM_S
    return made


@pytest.mark.parametrize(("run", "is_new"), [(RUNS[0], False), (RUNS[1], False), (LATER, True)])
def test_it_resumes_when_a_packet_of_a_run_comes_that_it_does_not_know(alone: Alone, run: bytes, is_new: bool) -> None:
    alone.tell({"kept": 0}, run)
    assert alone.client.resumed.is_set() is not is_new


def test_it_resumes_when_its_server_does_not_answer(alone: Alone) -> None:
    alone.client.send({"want": [0, 1]})
    asked = alone.client._asked_at
    alone.client._look(asked + SUSPECT_S - 0.01)
    assert alone.client.resumed.is_set()
    alone.client._look(asked + SUSPECT_S + 0.01)
    assert not alone.client.resumed.is_set()


def test_it_asks_for_what_is_missing_before_the_end(alone: Alone) -> None:
    alone.tell({"ended": "closed", "last": 1}, RUNS[1])
    assert not alone.client.ended.is_set()
    alone.client._speak(0.0)
    alone.client._speak(1.0)
    assert {"want": [0, 1]} in alone.sent
    alone.resumed(0, LATER)
    alone.tell_all([[0, 1], [1, "alice", "hello"]], LATER)
    alone.tell({"ended": "closed", "last": 1}, LATER)
    assert alone.client.ended.is_set()
    assert [alone.client.events.get_nowait().get("n") for _ in range(2)] == [1, None]


def test_of_its_own_leaving_it_waits_for_no_more(alone: Alone) -> None:
    alone.tell({"ended": "left", "last": 1}, RUNS[1])
    assert alone.client.ended.is_set()
