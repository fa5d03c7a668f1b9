"""gateway/link/gathering.py"""

import pytest

from gateway.counters import Counters
from gateway.link.gathering import (
    BUSY_RATE,
    ENOUGH,
    GATHER_BUSY_S,
    GATHER_S,
    GATHER_TOGETHER_S,
    LOAD,
    TOGETHER_RATE,
    WINDOW_S,
    Gathering,
)
from tsudoi.protocol.backbone import Item
from tsudoi.protocol.codes import EntryKind


def items(count: int, rooms: int = 1_000, first: int = 0) -> list[Item]:
    """So many messages, each of the next room."""
    return [Item(EntryKind.SAID, (first + at) % rooms, 1, "", 0) for at in range(count)]


class Gateway:
    """Sends items as a gateway does, and delivers them."""

    def __init__(self, rooms: int = 1_000, room_size: float = 0.0) -> None:
        self.rooms, self.room_size = rooms, room_size
        self.counters = Counters()
        self.gathering = Gathering(self.counters)
        self.now = 100.0
        self.sent = 0

    def send(self, rate: float, seconds: float) -> float:
        """Send items at a rate, as many as have come since the last frame; return how long the next ones wait."""
        until, due = self.now + seconds, 0.0
        while self.now < until:
            self.now += self.gathering.wait_s
            due += rate * self.gathering.wait_s
            new = items(int(due), self.rooms, self.sent)
            due -= len(new)
            self.sent += len(new)
            self.counters.deliveries += round(len(new) * self.room_size)
            self.gathering.note(new, self.now)
        return self.gathering.wait_s


def test_items_wait_longer_above_the_rate_and_no_longer_below() -> None:
    gateway = Gateway()
    assert gateway.send(0.9 * BUSY_RATE, 1.0) == GATHER_S
    assert gateway.send(1.1 * BUSY_RATE, 0.2) == GATHER_BUSY_S
    assert gateway.send(0.9 * BUSY_RATE, 0.2) == GATHER_S


def test_the_longer_wait_fills_frames_and_is_not_kept_for_that() -> None:
    gateway = Gateway()
    gateway.send(2 * BUSY_RATE, 0.2)
    assert gateway.send(0.5 * BUSY_RATE, 0.2) == GATHER_S


def test_after_a_pause_items_wait_for_no_longer_than_at_rest() -> None:
    gateway = Gateway()
    gateway.send(10 * BUSY_RATE, 0.2)
    gateway.gathering.note(items(50), gateway.now + 1.0)
    assert gateway.gathering.wait_s == GATHER_S


def test_a_burst_after_a_pause_is_no_load() -> None:
    gathering = Gathering(Counters())
    gathering.note(items(500, rooms=1), 100.0)
    assert gathering.wait_s == GATHER_S


@pytest.mark.parametrize(("rooms", "room_size"), [(1, 100), (3, 100)])
def test_messages_of_a_room_wait_longest_where_many_come_together_under_load(rooms: int, room_size: float) -> None:
    gateway = Gateway(rooms, room_size)
    assert gateway.send(1.3 * TOGETHER_RATE * rooms, 1.0) == GATHER_TOGETHER_S


def test_messages_of_many_rooms_do_not_wait_for_those_of_the_same_room() -> None:
    # 4,000 messages a second in 200 rooms of five.
    assert Gateway(200, 5).send(0.9 * BUSY_RATE, 1.0) == GATHER_S


def test_messages_of_games_do_not_wait_however_many_there_are() -> None:
    """Ten players who each send 20 messages a second."""
    for games in (1, 7, 100):
        assert Gateway(games, 10).send(200.0 * games, 1.0) <= GATHER_BUSY_S


def test_few_deliveries_are_no_load() -> None:
    rate = 2.0 * TOGETHER_RATE
    assert Gateway(1, 0.8 * LOAD / rate).send(rate, 1.0) == GATHER_S


def test_a_member_that_catches_up_makes_no_other_wait() -> None:
    gateway = Gateway(1, 10)
    for _ in range(10):
        gateway.counters.deliveries += 10_000
        gateway.counters.to_one += 10_000
        assert gateway.send(1.3 * TOGETHER_RATE, 0.1) == GATHER_S


def test_a_slow_room_does_not_wait_however_large_it_is() -> None:
    assert Gateway(1, 1_000).send(0.5 * TOGETHER_RATE, 1.0) == GATHER_S


def test_a_room_that_becomes_slow_waits_no_more() -> None:
    gateway = Gateway(1, 100)
    gateway.send(1.3 * TOGETHER_RATE, 1.0)
    assert gateway.send(0.7 * TOGETHER_RATE, 4 * WINDOW_S) == GATHER_S


def test_the_faster_items_come_the_shorter_they_wait_for_enough_of_them() -> None:
    rate = 10_000
    assert Gateway(1, 100).send(rate, 1.0) == pytest.approx(ENOUGH / rate, rel=0.05)
    assert Gateway(1, 100).send(100 * rate, 1.0) == GATHER_BUSY_S
