"""gateway/chat/backlog.py, in a whole gateway without I/O."""

import pytest
from msgspec import structs

from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, answer_all, answer_replay, texts
from tests.support.fakes import ScriptedGateway, a_grant, entry, said, token_of
from tsudoi.protocol.backbone import TIME_SHIFT, Entry, Granted, Reconcile, Reconciled, Release, Replay, Replayed, Reply
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind


def a_newcomer(offset: int) -> Granted:
    return structs.replace(a_grant(1, offset=offset), options=int(MemberOptions.HISTORY))


def test_the_backlog_is_bounded(gateway: ScriptedGateway) -> None:
    gateway = ScriptedGateway(Settings(backlog=2))
    gateway.enter(1)
    log = [said(offset, 9, str(offset)) for offset in range(2, 11)]
    gateway.news(*log)
    gateway.receive(1, "", ALICE)
    answer_replay(gateway, *log[-2:], after=8)
    assert texts(gateway, ALICE) == ["9", "10"]
    assert gateway.counters.backlog_skipped == 7


JOINED_MS = 1_700_000_000_000
NEWCOMER = JOINED_MS << TIME_SHIFT
"""The id of a member that joined then."""


def said_later(offset: int, after_s: float) -> Entry:
    return structs.replace(said(offset, 9, str(offset)), at_ms=JOINED_MS + int(1000 * after_s))


def comes_after_news(gateway: ScriptedGateway, log: list[Entry]) -> None:
    """Let the newcomer's first datagram be read after the news, which came in several turns of the broker."""
    for start in range(0, len(log), 50):
        gateway.news(*log[start : start + 50])
    gateway.receive(NEWCOMER, "", ALICE)


def test_who_shows_its_address_soon_is_sent_all_however_much_was_said_meanwhile(gateway: ScriptedGateway) -> None:
    gateway.enter(NEWCOMER)
    log = [said_later(offset, 0.5) for offset in range(2, 302)]
    comes_after_news(gateway, log)
    while answer_all(gateway, log):
        gateway.wait(0.25)
    assert texts(gateway, ALICE) == [str(offset) for offset in range(2, 302)]
    assert gateway.counters.backlog_skipped == 0


@pytest.mark.parametrize(("stood_still_s", "skipped"), [(24.0, 0), (20.0, 200)])
def test_the_time_in_which_a_gateway_stood_still_does_not_count(
    gateway: ScriptedGateway, stood_still_s: float, skipped: int
) -> None:
    gateway.enter(NEWCOMER)
    gateway.wait((28.0 - stood_still_s) / 2)
    gateway.now += stood_still_s
    gateway.wait((28.0 - stood_still_s) / 2)
    for request in gateway.asked(Reconcile):
        gateway.reply(request.id, Reconciled([], []))
    comes_after_news(gateway, [said_later(offset, 28.0) for offset in range(2, 302)])
    assert gateway.counters.backlog_skipped == skipped


def test_history_is_the_last_messages_before_the_join() -> None:
    gateway = ScriptedGateway(Settings(history=2))
    gateway.core.enter(a_newcomer(6), token_of(1), gateway.now)
    gateway.news(last=6)
    gateway.receive(1, "", ALICE)
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
    gateway.core.enter(a_newcomer(3), token_of(1), gateway.now)
    gateway.news(last=3)
    gateway.news(said(4, 9, "4"))
    gateway.receive(1, "", ALICE)
    log = [said(2, 9, "2"), entry(3, EntryKind.JOINED, 1), said(4, 9, "4")]
    while answer_all(gateway, log):
        pass
    assert texts(gateway, ALICE) == ["2", "4"]


def test_a_resumed_member_hears_no_history() -> None:
    gateway = ScriptedGateway(Settings(history=5))
    gateway.core.enter(a_grant(1, offset=3, address=b"192.0.2.1 20001 0"), token_of(1), gateway.now)
    gateway.news(last=3)
    gateway.news(said(4, 9, "4"))
    assert gateway.asked(Replay) == []
    assert texts(gateway, ALICE) == ["4"]


def kinds(gateway: ScriptedGateway) -> list[int]:
    return [item.kind for item in gateway.published()]


def test_a_newcomer_that_goes_elsewhere_before_its_history_takes_the_wish_with_it() -> None:
    gateway = ScriptedGateway(Settings(history=5))
    gateway.core.enter(a_newcomer(3), token_of(1), gateway.now)
    gateway.news(last=3)
    gateway.receive(1, "", ALICE)
    (asked,) = gateway.asked(Replay)
    gateway.answer(Release(1, 1, "broker.1", False))
    # Without ADDRESSED, by which the directory knows that the history has been sent.
    assert kinds(gateway) == [EntryKind.RELEASED]
    gateway.answer(Reply(asked.id, Replayed(1, 1, 1, 3, [said(2, 9, "2")])))
    assert texts(gateway, ALICE) == []


def test_a_newcomer_that_goes_elsewhere_after_its_history_does_not_get_it_again() -> None:
    gateway = ScriptedGateway(Settings(history=5))
    gateway.core.enter(a_newcomer(3), token_of(1), gateway.now)
    gateway.news(last=3)
    gateway.receive(1, "", ALICE)
    answer_replay(gateway, said(2, 9, "2"), entry(3, EntryKind.JOINED, 1), after=0)
    assert texts(gateway, ALICE) == ["2"]
    gateway.answer(Release(1, 1, "broker.1", False))
    assert kinds(gateway) == [EntryKind.ADDRESSED, EntryKind.RELEASED]
    gateway.core.enter(a_grant(1, offset=3), token_of(1), gateway.now)
    gateway.receive(1, "", ALICE)
    assert gateway.asked(Replay) == []


def test_history_reaches_up_to_where_the_member_begins() -> None:
    gateway = ScriptedGateway(Settings(history=2))
    # Its first gateway had passed over messages that were too old for its backlog.
    gateway.core.enter(a_newcomer(5), token_of(1), gateway.now)
    gateway.news(last=6)
    gateway.receive(1, "", ALICE)
    log = [entry(3, EntryKind.JOINED, 1), said(4, 9, "4"), said(5, 9, "5"), said(6, 9, "6")]
    while answer_all(gateway, log):
        pass
    assert texts(gateway, ALICE) == ["4", "5", "6"]
