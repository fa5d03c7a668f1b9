"""gateway/link/publisher.py"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.link.publisher import FRAMES_OUTSTANDING, LINES_A_FRAME, RESEND_S, Publisher
from tsudoi.protocol.backbone import Item, Publish
from tsudoi.protocol.codes import EntryKind


def said(text: object) -> Item:
    return Item(EntryKind.SAID, 1, 2, str(text), 0)


def texts(frames: list[Publish]) -> list[tuple[int, list[str]]]:
    return [(frame.first, [item.text for item in frame.items]) for frame in frames]


def state(publisher: Publisher) -> str:
    return f"{'waiting' if publisher.waiting else 'sent'}, {'outstanding' if publisher._frames else 'idle'}"


@pytest.fixture
def publisher() -> Publisher:
    """One that the broker knows, with nothing to say."""
    publisher = Publisher(100_000)
    publisher.welcome(0, 0.0)
    return publisher


def test_nothing_is_sent_before_the_broker_knows_us() -> None:
    publisher = Publisher(10)
    assert publisher.add(said("a"))
    assert publisher.frames(0.0) == []
    publisher.welcome(0, 0.0)
    assert texts(publisher.frames(0.0)) == [(1, ["a"])]


def test_items_are_numbered_and_sent_once(publisher: Publisher) -> None:
    publisher.add(said("a"))
    publisher.add(said("b"))
    assert state(publisher) == "waiting, idle"
    assert texts(publisher.frames(0.0)) == [(1, ["a", "b"])]
    assert state(publisher) == "sent, outstanding"
    assert publisher.frames(0.1) == []
    publisher.add(said("c"))
    assert state(publisher) == "waiting, outstanding"
    assert texts(publisher.frames(0.2)) == [(3, ["c"])]


def test_accepted_items_are_forgotten(publisher: Publisher) -> None:
    for text in "abc":
        publisher.add(said(text))
        publisher.frames(0.0)
    publisher.accept(2, 0.1)
    assert len(publisher) == 1
    assert state(publisher) == "sent, outstanding"
    publisher.accept(2, 0.1)
    publisher.accept(3, 0.1)
    assert len(publisher) == 0
    assert state(publisher) == "sent, idle"
    assert publisher.frames(99.0) == []
    assert publisher.resent == 0


def test_a_frame_has_a_bound_and_so_have_frames_outstanding(publisher: Publisher) -> None:
    total = LINES_A_FRAME * FRAMES_OUTSTANDING + 1
    for number in range(1, total + 1):
        publisher.add(said(number))
    frames = publisher.frames(0.0)
    assert [frame.first for frame in frames] == list(range(1, total, LINES_A_FRAME))
    assert {len(frame.items) for frame in frames} == {LINES_A_FRAME}
    assert publisher.waiting
    assert publisher.frames(0.1) == []
    # Half a frame accepted opens nothing; a whole one does.
    publisher.accept(LINES_A_FRAME // 2, 0.2)
    assert publisher.frames(0.2) == []
    publisher.accept(LINES_A_FRAME, 0.3)
    assert texts(publisher.frames(0.3)) == [(total, [str(total)])]


def lines(*texts: str) -> Item:
    return Item(EntryKind.SAID, 1, 2, texts[0], 1, 0, texts[1:])


def test_the_bounds_count_the_lines_of_items() -> None:
    publisher = Publisher(5)
    assert [publisher.add(lines("a", "b", "c")) for _ in range(3)] == [True, True, False]
    assert (len(publisher), publisher.lines) == (2, 6)
    publisher.welcome(0, 0.0)
    publisher.frames(0.0)
    publisher.accept(1, 0.0)
    assert publisher.lines == 3
    publisher.take_back()
    assert publisher.lines == 0


def test_a_frame_takes_no_item_when_it_has_enough_lines(publisher: Publisher) -> None:
    for _ in range(LINES_A_FRAME):
        publisher.add(lines(*"abcdefg"))
    assert {len(frame.items) for frame in publisher.frames(0.0)[:-1]} == {-(-LINES_A_FRAME // 7)}


def test_a_full_window_refuses_talk() -> None:
    publisher = Publisher(2)
    assert [publisher.add(said(text)) for text in "abcd"] == [True, True, False, False]
    assert len(publisher) == 2
    publisher.welcome(0, 0.0)
    publisher.frames(0.0)
    publisher.accept(1, 0.0)
    assert publisher.add(said("e"))
    assert texts(publisher.frames(0.0)) == [(3, ["e"])]


def test_a_full_window_takes_what_is_not_said() -> None:
    publisher = Publisher(0)
    assert not publisher.add(said("a"))
    for kind in (EntryKind.LEFT, EntryKind.ADDRESSED, EntryKind.RELEASED):
        assert publisher.add(Item(kind, 1, 2, "", 0))
    assert len(publisher) == 3


def test_items_that_are_not_accepted_in_time_are_sent_again(publisher: Publisher) -> None:
    publisher.add(said("a"))
    publisher.add(said("b"))
    publisher.frames(10.0)
    publisher.add(said("c"))
    publisher.frames(10.5)
    assert publisher.frames(10.0 + RESEND_S) == []
    # All in one frame now: what was cut in two before need not be again.
    assert texts(publisher.frames(10.1 + RESEND_S)) == [(1, ["a", "b", "c"])]
    assert publisher.resent == 3
    assert publisher.frames(10.2 + RESEND_S) == []
    # An answer to the first of them counts all the same.
    publisher.accept(2, 10.3 + RESEND_S)
    assert len(publisher) == 1
    assert state(publisher) == "sent, outstanding"
    publisher.accept(3, 10.3 + RESEND_S)
    assert state(publisher) == "sent, idle"


def test_progress_puts_sending_again_off(publisher: Publisher) -> None:
    for text in "abc":
        publisher.add(said(text))
        publisher.frames(0.0)
    publisher.accept(1, 0.9)
    assert publisher.frames(1.5) == []
    publisher.accept(2, 1.8)
    assert publisher.frames(2.7) == []
    assert texts(publisher.frames(2.9)) == [(3, ["c"])]


def test_a_long_pause_is_no_reason_to_send_again(publisher: Publisher) -> None:
    publisher.add(said("a"))
    publisher.frames(0.0)
    publisher.accept(1, 0.1)
    publisher.add(said("b"))
    assert texts(publisher.frames(500.0)) == [(2, ["b"])]
    assert publisher.frames(500.9) == []


def test_a_welcome_starts_over_after_what_the_broker_has(publisher: Publisher) -> None:
    for text in "abcd":
        publisher.add(said(text))
    publisher.frames(0.0)
    publisher.welcome(2, 0.1)
    assert texts(publisher.frames(0.1)) == [(3, ["c", "d"])]
    assert publisher.resent == 2


def test_a_welcome_that_crossed_with_items_changes_nothing(publisher: Publisher) -> None:
    """The broker answers each of several Hellos; the last Welcome comes after it has accepted what the first let go."""
    publisher.add(said("a"))
    assert texts(publisher.frames(0.0)) == [(1, ["a"])]
    publisher.welcome(0, 0.1)
    publisher.welcome(1, 0.1)
    assert len(publisher) == 0
    publisher.add(said("b"))
    assert texts(publisher.frames(0.2)) == [(2, ["b"])]


def test_a_broker_that_has_forgotten_us_is_given_new_numbers(publisher: Publisher) -> None:
    for text in "abc":
        publisher.add(said(text))
    publisher.frames(0.0)
    publisher.accept(2, 0.0)
    publisher.welcome(0, 5.0)
    assert texts(publisher.frames(5.0)) == [(1, ["c"])]
    publisher.accept(1, 5.0)
    assert len(publisher) == 0
    publisher.add(said("d"))
    assert texts(publisher.frames(5.0)) == [(2, ["d"])]


def test_a_broker_that_knows_more_than_we_is_believed() -> None:
    publisher = Publisher(10)
    publisher.welcome(7, 0.0)
    publisher.add(said("a"))
    assert texts(publisher.frames(0.0)) == [(8, ["a"])]
    publisher.accept(8, 0.0)
    assert len(publisher) == 0


@given(seed=st.integers(0, 2**32), size=st.integers(1, 300), loss=st.sampled_from([0.0, 0.1, 0.6]))
def test_each_item_is_taken_once_and_in_order_whatever_is_lost(seed: int, size: int, loss: float) -> None:
    dice = random.Random(seed)
    publisher, now = Publisher(10**6), 0.0
    taken: list[int] = []
    to_add = list(range(size))
    rounds = 0
    while len(taken) < size or len(publisher):
        rounds += 1
        assert rounds < 50_000
        now += dice.choice([0.0001, 0.01, 0.6])
        if dice.random() < 0.02 or rounds == 1:
            publisher.close()
            publisher.welcome(len(taken), now)
        for _ in range(min(len(to_add), dice.choice([0, 1, 40]))):
            publisher.add(said(to_add.pop(0)))
        for frame in publisher.frames(now):
            if dice.random() < loss:
                continue
            # What the broker does: passes over what it has, and what does not follow on that.
            known = len(taken) - frame.first + 1
            if known >= 0:
                taken += [int(item.text) for item in frame.items[known:]]
            if dice.random() >= loss:
                publisher.accept(len(taken), now)
    assert taken == list(range(size))
    assert state(publisher) == "sent, idle"
