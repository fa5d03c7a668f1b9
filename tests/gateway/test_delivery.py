"""gateway/delivery.py"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.addresses import unpack
from gateway.config import Settings
from gateway.delivery import REPORT_S
from tests.support.fakes import ScriptedGateway, a_grant, address_of, entry, room_name, said, token_of
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Delivered,
    Entry,
    Item,
    Positions,
    Reconcile,
    Reconciled,
    Release,
    Replay,
    Replayed,
    RoomPositions,
)
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.codes import EntryKind, LeaveReason

ALICE, BOB, CAROL = (address_of(number) for number in (1, 2, 3))


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


def texts(gateway: ScriptedGateway, address: bytes) -> list[str]:
    """What went to an address, without the sender's name."""
    return [payload.decode().partition(": ")[2] for payload in gateway.doors.to(address)]


def replayed(*entries: Entry, last: int = 0, first: int = 0, epoch: int = 1, room: int = 1) -> Replayed:
    end = last or (entries[-1].offset if entries else 0)
    return Replayed(room, epoch, first or (entries[0].offset if entries else end + 1), end, list(entries))


def answer_replay(gateway: ScriptedGateway, *entries: Entry, after: int, last: int = 0, first: int = 0) -> None:
    """Answer the one replay that was asked for."""
    (request,) = gateway.asked(Replay)
    assert isinstance(request.body, Replay)
    assert request.body.after == after
    gateway.reply(request.id, replayed(*entries, last=last, first=first))


# --- who hears what -----------------------------------------------------------------------------------------------


def test_all_members_hear_in_the_order_of_the_log(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.news(said(2, 9, "one"), said(3, 9, "two"))
    gateway.news(said(4, 9, "three"))
    assert texts(gateway, ALICE) == texts(gateway, BOB) == ["one", "two", "three"]


def test_who_enters_before_its_rooms_news_come_here_misses_nothing(gateway: ScriptedGateway) -> None:
    gateway.core.enter(a_grant(1), token_of(1), gateway.now, joined=True)
    gateway.hear(1, b"", ALICE)
    gateway.news(said(3, 9, "second"))
    answer_replay(gateway, said(2, 9, "first"), said(3, 9, "second"), after=1)
    assert texts(gateway, ALICE) == ["first", "second"]
    assert gateway.counters.gaps == 0


def test_rooms_do_not_hear_each_other(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE, room=1)
    gateway.enter(2, address=BOB, room=2)
    gateway.news(said(2, 9, "one"), room=1)
    gateway.news(said(2, 9, "two"), room=2)
    gateway.news(said(2, 9, "three"), room=3)
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["one"], ["two"])


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_senders_hear_themselves_only_where_their_dialect_wants_it(gateway: ScriptedGateway, dialect: object) -> None:
    name = getattr(dialect, "name", "")
    gateway.enter(1, name, address=ALICE)
    gateway.enter(2, name, address=BOB)
    gateway.enter(3, name, address=CAROL)
    gateway.news(said(2, 2, "hello"))
    heard = [len(gateway.doors.to(address)) for address in (ALICE, BOB, CAROL)]
    assert heard == [1, int(DIALECTS[name].echo), 1]


def test_each_dialect_hears_in_its_own_form(gateway: ScriptedGateway) -> None:
    for number, dialect in enumerate(("classic", "tcrp-named", "tcrp-200", "tcrp-202", "tcrp-bare-ack", "tsudoi"), 1):
        gateway.enter(number, dialect, address=address_of(number))
    gateway.news(said(2, 9, "やあ", "アリス"))
    heard = [gateway.doors.to(address_of(number))[0] for number in range(1, 7)]
    name, room = "アリス".encode(), room_name(1).encode()
    assert heard == [
        "アリス: やあ".encode(),
        bytes((9,)) + name + "やあ".encode(),
        "アリス : やあ".encode(),
        b"\0\0"
        + json.dumps({"sender": "アリス", "message": "やあ"}, ensure_ascii=False, separators=(",", ":")).encode(),
        bytes((len(room), 0)) + room + "アリス: やあ".encode(),
        json.dumps({"n": 2, "from": "アリス", "text": "やあ"}, ensure_ascii=False, separators=(",", ":")).encode(),
    ]


def test_joining_is_heard_by_nobody(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(entry(2, EntryKind.JOINED, 7))
    gateway.news(said(3, 7, "hi"))
    assert texts(gateway, ALICE) == ["hi"]


def test_kinds_of_a_newer_broker_are_passed_over(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(Entry(2, 77, 9, "x", "y", 0, 0), said(3, 9, "hi"))
    assert texts(gateway, ALICE) == ["hi"]


def test_repeated_news_are_heard_once(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(said(2, 9, "one"))
    gateway.news(said(2, 9, "one"), said(3, 9, "two"))
    gateway.news(said(3, 9, "two"))
    gateway.news(last=3)
    assert texts(gateway, ALICE) == ["one", "two"]
    assert gateway.asked(Replay) == []


def test_the_last_words_before_leaving_reach_all_others_and_no_echo_comes(gateway: ScriptedGateway) -> None:
    for number in (1, 2, 3):
        gateway.enter(number, address=address_of(number))
    gateway.news(said(2, 1, "bye"), entry(3, EntryKind.LEFT, 1), said(4, 3, "poor m1"), entry(5, EntryKind.LEFT, 2))
    assert [texts(gateway, address) for address in (ALICE, BOB, CAROL)] == [[], ["bye", "poor m1"], ["bye"]]


# --- gaps ---------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_asked_for_and_told_before_what_came_later(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(said(4, 9, "four"))
    assert texts(gateway, ALICE) == []
    assert gateway.counters.gaps == 1
    gateway.news(said(5, 9, "five"))
    answer_replay(gateway, *(said(offset, 9, str(offset)) for offset in (2, 3, 4, 5)), after=1)
    assert texts(gateway, ALICE) == ["2", "3", "4", "5"]
    gateway.news(said(6, 9, "six"))
    assert texts(gateway, ALICE)[-1] == "six"
    assert gateway.counters.gaps == 1


def test_a_position_alone_shows_that_something_is_missing(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=3)
    answer_replay(gateway, said(2, 9, "2"), said(3, 9, "3"), after=1)
    assert texts(gateway, ALICE) == ["2", "3"]


def test_a_long_gap_is_asked_for_in_parts(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=1_201)
    after = 1
    for _ in range(3):
        (request,) = gateway.asked(Replay)
        assert isinstance(request.body, Replay)
        assert request.body.after == after
        some = [said(n, 9, str(n)) for n in range(after + 1, min(after + request.body.limit, 1_201) + 1)]
        gateway.reply(request.id, replayed(*some, last=1_201))
        after = some[-1].offset
    assert gateway.asked(Replay) == []
    assert texts(gateway, ALICE) == [str(n) for n in range(2, 1_202)]


def test_news_that_come_while_a_gap_is_repaired_are_asked_for_too(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=3)
    gateway.news(said(4, 9, "4"))
    answer_replay(gateway, said(2, 9, "2"), said(3, 9, "3"), after=1)
    answer_replay(gateway, said(4, 9, "4"), after=3)
    assert texts(gateway, ALICE) == ["2", "3", "4"]


def test_what_the_log_does_not_hold_any_more_is_counted(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=9)
    answer_replay(gateway, said(8, 9, "8"), said(9, 9, "9"), after=1)
    assert texts(gateway, ALICE) == ["8", "9"]
    assert gateway.counters.lost_entries == 6


def test_a_repair_that_is_not_answered_is_asked_for_again(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=3)
    gateway.asked(Replay)
    gateway.wait(gateway.settings.request_timeout_s + 0.5)
    requests = gateway.asked(Replay)
    assert requests
    gateway.reply(requests[-1].id, replayed(said(2, 9, "2"), said(3, 9, "3")))
    assert texts(gateway, ALICE) == ["2", "3"]


def test_another_epoch_begins_anew_and_is_counted(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(said(2, 9, "old"))
    gateway.news(said(1, 9, "new"), said(2, 9, "newer"), epoch=2)
    for request in gateway.asked(Replay):
        gateway.reply(request.id, replayed(said(1, 9, "new"), said(2, 9, "newer"), epoch=2))
    gateway.news(said(3, 9, "newest"), epoch=2)
    assert gateway.counters.resets >= 1
    heard = texts(gateway, ALICE)
    assert heard[0] == "old"
    assert heard[-1] == "newest"
    assert len(heard) == len(set(heard))


@given(data=st.data())
def test_whatever_is_dropped_or_repeated_all_is_heard_once_and_in_order(data: st.DataObject) -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    last = data.draw(st.integers(2, 30))
    log = [said(offset, 9, str(offset)) for offset in range(2, last + 1)]
    at = 0
    while at < len(log):
        size = data.draw(st.integers(1, 4))
        some, at = log[at : at + size], at + size
        what = data.draw(st.sampled_from(["come", "come", "drop", "repeat", "address"]))
        if what != "drop":
            gateway.news(*some)
        if what == "repeat":
            gateway.news(*some)
        if what == "address":
            gateway.hear(2, "", BOB)
        if data.draw(st.booleans()):
            answer_all(gateway, log[:at])
    gateway.hear(2, "", BOB)
    gateway.news(last=last)
    while answer_all(gateway, log):
        pass
    gateway.tick()
    while answer_all(gateway, log):
        pass
    assert texts(gateway, ALICE) == texts(gateway, BOB) == [entry.text for entry in log]
    assert gateway.counters.lost_entries == 0


def answer_all(gateway: ScriptedGateway, log: list[Entry]) -> int:
    """Answer all replays that were asked for, from a log; return how many."""
    requests = gateway.asked(Replay)
    last = log[-1].offset if log else 1
    for request in requests:
        assert isinstance(request.body, Replay)
        after, limit = request.body.after, request.body.limit
        some = [entry for entry in log if entry.offset > after][:limit]
        gateway.reply(request.id, replayed(*some, last=last, first=some[0].offset if some else last + 1))
    return len(requests)


# --- how fast a replay is told --------------------------------------------------------------------------------------


def slow_gateway(rate: float = 100.0) -> ScriptedGateway:
    return ScriptedGateway(Settings(replay_rate=rate, backlog=10_000))


def test_a_long_gap_is_told_no_faster_than_the_rate() -> None:
    gateway = slow_gateway()
    log = [said(offset, 9, str(offset)) for offset in range(2, 402)]
    gateway.enter(1, address=ALICE)
    gateway.news(last=401)
    begun = gateway.now
    while len(texts(gateway, ALICE)) < 400:
        answer_all(gateway, log)
        assert len(texts(gateway, ALICE)) <= 50 + 100 * (gateway.now - begun)
        gateway.wait(0.25)
        assert gateway.now < begun + 10
    assert texts(gateway, ALICE) == [entry.text for entry in log]
    assert gateway.counters.replays_paced > 0
    assert gateway.counters.lost_entries == 0


def test_what_is_said_while_a_gap_waits_for_its_pace_comes_after_it() -> None:
    gateway = slow_gateway()
    log = [said(offset, 9, str(offset)) for offset in range(2, 202)]
    gateway.enter(1, address=ALICE)
    gateway.news(last=201)
    answer_all(gateway, log)
    log.append(said(202, 9, "202"))
    gateway.news(log[-1])
    for _ in range(20):
        gateway.wait(0.25)
        answer_all(gateway, log)
    gateway.news(said(203, 9, "203"))
    assert texts(gateway, ALICE) == [*(entry.text for entry in log), "203"]


def test_a_member_is_live_only_when_it_was_told_all_at_its_pace_and_others_wait_for_nobody() -> None:
    gateway = slow_gateway()
    gateway.enter(1, address=ALICE)
    gateway.enter(2, offset=1)
    log = [said(offset, 9, str(offset)) for offset in range(2, 302)]
    gateway.news(*log)
    gateway.hear(2, "", BOB)
    for _ in range(40):
        log.append(said(log[-1].offset + 1, 9, str(log[-1].offset + 1)))
        gateway.news(log[-1])
        answer_all(gateway, log)
        gateway.wait(0.25)
    assert texts(gateway, ALICE) == texts(gateway, BOB) == [entry.text for entry in log]
    assert gateway.counters.replays_paced > 0


def test_a_paced_replay_is_given_up_where_it_has_come_to() -> None:
    gateway = slow_gateway()
    gateway.enter(2, offset=1)
    log = [said(offset, 9, str(offset)) for offset in range(2, 302)]
    gateway.news(*log)
    gateway.hear(2, "", BOB)
    answer_all(gateway, log)
    heard = len(texts(gateway, BOB))
    assert 0 < heard < 300
    gateway.answer(release(2))
    assert [item.code for item in gateway.published() if item.kind == EntryKind.RELEASED] == [1 + heard]


# --- addresses that come late -------------------------------------------------------------------------------------


def test_what_was_said_since_the_join_waits_for_an_address(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, offset=1)
    gateway.news(said(2, 9, "2"), said(3, 2, "own"), said(4, 9, "4"))
    gateway.hear(2, "", BOB)
    assert texts(gateway, BOB) == []
    gateway.news(said(5, 9, "5"))
    answer_replay(gateway, said(2, 9, "2"), said(3, 2, "own"), said(4, 9, "4"), after=1, last=5)
    answer_replay(gateway, said(5, 9, "5"), after=4)
    gateway.news(said(6, 9, "6"))
    assert texts(gateway, BOB) == ["2", "4", "5", "6"]
    assert texts(gateway, ALICE) == ["2", "own", "4", "5", "6"]


def test_a_seed_client_hears_its_own_words_that_waited_too(gateway: ScriptedGateway) -> None:
    gateway.enter(1, "classic")
    gateway.news(said(2, 1, "own"))
    gateway.hear(1, "", ALICE)
    answer_replay(gateway, said(2, 1, "own"), after=1)
    assert texts(gateway, ALICE) == ["own"]


def test_only_so_much_waits(gateway: ScriptedGateway) -> None:
    gateway = ScriptedGateway(Settings(backlog=2))
    gateway.enter(1)
    log = [said(offset, 9, str(offset)) for offset in range(2, 11)]
    gateway.news(*log)
    gateway.hear(1, "", ALICE)
    answer_replay(gateway, *log[-2:], after=8)
    assert texts(gateway, ALICE) == ["9", "10"]
    assert gateway.counters.backlog_skipped == 7


def test_nothing_waited_so_nothing_is_asked(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.hear(1, "", ALICE)
    assert gateway.asked(Replay) == []
    gateway.news(said(2, 9, "2"))
    assert texts(gateway, ALICE) == ["2"]


def test_only_others_came_meanwhile_so_nothing_is_asked(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.news(entry(2, EntryKind.JOINED, 2), entry(3, EntryKind.JOINED, 3))
    gateway.hear(1, "", ALICE)
    assert gateway.asked(Replay) == []
    gateway.news(said(4, 9, "4"))
    assert texts(gateway, ALICE) == ["4"]


def test_something_was_said_between_others_that_came(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    log = [entry(2, EntryKind.JOINED, 2), said(3, 9, "3"), entry(4, EntryKind.JOINED, 3)]
    gateway.news(*log)
    gateway.hear(1, "", ALICE)
    answer_replay(gateway, *log, after=1)
    assert texts(gateway, ALICE) == ["3"]


def test_a_member_whose_room_is_behind_hears_nothing_from_before_its_join(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    late = gateway.core.enter(a_grant(2, offset=4), token_of(2), gateway.now)
    gateway.hear(2, "", BOB)
    assert late.recipients is None
    gateway.news(said(2, 9, "2"), said(3, 9, "3"), entry(4, EntryKind.JOINED, 2), said(5, 9, "5"))
    assert texts(gateway, ALICE) == ["2", "3", "5"]
    assert texts(gateway, BOB) == ["5"]


def test_a_move_while_catching_up_goes_on_at_the_new_address(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.news(said(2, 9, "2"), said(3, 9, "3"))
    gateway.hear(1, "", ALICE)
    moved = address_of(1, port=30_000)
    gateway.hear(1, "", moved)
    answer_replay(gateway, said(2, 9, "2"), said(3, 9, "3"), after=1)
    gateway.news(said(4, 9, "4"))
    assert texts(gateway, ALICE) == []
    assert texts(gateway, moved) == ["2", "3", "4"]


def test_the_directory_is_told_where_a_live_member_is_and_how_far_it_has_heard(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.news(said(2, 9, "2"))
    gateway.hear(1, "", ALICE)
    assert gateway.published() == []
    answer_replay(gateway, said(2, 9, "2"), after=1)
    assert gateway.published() == [Item(EntryKind.ADDRESSED, 1, 1, "192.0.2.1 20001 0", 2)]


def test_a_member_that_had_left_before_it_was_granted_is_dropped(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(entry(2, EntryKind.LEFT, 2), said(3, 9, "3"))
    # News may overtake an answer: this grant was given before.
    gateway.core.enter(a_grant(2, offset=1, address=b"192.0.2.1 20002 0"), token_of(2), gateway.now)
    answer_replay(gateway, entry(2, EntryKind.LEFT, 2), said(3, 9, "3"), after=1)
    assert list(gateway.members.rooms[1].members) == [1]
    assert texts(gateway, BOB) == []


# --- history ------------------------------------------------------------------------------------------------------


def test_a_new_member_may_hear_what_was_said_last_before_it_joined() -> None:
    gateway = ScriptedGateway(Settings(history=2))
    gateway.core.enter(a_grant(1, offset=6), token_of(1), gateway.now, joined=True)
    gateway.news(last=6)
    gateway.hear(1, "", ALICE)
    before = [
        said(2, 9, "2"),
        said(3, 9, "3"),
        said(4, 9, "4"),
        entry(5, EntryKind.JOINED, 8),
        entry(6, EntryKind.JOINED, 1),
    ]
    answer_replay(gateway, *before, after=0)
    assert texts(gateway, ALICE) == ["3", "4"]
    gateway.news(said(7, 9, "7"))
    assert texts(gateway, ALICE) == ["3", "4", "7"]


def test_history_comes_before_what_waited() -> None:
    gateway = ScriptedGateway(Settings(history=5))
    gateway.core.enter(a_grant(1, offset=3), token_of(1), gateway.now, joined=True)
    gateway.news(last=3)
    gateway.news(said(4, 9, "4"))
    gateway.hear(1, "", ALICE)
    log = [said(2, 9, "2"), entry(3, EntryKind.JOINED, 1), said(4, 9, "4")]
    while answer_all(gateway, log):
        pass
    assert texts(gateway, ALICE) == ["2", "4"]


def test_who_comes_back_hears_no_history() -> None:
    gateway = ScriptedGateway(Settings(history=5))
    gateway.core.enter(a_grant(1, offset=3, address=b"192.0.2.1 20001 0"), token_of(1), gateway.now)
    gateway.news(last=3)
    gateway.news(said(4, 9, "4"))
    assert gateway.asked(Replay) == []
    assert texts(gateway, ALICE) == ["4"]


# --- the end of rooms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_closed_room_is_told_in_each_members_words(gateway: ScriptedGateway, dialect: object) -> None:
    name = getattr(dialect, "name", "")
    gateway.enter(1, name, address=ALICE)
    gateway.enter(2, name)
    gateway.news(said(2, 9, "last words"), entry(3, EntryKind.CLOSED, 9, LeaveReason.HOST_LEFT, "アリス"))
    heard = gateway.doors.to(ALICE)
    assert len(heard) == 1 + len(DIALECTS[name].closed)
    for payload, template in zip(heard[1:], DIALECTS[name].closed, strict=True):
        words = template.format(user="アリス", room=room_name(1))
        assert words in (json.loads(payload)["text"] if name == "tsudoi" else payload.decode(errors="replace"))
    assert gateway.doors.to(BOB) == []
    assert gateway.members.rooms == {}
    assert gateway.members.by_token == {}
    assert gateway.doors.topics == []


def test_after_its_end_a_room_has_no_news(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(entry(2, EntryKind.CLOSED, 9), said(3, 9, "ghost"))
    gateway.news(said(3, 9, "ghost"))
    assert len(gateway.doors.to(ALICE)) == len(DIALECTS["tcrp"].closed)


def test_a_room_that_closed_unheard_is_read_to_its_end(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(epoch=0, last=3)
    answer_replay(gateway, said(2, 9, "bye"), entry(3, EntryKind.CLOSED, 9, LeaveReason.HOST_LEFT, "アリス"), after=1)
    heard = [payload.decode() for payload in gateway.doors.to(ALICE)]
    assert heard == ["m9: bye", "ホストのアリスがルームを退出しました．", "exit!"]


def test_a_room_whose_end_nobody_knows_is_closed_all_the_same(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(epoch=0, last=3)
    (request,) = gateway.asked(Replay)
    gateway.reply(request.id, Replayed(1, 0, 4, 3, []))
    assert gateway.doors.to(ALICE)[-1] == b"exit!"
    assert gateway.members.rooms == {}
    assert gateway.counters.lost_entries == 2


def test_a_room_whose_end_could_not_be_read_is_tried_again(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(epoch=0, last=3)
    gateway.asked(Replay)
    gateway.wait(gateway.settings.request_timeout_s + 0.5)
    request = gateway.asked(Replay)[-1]
    gateway.reply(request.id, replayed(said(2, 9, "bye"), entry(3, EntryKind.CLOSED, 9)))
    assert gateway.members.rooms == {}


def test_a_member_that_leaves_is_told_nothing(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.LEFT), said(3, 9, "hi"))
    assert (gateway.doors.to(ALICE), texts(gateway, BOB)) == ([], ["hi"])


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_member_that_was_too_long_silent_is_told_in_its_words(gateway: ScriptedGateway, dialect: object) -> None:
    name = getattr(dialect, "name", "")
    gateway.enter(1, name, address=ALICE)
    gateway.enter(2, name, address=BOB)
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.IDLE))
    (payload,) = gateway.doors.to(ALICE)
    words = DIALECTS[name].timed_out.format(user="m1", room=room_name(1))
    assert words in (json.loads(payload)["text"] if name == "tsudoi" else payload.decode(errors="replace"))
    assert gateway.doors.to(BOB) == []


# --- reports ------------------------------------------------------------------------------------------------------


def reports(gateway: ScriptedGateway) -> list[list[tuple[int, int]]]:
    return [message.positions for message in gateway.told() if isinstance(message, Delivered)]


def test_how_far_was_delivered_is_reported_at_once_and_then_now_and_then(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.wait(1.0)
    reports(gateway)
    gateway.news(said(2, 9, "2"))
    assert reports(gateway) == [[(1, 2)]]
    for offset in range(3, 10):
        gateway.news(said(offset, 9, str(offset)))
    assert reports(gateway) == []
    gateway.now += REPORT_S
    assert reports(gateway) == [[(1, 9)]]
    gateway.wait(5.0)
    assert reports(gateway) == []


def test_what_was_not_delivered_is_not_reported(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.wait(1.0)
    reports(gateway)
    gateway.news(said(5, 9, "5"))
    assert reports(gateway) == []


# --- handed over, fenced ------------------------------------------------------------------------------------------


def release(member: int, room: int = 1, handover: str = "h1", elsewhere: bool = False) -> Release:
    return Release(room, member, handover, elsewhere)


def test_a_member_that_is_given_up_is_told_up_to_there_and_no_further(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.news(said(2, 9, "2"))
    gateway.published()
    gateway.answer(release(1))
    assert gateway.published() == [Item(EntryKind.RELEASED, 1, 1, "h1", 2)]
    gateway.news(said(3, 9, "3"))
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["2"], ["2", "3"])
    assert token_of(1) not in gateway.members.by_token


def test_a_member_that_shows_itself_at_another_host_is_given_up_when_it_has_been_silent() -> None:
    for settings, silent_s in ((Settings(), Settings.move_after_s), (Settings(check_ip="off"), 0.0)):
        gateway = ScriptedGateway(settings)
        gateway.enter(1, address=ALICE)
        gateway.published()
        if silent_s:
            gateway.wait(silent_s - 1.0)
            for _ in range(2):
                gateway.answer(release(1, elsewhere=True))
            assert gateway.published() == [Item(EntryKind.KEPT, 1, 1, "h1", 0)] * 2
            gateway.news(said(2, 9, "2"))
            assert texts(gateway, ALICE) == ["2"]
            gateway.wait(1.0)
        gateway.answer(release(1, elsewhere=True))
        assert [item.kind for item in gateway.published()] == [EntryKind.RELEASED]
        assert gateway.members.by_token == {}
        # Of one that is not here nobody can say that.
        gateway.answer(release(7, handover="h7", elsewhere=True))
        assert gateway.published() == [Item(EntryKind.KEPT, 1, 7, "h7", 0)]


def test_what_it_said_before_goes_before_it_is_given_up(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    gateway.hear(1, "last", ALICE)
    gateway.answer(release(1))
    assert [item.kind for item in gateway.published()] == [EntryKind.SAID, EntryKind.RELEASED]


def test_a_member_without_an_address_is_given_up_with_what_waits_for_it(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(said(2, 9, "2"), said(3, 9, "3"))
    gateway.published()
    gateway.answer(release(2))
    assert gateway.published() == [Item(EntryKind.RELEASED, 1, 2, "h1", 1)]


def test_one_that_catches_up_at_a_new_address_is_given_up_with_that(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(said(2, 9, "2"), said(3, 9, "3"))
    gateway.published()
    gateway.hear(2, "", BOB)
    gateway.answer(release(2))
    ip, port = unpack(BOB)
    assert gateway.published() == [
        Item(EntryKind.ADDRESSED, 1, 2, f"{ip} {port} 0", 1),
        Item(EntryKind.RELEASED, 1, 2, "h1", 1),
    ]


def test_a_member_that_is_not_here_is_given_up_without_a_position(gateway: ScriptedGateway) -> None:
    gateway.answer(release(7, room=3))
    assert gateway.published() == [Item(EntryKind.RELEASED, 3, 7, "h1", 0)]


def test_a_handover_is_answered_once(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    for _ in range(3):
        gateway.answer(release(1))
    assert len(gateway.published()) == 1
    gateway.answer(release(1, handover="h2"))
    assert gateway.published() == [Item(EntryKind.RELEASED, 1, 1, "h2", 0)]


def test_a_gateway_whose_lease_is_over_delivers_nothing_before_the_roll_was_called(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.canaries_come_back = False
    gateway.wait(3.0)
    gateway.news(said(2, 9, "2"))
    assert gateway.doors.sent == []
    assert gateway.counters.fenced == 1
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(1.0)
    request = gateway.asked(Reconcile)[-1]
    assert isinstance(request.body, Reconcile)
    assert sorted(request.body.members) == [1, 2]
    gateway.reply(request.id, Reconciled([2]))
    gateway.tick()
    while answer_all(gateway, [said(2, 9, "2")]):
        pass
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["2"], [])
    assert list(gateway.members.rooms[1].members) == [1]


def test_who_comes_in_while_the_roll_is_called_is_asked_for_too(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.canaries_come_back = False
    gateway.wait(3.0)
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(1.0)
    first = gateway.asked(Reconcile)[-1]
    # The answer to a question of long ago: the member may be another's by now.
    gateway.enter(2, address=BOB)
    gateway.reply(first.id, Reconciled([]))
    second = gateway.asked(Reconcile)[-1]
    assert isinstance(second.body, Reconcile)
    assert sorted(second.body.members) == [1, 2]
    gateway.news(said(2, 9, "2"))
    assert gateway.doors.sent == []
    gateway.reply(second.id, Reconciled([2]))
    gateway.tick()
    while answer_all(gateway, [said(2, 9, "2")]):
        pass
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["2"], [])


def test_what_was_missed_while_fenced_is_asked_for(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.canaries_come_back = False
    gateway.wait(3.0)
    gateway.canaries_come_back = True
    gateway.answer(backbone.Accepted(0))
    gateway.wait(1.0)
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([]))
    request = gateway.asked(Positions)[-1]
    assert request.body == Positions([1])
    gateway.reply(request.id, RoomPositions([(1, 1, 3)]))
    while answer_all(gateway, [said(2, 9, "2"), said(3, 9, "3")]):
        pass
    assert texts(gateway, ALICE) == ["2", "3"]


def test_a_lost_canary_makes_it_ask_where_rooms_stand(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.asked(Positions)
    gateway.canaries_come_back = False
    gateway.wait(0.25)
    gateway.canaries_come_back = True
    gateway.wait(0.25)
    (request,) = gateway.asked(Positions)
    gateway.reply(request.id, RoomPositions([(1, 1, 1)]))
    assert gateway.asked(Replay) == []
