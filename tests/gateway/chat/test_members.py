"""gateway/chat/members.py"""

from gateway.chat.members import Member, Members, Room
from tests.support.fakes import a_grant, token_of
from tsudoi.protocol.client.dialects import TCRP


def a_member(members: Members, number: int, now: float, idle_s: float = 100.0, room: int = 1) -> Member:
    granted = a_grant(number, room=room, idle_s=idle_s)
    if room not in members.rooms:
        members.rooms[room] = Room.from_grant(granted)
    return Member.from_grant(granted, token_of(number), TCRP, bytes(4), members.rooms[room], now)


def test_removing_a_member_twice_leaves_another_with_its_token_alone() -> None:
    members = Members()
    old, new = a_member(members, 1, 0.0), a_member(members, 1, 0.0)
    members.add(old)
    members.add(new)
    members.remove(old)
    assert members.by_token == {token_of(1): new}


def test_an_adopted_member_that_is_gone_can_not_be_claimed() -> None:
    members = Members()
    member = a_member(members, 1, 0.0)
    members.add_adopted(member, b"hash")
    members.remove(member)
    assert not members.claim_adopted(b"hash", token_of(1))
