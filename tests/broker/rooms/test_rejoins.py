"""broker/rooms/rejoins.py"""

import pytest

from broker.rooms.rejoins import NUMBERED
from tests.broker.scripted import A, B, Broker, a_token, addressed, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Granted, Item, Join
from tsudoi.protocol.codes import EntryKind, LeaveReason, Rights

HERE, NEXT_PORT = "192.0.2.1 5000 0", "192.0.2.1 5001 0"


def claimed(member: Granted, where: str = HERE) -> Item:
    return Item(EntryKind.CLAIMED, member.room, member.member, where, 0)


def names(broker: Broker, member: Granted) -> dict[int, str]:
    room = broker.core.directory.rooms[member.room]
    assert {name: number for number, name in ((each.id, each.name) for each in room.members.values())} == room.names
    return {each.id: each.name for each in room.members.values()}


def test_a_client_that_joins_again_from_its_address_gets_its_name_back(broker: Broker) -> None:
    host = broker.create(user="host")
    before = broker.join(user="alice", token=2)
    broker.publish(A, addressed(before, 1, HERE))
    after = broker.join(user="alice", token=3, peer=B)
    broker.publish(B, claimed(after, "192.0.2.1 5000 1 10.0.0.9"))
    assert names(broker, host) == {host.member: "host", after.member: "alice"}
    assert a_token(2) not in broker.core.directory.by_token
    left, renamed = broker.log(host.room)[-2:]
    assert (left.kind, left.member, left.code) == (EntryKind.LEFT, before.member, LeaveReason.REJOINED)
    assert (renamed.kind, renamed.sender, renamed.text) == (EntryKind.RENAMED, "alice#2", "alice")
    # The room stays as it is over a restart.
    broker.restart()
    assert names(broker, host) == {host.member: "host", after.member: "alice"}


def test_a_host_stays_the_host_and_its_room_stays_open(broker: Broker) -> None:
    host = broker.create(user="host")
    broker.publish(A, addressed(host, 1, HERE))
    after = broker.join(user="host")
    broker.publish(A, claimed(after))
    assert names(broker, host) == {after.member: "host"}
    assert broker.core.directory.members[after.member].is_host


def test_one_who_was_muted_stays_muted(broker: Broker) -> None:
    broker.create(user="host")
    before = broker.join(user="alice", token=2)
    broker.publish(A, addressed(before, 1, HERE))
    broker.core.directory.members[before.member].muted_until_ms = 2**50
    after = broker.join(user="alice", token=3)
    broker.publish(A, claimed(after), said(after, "hello"))
    assert broker.texts(after.room) == []


@pytest.mark.parametrize(
    ("where", "ip"),
    [
        (NEXT_PORT, "192.0.2.1"),  # another socket
        (HERE, "198.51.100.7"),  # a forged source: the connection came from elsewhere
        ("198.51.100.7 5000 0", "198.51.100.7"),
        ("", "192.0.2.1"),
        ("nonsense", "192.0.2.1"),
    ],
)
def test_nobody_else_is_replaced(broker: Broker, where: str, ip: str) -> None:
    host = broker.create(user="host")
    before = broker.join(user="alice", token=2)
    broker.publish(A, addressed(before, 1, HERE))
    request = Join("den", "alice", None, a_token(3), "tcrp", ip, 100_000)
    after = broker.ask(A, request)
    assert isinstance(after, Granted)
    broker.publish(A, claimed(after, where))
    assert names(broker, host)[after.member] == "alice#2"
    assert before.member in names(broker, host)


def test_another_name_another_room_and_a_younger_member_are_not_replaced(broker: Broker) -> None:
    host = broker.create(user="host")
    for token, (room, user) in enumerate((("den", "bob"), ("den", "alice")), 2):
        broker.publish(A, addressed(broker.join(room, user, token=token), 1, HERE if user == "bob" else NEXT_PORT))
    elsewhere = broker.create("other", "alice", token=4)
    broker.publish(A, addressed(elsewhere, 1, HERE))
    after = broker.join(user="alice", token=5)
    younger = broker.join(user="alice", token=6)
    broker.publish(A, addressed(younger, 1, HERE), claimed(after))
    assert names(broker, host)[after.member] == "alice#2"
    assert len(names(broker, host)) == 5
    assert names(broker, elsewhere) == {elsewhere.member: "alice"}


def test_a_member_of_version_2_is_not_replaced_by_one_at_its_address(broker: Broker) -> None:
    host = broker.create(user="host")
    before = broker.ask(A, Join("den", "alice", None, a_token(2), "tsudoi-2", "192.0.2.1", 100_000))
    assert isinstance(before, Granted)
    broker.publish(A, addressed(before, 1, HERE))
    after = broker.join(user="alice", token=3)
    broker.publish(A, claimed(after))
    assert names(broker, host)[before.member] == "alice"


@pytest.mark.parametrize(("rights", "replaces"), [(0, False), (int(Rights.VERIFIED), True)])
def test_a_name_that_an_issuer_vouched_for_is_not_had_without(broker: Broker, rights: int, replaces: bool) -> None:
    broker.create(user="host")
    verified = Join("den", "alice", None, a_token(2), "tcrp", "192.0.2.1", 100_000, int(Rights.VERIFIED))
    before = broker.ask(A, verified)
    assert isinstance(before, Granted)
    broker.publish(A, addressed(before, 1, HERE))
    after = broker.ask(A, Join("den", "alice", None, a_token(3), "tcrp", "192.0.2.1", 100_000, rights))
    assert isinstance(after, Granted)
    broker.publish(A, claimed(after))
    assert (names(broker, after)[after.member] == "alice") is replaces
    moderated = broker.core.directory.members[after.member].may_moderate
    assert not moderated


def test_only_the_gateway_that_serves_a_member_claims_for_it(broker: Broker) -> None:
    host = broker.create(user="host")
    before = broker.join(user="alice", token=2)
    broker.publish(A, addressed(before, 1, HERE))
    after = broker.join(user="alice", token=3)
    broker.publish(B, claimed(after))
    assert before.member in names(broker, host)


def test_a_crowd_of_one_name_costs_a_bounded_look(broker: Broker) -> None:
    host = broker.create(user="x")
    first = broker.join(user="x", token=2)
    broker.publish(A, addressed(first, 1, HERE))
    crowd = [broker.join(user="x", token=3 + number) for number in range(NUMBERED)]
    broker.publish(A, claimed(crowd[-1]))
    # The member `x#2` is not among the newest any more.
    assert first.member in names(broker, host)
    assert isinstance(broker.ask(A, backbone.Resume(a_token(2))), Granted)
