"""gateway/chat/history.py, in a whole gateway without I/O."""

from msgspec import structs

from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, answer_all, answer_replay, texts
from tests.support.fakes import ScriptedGateway, a_grant, entry, said, token_of
from tsudoi.protocol.backbone import Granted, Release, Replay, Replayed, Reply
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind


def a_newcomer(offset: int) -> Granted:
    return structs.replace(a_grant(1, offset=offset), options=int(MemberOptions.HISTORY))


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
    gateway.core.enter(a_newcomer(5), token_of(1), gateway.now)
    gateway.news(last=6)
    gateway.receive(1, "", ALICE)
    log = [entry(3, EntryKind.JOINED, 1), said(4, 9, "4"), said(5, 9, "5"), said(6, 9, "6")]
    while answer_all(gateway, log):
        pass
    assert texts(gateway, ALICE) == ["4", "5", "6"]
