"""The checker bites: histories that were doctored on purpose are each reported, a true one is not."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from msgspec import structs

from tests.chaos.checker import check, count_kinds
from tests.chaos.clients import HABITS, KINDS, key_of, text_of
from tests.chaos.history import History, Member, Move, Outage, Received, RoomLog, Sent, Uplink, take_names
from tests.support.legacy.wire import Listener
from tsudoi.protocol.backbone import SHARDS, Entry, shard_named
from tsudoi.protocol.codes import EntryKind, LeaveReason

START = 1_000.0
DIALECTS = ("classic", "tsudoi", "tcrp-named")
LINES = 20


def a_history() -> History:
    """Two rooms of three; each says lines in turn; all is heard 1 ms after it was sent, at two gateways."""
    history = History(7, ("", ""))
    for room_id, room in ((1, "den"), (2, "部屋")):
        members = [
            Member(room_id * 10 + at, f"user{room_id}{at}", dialect, room, at % 2, KINDS[dialect].echoes)
            for at, dialect in enumerate(DIALECTS)
        ]
        entries = [
            Entry(at + 1, EntryKind.JOINED, person.id, person.name, "", 0, int(START * 1000) - 500)
            for at, person in enumerate(members)
        ]
        for person in members:
            history.members[person.id] = person
            history.uplinks.append(Uplink(START - 0.5, person.id, person.home))
        for line in range(1, LINES + 1):
            person = members[line % 3]
            at, text = START + line * 0.1, text_of(person.id, line)
            history.sent.append(Sent(at, person.id, text, person.home))
            history.uplinks.append(Uplink(at, person.id, person.home))
            entry = Entry(len(entries) + 1, EntryKind.SAID, person.id, person.name, text, 0, int(at * 1000))
            entries.append(entry)
            for hearer in members:
                if hearer is not person or hearer.echo:
                    history.received.append(Received(at + 0.001, hearer.id, hearer.home, down(hearer, entry)))
        history.log[room_id] = RoomLog(room_id, frozenset({1}), tuple(entries))
    history.ended_at = START + 10
    return history


def down(hearer: Member, entry: Entry) -> bytes:
    stand_in = KINDS[hearer.dialect](hearer.name, Listener(("", 0), ("", 0)), HABITS)
    stand_in.room = hearer.room
    return stand_in.down(entry.sender, entry.text).replace(b'"n": 0', b'"n": %d' % entry.offset)


def received_by(history: History, client: int) -> list[Received]:
    return [heard for heard in history.received if heard.client == client]


def test_a_true_history_is_not_blamed() -> None:
    verdict = check(a_history())
    assert verdict.violations == []
    assert (verdict.members, verdict.accepted, verdict.surely_accepted, verdict.repeats) == (6, 40, 40, 0)
    assert verdict.received == len(a_history().received)


def drop(history: History) -> None:
    history.received.remove(received_by(history, 11)[5])


def drop_the_last(history: History) -> None:
    history.received.remove(received_by(history, 11)[-1])


def double(history: History) -> None:
    heard = received_by(history, 12)[4]
    history.received.append(replace(heard, at=heard.at + 0.002))


def swap(history: History) -> None:
    first, second = received_by(history, 20)[3:5]
    first.at, second.at = second.at, first.at


def misroute(history: History) -> None:
    heard = received_by(history, 11)[5]
    history.received.append(replace(heard, client=21, at=heard.at + 0.01))


def invent(history: History) -> None:
    heard = received_by(history, 12)[4]
    history.received.append(replace(heard, raw=b"\x06user11" + text_of(11, 999).encode()))


def alter(history: History) -> None:
    heard = received_by(history, 12)[4]
    heard.raw += b"!"


def tell_a_wrong_position(history: History) -> None:
    heard = received_by(history, 11)[5]
    heard.raw = heard.raw.replace(b'"n": 1', b'"n": 2')


def echo(history: History) -> None:
    """A member hears itself though its dialect does not want that."""
    room = history.log[1]
    entry = next(entry for entry in room.entries if entry.kind == EntryKind.SAID and entry.member == 12)
    history.received.append(Received(entry.at_ms / 1000 + 0.001, 12, 0, down(history.members[12], entry)))


def tell_who_has_left(history: History) -> None:
    put(history, 12, Entry(0, EntryKind.LEFT, 11, "user11", "", LeaveReason.LEFT, int(START * 1000) + 1_150))
    history.sent = [sent for sent in history.sent if sent.client != 11 or sent.at < START + 1]


def put(history: History, at: int, entry: Entry) -> None:
    """Put an entry into the log of room 1; positions, also those that were heard, move on."""
    old = history.log[1].entries
    entries = [*old[:at], entry, *old[at:]]
    for offset, one in enumerate(entries, 1):
        one.offset = offset
    history.log[1] = replace(history.log[1], entries=tuple(entries))
    told = {one.text: one for one in entries}
    for heard in received_by(history, 11):
        key = key_of(heard.raw)
        assert key is not None
        heard.raw = down(history.members[11], told[text_of(*key)])


def lose_from_the_log(history: History) -> None:
    entries = history.log[1].entries
    history.log[1] = replace(history.log[1], entries=entries[:9] + entries[10:])


def never_accept(history: History) -> None:
    history.sent.append(Sent(START + 3, 11, text_of(11, 500), 1))


def accept_twice(history: History) -> None:
    entries = history.log[2].entries
    again = Entry(len(entries) + 1, *(getattr(entries[9], name) for name in Entry.__struct_fields__[1:]))
    history.log[2] = replace(history.log[2], entries=(*entries, again))


def reorder_what_one_says(history: History) -> None:
    mine = [sent for sent in history.sent if sent.client == 21]
    mine[2].at, mine[3].at = mine[3].at, mine[2].at


def forget_and_begin_anew(history: History) -> None:
    history.log[1] = replace(history.log[1], epochs=frozenset({1, 2}))


def complain(history: History) -> None:
    history.complaints.append("a gateway printed a traceback")


@pytest.mark.parametrize(
    ("doctor", "kind"),
    [
        (drop, "lost"),
        (drop_the_last, "lost"),
        (double, "doubled"),
        (swap, "swapped"),
        (misroute, "misrouted"),
        (invent, "invented"),
        (alter, "altered"),
        (tell_a_wrong_position, "altered"),
        (echo, "doubled"),
        (tell_who_has_left, "after leaving"),
        (lose_from_the_log, "log"),
        (never_accept, "not accepted"),
        (accept_twice, "log"),
        (reorder_what_one_says, "swapped"),
        (forget_and_begin_anew, "log"),
        (complain, "complaint"),
    ],
)
def test_what_was_doctored_is_reported(doctor: Callable[[History], None], kind: str) -> None:
    history = a_history()
    doctor(history)
    kinds = count_kinds(check(history))
    assert kinds[kind] >= 1, kinds


def test_a_violation_shows_the_history_around_it() -> None:
    history = a_history()
    drop(history)
    (violation,) = check(history).violations
    text = str(violation)
    assert "client 11 (tsudoi, user11 in den)" in text
    assert "1 before it did not come" in text
    assert "log 11:" in text
    assert len(violation.evidence) < 30


# --- what is allowed after a fault ---------------------------------------------------------------------------------


def repeat(history: History, client: int, first: int, count: int, at: float, gateway: int) -> None:
    """Let another gateway tell a member some of what it has heard again."""
    for number, heard in enumerate(received_by(history, client)[first:][:count]):
        history.received.append(replace(heard, at=at + number * 0.001, gateway=gateway))


def cut_off_after(history: History, client: int, count: int) -> float:
    """Let a member have heard no more than its first `count` lines, and return when the last came."""
    heard = received_by(history, client)
    history.received = [one for one in history.received if one not in heard[count:]]
    return heard[count - 1].at


def test_what_a_killed_gateway_told_last_may_be_told_again_by_the_next() -> None:
    history = a_history()
    whole = received_by(history, 11)
    at = cut_off_after(history, 11, 10)
    history.outages.append(Outage("kill", "gateway 1", at + 0.1))
    for number, heard in enumerate(whole[8:]):
        history.received.append(replace(heard, at=START + 5 + number * 0.001, gateway=0))
    verdict = check(history)
    assert verdict.violations == []
    assert verdict.repeats == 2


def test_a_line_that_is_in_the_log_twice_and_is_told_again_is_the_second_one() -> None:
    """Nothing is missing between the first and the second."""
    history = a_history()
    history.relayed = True
    room = history.log[1]
    again = structs.replace(room.entries[9], offset=len(room.entries) + 1, at_ms=int(START * 1000) + 2_500)
    history.log[1] = replace(room, entries=(*room.entries, again))
    next(sent for sent in history.sent if sent.text == again.text).copies = 2
    members = [member for member in history.members.values() if member.room == "den" and member.name != again.sender]
    for hearer in members:
        history.received.append(Received(START + 2.501, hearer.id, hearer.home, down(hearer, again)))
    assert check(history).violations == []
    history.outages.append(Outage("kill", "gateway 0", START + 2.55))
    hearer = next(member for member in members if member.home == 0 and member.dialect != "tsudoi")
    history.received.append(Received(START + 5, hearer.id, 1, down(hearer, again)))
    verdict = check(history)
    assert (verdict.violations, verdict.repeats) == ([], 1)


def test_a_gateway_that_is_killed_between_two_copies_of_a_line_has_both_told_again() -> None:
    history = a_history()
    history.relayed = True
    room = history.log[1]
    again = structs.replace(room.entries[9], offset=len(room.entries) + 1, at_ms=int(START * 1000) + 2_500)
    third = structs.replace(again, offset=len(room.entries) + 2)
    history.log[1] = replace(room, entries=(*room.entries, again, third))
    next(sent for sent in history.sent if sent.text == again.text).copies = 3
    members = [member for member in history.members.values() if member.room == "den" and member.name != again.sender]
    hearer = next(member for member in members if member.home == 0 and member.dialect != "tsudoi")
    for member in members:
        at, gateway = (START + 5, 1) if member is hearer else (START + 2.501, member.home)
        history.received.append(Received(START + 2.5, member.id, member.home, down(member, again)))
        history.received.append(Received(at, member.id, gateway, down(member, again)))
    history.received.append(Received(START + 5.001, hearer.id, 1, down(hearer, again)))
    assert count_kinds(check(history)) == {"doubled": 1}
    history.outages.append(Outage("kill", "gateway 0", START + 2.55))
    verdict = check(history)
    assert (verdict.violations, verdict.repeats) == ([], 1)


@pytest.mark.parametrize(
    ("killed", "from_gateway", "before_s"),
    [("gateway 0", 0, 0.1), ("gateway 1", 0, 1.5), ("gateway 1", 0, -2.5), ("broker", 0, 0.1)],
    ids=["another's member", "long before", "long after", "the broker"],
)
def test_no_other_repeat_is_allowed(killed: str, from_gateway: int, before_s: float) -> None:
    history = a_history()
    last = received_by(history, 11)[-1].at
    history.outages.append(Outage("kill", killed, last + before_s))
    repeat(history, 11, -2, 2, last + 3, from_gateway)
    assert count_kinds(check(history))["doubled"] >= 1


@pytest.mark.parametrize(
    ("gateway", "before_s", "after_s", "kinds"),
    [
        (0, 0.02, 0.001, {}),
        (0, 0.2, 0.001, {"doubled": 1}),
        (0, -0.02, 0.001, {"doubled": 1}),
        (0, 0.02, 0.1, {"doubled": 1}),
        (0, 0.02, -0.1, {"doubled": 1}),
        (1, 0.02, 0.001, {"doubled": 1}),
    ],
    ids=["in hand", "long before", "not yet", "later", "while it was frozen", "its own gateway"],
)
def test_what_a_gateway_had_in_hand_when_it_was_frozen_it_may_tell_late(
    gateway: int, before_s: float, after_s: float, kinds: dict[str, int]
) -> None:
    """Another one has told it meanwhile, and what follows."""
    history = a_history()
    said_at = received_by(history, 11)[6].at - 0.001
    history.outages.append(Outage("freeze", "gateway 0", said_at + before_s, said_at + 0.35))
    repeat(history, 11, 6, 1, said_at + 0.35 + after_s, gateway)
    verdict = check(history)
    assert verdict.repeats == 1
    assert count_kinds(verdict) == kinds


@pytest.mark.parametrize(("after_s", "kinds"), [(0.02, {}), (0.06, {"doubled": 1})], ids=["in hand", "later"])
def test_what_a_frozen_gateway_had_in_hand_its_successor_may_tell_again(after_s: float, kinds: dict[str, int]) -> None:
    history = a_history()
    _, *rest = whole = received_by(history, 11)[6:]
    history.outages.append(Outage("freeze", "gateway 1", whole[0].at, whole[0].at + 2.0))
    whole[0].at += 2.0 + after_s
    history.received.append(replace(whole[0], at=whole[0].at + 0.1, gateway=0))
    for heard in rest:
        heard.at, heard.gateway = heard.at + 3.0, 0
    verdict = check(history)
    assert verdict.repeats == 1
    assert count_kinds(verdict) == kinds


def test_a_repeat_that_skips_something_is_a_loss() -> None:
    history = a_history()
    whole = received_by(history, 11)
    at = cut_off_after(history, 11, 10)
    history.outages.append(Outage("kill", "gateway 1", at + 0.05))
    for number, heard in enumerate((whole[8], *whole[10:])):
        history.received.append(replace(heard, at=START + 5 + number * 0.001, gateway=0))
    assert count_kinds(check(history)) == {"lost": 1}


def test_what_reached_a_gateway_just_before_it_was_killed_need_not_be_accepted() -> None:
    history = a_history()
    history.sent.append(Sent(START + 3, 11, text_of(11, 500), 1))
    history.outages.append(Outage("kill", "gateway 1", START + 3.1, START + 4))
    assert check(history).violations == []


def test_what_came_while_the_broker_was_away_is_to_be_accepted_later() -> None:
    history = a_history()
    history.sent.append(Sent(START + 3, 11, text_of(11, 500), 1))
    history.outages.append(Outage("kill", "broker", START + 2.9, START + 4))
    assert count_kinds(check(history)) == {"not accepted": 1}


def moved(before: float, after: float) -> History:
    """Return a history in which a member goes from one gateway to another, which takes one line and later none."""
    history = a_history()
    history.sent.append(Sent(START + 9, 11, text_of(11, 500), 1))
    history.uplinks.append(Uplink(START + before, 11, 0))
    history.uplinks.append(Uplink(START + after, 11, 1))
    history.sent.append(Sent(START + after, 11, text_of(11, 501), 1))
    taken = Entry(0, EntryKind.SAID, 11, "user11", text_of(11, 501), 0, int((START + after) * 1000))
    put(history, history.log[1].entries[-1].offset, taken)
    assert count_kinds(check(history))["not accepted"] == 1
    return history


def test_a_gateway_whose_member_another_one_may_have_got_from_a_broker_that_came_back_need_not_accept() -> None:
    history = moved(2.95, 3.0)
    history.outages.append(Outage("kill", "broker", START + 2.5, START + 12))
    assert count_kinds(check(history))["not accepted"] == 0


def test_a_gateway_whose_member_another_one_has_got_as_it_went_on_need_not_accept() -> None:
    history = moved(6.0, 6.1)
    history.outages.append(Outage("freeze", "gateway 0", START + 5.9, START + 8.9))
    assert count_kinds(check(history))["not accepted"] == 0
    history.outages[-1].start = START + 6.05  # it had that datagram before
    assert count_kinds(check(history))["not accepted"] == 1


def test_a_client_that_entered_twice_is_judged_by_its_second_membership() -> None:
    """It read the first answer badly, as the real one does; its name was taken then."""
    history = a_history()
    room = history.log[1]
    fields = {"sender": "user12#2", "member": 99}
    renamed = [structs.replace(entry, **fields) if entry.sender == "user12" else entry for entry in room.entries]
    entries = [structs.replace(entry, offset=at) for at, entry in enumerate([room.entries[2], *renamed], 1)]
    history.log[1] = replace(room, entries=tuple(entries))
    take_names(history)
    assert "client 12 " not in "".join(str(violation) for violation in check(history).violations)


@pytest.mark.parametrize("end", [EntryKind.LEFT, EntryKind.CLOSED], ids=["its room", "its room, made anew"])
def test_a_client_that_entered_twice_under_one_name_is_judged_by_its_second_membership(end: EntryKind) -> None:
    """Its first one had ended before the second began."""
    history = a_history()
    room = history.log[1]
    again = [structs.replace(entry, member=99) if entry.sender == "user10" else entry for entry in room.entries]
    first = [room.entries[0], structs.replace(room.entries[0], kind=end, text="")]
    if end == EntryKind.CLOSED:
        history.log[0] = RoomLog(0, room.epochs, tuple(_numbered(first)))
        history.log[1] = replace(room, entries=tuple(_numbered(again)))
    else:
        history.log[1] = replace(room, entries=tuple(_numbered([*first, *again])))
    history.received = [heard for heard in history.received if heard.client // 10 != 1 or heard.client == 10]
    take_names(history)
    verdict = check(history)
    assert "client 10 " not in "".join(map(str, verdict.violations))
    assert verdict.members == 6


def _numbered(entries: Sequence[Entry]) -> list[Entry]:
    return [structs.replace(entry, offset=offset) for offset, entry in enumerate(entries, 1)]


def test_what_waits_for_the_broker_may_come_after_the_rooms_end() -> None:
    history = a_history()
    last = history.log[1].entries[-1]
    put(history, last.offset, Entry(0, EntryKind.CLOSED, 10, "user10", "", LeaveReason.HOST_LEFT, last.at_ms + 5_000))
    history.sent.append(Sent(last.at_ms / 1000 + 1, 11, text_of(11, 500), 1))
    assert count_kinds(check(history)) == {"not accepted": 1}
    history.outages.append(Outage("freeze", "broker", last.at_ms / 1000 + 0.9, last.at_ms / 1000 + 5))
    assert check(history).violations == []


@pytest.mark.parametrize("back_s", [4, 1.25])
def test_what_was_told_before_the_broker_was_lost_may_be_told_again_after_a_gateway_died_meanwhile(
    back_s: float,
) -> None:
    """The gateway could not report any more how far it had come; or not yet, after the broker was back."""
    history = a_history()
    last = received_by(history, 11)[-1].at
    history.outages.append(Outage("kill", "broker", last + 0.1, last + back_s))
    history.outages.append(Outage("kill", "gateway 1", last + 2, last + 3))
    repeat(history, 11, -2, 2, last + 5, 0)
    verdict = check(history)
    assert (verdict.violations, verdict.repeats) == ([], 2)
    history.outages[0].end = last + 1.15  # it had reported
    assert count_kinds(check(history))["doubled"] == 2
    history.outages[0] = Outage("kill", "broker", last + 1.1, last + back_s)
    assert count_kinds(check(history))["doubled"] >= 1


def test_a_room_whose_host_has_left_is_not_waited_for_after_a_late_fault() -> None:
    history = a_history()
    cut_off_after(history, 11, 10)
    history.leavers.add(10)  # the host; its leave word got lost
    assert count_kinds(check(history)) == {"lost": 1}
    history.outages.append(Outage("kill", "gateway 1", START + 1, START + 9))
    assert check(history).violations == []
    history.leavers.clear()
    assert count_kinds(check(history)) == {"lost": 1}


@pytest.mark.parametrize("by_gateway", [1, 0])
def test_what_went_to_the_old_socket_of_a_silent_member_may_be_told_again_at_the_next(by_gateway: int) -> None:
    history = a_history()
    for heard in received_by(history, 11):
        heard.port = 1
    last = received_by(history, 11)[-1].at
    history.outages.append(Outage("kill", "gateway 0", START + 0.1, START + 0.2))
    for number, heard in enumerate(received_by(history, 11)[-10:]):
        history.received.append(replace(heard, at=last + 3 + number * 0.001, port=2, gateway=by_gateway))
    verdict = check(history)
    assert (verdict.violations, verdict.repeats) == ([], 10)
    # Without a name the gateway does not take over the members of its last run.
    history.outages = [Outage("kill", "gateway 1", START - 9, START - 8)]
    assert count_kinds(check(history))["doubled"] == 10
    history.names = ("", "g")
    assert check(history).violations == []
    # Its gateway had heard it at the old socket since: it knew the address.
    history.uplinks.append(Uplink(START - 2, 11, 1, port=1))
    assert count_kinds(check(history))["doubled"] == 10


def test_what_went_to_a_member_at_one_of_the_gateways_that_it_visited_during_an_outage_may_be_told_again() -> None:
    history = a_history()
    history.outages.append(Outage("kill", "broker", START - 9, START - 8))
    history.uplinks.append(Uplink(START - 8.5, 11, 1, port=1))
    for heard in received_by(history, 11):
        heard.port = 1
    last = received_by(history, 11)[-1].at
    for number, heard in enumerate(received_by(history, 11)[-10:]):
        history.received.append(replace(heard, at=last + 3 + number * 0.001, port=2, gateway=0))
    assert count_kinds(check(history)) == {"doubled": 10}  # it was nowhere else
    history.uplinks.insert(0, Uplink(START - 9.2, 11, 0, port=2))  # it was there before
    verdict = check(history)
    assert (verdict.violations, verdict.repeats) == ([], 10)
    history.uplinks.append(Uplink(START - 2, 11, 1, port=1))
    assert count_kinds(check(history)) == {"doubled": 10}  # it was heard there since


def test_what_was_told_just_before_a_shard_moved_to_a_broker_out_of_reach_may_be_told_again() -> None:
    """The last report came too late for the former owner, and did not reach the next."""
    history = a_history()
    history.names = ("g", "g")
    last = received_by(history, 11)[-1].at
    history.outages.append(Outage("cut", "link 1", last - 3, last + 4))
    repeat(history, 11, -2, 2, last + 3, 0)
    assert count_kinds(check(history))["doubled"] >= 1
    shard = shard_named("den", SHARDS)
    assert shard is not None
    history.moves = [Move(shard + 1, last - 0.1, last + 0.3), Move(shard, last - 2, last - 1)]
    assert count_kinds(check(history))["doubled"] >= 1
    history.moves.append(Move(shard, last - 0.1, last + 0.3))
    verdict = check(history)
    assert (verdict.violations, verdict.repeats) == ([], 2)
