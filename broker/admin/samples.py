"""Take samples of what happens, and keep those of the last minutes for operators.

Rates of gateways come from their reports (`backbone.Measured`), each by the gateway's own clock, so it is not important
how many reports fall between two samples.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from tsudoi.ops.histogram import SECONDS
from tsudoi.protocol.backbone import Measured
from tsudoi.protocol.backbone.admin_frames import Sample, Watched

from ..turn import Moment

EVERY_S = 2.0
KEPT = 300
"""Samples: ten minutes."""
BUCKETS = len(SECONDS) + 1


@dataclass(slots=True)
class _Reporter:
    """A gateway that reports."""

    newest: Measured
    """Its last report."""
    counted: Measured
    """The report that the sample before this one ended with."""
    rates: tuple[float, float] = (0.0, 0.0)
    """Deliveries and drops a second in the last sample that had a report."""


class Samples:
    """Samples of one broker, the oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Sample] = deque(maxlen=KEPT)
        self._reporters: dict[str, _Reporter] = {}
        self._taken_at = float("-inf")
        self._entries = 0

    def after(self, at_ms: int) -> list[Sample]:
        return [sample for sample in self._kept if sample.at_ms > at_ms]

    def is_due(self, now: float) -> bool:
        return now - self._taken_at >= EVERY_S

    def take(self, moment: Moment, entries: int, rooms: int, members: int, reports: Mapping[str, Measured]) -> None:
        """Take a sample.

        Args:
            moment: of this sample.
            entries: appended to logs since the broker started.
            rooms: there are now.
            members: there are now.
            reports: gateway instance → its last report, of the gateways that are there.
        """
        passed_s, self._taken_at = moment.now - self._taken_at, moment.now
        appended, self._entries = entries - self._entries, entries
        self._take_reports(reports)
        accepted, canaries, lost, deliveries_s, drops_s = [0] * BUCKETS, [0] * BUCKETS, 0, 0.0, 0.0
        for reporter in self._reporters.values():
            before, now = reporter.counted, reporter.newest
            if now.at_ms > before.at_ms:
                seconds = (now.at_ms - before.at_ms) / 1000
                reporter.rates = (
                    max(now.deliveries - before.deliveries, 0) / seconds,
                    max(now.dropped - before.dropped, 0) / seconds,
                )
                _add(accepted, before.accepted, now.accepted)
                _add(canaries, before.canaries, now.canaries)
                lost += max(now.lost_canaries - before.lost_canaries, 0)
                reporter.counted = now
            deliveries_s += reporter.rates[0]
            drops_s += reporter.rates[1]
        if passed_s == float("inf"):
            return  # the first one: there is nothing to compare with
        entries_s = max(appended, 0) / passed_s
        self._kept.append(
            Sample(moment.wall_ms, rooms, members, entries_s, deliveries_s, drops_s, accepted, canaries, lost)
        )

    def _take_reports(self, reports: Mapping[str, Measured]) -> None:
        """Note the reports, and forget the gateways that are gone or cut off."""
        for instance in self._reporters.keys() - reports.keys():
            del self._reporters[instance]
        for instance, report in reports.items():
            if (reporter := self._reporters.get(instance)) is not None:
                reporter.newest = report
            else:
                # What it counted before this broker heard of it belongs to no sample.
                self._reporters[instance] = _Reporter(report, report)


def _add(sums: list[int], before: list[int], now: list[int]) -> None:
    """Add what has come into each bucket between two reports; a gateway with other buckets counts for nothing."""
    if len(before) == len(now) == len(sums):
        for bucket, (old, new) in enumerate(zip(before, now, strict=True)):
            sums[bucket] += max(new - old, 0)


def merged_samples(answers: Sequence[Watched]) -> Watched:
    """Put the answers of brokers that share a store together; the first one is that of the broker that was asked first.

    Rooms, members and entries are the sum of those of all brokers at about the same time. What gateways report is that
    of the first broker, since each gateway reports to all.
    """
    first, *others = answers
    slots = [{sample.at_ms // first.every_ms: sample for sample in answer.samples} for answer in others]
    samples = []
    for sample in first.samples:
        slot = sample.at_ms // first.every_ms
        # Of about the same moment, which may fall into the slot beside.
        beside = [found.get(slot) or found.get(slot - 1) or found.get(slot + 1) for found in slots]
        same = [sample, *filter(None, beside)]
        rooms, members = sum(each.rooms for each in same), sum(each.members for each in same)
        samples.append(replace(sample, rooms=rooms, members=members, entries_s=sum(each.entries_s for each in same)))
    return Watched(samples, first.every_ms, first.bounds, [each for answer in answers for each in answer.brokers])
