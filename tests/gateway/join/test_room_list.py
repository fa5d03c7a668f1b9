"""gateway/join/room_list.py"""

import pytest

from gateway.join.room_list import FRESH_S, LISTED_ADDRESSES, LISTED_LATELY_S, Listing, RoomList
from tests.support.fakes import ScriptedGateway
from tsudoi.protocol.backbone import ListRooms, Refused, Rooms
from tsudoi.protocol.codes import Status


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


def asked(gateway: ScriptedGateway) -> list[int]:
    """The ids of the questions for the list since the last look."""
    return [request.id for request in gateway.asked(ListRooms)]


def test_many_who_ask_at_once_are_told_by_one_answer(gateway: ScriptedGateway) -> None:
    rooms, told = RoomList(gateway.routes), list[Listing | None]()
    for _ in range(3):
        rooms.ask(gateway.now, told.append)
    (question,) = asked(gateway)
    assert told == []
    gateway.reply(question, Rooms(["den", "attic"]))
    assert told == [Listing(["den", "attic"])] * 3


def test_a_list_is_told_again_while_it_is_new_and_not_longer(gateway: ScriptedGateway) -> None:
    rooms, told = RoomList(gateway.routes), list[Listing | None]()
    rooms.ask(gateway.now, told.append)
    (question,) = asked(gateway)
    gateway.reply(question, Rooms(["den"]))
    rooms.ask(gateway.now + FRESH_S * 0.9, told.append)
    assert asked(gateway) == []
    assert told[0] is told[1]
    rooms.ask(gateway.now + FRESH_S * 1.1, told.append)
    assert len(asked(gateway)) == 1
    assert len(told) == 2


def test_its_age_counts_from_the_question(gateway: ScriptedGateway) -> None:
    rooms, told = RoomList(gateway.routes), list[Listing | None]()
    rooms.ask(gateway.now, told.append)
    (first,) = asked(gateway)
    rooms.ask(gateway.now + FRESH_S * 1.1, told.append)
    (second,) = asked(gateway)
    gateway.reply(first, Rooms([]))
    assert told == [Listing([])]
    rooms.ask(gateway.now + FRESH_S * 1.1, told.append)
    assert asked(gateway) == []
    gateway.reply(second, Rooms(["den"]))
    assert told[1:] == [Listing(["den"])] * 2


def test_who_asks_after_a_room_was_made_here_finds_it(gateway: ScriptedGateway) -> None:
    rooms, told = RoomList(gateway.routes), list[Listing | None]()
    rooms.ask(gateway.now, told.append)
    (before,) = asked(gateway)
    rooms.forget("den")
    rooms.ask(gateway.now, told.append)
    (after,) = asked(gateway)
    gateway.reply(before, Rooms([]))
    gateway.reply(after, Rooms(["den"]))
    rooms.ask(gateway.now, told.append)
    assert told == [Listing([]), Listing(["den"]), Listing(["den"])]


def test_who_asks_while_the_broker_refuses_or_is_away_is_told_so(gateway: ScriptedGateway) -> None:
    rooms, told = RoomList(gateway.routes), list[Listing | None]()
    rooms.ask(gateway.now, told.append)
    (question,) = asked(gateway)
    gateway.reply(question, Refused(Status.BUSY, ""))
    rooms.ask(gateway.now, told.append)
    assert told == [None]
    gateway.wait(gateway.settings.request_timeout_s)
    assert told == [None, None]
    gateway.now += 60.0
    rooms.ask(gateway.now, told.append)
    assert told == [None, None, None]


def test_a_list_is_written_once_for_each_who_reads_it() -> None:
    listing = Listing(["den", "attic"])
    assert listing.seed == b"['den', 'attic']"
    assert listing.framed.endswith(b"den,attic")
    assert listing.seed is listing.seed
    assert listing.framed is listing.framed


def test_addresses_that_listed_are_remembered_for_a_while(gateway: ScriptedGateway) -> None:
    rooms = RoomList(gateway.routes)
    assert not rooms.listed_lately("192.0.2.1", 0.0)
    rooms.note_listed("192.0.2.1", 0.0)
    assert rooms.listed_lately("192.0.2.1", LISTED_LATELY_S - 1)
    assert not rooms.listed_lately("192.0.2.1", LISTED_LATELY_S)
    for number in range(LISTED_ADDRESSES):
        rooms.note_listed(f"10.0.{number >> 8}.{number & 255}", 0.0)
    assert not rooms.listed_lately("192.0.2.1", 1.0)
