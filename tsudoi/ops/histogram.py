"""Count times in buckets, for histograms of the metrics endpoint and samples for operators."""

from bisect import bisect_left

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Histogram:
    """Counts of times up to each bound of `SECONDS`, and of those above the last one."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.total = 0.0
        """Sum of all values."""

    def note(self, value: float) -> None:
        self.counts[bisect_left(SECONDS, value)] += 1
        self.total += value
