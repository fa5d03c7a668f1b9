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


def test_a_whisper_is_heard_once_in_its_place_and_the_last_ones_may_be_on_their_way() -> None:
    whispers = [
        Entry(4, EntryKind.WHISPERED, 3, "bob", "psst", 3, 0),
        Entry(9, EntryKind.WHISPERED, 3, "bob", "so", 3, 0),
    ]
    log = [each for each in ANN.due if each.offset != 4]
    with_whispers = dataclasses.replace(ANN, due=log, whispers=whispers)

    def kinds(heard: list[tuple[int, str, str]]) -> list[str]:
        seen = good()
        seen.heard = heard
        return [kind for kind, _ in judge(with_whispers, seen, ROOM, True)]

    all_ = sorted((each.offset, each.sender, each.text) for each in log + whispers)
    assert kinds(all_) == kinds(all_[:-1]) == []
    assert kinds([each for each in all_ if each[2] != "psst"]) == ["lost"]
    assert kinds([*all_, all_[-1]]) == ["invented"]


def test_an_own_whisper_that_is_twice_in_the_log_is_found() -> None:
    mine = [Entry(offset, EntryKind.WHISPERED, 3, "ann", "psst", 4, 0) for offset in (9, 10)]
    seen = good()
    seen.heard += [(each.offset, each.sender, each.text) for each in mine]
    assert [kind for kind, _ in judge(dataclasses.replace(ANN, whispers=mine), seen, ROOM, True)] == ["doubled"]


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
