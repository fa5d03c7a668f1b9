"""Doctored histories: each kind of violation by a member of version 2 is found."""

import copy
import dataclasses
from collections.abc import Callable

import pytest

from tests.chaos.evidence import Membership
from tests.chaos.history import Member, RoomLog
from tests.chaos.sealed_clients import SealedSeen
from tests.chaos.sealed_rules import judge
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind


def entry(offset: int, sender: str, text: str) -> Entry:
    return Entry(offset, EntryKind.SAID, len(sender), sender, text, 0, 0)


LOG = [entry(offset, "ann" if offset % 2 else "bob", f"<{offset % 2}/{offset}>") for offset in range(1, 9)]
ROOM = RoomLog(1, frozenset({1}), tuple(LOG))
ANN = Membership(Member(1, "ann", "tsudoi-2", "den", 0, False), [one for one in LOG if one.sender == "bob"], {}, None)


def good() -> SealedSeen:
    """What ann saw in a run without faults."""
    mine = [one for one in LOG if one.sender == "ann"]
    return SealedSeen(
        said={number: one.text for number, one in enumerate(mine, 1)},
        kept={number: one.offset for number, one in enumerate(mine, 1)},
        heard=[(one.offset, one.sender, one.text) for one in ANN.due],
    )


def found(seen: SealedSeen, room: RoomLog = ROOM, settled: bool = True, ends: Entry | None = None) -> list[str]:
    return [kind for kind, _ in judge(dataclasses.replace(ANN, ends=ends), seen, room, settled)]


def test_a_good_run_has_no_violation() -> None:
    assert found(good()) == []


@pytest.mark.parametrize(
    ("doctor", "kinds"),
    [
        (lambda seen: seen.heard.pop(1), ["lost"]),
        (lambda seen: seen.heard.pop(), ["lost"]),
        (lambda seen: seen.heard.insert(1, seen.heard[0]), ["doubled"]),
        (lambda seen: seen.heard.append((9, "bob", "<0/9>")), ["invented"]),
        (lambda seen: seen.heard.__setitem__(0, (2, "bob", "other")), ["altered"]),
        (lambda seen: seen.odd.append("Gap(1, 2)"), ["lost"]),
        (lambda seen: seen.repeated_nonces.append("00"), ["nonce"]),
        (lambda seen: seen.kept.__setitem__(5, None), ["lost"]),
        (lambda seen: seen.kept.__setitem__(1, 3), ["altered"]),
        (lambda seen: seen.kept.pop(2), ["not accepted"]),
        (lambda seen: seen.refused.append(2), ["altered"]),
    ],
)
def test_each_violation_is_found(doctor: Callable[[SealedSeen], object], kinds: list[str]) -> None:
    seen = copy.deepcopy(good())
    doctor(seen)
    assert found(seen) == kinds


def test_a_line_that_is_twice_in_the_log_is_found() -> None:
    twice = RoomLog(1, frozenset({1}), (*LOG, entry(9, "ann", LOG[0].text)))
    assert "doubled" in found(good(), twice)


def test_one_that_is_told_that_its_room_has_closed_has_heard_all_before() -> None:
    closed = Entry(9, EntryKind.CLOSED, 3, "bob", "", 0, 0)
    seen = good()
    assert found(seen, settled=False, ends=closed) == []
    seen.heard.pop()
    assert found(seen, settled=False, ends=closed) == []  # it was not told yet
    seen.ended = "1.000 RoomClosed(text='')"
    assert found(seen, settled=False, ends=closed) == ["lost"]


def test_one_that_left_need_not_have_heard_the_end() -> None:
    seen = good()
    seen.heard.pop()
    seen.kept.pop(4)
    assert found(seen, settled=False) == []
