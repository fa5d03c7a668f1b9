"""gateway/chat/unknown_members.py, in a whole gateway without I/O."""

import pytest

from tests.gateway.chat.scripting import ALICE, BOB, CAROL, answer_replay, texts
from tests.support.fakes import ScriptedGateway, entry, said
from tsudoi.protocol.backbone import Positions, Reconcile, Reconciled, Refused, Replay, Resume, RoomPositions
from tsudoi.protocol.client.dialects import OF_STREAMS
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind, LeaveReason, Status

OUT = "server: You are not in 部屋1 any more. Join it again."


def reconcile(gateway: ScriptedGateway, *unknown: int, last: int, epoch: int = 1) -> None:
    """Let the gateway ask about its members, and answer it; the room's log ends at `last`."""
    gateway.wait(2.0)
    gateway.core.deliver.fencing.reconcile(0)
    gateway.tick()
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([], list(unknown)))
    gateway.reply(gateway.asked(Positions)[-1].id, RoomPositions([(1, epoch, last)]))


def test_a_member_that_the_directory_does_not_know_is_told_and_hears_nothing_more(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    reconcile(gateway, 2, last=1)
    assert gateway.outbound.to(BOB) == [OUT.encode(), b"exit!"]
    gateway.news(said(2, 9, "private"))
    assert (texts(gateway, ALICE), len(gateway.outbound.to(BOB))) == (["private"], 2)
    assert (list(gateway.members.rooms[1].members), gateway.counters.unknown_members) == ([1], 1)


def test_a_member_of_the_own_dialect_is_told_by_a_notice(gateway: ScriptedGateway) -> None:
    member = gateway.enter(2, "tsudoi", address=BOB)
    member.options = MemberOptions.JAPANESE
    reconcile(gateway, 2, last=1)
    (payload,) = gateway.outbound.to(BOB)
    assert payload.decode() == (
        '{"notice":"timeout","text":"あなたはもう 部屋1 にいません。もう一度入室してください。"}'
    )


@pytest.mark.parametrize("dialect", [each.name for each in OF_STREAMS])
def test_members_that_have_no_stream_at_the_time_are_removed_in_silence(gateway: ScriptedGateway, dialect: str) -> None:
    gateway.enter(1, dialect)
    gateway.enter(2, dialect)
    reconcile(gateway, 1, last=1)
    kicked = entry(2, EntryKind.LEFT, 2, LeaveReason.KICKED)
    kicked.peer, kicked.peer_name = 3, "carol"
    gateway.news(kicked)
    assert (gateway.members.rooms, gateway.outbound.sent) == ({}, [])


def test_a_member_that_has_left_by_the_log_gets_all_that_came_before_and_the_reason(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    reconcile(gateway, 2, last=3)
    kicked = entry(3, EntryKind.LEFT, 2, LeaveReason.KICKED)
    kicked.peer, kicked.peer_name = 1, "alice"
    answer_replay(gateway, said(2, 1, "before"), kicked, after=1)
    assert [each.decode() for each in gateway.outbound.to(BOB)] == [
        "m1: before",
        "server: alice has removed you from 部屋1.",
        "exit!",
    ]
    assert gateway.counters.unknown_members == 0


def test_a_member_whose_leaving_the_log_has_lost_is_told_when_the_rest_is_delivered(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    gateway.news(last=9)
    answer_replay(gateway, said(8, 1, "8"), said(9, 1, "9"), after=1)
    # It asks by itself, as the lost entries may have removed a member.
    gateway.wait(2.0)
    gateway.reply(gateway.asked(Reconcile)[-1].id, Reconciled([], [2]))
    gateway.reply(gateway.asked(Positions)[-1].id, RoomPositions([(1, 1, 9)]))
    assert gateway.outbound.to(BOB)[-2:] == [OUT.encode(), b"exit!"]
    assert [member.id for member in gateway.members.rooms[1].members.values()] == [1]


def test_if_the_log_can_not_be_read_members_are_removed_all_the_same(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    reconcile(gateway, 2, last=5)
    gateway.wait(9.0)
    assert gateway.outbound.to(BOB) == []
    gateway.wait(2.0)
    assert gateway.outbound.to(BOB) == [OUT.encode(), b"exit!"]


def test_a_new_epoch_makes_the_gateway_ask_which_members_it_has(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(last=1, epoch=2)
    answer_replay(gateway, after=1, last=1, epoch=2)
    gateway.wait(2.0)
    assert len(gateway.asked(Reconcile)) == 1


def test_a_gateway_that_loses_entries_all_the_time_does_not_ask_all_the_time(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    count = 0
    for last in range(10, 200, 10):
        gateway.news(last=last)
        answer_replay(gateway, said(last, 9, "x"), after=last - 10 or 1)
        gateway.wait(0.5)
        for request in gateway.asked(Reconcile):
            count += 1
            gateway.reply(request.id, Reconciled([], []))
    assert 3 <= count <= 6


@pytest.mark.parametrize(("source", "answers"), [(BOB, 2), (CAROL, 0)])
def test_a_client_that_missed_the_words_and_still_sends_is_told_again_where_it_was(
    gateway: ScriptedGateway, source: bytes, answers: int
) -> None:
    gateway.enter(1, address=ALICE)
    gateway.enter(2, address=BOB)
    reconcile(gateway, 2, last=1)
    gateway.outbound.sent.clear()
    gateway.wait(2.0)
    for _ in range(3):
        gateway.receive(2, "still here", source)
        for request in gateway.asked(Resume):
            gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    assert len(gateway.outbound.to(source)) == answers
    gateway.wait(1.0)
    gateway.receive(2, "still here", source)
    assert len(gateway.outbound.to(source)) == 2 * answers
    assert gateway.asked(Replay) == []
