"""What the second client says behind a refused line, and while it resumes: PROTOCOL.md, "Up: kept, once"."""

import pytest

from tests.second_client.alone import RUNS, Alone
from tests.second_client.session import Line, Refused


@pytest.fixture
def alone() -> Alone:
    made = Alone()
    made.resumed(0)
    return made


async def test_a_line_goes_on_naming_the_line_before_a_refused_one_in_another_run(alone: Alone) -> None:
    _, two, _ = await alone.say("one", "two", "three")
    alone.tell({"refused": 2, "text": "no"})
    assert alone.follows() == [(1, 0), (3, 1)]
    with pytest.raises(Refused):
        await two
    alone.resumed(0, RUNS[1])
    assert alone.follows() == [(1, 0), (3, 1)]


async def test_a_new_line_names_the_line_before_a_refused_one(alone: Alone) -> None:
    await alone.say("one", "two")
    alone.tell({"refused": 2, "text": "no"})
    await alone.say("three")
    assert alone.follows() == [(1, 0), (3, 1)]


@pytest.mark.parametrize("line", [{"kept": 1}, {"refused": 1, "text": "no"}])
async def test_no_line_is_kept_or_refused_until_the_client_is_resumed(alone: Alone, line: Line) -> None:
    await alone.say("one", "two")
    alone.client._begin_to_resume(0.0)
    alone.tell(line)
    alone.resumed(0, RUNS[1])
    assert alone.follows() == [(1, 0), (2, 1)]
