"""gateway/chat/gaps.py, in a whole gateway without I/O."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.replay_limiter import AT_ONCE, PACE_S
from tests.gateway.chat.scripting import ALICE, BOB, CAROL, answer_all, answer_replay, replayed, slow_gateway, texts
from tests.support.fakes import WALL_MS, ScriptedGateway, said
from tsudoi.protocol.backbone import Replay


def test_missing_entries_are_replayed_before_later_ones(gateway: ScriptedGateway) -> None:
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
    while after < 1_201:
        gateway.now += PACE_S
        gateway.core.deliver.go_on(gateway.now)
        for request in gateway.asked(Replay):
            assert isinstance(request.body, Replay)
            assert request.body.after == after
            assert request.body.limit <= AT_ONCE
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


def test_entries_that_the_log_has_lost_are_counted(gateway: ScriptedGateway) -> None:
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
    gateway.news(said(2, 9, "newer"), epoch=2)
    (request,) = gateway.asked(Replay)
    assert request.body == Replay(1, 1, 2, 100, WALL_MS)
    gateway.reply(request.id, replayed(said(1, 9, "new"), said(2, 9, "newer"), epoch=2))
    gateway.news(said(3, 9, "newest"), epoch=2)
    assert gateway.counters.resets == 1
    assert texts(gateway, ALICE) == ["old", "new", "newer", "newest"]


def test_in_another_epoch_it_goes_on_after_what_is_still_in_the_log(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(said(2, 9, "old"))
    gateway.news(last=4, epoch=2)
    answer_replay(gateway, said(3, 9, "three"), said(4, 9, "four"), after=2, epoch=2)
    gateway.receive(2, "", BOB)
    (request,) = gateway.asked(Replay)
    assert request.body == Replay(1, 2, 1, 100)
    gateway.reply(request.id, replayed(*(said(n, 9, f"{n}") for n in (2, 3, 4)), epoch=2))
    assert (texts(gateway, ALICE), texts(gateway, BOB)) == (["old", "three", "four"], ["2", "3", "4"])
    assert gateway.counters.lost_entries == 0


def test_in_another_epoch_members_that_have_no_address_yet_go_on_from_where_they_have_the_same_log(
    gateway: ScriptedGateway,
) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2)
    gateway.news(said(2, 9, "two"), said(3, 9, "lost"))
    gateway.enter(3, offset=3)
    log = [said(2, 9, "two"), said(3, 9, "three"), said(4, 9, "four")]
    gateway.news(last=4, epoch=2)
    answer_replay(gateway, *log[1:], after=3, epoch=2)
    for number, address in ((2, BOB), (3, CAROL)):
        gateway.receive(number, "", address)
        (request,) = gateway.asked(Replay)
        assert isinstance(request.body, Replay)
        gateway.reply(request.id, replayed(*(each for each in log if each.offset > request.body.after), epoch=2))
    assert texts(gateway, ALICE) == ["two", "lost", "three", "four"]
    assert (texts(gateway, BOB), texts(gateway, CAROL)) == (["two", "three", "four"], ["three", "four"])


def test_another_entry_at_its_own_position_shows_that_the_log_is_another(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(said(2, 9, "old"))
    gateway.news(said(2, 9, "old"))
    assert gateway.asked(Replay) == []
    other = said(2, 9, "other")
    other.at_ms += 1
    gateway.news(other, said(3, 9, "three"))
    answer_replay(gateway, other, said(3, 9, "three"), after=2, epoch=2)
    assert texts(gateway, ALICE) == ["old", "other", "three"]


def test_an_answer_that_does_not_come_is_asked_for_again_in_another_epoch(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=1, epoch=2)
    gateway.asked(Replay)
    gateway.wait(gateway.settings.request_timeout_s + 0.5)
    request = gateway.asked(Replay)[-1]
    gateway.reply(request.id, replayed(last=1, epoch=2))
    gateway.news(said(2, 9, "two"), epoch=2)
    assert texts(gateway, ALICE) == ["two"]
    gateway.wait(5.0)
    assert gateway.asked(Replay) == []


@given(data=st.data())
def test_every_entry_is_delivered_once_and_in_order_whatever_is_dropped_or_repeated(data: st.DataObject) -> None:
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
            gateway.receive(2, "", BOB)
        if data.draw(st.booleans()):
            answer_all(gateway, log[:at])
    gateway.receive(2, "", BOB)
    gateway.news(last=last)
    while answer_all(gateway, log):
        pass
    gateway.tick()
    while answer_all(gateway, log):
        pass
    assert texts(gateway, ALICE) == texts(gateway, BOB) == [entry.text for entry in log]
    assert gateway.counters.lost_entries == 0


def test_a_long_gap_is_replayed_no_faster_than_the_rate() -> None:
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


def test_new_messages_come_after_a_paced_gap() -> None:
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
