"""Doctored histories: each kind of violation in a room of commands is found."""

import copy
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs

from tests.chaos.command_clients import Asked, Stay
from tests.chaos.command_plan import HOSTS, draw_commands
from tests.chaos.command_rules import _row, judge_room, judge_stay
from tests.chaos.history import Outage, RoomLog
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason

ANN, BOB, EVE = 1, 2, 3
NAMES = {ANN: "ann", BOB: "bob", EVE: "eve"}


def entry(kind: EntryKind, member: int, text: str = "", code: int = 0, by: int = 0, by_name: str = "") -> Entry:
    return Entry(0, kind, member, NAMES[member], text, code, 0, by, by_name or NAMES.get(by, ""))


ENTRIES = (
    entry(EntryKind.JOINED, ANN),
    entry(EntryKind.JOINED, BOB),
    entry(EntryKind.JOINED, EVE),
    entry(EntryKind.TOPIC, ANN, "<1.1>"),
    entry(EntryKind.SAID, BOB, "<2.1>", 1),
    entry(EntryKind.ANSWERED, BOB, "/kick", Phrase.NOT_HOST, by_name="2"),
    entry(EntryKind.WHISPERED, BOB, "<2.3>", by=EVE),
    entry(EntryKind.ACTED, BOB, "<2.4>"),
    entry(EntryKind.MUTED, EVE, code=2, by=ANN),
    entry(EntryKind.UNMUTED, EVE, by=ANN),
    entry(EntryKind.ANSWERED, BOB, "<1.1>", Phrase.TOPIC_IS, by_name="5"),
    entry(EntryKind.RENAMED, EVE, "n3.1"),
    entry(EntryKind.SAID, BOB, "<2.9>", 9),
    entry(EntryKind.LEFT, BOB, "<1.4>", LeaveReason.KICKED, by=ANN),
)
LOG = tuple(structs.replace(each, offset=offset, at_ms=1_000 * offset) for offset, each in enumerate(ENTRIES, 1))
ROOM = RoomLog(1, frozenset({1}), LOG)


def good() -> Stay:
    """What bob saw, until ann removed him."""
    rows = [row for one in LOG[2:-1] if (row := _row(one, BOB))]
    heard = [row for row in rows if row[0] != "Answered"]
    return Stay(
        BOB,
        said={1: "<2.1>", 9: "<2.9>"},
        kept={1: 5, 9: 13},
        asked=[
            Asked("kick", "eve", "<2.2>", 5, "refused", "not-host", ended_at=7.0),
            Asked("msg", "eve", "<2.3>", 6, "done", ended_at=8.0),
            Asked("me", "", "<2.4>", 7, "done", ended_at=9.0),
            Asked("topic", "", "<2.5>", 8, "done", value=["<1.1>"], ended_at=12.0),
            Asked("who", "", "<2.6>", 8, "done", value=["ann", "bob", "eve"], ended_at=12.0),
            Asked("history", "", "2", 10, "done", value=["5 bob: <2.1>", "8 bob: <2.4>"], ended_at=12.0),
            Asked("nick", "n2.8", "n2.8", 11, "no answer", ended_at=20.0),
        ],
        heard=heard,
        heard_at=[float(row[1]) for row in heard],
        ended=["Kicked", "ann has removed you from den: <1.4>", "False"],
    )


def found(stay: Stay, room: RoomLog = ROOM, outages: tuple[Outage, ...] = ()) -> list[str]:
    return [kind for kind, _ in judge_stay("bob", stay, room, 1, outages)]


def test_a_good_run_has_no_violation() -> None:
    assert found(good()) == []
    assert list(judge_room(ROOM)) == []


@pytest.mark.parametrize(
    ("doctor", "kinds"),
    [
        (lambda stay: stay.heard.pop(2), ["lost"]),
        (lambda stay: stay.heard.insert(2, stay.heard[1]), ["doubled"]),
        (lambda stay: stay.heard.append(["Message", "99", "eve", "of the next room"]), ["invented"]),
        (lambda stay: stay.heard.append(["Answered", "99", "yourself", "", "0"]), ["invented"]),
        (lambda stay: stay.kept.pop(1) and stay.refused.append(1), ["altered"]),
        (lambda stay: stay.odd.append("Gap(3, 4)"), ["lost"]),
        (lambda stay: stay.ended.clear(), ["lost"]),
        (lambda stay: stay.ended.__setitem__(0, "TimedOut"), ["altered"]),
        (lambda stay: stay.ended.__setitem__(1, "ann has removed you"), ["altered"]),
        (lambda stay: setattr(stay.asked[0], "outcome", "done"), ["commands"]),
        (lambda stay: setattr(stay.asked[0], "code", "not-muted"), ["commands"]),
        (lambda stay: setattr(stay.asked[1], "outcome", "refused"), ["commands"]),
        (lambda stay: setattr(stay.asked[1], "about", "ann"), ["commands"]),
        (lambda stay: setattr(stay.asked[1], "outcome", "no answer"), ["commands"]),
        (lambda stay: setattr(stay.asked[1], "outcome", "KeyError()"), ["commands"]),
        (lambda stay: setattr(stay.asked[2], "tag", "<2.44>"), ["commands"]),
        (lambda stay: setattr(stay.asked[3], "value", ["<1.0>"]), ["commands"]),
        (lambda stay: setattr(stay.asked[6], "outcome", "done"), ["commands"]),
        (lambda stay: stay.asked.insert(0, stay.asked.pop(1)), ["commands"]),
        (lambda stay: stay.asked[4].value.pop(), ["commands"]),
        (lambda stay: stay.asked[5].value.pop(), ["commands"]),
    ],
)
def test_each_violation_is_found(doctor: Callable[[Stay], object], kinds: list[str]) -> None:
    stay = copy.deepcopy(good())
    doctor(stay)
    assert found(stay) == kinds


def test_what_another_command_has_done_as_well_proves_nothing() -> None:
    stay = good()
    stay.asked.insert(2, Asked("msg", "eve", "<2.3>", 6, "no answer", ended_at=20.0))
    assert found(stay) == []


def test_what_another_member_has_done_as_well_proves_nothing() -> None:
    stay = good()
    stay.asked.append(Asked("nick", "n3.1", "n3.1", 11, "no answer", ended_at=20.0))
    assert found(stay) == []


def test_a_command_that_is_twice_in_the_log_is_found() -> None:
    twice = (
        *LOG[:7],
        structs.replace(LOG[6], offset=8),
        *(structs.replace(one, offset=one.offset + 1) for one in LOG[7:]),
    )
    assert "commands" in found(good(), RoomLog(1, frozenset({1}), twice))


def test_one_that_was_removed_while_the_broker_was_killed_need_not_know_why() -> None:
    stay = good()
    stay.ended = ["TimedOut", "You are not in den any more.", "False"]
    stay.odd, stay.gaps = ["Gap(4, 8)"], [(4, 8)]
    killed = (Outage("kill", "broker", 1.0, 30.0),)
    assert found(stay, outages=killed) == ["altered"]  # it was told of a gap, and heard what is there
    stay.heard = [row for row in stay.heard if not 4 <= int(row[1]) <= 8]
    assert found(stay, outages=killed) == []
    stay.heard.pop(1)
    assert found(stay, outages=killed) == ["lost"]


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"peer": BOB}, 8),  # mutes, and is no host
        ({"member": BOB}, 3),  # sets the topic, and is no host
        ({"kind": EntryKind.SAID}, 9),  # speaks, and is muted
        ({"code": LeaveReason.BANNED}, 13),
    ],
)
def test_what_the_host_does_not_allow_is_found(change: dict[str, object], at: int) -> None:
    log = [structs.replace(one, **(change if index == at else {})) for index, one in enumerate(LOG)]
    back = structs.replace(LOG[1], offset=len(log) + 1)
    assert {kind for kind, _ in judge_room(replace(ROOM, entries=(*log, back)))} == {"log"}


def test_a_plan_keeps_its_steps_with_other_numbers() -> None:
    plan = draw_commands(random.Random(7), 3, 4.0)
    other = plan.apart(1_000)
    assert {member.id + 1_000 for member in plan.members} == {member.id for member in other.members}
    assert [(step.at, step.kind) for step in plan.steps] == [(step.at, step.kind) for step in other.steps]
    assert all(step.other >= 1_000 for step in other.steps if step.kind in HOSTS)
    assert all(step.other < 3 for step in other.steps if step.kind == "move")
