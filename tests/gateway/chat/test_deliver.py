"""gateway/chat/deliver.py and room_events.py, in a whole gateway without I/O."""

import json

import pytest

from gateway.chat.members import Recipients
from gateway.chat.replay_limiter import AT_ONCE, PACE_S
from tests.gateway.chat.scripting import ALICE, BOB, CAROL, answer_all, answer_replay, release, texts
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


def test_beside_one_that_hears_itself_one_with_the_same_form_of_datagrams_does_not(gateway: ScriptedGateway) -> None:
    assert DIALECTS["classic"].down == DIALECTS["tcrp"].down
    gateway.enter(1, "classic", address=ALICE)
    gateway.enter(2, "tcrp", offset=1, address=BOB)
    gateway.news(said(2, 1, "a"), said(3, 2, "b"))
    assert texts(gateway, ALICE) == ["a", "b"]
    assert texts(gateway, BOB) == ["a"]


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


def burst(gateway: ScriptedGateway, last: int) -> list[Entry]:
    """What was said during a pause comes in pieces that follow one another at once; return the whole log."""
    log = [said(offset, 9, str(offset)) for offset in range(2, last + 1)]
    for start in range(0, len(log), 300):
        gateway.news(*log[start : start + 300])
    return log


def test_a_burst_comes_at_the_pace_of_a_replay_and_in_order(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=1)
    begun = gateway.now
    log = burst(gateway, 1_001)
    assert len(texts(gateway, ALICE)) == AT_ONCE
    while len(texts(gateway, ALICE)) < 1_000:
        assert gateway.now < begun + 1.0
        gateway.now += PACE_S
        before = len(texts(gateway, ALICE))
        gateway.core.deliver.go_on(gateway.now)
        answer_all(gateway, log)
        assert len(texts(gateway, ALICE)) - before <= AT_ONCE
    assert gateway.members.paced == {}
    gateway.news(said(1_002, 9, "1002"))
    assert texts(gateway, ALICE) == [str(offset) for offset in range(2, 1_003)]
    assert gateway.counters.gaps == 0


def test_a_burst_ends_at_the_closing_of_the_room(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    entries = [said(offset, 9, str(offset)) for offset in range(2, 52)]
    gateway.news(*entries, entry(52, EntryKind.CLOSED, 9))
    assert texts(gateway, ALICE)[:50] == [str(offset) for offset in range(2, 52)]
    assert gateway.members.rooms == {}
    assert gateway.asked(Replay) == []


def test_a_gateway_that_stopped_in_a_burst_says_how_far_it_came(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    burst(gateway, 1_001)
    gateway.published()
    gateway.answer(release(1))
    assert [item.code for item in gateway.published()] == [1 + AT_ONCE]


def test_a_room_that_talks_fast_is_not_paced(gateway: ScriptedGateway) -> None:
    """Neither when it begins, nor in turns that are slower for a moment."""
    gateway.enter(1, address=ALICE)
    offset = 2
    for turn in range(600):  # 10,000 a second
        gateway.now += (pause_s := 0.2 if turn % 100 == 99 else 0.005)
        count = int(pause_s * 10_000)
        gateway.news(*(said(offset + number, 9, "x") for number in range(count)))
        offset += count
        if turn % 50 == 0:
            gateway.tick()
    assert gateway.asked(Replay) == []
    assert len(texts(gateway, ALICE)) == offset - 2


def test_messages_go_together_while_a_member_catches_up(
    gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []

    def fan_out(listener: int, recipients: Recipients, payloads: list[bytes], skips: list[int]) -> None:
        sent.append((len(recipients), len(payloads)))

    monkeypatch.setattr(gateway.outbound, "fan_out", fan_out)
    gateway.enter(1, address=ALICE)
    gateway.enter(2, offset=1)
    gateway.news(said(2, 9, "2"))
    gateway.receive(2, "", BOB)
    gateway.enter(3, offset=4, address=CAROL)
    gateway.news(*(said(offset, 9, str(offset)) for offset in range(3, 7)))
    assert sent == [(1, 1), (1, 2), (2, 2)]  # the third is live behind its own join
