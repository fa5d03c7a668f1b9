"""broker/rooms/lost_gateways.py, handovers.py and gateway_leases.py"""

import pytest
from msgspec import structs

from broker.core import CLOSED_S
from broker.rooms.gateway_leases import ALIVE_S, PROBE_S
from broker.rooms.handovers import HANDOVERS, HANDOVERS_S
from broker.rooms.lost_gateways import FORGET_S, MAY_WAKE_MS
from tests.broker.scripted import A, B, Broker, a_token, addressed, left, released, replace_address, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Accepted,
    Adopt,
    Canary,
    Delivered,
    Granted,
    Hello,
    Item,
    Join,
    Reconcile,
    Reconciled,
    Refused,
    Release,
    Reply,
    Request,
    Resume,
    Unknown,
    Welcome,
)
from tsudoi.protocol.codes import EntryKind, LeaveReason, Status

# --- members and their gateways -----------------------------------------------------------------------------------


def test_who_asks_for_its_own_member_is_granted_it_again(broker: Broker) -> None:
    member = broker.create()
    broker.publish(A, addressed(member, 1))
    assert broker.ask(A, Resume(a_token(1))) == replace_address(member)


def test_a_living_gateway_gives_a_member_up_before_another_gets_it(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), *(said(member, number) for number in range(9)))
    assert broker.say(B, Request(5, Resume(a_token(1)))) == []
    release = broker.told(A)[-1]
    assert isinstance(release, Release)
    assert (release.room, release.member) == (member.room, member.member)
    # It goes on until it has let go.
    broker.publish(A, said(member, "last"))
    broker.publish(A, released(release, 8))
    assert broker.told(B)[-1] == Reply(5, replace_address(member, offset=8))
    assert broker.core.directory.members[member.member].gateway == B
    assert broker.core.counters.handed_over == 1
    broker.publish(B, said(member, "first"))
    assert broker.texts(member.room)[-2:] == ["last", "first"]


def elsewhere(token: int = 1, ip: str = "198.51.100.7", move_after_s: float = 30.0) -> Resume:
    return Resume(a_token(token), ip, int(move_after_s * 1000))


def kept(release: Release) -> Item:
    return Item(EntryKind.KEPT, release.room, release.member, release.handover, 0)


def refused(request_id: int, status: Status = Status.BAD_REQUEST) -> Reply:
    return Reply(request_id, Refused(status, ""))


def asked_to_release(broker: Broker, peer: str = A) -> Release:
    (release,) = [message for message in broker.told(peer) if isinstance(message, Release)]
    return release


def test_a_token_shown_at_another_host_takes_nobody_away_who_was_heard_lately(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), *(said(member, number) for number in range(3)))
    broker.heard.clear()
    assert broker.say(B, Request(5, elsewhere())) == []
    release = asked_to_release(broker)
    assert release.elsewhere
    # It goes on there, and its reports go on to count.
    broker.publish(A, kept(release), said(member, "here I am"))
    assert broker.told(B) == [refused(5)]
    broker.say(A, Delivered([(member.room, member.epoch, 4)]))
    held = broker.core.directory.members[member.member]
    assert (held.gateway, held.live, held.received()) == (A, True, 4)
    assert (broker.core.counters.kept_elsewhere, broker.core.counters.handed_over) == (1, 0)
    # An answer that comes twice says nothing more.
    broker.publish(A, kept(release))
    assert broker.told(B) == []


def test_a_member_whose_address_comes_during_a_handover_that_is_called_off_is_live(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.say(B, Request(5, elsewhere()))
    broker.publish(A, addressed(member, 1), kept(asked_to_release(broker)))
    assert broker.core.directory.members[member.member].live


def test_a_member_that_was_silent_may_go_to_another_host_at_another_gateway(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), said(member, 1))
    broker.heard.clear()
    broker.say(B, Request(5, elsewhere()))
    broker.publish(A, released(asked_to_release(broker), 2))
    assert broker.told(B) == [Reply(5, replace_address(member, offset=2))]


def test_whoever_shows_it_where_the_member_is_settles_it(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1))
    broker.told(A)
    broker.say(B, Request(5, elsewhere()))
    first = asked_to_release(broker)
    # The host of its datagrams and not that of its handshake is where it is.
    assert broker.say(B, Request(6, elsewhere(ip="192.0.2.1"))) == [refused(5)]
    broker.publish(A, kept(first))
    assert broker.say(B, Request(7, elsewhere())) == [refused(7)]
    broker.wait(0.5, A, B)
    release = next(message for message in broker.told(A) if isinstance(message, Release))
    assert not release.elsewhere
    broker.publish(A, released(release, 1))
    assert broker.told(B)[-1] == Reply(6, replace_address(member))


def test_a_thief_waits_for_a_member_whose_gateway_is_gone_as_for_any(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1))
    broker.wait(1.0, A, B)
    broker.say(B, Request(5, elsewhere()))
    broker.wait(ALIVE_S + 0.5, B)
    assert refused(5) in broker.told(B)
    assert broker.core.directory.members[member.member].live
    assert broker.ask(B, elsewhere()) == Refused(Status.BAD_REQUEST, "")
    broker.wait(28.0, B)
    assert broker.ask(B, elsewhere()) == replace_address(member)


def test_a_member_of_ours_is_not_granted_at_another_host(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1, "203.0.113.9 5000 0"))
    assert broker.ask(A, elsewhere()) == Refused(Status.BAD_REQUEST, "")
    assert broker.ask(A, elsewhere(ip="192.0.2.1")) == Refused(Status.BAD_REQUEST, "")
    assert isinstance(broker.ask(A, elsewhere(ip="203.0.113.9")), Granted)
    assert isinstance(broker.ask(A, elsewhere(move_after_s=0)), Granted)


def test_a_member_goes_from_gateway_to_gateway_so_often_only(broker: Broker) -> None:
    broker.create(peer=A)
    at, other = A, B
    for number in range(2 * int(HANDOVERS)):
        broker.say(B, Request(100 + number, elsewhere()))  # a thief uses up nothing of it
        broker.publish(A, kept(asked_to_release(broker)))
    for number in range(int(HANDOVERS)):
        broker.told(at)
        broker.say(other, Request(200 + number, Resume(a_token(1))))
        broker.publish(at, released(asked_to_release(broker, at), 1))
        assert isinstance(broker.told(other)[-1], Reply)
        at, other = other, at
    assert broker.ask(other, Resume(a_token(1))) == Refused(Status.BUSY, "")
    assert broker.core.counters.moved_too_often == 1
    broker.wait(1.0 / HANDOVERS_S, A, B)
    broker.told(at)
    assert broker.say(other, Request(5, Resume(a_token(1)))) == []
    assert not asked_to_release(broker, at).elsewhere


def test_a_gateway_that_does_not_give_up_is_not_waited_for_when_it_is_gone(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), said(member, "hi"))
    broker.say(A, Delivered([(member.room, member.epoch, 2)]))
    assert broker.say(B, Request(5, Resume(a_token(1)))) == []
    broker.wait(ALIVE_S + 0.5, B)
    (reply,) = [message for message in broker.told(B) if isinstance(message, Reply)]
    assert reply == Reply(5, replace_address(member, offset=2))
    assert broker.core.counters.taken_over == 1


def test_a_broker_that_stood_still_takes_no_gateway_for_dead(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), said(member, "hi"))
    broker.wait(0.5, A, B)
    # Nothing, also no tick, for a while; then all that had come meanwhile, first of all what B wants.
    broker.now += ALIVE_S + 1
    broker.say(B, Request(5, Resume(a_token(1))))
    assert [message for message in broker.told(B) if isinstance(message, Reply)] == []
    (release,) = [message for message in broker.told(A) if isinstance(message, Release)]
    broker.say(A, Delivered([(member.room, member.epoch, 2)]))
    broker.publish(A, released(release, 2))
    assert [message for message in broker.told(B) if isinstance(message, Reply)] == [
        Reply(5, replace_address(member, offset=2))
    ]


def test_a_standstill_is_not_the_silence_of_members_whose_gateway_was_gone(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1))
    broker.wait(50.0, B)
    broker.now += 100.0
    broker.wait(1.0, B)
    # B has heard the member meanwhile, and now it is read.
    (reply,) = broker.say(B, Request(5, Resume(a_token(1))))
    assert isinstance(reply, Reply)
    assert isinstance(reply.body, Granted)


def test_a_standstill_does_not_shorten_the_time_for_a_closed_rooms_end(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, left(member))
    broker.now += 2 * CLOSED_S
    broker.wait(CLOSED_S - 5, A, B)
    assert member.room in broker.core.directory.closed
    broker.wait(10.0, A, B)
    assert member.room not in broker.core.directory.closed


def test_a_gateway_without_a_connection_may_deliver_until_its_lease_is_over(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.core.ownership.unreachable(A, broker.now)
    assert broker.say(A, Canary(1)) == [Unknown("broker-1")]
    assert broker.say(B, Request(5, Resume(a_token(1)))) == []
    broker.wait(ALIVE_S - 0.5, B)
    assert [message for message in broker.told(B) if isinstance(message, Reply)] == []
    broker.wait(1.0, B)
    assert [message for message in broker.told(B) if isinstance(message, Reply)] == [Reply(5, member)]


def test_one_that_waits_for_a_member_and_loses_its_connection_is_not_waited_for(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.say(B, Request(5, Resume(a_token(1))))
    broker.core.ownership.unreachable(B, broker.now)
    broker.wait(1.0, A)
    release = next(message for message in broker.told(A) if isinstance(message, Release))
    broker.publish(A, released(release, 1))
    # It stays where it was, and its gateway is told: it must notice when the member is idle..
    assert broker.core.directory.members[member.member].gateway == A
    (adopt,) = [message for message in broker.told(A) if isinstance(message, Adopt)]
    assert [each.granted for each in adopt.members] == [member]
    assert broker.ask(A, Resume(a_token(1))) == member


def test_one_that_was_given_up_for_nobody_stays(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), said(member, "hi"))
    broker.start_again("broker-2")
    broker.say(A, Hello(backbone.VERSION))
    broker.publish(A, Item(EntryKind.RELEASED, member.room, member.member, "broker-1.1", 2))
    (adopt,) = [message for message in broker.told(A) if isinstance(message, Adopt)]
    assert [(one.granted.member, one.granted.offset) for one in adopt.members] == [(member.member, 2)]


def test_an_answer_that_comes_late_says_nothing_of_a_later_stay(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1))
    broker.say(B, Request(5, Resume(a_token(1))))
    (there,) = [message for message in broker.told(A) if isinstance(message, Release)]
    broker.publish(A, released(there, 1))
    broker.say(A, Request(6, Resume(a_token(1))))
    (back,) = [message for message in broker.told(B) if isinstance(message, Release)]
    broker.publish(B, released(back, 1))
    assert broker.core.directory.members[member.member].gateway == A
    broker.publish(A, released(there, 0))
    assert broker.core.directory.members[member.member].gateway == A


def test_what_a_gateway_reports_after_it_has_let_go_is_not_about_the_member(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), *(said(member, number) for number in range(3)))
    broker.say(A, Delivered([(member.room, member.epoch, 2)]))
    broker.say(B, Request(5, Resume(a_token(1))))
    broker.publish(A, addressed(member, 2))
    broker.say(A, Delivered([(member.room, member.epoch, 4)]))
    # What it had let go of it asks for again, before its answer has come: that must not count as nothing.
    assert [message for message in broker.say(A, Request(6, Resume(a_token(1)))) if isinstance(message, Reply)] == []
    broker.wait(ALIVE_S + 0.5, B)
    (reply,) = [message for message in broker.told(B) if isinstance(message, Reply)]
    assert reply == Reply(5, replace_address(member, offset=2))


@pytest.mark.parametrize("end", ["bye", "silent"])
def test_members_of_a_gateway_that_is_gone_are_granted_at_once(broker: Broker, end: str) -> None:
    member = broker.create(peer=A)
    if end == "bye":
        broker.say(A, backbone.Bye())
    else:
        broker.wait(ALIVE_S + 0.1, B)
    assert broker.ask(B, Resume(a_token(1))) == member


def test_whose_owner_says_bye_is_waited_for_no_longer(broker: Broker) -> None:
    member, guest = broker.create(peer=A), broker.join(peer=A)
    for token in (1, 2):
        broker.say(B, Request(token, Resume(a_token(token))))
    broker.publish(A, left(guest))
    broker.say(A, backbone.Bye())
    assert broker.told(B)[1:] == [Reply(1, structs.replace(member, size=1)), refused(2, Status.ROOM_NOT_FOUND)]


def test_the_owner_that_never_served_a_member_does_not_take_its_position_back(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.publish(A, addressed(member, 1), *(said(member, number) for number in range(3)))
    broker.say(A, Delivered([(member.room, member.epoch, 3)]))
    broker.say(B, Request(5, Resume(a_token(1))))
    broker.publish(A, released(asked_to_release(broker), 0))
    assert broker.told(B)[-1] == Reply(5, replace_address(member, offset=3))


def test_a_member_that_has_received_a_closed_room_to_its_end_is_told_of_the_end(broker: Broker) -> None:
    host, guest = broker.create(peer=A), broker.join(peer=A)
    broker.publish(A, addressed(guest, 2), left(host))
    end = broker.log(host.room)[-1]
    assert end.kind == EntryKind.CLOSED
    broker.say(A, Delivered([(host.room, host.epoch, end.offset)]), backbone.Bye())
    granted = broker.ask(B, Resume(a_token(2)))
    assert isinstance(granted, Granted)
    assert granted.offset == end.offset - 1


def test_all_who_ask_for_a_member_get_it_one_after_the_other(broker: Broker) -> None:
    third = "/000000000000000c"
    broker.say(third, Hello(backbone.VERSION))
    member = broker.create(peer=A)
    broker.say(B, Request(5, Resume(a_token(1))))
    broker.say(third, Request(6, Resume(a_token(1))))
    release = [message for message in broker.told(A) if isinstance(message, Release)][-1]
    broker.publish(A, released(release, 1))
    granted, again = (message for message in broker.told(B) if isinstance(message, Reply | Release))
    assert granted == Reply(5, member)
    assert isinstance(again, Release)
    assert [message for message in broker.told(third) if isinstance(message, Reply)] == []
    broker.publish(B, said(member, "by way of B"), released(again, 1))
    assert [message for message in broker.told(third) if isinstance(message, Reply)] == [Reply(6, member)]


def test_what_a_client_sent_to_a_gateway_that_was_out_of_touch_is_said_wherever_the_client_went_since(
    broker: Broker,
) -> None:
    third = "/000000000000000c"
    broker.say(third, Hello(backbone.VERSION))
    member = broker.create(peer=A)
    broker.wait(ALIVE_S + 0.1, B, third)
    assert isinstance(broker.ask(B, Resume(a_token(1))), Granted)
    broker.say(third, Request(5, Resume(a_token(1))))
    broker.publish(B, released(asked_to_release(broker, B), 1))
    assert broker.core.directory.members[member.member].gateway == third
    # The first one is back, and has not been told yet that it does not serve the member any more.
    broker.publish(A, said(member, "by way of A"))
    broker.publish(third, said(member, "by way of the third"))
    assert broker.texts(member.room)[-2:] == ["by way of A", "by way of the third"]


def test_a_member_that_leaves_while_it_is_handed_over_is_refused(broker: Broker) -> None:
    broker.create()
    broker.join(token=2, peer=A)
    guest = broker.core.directory.by_token[a_token(2)]
    broker.say(B, Request(5, Resume(a_token(2))))
    broker.publish(A, Item(EntryKind.LEFT, guest.room.id, guest.id, "", LeaveReason.LEFT))
    broker.wait(0.5, A, B)
    assert Reply(5, Refused(Status.ROOM_NOT_FOUND, "")) in broker.told(B)


def test_a_member_without_an_address_takes_its_backlog_along(broker: Broker) -> None:
    host = broker.create(peer=A)
    guest = broker.join(peer=A)
    broker.publish(A, *(said(host, number) for number in range(9)))
    broker.say(A, Delivered([(host.room, host.epoch, 11)]), backbone.Bye())
    assert broker.ask(B, Resume(a_token(2))) == guest


def test_members_of_dead_gateways_expire_in_their_time(broker: Broker) -> None:
    broker.create(peer=B, token=1)
    quick = broker.ask(A, Join("den", "quick", None, a_token(2), "tcrp", "::1", 5_000))
    slow = broker.ask(A, Join("den", "slow", None, a_token(3), "tcrp", "::1", 10_000))
    assert isinstance(quick, Granted)
    assert isinstance(slow, Granted)
    members = broker.core.directory.members
    broker.core.ownership.unreachable(A, broker.now)
    broker.wait(4.5, B)
    assert {quick.member, slow.member} <= set(members)
    broker.wait(2.0, B)
    assert quick.member not in members
    assert slow.member in members
    broker.wait(5.0, B)
    assert slow.member not in members
    assert broker.core.counters.expired == 2
    entries = broker.log(slow.room)
    assert [(entry.kind, entry.code) for entry in entries[-2:]] == [(EntryKind.LEFT, LeaveReason.IDLE)] * 2


def test_members_of_a_gateway_that_may_be_frozen_have_more_time(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.wait(PROBE_S + 0.5, B)
    # It can be sent a frame, so its process is not dead; its heartbeats end the connection later.
    assert broker.told(A)[-1] == Accepted(0)
    broker.core.ownership.unreachable(A, broker.now + 0.4)
    broker.wait(100.0 + MAY_WAKE_MS / 1000 - 5.0, B)
    assert member.member in broker.core.directory.members
    broker.wait(6.0, B)
    assert broker.core.directory.members == {}


def test_a_silent_gateway_is_sent_one_frame_in_each_silence(broker: Broker) -> None:
    broker.told(A)
    for _ in range(2):
        broker.wait(10.0, B)
        assert broker.told(A) == [Accepted(0)]
        broker.say(A, Hello(backbone.VERSION))
        broker.told(A)
    broker.wait(10.0, A, B)
    assert Accepted(0) not in broker.told(A)


def test_a_dead_gateway_stays_dead_when_more_frames_can_not_be_sent(broker: Broker) -> None:
    broker.create(peer=A)
    broker.core.ownership.unreachable(A, broker.now + 1.0)
    broker.core.ownership.unreachable(A, broker.now + 1.9)
    broker.wait(103.0, B)
    assert broker.core.directory.members == {}


def test_members_of_a_gateway_that_said_bye_have_their_whole_time(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.say(A, backbone.Bye())
    broker.wait(99.0, B)
    assert member.member in broker.core.directory.members
    broker.wait(3.0, B)
    assert broker.core.directory.members == {}


def test_a_dead_gateways_host_takes_its_room_with_it(broker: Broker) -> None:
    host = broker.create(peer=A)
    for number in range(20):
        broker.join(user=f"g{number}", peer=A, token=10 + number)
    far = broker.join(user="far", peer=B, token=99)
    broker.news.clear()
    broker.core.ownership.unreachable(A, broker.now)
    broker.wait(102.0, B)
    assert broker.core.directory.rooms == {}
    closed = [news.entries[-1] for _, news in broker.news if news.entries][-1]
    assert (closed.kind, closed.code, closed.member) == (EntryKind.CLOSED, LeaveReason.HOST_IDLE, host.member)
    # Only who may live to be told is kept.
    assert set(broker.core.directory.members) == {far.member}


def test_members_of_living_gateways_are_theirs_to_time_out(broker: Broker) -> None:
    member = broker.create(peer=A)
    broker.wait(500.0, A)
    assert member.member in broker.core.directory.members


def test_a_gateway_long_gone_is_forgotten(broker: Broker) -> None:
    member = broker.create(peer=B)
    broker.join(peer=A)
    guest = broker.core.directory.by_token[a_token(2)]
    broker.publish(A, Item(EntryKind.LEFT, guest.room.id, guest.id, "", LeaveReason.LEFT))
    broker.say(A, Delivered([(member.room, member.epoch, 2)]))
    assert A in broker.store.load().accepted
    while broker.now < 100.0 + FORGET_S + 10:
        broker.now += 1.0
        broker.say(B, Canary(1))
        broker.core.tick(broker.moment)
        broker.turn()
    kept = broker.store.load()
    assert A not in kept.accepted
    assert kept.delivered == {}
    assert broker.say(A, Hello(backbone.VERSION)) == [Welcome("broker-1", 0, True, 0)]


# --- gateways of one name -----------------------------------------------------------------------------------------

G1, G2, G3 = "g/0000000000000001", "g/0000000000000002", "g/0000000000000003"
OTHER = "h/0000000000000004"


def test_a_gateway_goes_on_with_members_of_one_of_its_name_that_is_gone() -> None:
    broker = Broker(None, G1, OTHER, G2)
    host = broker.create(peer=G1)
    silent = broker.join(peer=G1, token=2)
    broker.publish(G1, addressed(host, 2))
    broker.heard.clear()
    broker.core.ownership.unreachable(G1, broker.now)
    broker.wait(ALIVE_S + 0.5, G2, OTHER)
    (adopt,) = broker.told(G2)
    assert isinstance(adopt, Adopt)
    # Nobody can be told anything whose address is not known.
    assert [(one.granted.member, one.granted.offset, one.token_hash) for one in adopt.members] == [
        (host.member, 2, a_token(1))
    ]
    assert broker.told(OTHER) == []
    members = broker.core.directory.members
    assert (members[host.member].gateway, members[silent.member].gateway) == (G2, G1)


def test_a_gateway_started_again_gets_its_members_back_by_its_name() -> None:
    broker = Broker(None, G1)
    host = broker.create(peer=G1)
    broker.publish(G1, addressed(host, 1))
    broker.wait(ALIVE_S + 1)
    broker.say(G2, Hello(backbone.VERSION))
    broker.wait(1.5, G2)
    (adopt,) = [message for message in broker.told(G2) if isinstance(message, Adopt)]
    assert adopt.members[0].granted.member == host.member


def test_members_of_a_gateway_that_ended_with_the_broker_are_found_by_its_name() -> None:
    broker = Broker(None, G1)
    host = broker.create(peer=G1)
    broker.publish(G1, addressed(host, 1))
    broker.start_again("broker-2")
    assert broker.say(G2, Hello(backbone.VERSION)) == [Welcome("broker-2", 0, True, 0)]
    broker.wait(ALIVE_S + 1.5, G2)
    (adopt,) = [message for message in broker.told(G2) if isinstance(message, Adopt)]
    assert adopt.members[0].granted.member == host.member


def test_a_gateway_that_comes_back_takes_over_members_that_had_no_successor() -> None:
    """One was killed while the other stood still, which sends no Hello: no lost connection was noticed."""
    broker = Broker(None, G1, G2)
    host = broker.create(peer=G1)
    broker.publish(G1, addressed(host, 1))
    broker.wait(ALIVE_S + 1.0)
    assert broker.core.directory.members[host.member].gateway == G1
    (adopt,) = [message for message in broker.say(G2, Canary(1)) if isinstance(message, Adopt)]
    assert adopt.members[0].granted.member == host.member
    # And it has a successor, when it is gone again.
    assert [type(message) for message in broker.say(G3, Hello(backbone.VERSION))] == [Welcome]
    broker.wait(ALIVE_S + 1.0, G3)
    assert broker.core.directory.members[host.member].gateway == G3


def members_adopted_by(broker: Broker, peer: str) -> list[int]:
    """Greet the broker as a gateway; return the members that it is offered at once."""
    welcome, adopt = broker.say(peer, Hello(backbone.VERSION))
    assert isinstance(welcome, Welcome)
    assert isinstance(adopt, Adopt)
    return [adoption.granted.member for adoption in adopt.members]


def test_a_gateway_of_the_broker_s_own_process_has_ended_with_it() -> None:
    before, after = (backbone.new_instance(backbone.OF_ONE_PROCESS, run) for run in ("1", "2"))
    broker = Broker(None, before)
    host = broker.create(peer=before)
    broker.publish(before, addressed(host, 1))
    broker.start_again("broker-2")
    assert members_adopted_by(broker, after) == [host.member]


def test_a_gateway_that_said_bye_has_ended_for_the_next_run_of_the_broker_too() -> None:
    broker = Broker(None, G1)
    host = broker.create(peer=G1)
    broker.publish(G1, addressed(host, 1))
    broker.say(G1, backbone.Bye())
    broker.start_again("broker-2")
    assert broker.core.gateways.known[G1].accepted == 1
    assert members_adopted_by(broker, G2) == [host.member]


def test_a_gateway_that_said_bye_and_is_heard_again_lives() -> None:
    broker = Broker(None, G1)
    host = broker.create(peer=G1)
    broker.publish(G1, addressed(host, 1))
    broker.say(G1, backbone.Bye())
    broker.start_again("broker-2")
    assert broker.say(G1, Hello(backbone.VERSION)) == [Welcome("broker-2", 1, False, 0)]
    broker.publish(G1, said(host, "hello"))
    broker.start_again("broker-3")
    assert [type(message) for message in broker.say(G2, Hello(backbone.VERSION))] == [Welcome]
    assert broker.core.directory.members[host.member].gateway == G1


def test_gateways_without_a_name_inherit_nothing(broker: Broker) -> None:
    host = broker.create(peer=A)
    broker.publish(A, addressed(host, 1))
    broker.wait(ALIVE_S + 5, B)
    assert broker.told(B)[1:] == []
    assert broker.core.directory.members[host.member].gateway == A


def test_many_members_are_adopted_in_several_frames() -> None:
    broker = Broker(None, G1, G2)
    host = broker.create(peer=G1)
    members = [broker.join(user=f"g{number}", peer=G1, token=10 + number) for number in range(1_200)]
    for some in (members[:600], [*members[600:], host]):
        broker.publish(G1, *(addressed(member, 1) for member in some))
    broker.heard.clear()
    broker.say(G1, backbone.Bye())
    frames = [message for message in broker.told(G2) if isinstance(message, Adopt)]
    assert len(frames) > 1
    assert sorted(one.granted.member for frame in frames for one in frame.members) == sorted(
        member.member for member in (host, *members)
    )


def test_a_gateway_that_was_out_of_touch_is_told_who_left_elsewhere(broker: Broker) -> None:
    member, stayed = broker.create(peer=A), broker.join(peer=A)
    guest = broker.join(peer=A, token=3)
    broker.say(A, backbone.Bye())
    resumed = broker.ask(B, Resume(a_token(1)))
    assert isinstance(resumed, Granted)
    assert (resumed.member, resumed.size) == (member.member, 3)
    assert isinstance(broker.ask(B, Resume(a_token(3))), Granted)
    broker.publish(B, left(guest), left(member))
    broker.say(A, Hello(backbone.VERSION))
    # The room is closed: these two were served elsewhere to the end, the other was not.
    ids = [member.member, guest.member]
    assert broker.ask(A, Reconcile([*ids, stayed.member])) == Reconciled(ids, [])


def test_a_gateway_is_told_how_far_another_one_has_come_with_a_member_that_it_serves_again(broker: Broker) -> None:
    host, stayed = broker.create(peer=A), broker.join(peer=A)
    for member in (host, stayed):
        broker.publish(A, addressed(member, 2))
    for instance in (B, A):
        broker.say(instance, Hello(backbone.VERSION))
        broker.handle(instance, Request(7, Resume(a_token(1))))
        (release,) = [message for _, message in broker.turn().replies if isinstance(message, backbone.Release)]
        former = A if instance == B else B
        broker.publish(former, Item(EntryKind.RELEASED, host.room, host.member, release.handover, 2))
    broker.handle(A, Request(5, Reconcile([host.member, stayed.member])))
    adopt, answer = (message for to, message in broker.turn().replies if to == A)
    assert isinstance(adopt, Adopt)
    assert [(one.granted.member, one.granted.offset) for one in adopt.members] == [(host.member, 2)]
    assert answer == Reply(5, Reconciled([], []))
    # It is live again: the gateway knows that it has it.
    broker.publish(A, addressed(host, 2))
    assert broker.ask(A, Reconcile([host.member, stayed.member])) == Reconciled([], [])


def test_a_gateway_is_told_which_members_of_another_one_are_orphaned() -> None:
    broker = Broker(None, A, B, OTHER)
    members = [broker.create(peer=B), broker.join(peer=OTHER), broker.join(peer=OTHER, token=3)]
    ids = [member.member for member in members]
    assert broker.ask(A, Reconcile(ids)) == Reconciled(ids, [])
    # Its connection ends at once: the process is dead, though its lease is not over.
    broker.core.ownership.unreachable(OTHER, broker.now)
    assert broker.ask(A, Reconcile(ids)) == Reconciled(ids, [], ids[1:])
    # Another gateway waits for this one, and so has heard it.
    broker.handle(B, Request(7, Resume(a_token(3))))
    assert broker.ask(A, Reconcile(ids)) == Reconciled(ids, [], ids[1:2])
    broker.wait(ALIVE_S + 0.5, A)
    # B is gone, too; it has got what it waited for.
    assert broker.ask(A, Reconcile(ids)) == Reconciled(ids, [], ids)


def test_a_gateway_may_ask_whom_it_serves(broker: Broker) -> None:
    host, guest = broker.create(peer=A), broker.join(peer=A)
    far = broker.join(peer=B, token=3)
    broker.publish(A, addressed(host, 2))
    broker.heard.clear()
    # Whom it does not know is given to it first; whom it knows and another serves is named.
    broker.handle(A, Request(5, Reconcile([guest.member, far.member, 99])))
    adopt, answer = (message for to, message in broker.turn().replies if to == A)
    assert isinstance(adopt, Adopt)
    assert [one.granted.member for one in adopt.members] == [host.member]
    assert answer == Reply(5, Reconciled([far.member], [99]))
