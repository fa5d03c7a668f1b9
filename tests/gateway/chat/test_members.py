"""gateway/chat/members.py"""

from gateway.chat.members import Member, Members, Room
from tests.support.fakes import a_grant, token_of
from tsudoi.protocol.client.dialects import TCRP


def a_member(members: Members, number: int, now: float, idle_s: float = 100.0, room: int = 1) -> Member:
    granted = a_grant(number, room=room, idle_s=idle_s)
    if room not in members.rooms:
        members.rooms[room] = Room.from_grant(granted)
    return Member.from_grant(granted, token_of(number), TCRP, bytes(4), members.rooms[room], now)


def test_a_member_is_found_by_its_token_until_it_is_removed() -> None:
    members = Members()
    member = a_member(members, 1, 0.0)
    members.add(member)
    assert members.by_token == {token_of(1): member}
    assert member.room.members == {1: member}
    members.remove(member)
    assert members.by_token == {}
    assert member.room.members == {}
    members.remove(member)


def test_removing_a_member_twice_leaves_another_with_its_token_alone() -> None:
    members = Members()
    old, new = a_member(members, 1, 0.0), a_member(members, 1, 0.0)
    members.add(old)
    members.add(new)
    members.remove(old)
    assert members.by_token == {token_of(1): new}


def test_an_adopted_member_is_known_by_its_token_from_when_it_is_shown() -> None:
    members = Members()
    member = a_member(members, 1, 0.0)
    member.token = b""
    members.add_adopted(member, b"hash")
    assert members.by_token == {}
    assert not members.claim_adopted(b"another", token_of(1))
    assert members.claim_adopted(b"hash", token_of(1))
    assert members.by_token == {token_of(1): member}
    assert not members.claim_adopted(b"hash", token_of(1))


def test_an_adopted_member_that_is_gone_can_not_be_claimed() -> None:
    members = Members()
    member = a_member(members, 1, 0.0)
    members.add_adopted(member, b"hash")
    members.remove(member)
    assert not members.claim_adopted(b"hash", token_of(1))
