"""tests/soak/fit.py"""

from tests.soak.fit import trend

TIMES = list(range(0, 600, 5))


def test_what_stays_is_flat() -> None:
    assert trend(TIMES, [50.0 + (at % 3) for at in TIMES]).is_flat


def test_a_warm_up_is_not_held_against_it() -> None:
    assert trend(TIMES, [min(20.0 + at, 100.0) for at in TIMES]).is_flat


def test_a_leak_is_seen() -> None:
    found = trend(TIMES, [50.0 + at / 60 for at in TIMES])
    assert not found.is_flat
    assert 6.0 < found.grew < 7.0


def test_what_shrinks_is_flat() -> None:
    assert trend(TIMES, [100.0 - at / 60 for at in TIMES]).is_flat
