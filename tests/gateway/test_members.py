"""gateway/members.py"""

import gc
import math
import unicodedata
from types import SimpleNamespace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.members import WHEEL_SLACK, Member, Members, Room, Voice, own_prefixes, without_own_name
from tests.support.fakes import FakeRecipients, a_grant, address_of, token_of
from tsudoi.protocol.client.dialects import TCRP


def a_member(members: Members, number: int, now: float, idle_s: float = 100.0, room: int = 1) -> Member:
    granted = a_grant(number, room=room, idle_s=idle_s)
    if room not in members.rooms:
        members.rooms[room] = Room(granted)
    return Member(granted, token_of(number), TCRP, bytes(4), members.rooms[room], now)


def test_a_member_is_found_by_its_token_until_it_is_removed() -> None:
    members = Members()
    member = a_member(members, 1, 0.0)
    members.add(member)
    assert members.by_token == {token_of(1): member}
    assert member.room.members == {1: member}
    members.remove(member)
    assert members.by_token == {}
    assert member.room.members == {}
    members.remove(member)


def test_removing_a_member_twice_leaves_another_with_its_token_alone() -> None:
    members = Members()
    old, new = a_member(members, 1, 0.0), a_member(members, 1, 0.0)
    members.add(old)
    members.add(new)
    members.remove(old)
    assert members.by_token == {token_of(1): new}


def test_an_adopted_member_is_known_by_its_token_from_when_it_is_shown() -> None:
    members = Members()
    member = a_member(members, 1, 0.0)
    member.token = b""
    members.add_adopted(member, b"hash")
    assert members.by_token == {}
    assert not members.claim_adopted(b"another", token_of(1))
    assert members.claim_adopted(b"hash", token_of(1))
    assert members.by_token == {token_of(1): member}
    assert not members.claim_adopted(b"hash", token_of(1))


def test_an_adopted_member_that_is_gone_can_not_be_claimed() -> None:
    members = Members()
    member = a_member(members, 1, 0.0)
    members.add_adopted(member, b"hash")
    members.remove(member)
    assert not members.claim_adopted(b"hash", token_of(1))


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("alice", {"alice: ", "alice : "}),
        ("alice#2", {"alice#2: ", "alice#2 : ", "alice: ", "alice : "}),
        ("a#b", {"a#b: ", "a#b : "}),
    ],
)
def test_a_client_may_write_its_name_as_assigned_and_as_wished(name: str, own: set[str]) -> None:
    assert set(Voice(name).own_prefixes) == own


def test_what_no_name_can_be_is_not_brought_into_normal_form(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        lengths.append(len(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr("gateway.members.unicodedata", SimpleNamespace(normalize=normalize))
    own = own_prefixes("が" * 85)
    assert without_own_name("か\u3099" * 85 + ": hello", own) == "hello"
    marks = "a" + "\u0315\u0300" * 1_000
    assert without_own_name(f"{marks}: hello", own) == f"{marks}: hello"
    assert max(lengths) < 1_000


# --- the idle wheel -----------------------------------------------------------------------------------------------


def test_a_silent_member_is_found_when_its_time_is_up() -> None:
    members = Members()
    member = a_member(members, 1, 10.0, idle_s=5.0)
    members.add(member)
    assert list(members.idle(14.9)) == []
    assert list(members.idle(16.0)) == [member]


def test_a_member_is_found_though_nobody_looked_before() -> None:
    members = Members()
    member = a_member(members, 1, 10.0, idle_s=0.5)
    members.add(member)
    assert list(members.idle(500.0)) == [member]


def test_a_member_that_leaves_is_not_found() -> None:
    members = Members()
    member = a_member(members, 1, 10.0, idle_s=5.0)
    members.add(member)
    member.leaving = True
    assert list(members.idle(100.0)) == []


def test_those_who_went_are_let_go_of_before_their_time_would_be_up() -> None:
    members = Members()
    stays = a_member(members, 0, 0.0)
    members.add(stays)
    for number in range(1, 3 * WHEEL_SLACK):
        members.add(a_member(members, number, 0.0))
        members.remove(members.by_token[token_of(number)])
    kept = [each for each in gc.get_objects() if isinstance(each, Member) and each.room is stays.room]
    assert stays in kept
    assert len(kept) <= WHEEL_SLACK + 3
    assert list(members.idle(500.0)) == [stays]


def test_clocks_may_stand_still_or_jump() -> None:
    members = Members()
    assert list(members.idle(10.0)) == []
    member = a_member(members, 1, 10.0, idle_s=5.0)
    members.add(member)
    for now in (10.0, 10.0, 12.0, 12.0):
        assert list(members.idle(now)) == []
    assert list(members.idle(100_000.0)) == [member]


@given(
    start=st.floats(0, 1e6),
    idle_s=st.lists(st.floats(0.5, 20), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.floats(0.01, 3), st.sets(st.integers(0, 3))), min_size=1, max_size=60),
)
def test_members_are_found_within_a_second_after_their_time_and_never_before(
    start: float, idle_s: list[float], steps: list[tuple[float, set[int]]]
) -> None:
    members, now = Members(), start
    there = {number: a_member(members, number, now, limit) for number, limit in enumerate(idle_s)}
    for member in there.values():
        members.add(member)
    for step, touched in steps:
        before, now = now, now + step
        for found in list(members.idle(now)):
            assert now - found.seen >= found.idle_s
            del there[found.id]
            members.remove(found)
        for member in there.values():
            due = member.seen + member.idle_s
            # Looked at once a step, so it may be late by what the last step was late, and a second.
            assert now <= due or math.floor(due) + 1 > math.floor(now), (before, now, due)
        for number in touched & set(there):
            there[number].seen = now


# --- recipients ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 9), max_size=60))
def test_fake_recipients_keep_slots_without_holes(numbers: list[int]) -> None:
    members, group = Members(), FakeRecipients()
    inside: dict[int, Member] = {}
    for number in numbers:
        if number in inside:
            group.remove(inside.pop(number))
        else:
            inside[number] = a_member(members, number, 0.0)
            group.add(inside[number], address_of(number))
        assert sorted(member.slot for member in inside.values()) == list(range(len(group)))
        assert all(group.address_in(member.slot) == address_of(number) for number, member in inside.items())
