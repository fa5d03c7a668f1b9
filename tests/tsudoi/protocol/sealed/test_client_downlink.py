"""tsudoi/protocol/sealed/client_downlink.py"""

from tsudoi.protocol.sealed.client_downlink import DownEvent, Downlink, Range
from tsudoi.protocol.sealed.client_events import Delivered, Gap, Reset


def take(down: Downlink, after: int, *offsets: int) -> list[DownEvent]:
    """Take a body with these entries; it covers the offsets up to the last one."""
    body = Range(after, max(offsets))
    body.entries = entries(*offsets)
    return down.take(body, 0.0, 0.1)


def entries(*offsets: int) -> list[Delivered]:
    return [Delivered(offset, b"%d" % offset) for offset in offsets]


def test_what_is_behind_a_hole_is_held_and_each_entry_comes_once() -> None:
    down = Downlink(1, 0)
    assert take(down, 2, 3) == []
    assert take(down, 2, 4, 3, 3) == []
    assert take(down, 2, 3) == []
    assert take(down, 0, 1, 2) == entries(1, 2, 3, 4)
    assert take(down, 0, 1, 2) == []
    assert take(down, 0, 1, 4, 5) == entries(5)
    assert down.deadline() is None


def test_what_the_log_does_not_have_any_more_is_a_gap_and_what_is_held_is_not() -> None:
    down = Downlink(1, 0)
    take(down, 2, 3)
    take(down, 5, 6)
    assert down.resume("gap", 1, 5, 0.0, 0.1) == [Gap(1, 2), *entries(3), Gap(4, 5), *entries(6)]


def test_after_a_reset_nothing_of_the_epoch_before_comes_or_lacks() -> None:
    down = Downlink(1, 0)
    take(down, 4, 5)
    take(down, 6, 7)
    assert down.resume("reset", 2, 5, 0.0, 0.1) == [Reset()]
    assert down.deadline() is None
    assert take(down, 5, 6) == entries(6)
    assert down.deadline() is None


def test_holes_are_asked_for_side_by_side() -> None:
    """One by one they came as fast as they were filled, at a loss of a tenth."""
    down = Downlink(1, 0)
    for offset in range(2, 8, 2):
        take(down, offset - 1, offset)
    now = down.deadline()
    assert now is not None
    assert down.wants(now, 0.1) == [(0, 1), (2, 3), (4, 5)]
    assert down.wants(now, 0.1) == []
