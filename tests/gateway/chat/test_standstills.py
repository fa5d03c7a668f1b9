"""gateway/chat/standstills.py: a gateway that was stopped for a while."""

import pytest

from gateway.chat.standstills import REMEMBERED, STOOD_STILL_S, Standstills
from gateway.link.canary import CANARY_S
from tests.gateway.chat.scripting import ALICE, ELSEWHERE, raw, send
from tests.support.fakes import ScriptedGateway, a_grant
from tsudoi.protocol.backbone import Item, ListRooms, Resume, Rooms
from tsudoi.protocol.codes import EntryKind, LeaveReason


def stand_still(gateway: ScriptedGateway, seconds: float) -> None:
    gateway.now += seconds
    gateway.tick()


def removed(gateway: ScriptedGateway) -> list[int]:
    return [item.member for item in gateway.published() if item.kind == EntryKind.LEFT]


def test_a_member_is_not_removed_for_what_waits_in_the_socket(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.wait(70.0)
    stand_still(gateway, 95.0)
    # Its sign of life is read after the first tick; or it was dropped, and the next one comes in time.
    assert removed(gateway) == []
    gateway.wait(25.0)
    gateway.receive(1, "", ALICE)
    gateway.wait(99.0)
    assert removed(gateway) == []
    gateway.wait(5.0)
    assert gateway.published() == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.IDLE)]


def test_only_the_standstill_itself_does_not_count(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    for _ in range(3):
        gateway.wait(20.0)
        stand_still(gateway, 500.0)
    gateway.wait(38.0)
    assert removed(gateway) == []
    gateway.wait(5.0)
    assert removed(gateway) == [1]


@pytest.mark.parametrize("ticks_first", [True, False])
def test_a_stolen_token_takes_over_nobody_after_a_standstill(gateway: ScriptedGateway, ticks_first: bool) -> None:
    gateway.enter(1, address=ALICE)
    gateway.wait(1.0)
    gateway.now += gateway.settings.move_after_s
    if ticks_first:
        gateway.tick()
    # The thief's datagram waited before the member's own.
    gateway.receive(1, "stolen", ELSEWHERE)
    gateway.receive(1, "hello", ALICE)
    assert gateway.said() == ["hello"]


def test_an_answer_of_the_broker_that_waited_is_taken(gateway: ScriptedGateway) -> None:
    answers: list[object] = []
    gateway.routes.ask(0, ListRooms(1), gateway.now, lambda answer, _: answers.append(answer))
    (request,) = gateway.asked(ListRooms)
    stand_still(gateway, 60.0)
    assert answers == []
    # New questions are asked, too.
    gateway.routes.ask(0, ListRooms(2), gateway.now, lambda answer, _: answers.append(answer))
    gateway.reply(request.id, Rooms(["den"]))
    assert answers == [Rooms(["den"])]


def test_an_ordinary_pause_is_none() -> None:
    standstills, now = Standstills(), 0.0
    for _ in range(100):
        now += STOOD_STILL_S
        assert standstills.tick(now) == 0.0
    assert standstills.silent_s(1.0, now) == now - 1.0


def test_only_so_many_are_remembered() -> None:
    standstills, now = Standstills(), 0.0
    standstills.tick(now)
    for _ in range(REMEMBERED + 10):
        assert standstills.tick(now + 5.0) == 5.0
        now += 5.0 + CANARY_S
        standstills.tick(now)
    assert round(standstills.silent_s(-1.0, now), 6) == round(now + 1.0 - REMEMBERED * 5.0, 6)


@pytest.mark.parametrize("after_s", [0.0, 1.0])
def test_a_host_that_the_directory_allows_is_followed_after_a_standstill_too(
    gateway: ScriptedGateway, after_s: float
) -> None:
    gateway.now += 60.0
    gateway.wait(after_s)
    send(gateway, raw(1, "hello"), ELSEWHERE)
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, address=b"192.0.2.1 20001 0"))
    assert gateway.said() == ["hello"]
