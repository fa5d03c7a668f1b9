"""gateway/chat/catch_up.py, in a whole gateway without I/O."""

from tests.gateway.chat.scripting import ALICE, BOB, answer_all, answer_replay, release, slow_gateway, texts
from tests.support.fakes import ScriptedGateway, a_grant, address_of, entry, said, token_of
from tsudoi.protocol.backbone import Item, Reconcile, Reconciled, Replay
from tsudoi.protocol.codes import EntryKind


def test_a_member_is_live_only_after_its_paced_replay_and_delays_no_other() -> None:
    gateway = slow_gateway()
    gateway.enter(1, address=ALICE)
    gateway.enter(2, offset=1)
    log = [said(offset, 9, str(offset)) for offset in range(2, 302)]
    gateway.news(*log)
    gateway.receive(2, "", BOB)
    for _ in range(40):
        log.append(said(log[-1].offset + 1, 9, str(log[-1].offset + 1)))
        gateway.news(log[-1])
        answer_all(gateway, log)
        gateway.wait(0.25)
    assert texts(gateway, ALICE) == texts(gateway, BOB) == [entry.text for entry in log]
    assert gateway.counters.replays_paced > 0


def test_a_member_is_released_where_its_paced_replay_has_come_to() -> None:
    gateway = slow_gateway()
    gateway.enter(2, offset=1)
    log = [said(offset, 9, str(offset)) for offset in range(2, 302)]
    gateway.news(*log)
    gateway.receive(2, "", BOB)
    answer_all(gateway, log)
    heard = len(texts(gateway, BOB))
    assert 0 < heard < 300
    gateway.answer(release(2))
    assert [item.code for item in gateway.published() if item.kind == EntryKind.RELEASED] == [1 + heard]


def test_messages_since_the_join_wait_for_an_address(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, offset=1)
    gateway.news(said(2, 9, "2"), said(3, 2, "own"), said(4, 9, "4"))
    gateway.receive(2, "", BOB)
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
    gateway.receive(1, "", ALICE)
    answer_replay(gateway, said(2, 1, "own"), after=1)
    assert texts(gateway, ALICE) == ["own"]


def test_a_member_that_has_missed_nothing_asks_for_no_replay(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.receive(1, "", ALICE)
    assert gateway.asked(Replay) == []
    gateway.news(said(2, 9, "2"))
    assert texts(gateway, ALICE) == ["2"]


def test_a_member_whose_address_comes_late_gets_all_since_its_join(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    log = [said(offset, 9, str(offset)) for offset in range(2, 302)]
    gateway.news(*log)
    gateway.wait(30.0)
    for request in gateway.asked(Reconcile):
        gateway.reply(request.id, Reconciled([], []))
    gateway.receive(1, "", ALICE)
    while answer_all(gateway, log):
        gateway.wait(0.25)
    assert texts(gateway, ALICE) == [str(offset) for offset in range(2, 302)]


def test_missed_joins_alone_are_no_reason_for_a_replay(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.news(entry(2, EntryKind.JOINED, 2), entry(3, EntryKind.JOINED, 3))
    gateway.receive(1, "", ALICE)
    assert gateway.asked(Replay) == []
    gateway.news(said(4, 9, "4"))
    assert texts(gateway, ALICE) == ["4"]


def test_a_message_between_missed_joins_is_replayed(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    log = [entry(2, EntryKind.JOINED, 2), said(3, 9, "3"), entry(4, EntryKind.JOINED, 3)]
    gateway.news(*log)
    gateway.receive(1, "", ALICE)
    answer_replay(gateway, *log, after=1)
    assert texts(gateway, ALICE) == ["3"]


def test_a_member_whose_room_is_behind_hears_nothing_from_before_its_join(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    late = gateway.core.enter(a_grant(2, offset=4), token_of(2), gateway.now)
    gateway.receive(2, "", BOB)
    assert late.recipients is None
    gateway.news(said(2, 9, "2"), said(3, 9, "3"), entry(4, EntryKind.JOINED, 2), said(5, 9, "5"))
    assert texts(gateway, ALICE) == ["2", "3", "5"]
    assert texts(gateway, BOB) == ["5"]


def test_a_move_while_catching_up_goes_on_at_the_new_address(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.news(said(2, 9, "2"), said(3, 9, "3"))
    gateway.receive(1, "", ALICE)
    moved = address_of(1, port=30_000)
    gateway.receive(1, "", moved)
    answer_replay(gateway, said(2, 9, "2"), said(3, 9, "3"), after=1)
    gateway.news(said(4, 9, "4"))
    assert texts(gateway, ALICE) == []
    assert texts(gateway, moved) == ["2", "3", "4"]


def test_the_address_and_position_of_a_live_member_are_published(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.news(said(2, 9, "2"))
    gateway.receive(1, "", ALICE)
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
