"""Is a series of samples flat?"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression

WARM_UP = 1 / 3
"""The part of a run that is not judged: caches fill, a file reaches its working size."""
MAY_GROW = 0.03
"""What a straight line through the rest may gain over its length, of its mean, and still count as flat."""
MAY_GROW_MIB = 2.0
"""Or so much, whichever is more: allocators take memory in steps."""


@dataclass(frozen=True, slots=True)
class Trend:
    """What a series did after its warm-up; sizes in MiB."""

    first: float
    last: float
    least: float
    most: float
    mean: float
    grew: float
    """By the straight line, from the first judged sample to the last."""

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow, as far as that can be told."""
        return self.grew <= max(MAY_GROW * self.mean, MAY_GROW_MIB)


def trend(times: Sequence[float], sizes: Sequence[float]) -> Trend:
    """Return what a series did; it has three samples or more.

    Args:
        times: in seconds, rising.
        sizes: in MiB, one a time.
    """
    judged = [at for at in range(len(times)) if times[at] >= times[0] + (times[-1] - times[0]) * WARM_UP]
    when, what = [times[at] for at in judged], [sizes[at] for at in judged]
    slope = linear_regression(when, what).slope
    return Trend(sizes[0], sizes[-1], min(what), max(what), fmean(what), slope * (when[-1] - when[0]))
