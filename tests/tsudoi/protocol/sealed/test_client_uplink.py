"""tsudoi/protocol/sealed/client_uplink.py"""

from itertools import pairwise

from tsudoi.protocol.sealed.client_events import Kept
from tsudoi.protocol.sealed.client_uplink import AGAIN_S, ASK_AGAIN_S, ENTRY_S, MISSED_S, RIDE_S, RIDE_SIZE, Uplink


def sent(uplink: Uplink, now: float, round_trip_s: float = 0.3, *, is_lossless: bool = False) -> list[int | None]:
    return [line.number for line in uplink.due(now, round_trip_s, is_lossless=is_lossless)]


def times_sent(round_trip_s: float, *, is_lossless: bool = False) -> list[float]:
    """Return when a line goes that is alone, the first five times."""
    uplink, times = Uplink(), []
    uplink.add("hello", True, 0.0)
    for _ in range(5):
        now = uplink.deadline(None)
        assert now is not None
        assert sent(uplink, now, round_trip_s, is_lossless=is_lossless) == [1]
        times.append(round(now, 3))
    return times


def test_a_line_goes_three_times_more_before_it_waits_for_round_trips() -> None:
    assert times_sent(0.3) == [0.0, 0.12, 0.24, 0.36, 0.922]


def test_on_a_fast_network_a_line_goes_again_each_tenth_of_a_second() -> None:
    assert times_sent(0.02) == [0.0, 0.1, 0.2, 0.3, 0.45]


def test_by_tcp_a_line_goes_again_only_when_its_answer_is_late() -> None:
    assert times_sent(0.3, is_lossless=True) == [0.0, 0.375, 0.75, 1.125, 1.688]
    uplink = Uplink()
    for number in range(3):
        uplink.add(f"line {number}", True, number * 0.05)
        assert sent(uplink, number * 0.05, is_lossless=True) == [number + 1]


def test_lines_that_are_not_kept_go_with_the_next_ones() -> None:
    uplink = Uplink()
    for number in range(4):
        uplink.add(f"line {number}", True, number * 0.05)
        assert sent(uplink, number * 0.05) == [*range(1, number + 2)]
    uplink.keep(3, 0.16)
    uplink.add("line 4", True, 0.2)
    assert sent(uplink, 0.2) == [4, 5]


def test_a_line_that_has_just_gone_does_not_go_with_the_next_one() -> None:
    uplink = Uplink()
    uplink.add("one", True, 0.0)
    assert sent(uplink, 0.0) == [1]
    uplink.add("two", True, RIDE_S / 2)
    assert sent(uplink, RIDE_S / 2) == [2]


def test_long_lines_wait_for_their_own_time() -> None:
    uplink = Uplink()
    uplink.add("語" * (RIDE_SIZE // 3 + 1), True, 0.0)
    assert sent(uplink, 0.0) == [1]
    uplink.add("two", True, 0.05)
    assert sent(uplink, 0.05) == [2]


def test_the_entry_of_a_kept_line_is_asked_for_until_it_comes() -> None:
    uplink = Uplink()
    uplink.add("hello", True, 0.0)
    assert sent(uplink, 0.0) == [1]
    assert uplink.keep(1, 0.1)[0] == []
    asked, now = [], 0.1
    while (now := uplink.deadline(0.0) or 99.0) < 20.0:
        assert uplink.overdue(now, 0.0) == []
        assert uplink.misses_entry(now, 0.0)
        asked.append(now)
    assert asked[0] == 0.1 + MISSED_S
    assert [round(later - before, 6) for before, later in pairwise(asked)] == [ASK_AGAIN_S] * 19
    uplink.note_entry(1, 7)
    assert uplink.settled() == [Kept(1, 7)]


def test_an_entry_that_does_not_come_is_given_up() -> None:
    uplink = Uplink()
    uplink.add("hello", True, 0.0)
    assert sent(uplink, 0.0) == [1]
    uplink.keep(1, 0.1)
    assert uplink.overdue(ENTRY_S, 0.0) == []
    assert uplink.overdue(ENTRY_S + 0.1, 0.0) == [Kept(1, None)]


def three_lines(kept: int = 0) -> Uplink:
    uplink = Uplink()
    for text in ("one", "two", "three"):
        uplink.add(text, True, 0.0)
    assert sent(uplink, 0.0) == [1, 2, 3]
    uplink.keep(kept, 0.01)
    return uplink


def follows(uplink: Uplink, now: float) -> list[tuple[int | None, int | None]]:
    """Return the lines that are due, and which one each names as the one before it."""
    return [(line.number, line.after) for line in uplink.due(now, 0.3)]


def test_lines_follow_the_one_that_the_next_server_has_last() -> None:
    """One that has an older state has fewer; what it lacks is not said again, as it was kept."""
    uplink = three_lines(kept=2)
    uplink.resume(1, 0.02)
    assert follows(uplink, 0.02) == [(3, 1)]


def test_what_stands_behind_a_refused_line_goes_at_once_and_follows_the_one_before_it() -> None:
    uplink = three_lines()
    uplink.add("four", True, 0.0)
    uplink.refuse(2, False, "no", 0.01)
    assert follows(uplink, 0.01) == [(3, 1), (4, None)]
    uplink.refuse(3, True, "slower", 0.02)
    assert follows(uplink, 0.5) == []
    assert follows(uplink, 0.02 + AGAIN_S) == [(1, None), (3, 1), (4, None)]


def test_in_another_run_all_lines_begin_anew() -> None:
    uplink = three_lines()
    uplink.resume(0, 0.01)
    assert uplink.unkept_since is None
    assert sent(uplink, 0.01) == [1, 2, 3]
    assert uplink.unkept_since == 0.01
