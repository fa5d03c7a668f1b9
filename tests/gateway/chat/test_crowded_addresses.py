"""gateway/chat/crowded_addresses.py, in a whole gateway without I/O."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.chat.crowded_addresses import LOOK_S, QUIET_S, UNHEARD_S, search
from gateway.chat.members import Member
from gateway.settings import Settings
from tests.support.fakes import ScriptedGateway, a_grant, address_of, room_name, said, token_of
from tests.support.properties import examples
from tsudoi.protocol.codes import EntryKind, LeaveReason

SCHOOL, HOME = "192.0.2.1", "198.51.100.7"
MOST = 8


class School(ScriptedGateway):
    """A gateway where one address may have eight members."""

    def __init__(self) -> None:
        super().__init__(Settings(address_members=MOST, idle_timeout_s=100_000.0))
        self.offsets: Counter[int] = Counter()

    def comes(
        self, number: int, room: int, *, registers: bool = True, ip: str = SCHOOL, size: int = 0
    ) -> Member | None:
        """Let a member join, as a listener does, if it may; `size`: of the room, at all gateways."""
        if not self.core.may_enter(ip, room_name(room), self.now):
            return None
        here = self.members.rooms.get(room)
        if here is not None:
            here.size = max(len(here.members) + 1, size)
        granted = structs.replace(a_grant(number, room=room, ip=ip), size=max(size, 1))
        member = self.core.join(granted, token_of(number), self.now)
        self.news(room=room, last=1)
        if registers:
            self.receive(number, "", address_of(number, network=ip))
        return member

    def talks(self, room: int) -> None:
        """Let a message be delivered in a room."""
        self.offsets[room] += 1
        self.news(said(1 + self.offsets[room], 99, "hello"), room=room)

    def left(self) -> list[int]:
        items = [item for item in self.published() if item.kind == EntryKind.LEFT]
        assert all(item.code == LeaveReason.IDLE for item in items)
        return [item.member for item in items]

    def goes(self) -> list[int]:
        """Drop the members that leave, as their news do."""
        left = self.left()
        for room in list(self.members.rooms.values()):
            for member in list(room.members.values()):
                if member.id in left:
                    self.core.leaving.drop(member)
        return left


def test_an_address_that_is_not_full_loses_none() -> None:
    school = School()
    for number in range(1, MOST + 1):
        assert school.comes(number, room=1, registers=False)
    school.now += QUIET_S
    assert school.comes(20, room=2, ip=HOME)
    assert school.left() == []


def test_members_that_never_sent_a_datagram_make_room_and_the_oldest_last() -> None:
    school = School()
    school.comes(1, room=1, ip=HOME)
    school.comes(2, room=1)
    for number in range(3, MOST + 2):
        school.comes(number, room=2, registers=False)
    assert school.comes(20, room=1) is None
    school.wait(UNHEARD_S)
    assert [school.comes(number, room=1) is not None for number in (21, 22)] == [True, True]
    assert school.goes() == [MOST + 1, MOST]
    assert school.members.rate_keys[SCHOOL] == MOST
    assert school.counters.members_limited == 1
    assert school.counters.members_displaced == 2


def test_a_room_without_a_word_from_this_address_alone_makes_room_and_the_largest_first() -> None:
    school = School()
    for number in range(1, 4):
        school.comes(number, room=1)
    for number in range(4, MOST + 1):
        school.comes(number, room=2)
    for number in (11, 12):
        assert school.comes(number, room=3)
        school.goes()
    assert [len(school.members.rooms[room].members) for room in (1, 2, 3)] == [3, 3, 2]
    school.now += LOOK_S
    assert school.comes(13, room=3) is None
    assert school.comes(13, room=4)


def test_rooms_that_talk_or_have_members_from_elsewhere_lose_none() -> None:
    school = School()
    school.comes(1, room=1, ip=HOME)
    for number, room in ((2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3), (8, 3), (9, 3)):
        school.comes(number, room=room, size=9 if room == 3 else 0)
    school.talks(room=2)
    assert school.comes(20, room=4) is None
    school.wait(QUIET_S)
    school.talks(room=2)
    assert school.comes(20, room=4) is None
    school.wait(QUIET_S)
    assert school.comes(20, room=4)
    assert school.left() == [6]


def test_a_room_that_talks_and_has_most_places_gives_some_away() -> None:
    school = School()
    for number in range(1, MOST + 1):
        school.comes(number, room=1)
        school.talks(room=1)
    came = [bool(school.comes(number, room=2)) and bool(school.goes()) for number in range(20, 24)]
    assert came == [True] * 4
    # One more would only change their places.
    assert school.comes(24, room=2) is None
    assert Counter(member.room.id for member in school.members.by_token.values()) == {1: 4, 2: 4}


def test_who_was_heard_meanwhile_keeps_its_place() -> None:
    school = School()
    for number in range(1, MOST + 1):
        school.comes(number, room=1, registers=False)
    school.wait(UNHEARD_S)
    assert school.core.may_enter(SCHOOL, "another", school.now)
    for number in range(1, MOST + 1):
        school.receive(number, "", address_of(number))
    assert school.comes(20, room=2) is None
    school.now += LOOK_S
    assert school.comes(20, room=2)
    assert school.goes() == [MOST]


@examples(15)
@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.booleans(), st.sampled_from([SCHOOL, HOME]), st.integers(0, 400)),
        max_size=40,
    )
)
def test_a_class_with_a_teacher_elsewhere_that_is_heard_loses_no_member(
    joins: list[tuple[int, bool, str, int]],
) -> None:
    school = School()
    school.comes(1, room=9, ip=HOME)
    classmates = [2, 3, 4]
    for number in classmates:
        assert school.comes(number, room=9)
    for number, (room, registers, ip, seconds) in enumerate(joins, 10):
        school.now += seconds
        school.comes(number, room=room, registers=registers, ip=ip)
        school.goes()
        assert school.members.rate_keys[SCHOOL] <= MOST
    assert set(classmates) <= set(school.members.rooms[9].members)
    spare = search(school.members, SCHOOL, MOST, school.now)
    assert not {member.id for member in spare.unheard} & {member.id for member in spare.quiet}
