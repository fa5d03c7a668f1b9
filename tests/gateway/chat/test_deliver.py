"""gateway/chat/deliver.py and room_events.py, in a whole gateway without I/O."""

import json

import pytest

from tests.gateway.chat.scripting import ALICE, BOB, CAROL, answer_replay, texts
from tests.support.fakes import ScriptedGateway, a_grant, address_of, entry, room_name, said, token_of
from tsudoi.protocol.backbone import Entry, Replay
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.codes import EntryKind, LeaveReason


def test_all_members_hear_in_the_order_of_the_log(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.news(said(2, 9, "one"), said(3, 9, "two"))
    gateway.news(said(4, 9, "three"))
    assert texts(gateway, ALICE) == texts(gateway, BOB) == ["one", "two", "three"]


def test_a_member_that_enters_before_the_first_news_misses_nothing(gateway: ScriptedGateway) -> None:
    gateway.core.enter(a_grant(1), token_of(1), gateway.now)
    gateway.receive(1, b"", ALICE)
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
    heard = [len(gateway.outbound.to(address)) for address in (ALICE, BOB, CAROL)]
    assert heard == [1, int(DIALECTS[name].echo), 1]


def test_each_dialect_hears_in_its_own_form(gateway: ScriptedGateway) -> None:
    for number, dialect in enumerate(("classic", "tcrp-named", "tcrp-200", "tcrp-202", "tcrp-bare-ack", "tsudoi"), 1):
        gateway.enter(number, dialect, address=address_of(number))
    gateway.news(said(2, 9, "やあ", "アリス"))
    heard = [gateway.outbound.to(address_of(number))[0] for number in range(1, 7)]
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


def test_joins_are_not_sent_to_members_without_notices(gateway: ScriptedGateway) -> None:
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


def test_a_member_that_leaves_is_told_nothing(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.LEFT), said(3, 9, "hi"))
    assert (gateway.outbound.to(ALICE), texts(gateway, BOB)) == ([], ["hi"])


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_an_idle_member_is_told_in_its_dialects_words(gateway: ScriptedGateway, dialect: object) -> None:
    name = getattr(dialect, "name", "")
    gateway.enter(1, name, address=ALICE)
    gateway.enter(2, name, address=BOB)
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.IDLE))
    (payload,) = gateway.outbound.to(ALICE)
    words = DIALECTS[name].timed_out.format(user="m1", room=room_name(1))
    assert words in (json.loads(payload)["text"] if name == "tsudoi" else payload.decode(errors="replace"))
    assert gateway.outbound.to(BOB) == []
