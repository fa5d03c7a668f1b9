"""Let the periodic work of a machine's programs come together: a sleeping processor then wakes up once for all of it.

An idle service wakes up four times a second (benchmarks/RESULTS.md, row "nobody there").
"""


def until_next(period_s: float, now: float) -> float:
    """Return the seconds from `now`, on the monotonic clock, to a whole multiple of a period.

    It is the nearest one after half a period: a timer that fires a little early or late is not set for the same one
    again, and none is left out.
    """
    left = period_s - now % period_s
    return left if left > period_s / 2 else left + period_s
