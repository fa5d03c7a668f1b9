"""broker/admin/samples.py"""

from broker.admin.samples import BUCKETS, EVERY_S, KEPT, Samples, merged_samples
from broker.turn import Moment
from tsudoi.protocol.backbone import Measured
from tsudoi.protocol.backbone.admin_frames import Sample, Standing, Watched

ONE, OTHER = "one/1", "other/1"


def at(now: float) -> Moment:
    return Moment(now, int(now * 1000))


def report(at_s: float, deliveries: int = 0, dropped: int = 0, canaries: int = 0, lost: int = 0) -> Measured:
    return Measured(int(at_s * 1000), deliveries, dropped, [0] * BUCKETS, [canaries] + [0] * (BUCKETS - 1), lost)


def taken(*reports: dict[str, Measured], entries: tuple[int, ...] = ()) -> list[Sample]:
    samples = Samples()
    for number, each in enumerate(reports):
        samples.take(at(10.0 + 2 * number), entries[number] if entries else 0, 1, 2, each)
    return samples.after(0)


def test_there_is_nothing_before_there_is_something_to_compare_with() -> None:
    samples = Samples()
    assert samples.is_due(0.0)
    samples.take(at(10.0), 500, 1, 2, {ONE: report(3.0, 700)})
    assert samples.after(0) == []
    assert not samples.is_due(10.0 + EVERY_S / 2)
    assert samples.is_due(10.0 + EVERY_S)


def test_entries_are_counted_by_the_brokers_clock() -> None:
    assert [each.entries_s for each in taken({}, {}, {}, entries=(100, 140, 140))] == [20.0, 0.0]


def test_rates_of_a_gateway_are_by_its_own_clock_however_many_reports_have_come() -> None:
    """It delivers 100 a second; of its reports, each a second, one or three come between two samples."""
    reports = [report(second, 100 * second) for second in (1, 2, 5, 6)]
    assert [each.deliveries_s for each in taken(*({ONE: each} for each in reports))] == [100.0] * 3


def test_without_a_new_report_the_rate_stays_and_nothing_is_counted_twice() -> None:
    first, second = report(1), report(3, deliveries=20, dropped=4, canaries=8, lost=1)
    told = taken({ONE: first}, {ONE: second}, {ONE: second})
    assert [each.deliveries_s for each in told] == [10.0, 10.0]
    assert [each.drops_s for each in told] == [2.0, 2.0]
    assert [sum(each.canaries) for each in told] == [8, 0]
    assert [each.lost_canaries for each in told] == [1, 0]


def test_gateways_are_added_and_those_that_are_gone_count_no_more() -> None:
    told = taken(
        {ONE: report(1), OTHER: report(50, 7_000)},
        {ONE: report(3, 20), OTHER: report(52, 7_010)},
        {OTHER: report(54, 7_010)},
        {ONE: report(7, 900), OTHER: report(56, 7_020)},
    )
    # What one did while it was away belongs to no sample.
    assert [each.deliveries_s for each in told] == [15.0, 0.0, 5.0]


def test_buckets_of_another_number_count_for_nothing() -> None:
    strange = [Measured(at_ms, 0, 0, [at_ms], [at_ms] * 64, 0) for at_ms in (1_000, 3_000)]
    (sample,) = taken({ONE: strange[0]}, {ONE: strange[1]})
    assert sample.accepted == sample.canaries == [0] * BUCKETS


def test_ten_minutes_are_kept() -> None:
    samples = Samples()
    for number in range(KEPT + 10):
        samples.take(at(10.0 + 2 * number), 0, 0, 0, {})
    kept = samples.after(0)
    assert len(kept) == KEPT
    assert [each.at_ms for each in samples.after(kept[-3].at_ms)] == [each.at_ms for each in kept[-2:]]


def watched(offset_ms: int, rooms: int, deliveries_s: float, slots: range) -> Watched:
    samples = [Sample(2_000 * slot + offset_ms, rooms, 1, 2.0, deliveries_s, 0.0, [], [], 0) for slot in slots]
    return Watched(samples, 2_000, [], [Standing(f"tcp://{rooms}", 0, "", "database", True, 1, 2)])


def test_samples_of_several_brokers_are_added_at_about_the_same_time() -> None:
    """Each gateway reports to all brokers: what it reports is counted once."""
    merged = merged_samples([watched(100, 3, 50.0, range(5, 9)), watched(1_900, 4, 50.0, range(5, 8))])
    assert [each.rooms for each in merged.samples] == [7] * 4
    assert [each.entries_s for each in merged.samples] == [4.0] * 4
    assert [each.deliveries_s for each in merged.samples] == [50.0] * 4
    assert [each.endpoint for each in merged.brokers] == ["tcp://3", "tcp://4"]
