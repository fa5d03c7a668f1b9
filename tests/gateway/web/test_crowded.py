"""gateway/web/crowded.py, with a broker's and a gateway's real cores."""

import pytest

from gateway.chat.crowded_addresses import QUIET_S
from gateway.web.crowded import find_spare
from tests.gateway.web.surfing import IP, Surfer
from tests.support.fakes import Node, World
from tsudoi.protocol.client.refusals import ADDRESS_IS_FULL
from tsudoi.protocol.web.codes import Close, Error

MOST = 16


class Class:
    """Connections of one address."""

    def __init__(self, world: World, node: Node) -> None:
        self.world, self.node = world, node
        self.all: list[Surfer] = []
        self.waited_s = 0.0

    def enter(self, count: int, *rooms: str) -> list[Surfer]:
        """Let so many connections enter these rooms, each of them all."""
        came = [Surfer(self.world, self.node, f"m{len(self.all) + number}") for number in range(count)]
        for surfer in came:
            for room in rooms:
                surfer.enter(room)
        self.all += came
        self.world.run(0.5)  # the room's size comes with its news
        return came

    def spare(self, room: str = "new") -> Surfer | None:
        found = find_spare([each.session for each in self.all], IP, room, MOST, self.world.now + self.waited_s)
        return next((each for each in self.all if each.session is found), None)

    def wait(self) -> None:
        """Let all rooms become quiet."""
        self.waited_s += QUIET_S


@pytest.fixture
def school(world: World, node: Node) -> Class:
    return Class(world, node)


def test_the_newest_of_the_largest_room_gives_way(school: Class) -> None:
    lair = school.enter(4, "lair")
    school.enter(2, "class")
    assert school.spare() is lair[-1]


def test_a_room_does_not_displace_its_own_nor_a_room_of_its_size(school: Class) -> None:
    school.enter(4, "class")
    school.enter(3, "lair")
    assert school.spare("class") is None
    assert school.spare("lair") is None
    school.enter(1, "class")
    assert school.spare("lair") is not None


def test_a_room_in_which_members_talk_keeps_a_quarter_of_the_places(school: Class) -> None:
    members = school.enter(4, "class")
    members[0].say("hello", room="class")
    school.world.run(0.5)
    assert school.spare() is None
    more = school.enter(1, "class")
    assert school.spare() is more[-1]
    school.wait()
    assert school.spare() is more[-1]


def test_a_room_with_a_member_from_elsewhere_loses_none(school: Class) -> None:
    school.enter(5, "class")
    school.world.enter_now(school.node, "class")  # its address has no limits
    school.world.run(0.5)
    school.wait()
    assert school.spare() is None


def test_a_connection_is_spared_only_if_all_of_its_rooms_can_do_without_it(school: Class) -> None:
    school.enter(4, "lair", "class")
    school.world.enter_now(school.node, "class")
    school.world.run(0.5)
    assert school.spare() is None
    other = school.enter(1, "lair")
    assert school.spare() is other[0]


def test_where_all_keep_their_places_a_newcomer_is_refused_and_may_try_again(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.port.is_full = True
    refused = alice.enter()
    assert (refused["code"], refused["message"], refused["temporary"]) == (Error.TOO_MANY, ADDRESS_IS_FULL, True)
    alice.port.is_full = False
    # None gives way to one that is refused.
    assert alice.ask(subscribe={"channel": "nowhere"})["code"] == Error.UNKNOWN_CHANNEL
    assert alice.port.took == []
    assert "code" not in alice.enter()
    assert alice.port.took == ["den"]
    # A further room needs no further place.
    alice.port.is_full = True
    assert "code" not in alice.enter("tea")


def test_a_client_that_comes_back_takes_the_place_of_its_other_connection(world: World, node: Node) -> None:
    alice = Surfer(world, node)
    alice.enter()
    again = alice.again()
    again.port.is_full = True
    assert "code" not in again.enter()


def test_one_that_gives_way_is_told_not_to_come_back_by_itself(world: World, node: Node) -> None:
    alice, aki = Surfer(world, node), Surfer(world, node, "aki", language="ja")
    for each in (alice, aki):
        each.session.displace()
    (code, english), (_, japanese) = alice.port.closed[0], aki.port.closed[0]
    assert (code, int(code)) == (Close.DISPLACED, 3503)
    assert english.startswith(ADDRESS_IS_FULL)
    assert "アドレス" in japanese
    assert len(japanese.encode()) <= 120
