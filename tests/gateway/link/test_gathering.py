"""gateway/link/gathering.py"""

from gateway.link.gathering import BUSY_RATE, GATHER_BUSY_S, GATHER_S, Gathering


def send(gathering: Gathering, rate: float, seconds: float, now: float = 100.0) -> float:
    """Send items at a rate as a gateway does, as many as have come since the last frame; return when that ends."""
    until, sent = now + seconds, 0.0
    while now < until:
        now += gathering.wait_s
        items = rate * gathering.wait_s
        sent += items % 1
        gathering.note(int(items) + int(sent), now)
        sent %= 1
    return now


def test_items_wait_longer_above_the_rate_and_no_longer_below() -> None:
    gathering = Gathering()
    now = send(gathering, 0.9 * BUSY_RATE, 1.0)
    assert gathering.wait_s == GATHER_S
    now = send(gathering, 1.1 * BUSY_RATE, 0.2, now)
    assert gathering.wait_s == GATHER_BUSY_S
    send(gathering, 0.9 * BUSY_RATE, 0.2, now)
    assert gathering.wait_s == GATHER_S


def test_the_longer_wait_fills_frames_and_is_not_kept_for_that() -> None:
    gathering = Gathering()
    now = send(gathering, 2 * BUSY_RATE, 0.2)
    send(gathering, 0.5 * BUSY_RATE, 0.2, now)
    assert gathering.wait_s == GATHER_S


def test_after_a_pause_items_wait_for_no_longer_than_at_rest() -> None:
    gathering = Gathering()
    now = send(gathering, 10 * BUSY_RATE, 0.2)
    gathering.note(50, now + 1.0)
    assert gathering.wait_s == GATHER_S


def test_a_burst_after_a_pause_is_no_load() -> None:
    gathering = Gathering()
    gathering.note(500, 100.0)
    assert gathering.wait_s == GATHER_S
