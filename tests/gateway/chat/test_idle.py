"""gateway/chat/idle.py"""

import gc
import math
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.chat.idle import REMOVED_SLACK, SILENT_S, IdleWheel
from gateway.chat.members import Member, Members, Room, Stream
from gateway.sealed.link import SealedLink
from gateway.settings import Settings
from tests.support.fakes import a_grant, token_of
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import TCRP, TSUDOI_2


class Served(Members):
    """Members that are watched."""

    def __init__(self, idle_s: float = 100.0) -> None:
        super().__init__()
        self.settings = Settings(idle_timeout_s=idle_s)
        self.wheel = IdleWheel(self.settings, self.standstills)

    def add(self, member: Member) -> None:
        super().add(member)
        self.wheel.add(member)

    def remove(self, member: Member) -> None:
        super().remove(member)
        self.wheel.removed(len(self))


def a_member(members: "Served", number: int, now: float, dialect: Dialect = TCRP) -> Member:
    granted = a_grant(number)
    if granted.room not in members.rooms:
        members.rooms[granted.room] = Room.from_grant(granted)
    return Member.from_grant(granted, token_of(number), dialect, bytes(4), members.rooms[granted.room], now)


def test_a_silent_member_is_found_when_its_time_is_up() -> None:
    members = Served(5.0)
    member = a_member(members, 1, 10.0)
    members.add(member)
    assert list(members.wheel.over(14.9)) == []
    assert list(members.wheel.over(16.0)) == [member]


def test_a_member_is_found_though_nobody_looked_before() -> None:
    members = Served(0.5)
    member = a_member(members, 1, 10.0)
    members.add(member)
    assert list(members.wheel.over(500.0)) == [member]


def serve(member: Member, now: float) -> None:
    """Begin a run of a member of version 2."""
    member.seen = now
    member.sealed = cast(SealedLink, object())
    member.stream = cast(Stream, object())


def test_a_member_of_version_2_is_found_when_its_time_is_up() -> None:
    members = Served(100.0)
    member = a_member(members, 1, 0.0, TSUDOI_2)
    members.add(member)
    serve(member, 0.0)
    assert list(members.wheel.over(39.9)) == []
    assert list(members.wheel.over(41.0)) == [member]  # to be detached
    member.stream = None
    assert list(members.wheel.over(99.9)) == []
    assert list(members.wheel.over(101.0)) == [member]  # to leave
    assert list(members.wheel.over(500.0)) == []


def test_a_member_of_version_2_stays_while_it_is_served() -> None:
    members = Served(5.0)
    member = a_member(members, 1, 0.0, TSUDOI_2)
    members.add(member)
    serve(member, 0.0)
    assert list(members.wheel.over(39.0)) == []
    assert list(members.wheel.over(41.0)) == [member]
    member.stream = None
    assert list(members.wheel.over(42.0)) == [member]


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["serve", "hear", "nothing"])), max_size=30))
def test_a_silent_member_of_version_2_is_detached_in_time_whenever_it_began_to_be_served(
    steps: list[tuple[int, str]],
) -> None:
    members = Served(1e6)
    member = a_member(members, 1, 0.0, TSUDOI_2)
    members.add(member)
    now = 0
    for seconds_, what in steps:
        for _ in range(seconds_):
            now += 1
            for found in members.wheel.over(now):
                assert found.stream is not None
                assert now - found.seen >= SILENT_S
                found.stream = None
            assert member.stream is None or now - member.seen <= SILENT_S + 1
        if what == "serve" or (what == "hear" and member.stream is not None):
            serve(member, now)


def test_a_member_that_leaves_is_not_found() -> None:
    members = Served(5.0)
    member = a_member(members, 1, 10.0)
    members.add(member)
    member.leaving = True
    assert list(members.wheel.over(100.0)) == []


def test_removed_members_are_freed_before_their_time_out() -> None:
    members = Served()
    stays = a_member(members, 0, 0.0)
    members.add(stays)
    for number in range(1, 3 * REMOVED_SLACK):
        members.add(a_member(members, number, 0.0))
        members.remove(members.by_token[token_of(number)])
    kept = [each for each in gc.get_objects() if isinstance(each, Member) and each.room is stays.room]
    assert stays in kept
    assert len(kept) <= REMOVED_SLACK + 3
    assert list(members.wheel.over(500.0)) == [stays]


def test_clocks_may_stand_still_or_jump() -> None:
    members = Served(5.0)
    assert list(members.wheel.over(10.0)) == []
    member = a_member(members, 1, 10.0)
    members.add(member)
    for now in (10.0, 10.0, 12.0, 12.0):
        assert list(members.wheel.over(now)) == []
    assert list(members.wheel.over(100_000.0)) == [member]


def seconds(least: float, most: float) -> st.SearchStrategy[float]:
    """Times whose sums are exact: what is judged here is the second, not how floats are rounded."""
    return st.integers(int(least * 64), int(most * 64)).map(lambda number: number / 64)


@given(
    start=seconds(0, 1e6),
    idle_s=st.lists(seconds(0.5, 20), min_size=1, max_size=4),
    steps=st.lists(st.tuples(seconds(0.02, 3), st.sets(st.integers(0, 3))), min_size=1, max_size=60),
)
@example(
    start=10.0,
    idle_s=[10.0, 1.0],
    steps=[(0.0625, {0}), (0.5, {0}), *[(0.0625, {0})] * 4, (1.5, set()), *[(0.0625, {0})] * 3],
)
def test_members_are_found_within_a_second_after_their_time_and_never_before(
    start: float, idle_s: list[float], steps: list[tuple[float, set[int]]]
) -> None:
    """Also while the time-out changes, now and then."""
    members, now = Served(idle_s[0]), start
    there = {number: a_member(members, number, now) for number in range(4)}
    for member in there.values():
        members.add(member)
    changed_in = -1
    for turn, (step, touched) in enumerate(steps):
        before, now = now, now + step
        if members.settings.idle_timeout_s != idle_s[turn // 7 % len(idle_s)]:
            members.settings.idle_timeout_s = idle_s[turn // 7 % len(idle_s)]
            changed_in = math.floor(now)
        for found in list(members.wheel.over(now)):
            assert now - found.seen >= members.settings.idle_timeout_s
            del there[found.id]
            members.remove(found)
        for member in there.values():
            due = member.seen + members.settings.idle_timeout_s
            # Looked at once a step, so it may be late by what the last step was late, and a second.
            # In the second of a change a member may be left for the next one.
            assert now <= due or math.floor(now) == changed_in or math.floor(due) + 1 > math.floor(now), (before, due)
        for number in touched & set(there):
            there[number].seen = now


def test_a_shorter_time_out_holds_for_those_who_are_there() -> None:
    members = Served(100.0)
    member = a_member(members, 1, 10.0)
    members.add(member)
    assert list(members.wheel.over(20.0)) == []
    members.settings.idle_timeout_s = 2.0
    assert list(members.wheel.over(20.2)) == []
    assert list(members.wheel.over(21.1)) == [member]


def test_a_longer_time_out_holds_for_those_who_are_there() -> None:
    members = Served(5.0)
    member = a_member(members, 1, 10.0)
    members.add(member)
    members.settings.idle_timeout_s = 50.0
    assert list(members.wheel.over(59.9)) == []
    assert list(members.wheel.over(61.0)) == [member]
