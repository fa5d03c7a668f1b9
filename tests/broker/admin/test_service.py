"""broker/admin/service.py"""

import pytest
from msgspec import structs

from broker.admin.service import ANNOUNCED_A_TICK, TEXT_SIZE, host_and_port
from broker.rooms.bans_and_mutes import RESTRICTIONS_A_ROOM
from tests.broker.operated import OperatedBroker
from tests.broker.scripted import A, B, a_create, a_join, addressed, left, said
from tests.support.fakes import hash_of
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Bye, Granted, Hello, Item, Join, admin_frames
from tsudoi.protocol.backbone import Refused as Denied
from tsudoi.protocol.backbone.admin_frames import PAGE, VERSION, AdminRefused, Ask, Done
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason, Rights
from tsudoi.protocol.names import RoomName


@pytest.fixture
def admin() -> OperatedBroker:
    return OperatedBroker()


# --- what there is ------------------------------------------------------------------------------------------------


def test_rooms_and_members_are_listed(admin: OperatedBroker) -> None:
    host = admin.broker.create(peer=A)
    guest = admin.broker.ask(B, structs.replace(a_join(), rights=int(Rights.MODERATOR)))
    assert isinstance(guest, Granted)
    admin.broker.publish(A, addressed(host, 2), said(host, "hello"))
    (room,) = admin.ask(admin_frames.ListRooms()).rooms
    assert (room.name, room.members, room.host, room.locked, room.persistent) == ("den", 2, "alice", False, False)
    assert room.entries == 3
    alice, bob = admin.ask(admin_frames.ListMembers()).members
    assert (alice.room, alice.name, alice.host, alice.rights, alice.gateway) == ("den", "alice", True, 0, A)
    assert (alice.dialect, alice.ip, alice.address) == ("tcrp", "192.0.2.1", "192.0.2.1:5000")
    assert (bob.name, bob.host, bob.rights, bob.address) == ("bob", False, Rights.MODERATOR, "")
    assert admin.names("den") == ["alice", "bob"]


def test_very_many_rooms_come_in_pages(admin: OperatedBroker) -> None:
    for number in range(PAGE + 5):
        admin.broker.ask(A, a_create(f"room {number}", token=number + 1))
    first = admin.ask(admin_frames.ListRooms())
    assert (len(first.rooms), first.more) == (PAGE, True)
    rest = admin.ask(admin_frames.ListRooms(first.rooms[-1].id))
    assert ([room.name for room in rest.rooms], rest.more) == ([f"room {PAGE + n}" for n in range(5)], False)
    assert len(admin.ask(admin_frames.ListMembers()).members) == PAGE


def test_gateways_are_listed_with_how_they_are(admin: OperatedBroker) -> None:
    admin.broker.create(peer=A)
    admin.broker.say(B, Bye())
    told = {gateway.instance: gateway for gateway in admin.ask(admin_frames.ListGateways()).gateways}
    assert (told[A].members, told[A].state, told[B].state) == (1, "serves", "stopped")
    admin.broker.now += 10.0
    told = {gateway.instance: gateway for gateway in admin.ask(admin_frames.ListGateways()).gateways}
    assert (told[A].state, told[A].silent_ms) == ("away", 10_000)


def test_all_lists_count_the_members_of_open_rooms(admin: OperatedBroker) -> None:
    host, guest = admin.broker.create(peer=A), admin.broker.join(peer=B)
    # The guest has not received the end yet, so the directory keeps it.
    admin.broker.publish(A, left(host))
    assert guest.member in admin.broker.core.directory.members
    assert admin.names() == []
    assert {gateway.members for gateway in admin.ask(admin_frames.ListGateways()).gateways} == {0}
    assert [shard.members for shard in admin.ask(admin_frames.ListShards()).shards] == [0]
    assert dict(admin.ask(admin_frames.Count()).counters)["members"] == 0


def test_counters_are_told_by_name(admin: OperatedBroker) -> None:
    admin.broker.create()
    admin.broker.core.handle_untrusted(A, b"nonsense", admin.broker.moment)
    counted = dict(admin.ask(admin_frames.Count()).counters)
    assert (counted["rooms"], counted["members"], counted["malformed"]) == (1, 1, 1)


def test_rooms_are_found_by_a_part_of_their_names_most_members_first(admin: OperatedBroker) -> None:
    for number, name in enumerate(("Garden", "den", "wooden", "hall")):
        admin.broker.ask(A, a_create(name, token=number + 1))
    admin.broker.ask(A, structs.replace(a_join("wooden"), token_hash=bytes(16)))

    def found(*question: object) -> tuple[list[str], bool]:
        answer = admin.ask(admin_frames.FindRooms(*question))  # type: ignore[arg-type]
        return [room.name for room in answer.rooms], answer.more

    assert found() == (["wooden", "Garden", "den", "hall"], False)
    assert found(" DEN ") == (["wooden", "Garden", "den"], False)
    assert found("den", 2) == (["wooden", "Garden"], True)
    assert found("\u202e") == ([], False)


def test_an_operator_watches_what_happens(admin: OperatedBroker) -> None:
    def reported(at_ms: int, deliveries: int) -> None:
        admin.broker.say(B, backbone.Measured(at_ms, deliveries, 0, [], [], 0))

    host = admin.broker.create(peer=A)
    reported(5_000, 100)
    admin.tick()
    admin.broker.now += 2.0
    admin.broker.publish(A, said(host, "one"), said(host, "two"))
    reported(7_000, 140)
    admin.tick()
    watched = admin.ask(admin_frames.Watch())
    (sample,) = watched.samples
    assert (sample.rooms, sample.members, sample.entries_s, sample.deliveries_s) == (1, 1, 1.0, 20.0)
    assert admin.ask(admin_frames.Watch(sample.at_ms)).samples == []
    (member,) = admin.ask(admin_frames.ListMembers()).members
    assert member.silent_ms == 0
    admin.broker.now += 10.0
    admin.tick()
    assert admin.ask(admin_frames.Watch(sample.at_ms)).samples[0].deliveries_s == 0.0


# --- orders -------------------------------------------------------------------------------------------------------


def test_a_room_is_closed_and_everybody_hears_it(admin: OperatedBroker) -> None:
    host = admin.broker.create()
    admin.broker.join()
    assert admin.ask(admin_frames.CloseRoom(" den ")) == Done(1)
    entry = admin.last(host.room)
    assert (entry.kind, entry.code) == (EntryKind.CLOSED, LeaveReason.OPERATOR)
    assert admin.rooms() == {}
    assert admin.names() == []


def test_a_member_is_removed_with_a_reason(admin: OperatedBroker) -> None:
    admin.broker.create()
    guest = admin.broker.join()
    assert admin.ask(admin_frames.RemoveMember("den", "bob", "spam")) == Done(1)
    entry = admin.last(guest.room)
    assert (entry.kind, entry.code, entry.text, entry.sender) == (EntryKind.LEFT, LeaveReason.OPERATOR, "spam", "bob")
    assert admin.names() == ["alice"]


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (admin_frames.CloseRoom("den"), "there is no room called den"),
        (admin_frames.CloseRoom(""), "room name is empty"),
        (admin_frames.ListMembers(room="den"), "there is no room called den"),
        (admin_frames.RemoveMember("lab", "bob"), "lab has no member called bob"),
        (admin_frames.RemoveMember("lab", "carol", "x" * (TEXT_SIZE + 1)), f"more than {TEXT_SIZE} bytes"),
        (admin_frames.Ban("", "", 0), "either a name or an address"),
        (admin_frames.Ban("bob", "192.0.2.1", 0), "either a name or an address"),
        (admin_frames.Ban("", "somewhere", 0), "'somewhere' is not an IP address"),
        (admin_frames.Unban("bob"), "bob is not banned"),
        (admin_frames.Announce(""), "nothing to announce"),
        (admin_frames.Announce("a\x1bb"), "control characters"),
        (admin_frames.Announce("a\u2028b"), "control characters"),
        (admin_frames.Persist("lab", "moon"), "no hash"),
        (admin_frames.Unpersist("lab"), "lab is not persistent"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line_and_changes_nothing(
    admin: OperatedBroker, question: admin_frames.Question, why: str
) -> None:
    admin.broker.ask(A, a_create("lab", "carol"))
    before = admin.rooms()
    answer = admin.ask(question)
    assert isinstance(answer, AdminRefused)
    assert why in answer.why
    assert "\n" not in answer.why
    assert admin.rooms() == before


def test_an_operator_of_another_version_is_told_so(admin: OperatedBroker) -> None:
    frame = admin_frames.encode(Ask(VERSION + 1, admin_frames.ListRooms()))
    answer = admin.service.handle_untrusted(frame, admin.broker.moment)
    assert isinstance(answer, AdminRefused)
    assert f"version {VERSION}" in answer.why


def test_bytes_that_are_no_order_are_counted_and_not_answered(admin: OperatedBroker) -> None:
    assert admin.service.handle_untrusted(b"nonsense", admin.broker.moment) is None
    assert admin.service.malformed == 1


# --- bans ---------------------------------------------------------------------------------------------------------


def a_join_from(ip: str, user: str, token: int) -> Join:
    return structs.replace(a_join("den", user, token=token), ip=ip)


def test_who_is_banned_goes_and_does_not_come_back_also_after_a_restart(admin: OperatedBroker) -> None:
    host = admin.broker.create()
    admin.broker.ask(A, a_join_from("198.51.100.7", "mallory", 2))
    admin.broker.ask(A, a_join_from("198.51.100.7", "eve", 3))
    assert admin.ask(admin_frames.Ban("", "198.51.100.7", 0, "flood")) == Done(2)
    assert admin.names() == ["alice"]
    entry = admin.last(host.room)
    assert (entry.kind, entry.code, entry.text) == (EntryKind.LEFT, LeaveReason.BANNED, "flood")
    admin.start_again()
    admin.broker.say(A, Hello(backbone.VERSION))
    assert isinstance(admin.broker.ask(A, a_join_from("198.51.100.7", "peggy", 4)), Denied)
    assert isinstance(admin.broker.ask(A, structs.replace(a_create("lab", "eve", token=5), ip="198.51.100.7")), Denied)
    assert isinstance(admin.broker.ask(A, a_join_from("198.51.100.8", "peggy", 6)), Granted)
    assert [ban.ip for ban in admin.ask(admin_frames.ListBans()).bans] == ["198.51.100.7"]
    assert admin.ask(admin_frames.Unban("198.51.100.7")) == Done(1)
    assert isinstance(admin.broker.ask(A, a_join_from("198.51.100.7", "eve", 7)), Granted)


def test_of_ipv6_a_64_is_banned(admin: OperatedBroker) -> None:
    admin.broker.create()
    admin.broker.ask(A, a_join_from("2001:db8:1:2::7", "mallory", 2))
    assert admin.ask(admin_frames.Ban("", "2001:db8:1:2::9", 0)) == Done(1)
    assert isinstance(admin.broker.ask(A, a_join_from("2001:db8:1:2:3::", "eve", 3)), Denied)
    assert isinstance(admin.broker.ask(A, a_join_from("2001:db8:1:3::", "eve", 4)), Granted)
    assert [ban.ip for ban in admin.ask(admin_frames.ListBans()).bans] == ["2001:db8:1:2::/64"]
    assert admin.ask(admin_frames.Ban("", "2001:db8:1:2::/48", 0)) == AdminRefused(
        "'2001:db8:1:2::/48' is not an IP address"
    )
    assert admin.ask(admin_frames.Unban("2001:db8:1:2::/64")) == Done(1)
    assert isinstance(admin.broker.ask(A, a_join_from("2001:db8:1:2:3::", "eve", 5)), Granted)


def test_a_name_is_banned_for_a_time(admin: OperatedBroker) -> None:
    admin.broker.create()
    assert admin.ask(admin_frames.Ban("ボブ", "", 5)) == Done(0)
    assert isinstance(admin.broker.ask(A, a_join(user="ボブ")), Denied)
    (ban,) = admin.ask(admin_frames.ListBans()).bans
    assert ban.until_ms == admin.broker.moment.wall_ms + 300_000
    admin.broker.wait(301.0, A, B)
    assert admin.ask(admin_frames.ListBans()).bans == []
    assert isinstance(admin.broker.ask(A, a_join(user="ボブ")), Granted)


def test_a_banned_hosts_room_closes_once_and_all_of_the_address_hear_why_they_go(admin: OperatedBroker) -> None:
    host = admin.broker.create()
    guest = admin.broker.join()
    assert admin.ask(admin_frames.Ban("", "192.0.2.1", 0, "spam")) == Done(2)
    assert admin.rooms() == {}
    told = [(entry.kind, entry.member, entry.text, entry.code) for entry in admin.broker.log(host.room)[-3:]]
    assert told == [
        (EntryKind.LEFT, guest.member, "spam", LeaveReason.BANNED),
        (EntryKind.LEFT, host.member, "spam", LeaveReason.BANNED),
        (EntryKind.CLOSED, host.member, "", LeaveReason.OPERATOR),
    ]


def test_a_host_that_the_operator_removes_hears_why_before_its_room_closes(admin: OperatedBroker) -> None:
    host = admin.broker.create()
    admin.broker.join()
    assert admin.ask(admin_frames.RemoveMember("den", "alice", "go home")) == Done(1)
    left, closed = admin.broker.log(host.room)[-2:]
    assert (left.kind, left.member, left.text, left.code) == (
        EntryKind.LEFT,
        host.member,
        "go home",
        LeaveReason.OPERATOR,
    )
    assert (closed.kind, closed.code) == (EntryKind.CLOSED, LeaveReason.OPERATOR)


def test_no_ban_makes_an_older_one_end(admin: OperatedBroker) -> None:
    admin.broker.create()
    for number in range(RESTRICTIONS_A_ROOM):
        assert admin.ask(admin_frames.Ban(f"mallory{number}", "", 0)) == Done(0)
    assert admin.ask(admin_frames.Ban("eve", "", 0)) == AdminRefused(
        "1000 names and addresses are banned: unban some first"
    )
    assert admin.ask(admin_frames.Ban("mallory0", "", 5)) == Done(0)
    assert len(admin.ask(admin_frames.ListBans()).bans) == RESTRICTIONS_A_ROOM
    admin.broker.wait(301.0, A, B)
    assert admin.ask(admin_frames.Ban("eve", "", 0)) == Done(0)


# --- announcements ------------------------------------------------------------------------------------------------


def test_an_announcement_goes_to_every_room_that_has_members(admin: OperatedBroker) -> None:
    host = admin.broker.create()
    admin.ask(admin_frames.Persist("empty"))
    assert admin.ask(admin_frames.Announce("at 22:00 we go")) == Done(1)
    admin.tick()
    entry = admin.last(host.room)
    assert (entry.kind, entry.text, entry.member) == (EntryKind.ANNOUNCED, "at 22:00 we go", 0)
    assert admin.rooms()["empty"].entries == 0


def test_an_announcement_may_be_for_one_room(admin: OperatedBroker) -> None:
    den, lab = admin.broker.create(), admin.broker.ask(A, a_create("lab", token=9))
    assert isinstance(lab, Granted)
    assert admin.ask(admin_frames.Announce("lights out", "lab")) == Done(1)
    admin.tick()
    assert EntryKind.ANNOUNCED not in admin.kinds(den.room)
    assert admin.last(lab.room).text == "lights out"


@pytest.mark.parametrize(
    "order",
    [
        admin_frames.CloseRoom("den"),
        admin_frames.RemoveMember("den", "alice", ""),
        admin_frames.Ban("alice", "", 0),
        admin_frames.Ban("", "192.0.2.1", 0),
    ],
)
def test_an_announcement_comes_before_the_orders_that_were_given_after_it(
    admin: OperatedBroker, order: admin_frames.Question
) -> None:
    den = admin.broker.create()
    admin.ask(admin_frames.Announce("one"))
    admin.ask(admin_frames.Announce("two", "den"))
    admin.ask(order)
    admin.tick()
    texts = [entry.text for entry in admin.broker.log(den.room) if entry.kind != EntryKind.JOINED]
    assert texts[:2] == ["one", "two"]
    assert admin.last(den.room).kind == EntryKind.CLOSED


def test_very_many_rooms_are_told_a_part_at_a_time(admin: OperatedBroker) -> None:
    for number in range(ANNOUNCED_A_TICK + 1):
        admin.broker.ask(A, a_create(f"room {number}", token=number + 1))
    admin.ask(admin_frames.Announce("one"))
    admin.ask(admin_frames.Announce("two"))
    admin.tick()
    rooms = list(admin.broker.core.directory.rooms)
    told = [admin.kinds(room).count(EntryKind.ANNOUNCED) for room in rooms]
    assert told == [2] * ANNOUNCED_A_TICK + [0]
    admin.tick()
    assert admin.kinds(rooms[-1])[-2:] == [EntryKind.ANNOUNCED] * 2


def commanded(member: Granted, line: str) -> Item:
    return Item(EntryKind.COMMANDED, member.room, member.member, line, 0)


# --- persistent rooms ---------------------------------------------------------------------------------------------


def test_a_persistent_room_is_there_without_anybody_and_after_a_restart(admin: OperatedBroker) -> None:
    assert admin.ask(admin_frames.Persist("lobby", hash_of("secret"), "welcome")) == Done(1)
    admin.start_again()
    room = admin.rooms()["lobby"]
    assert (room.members, room.host, room.locked, room.persistent, room.topic) == (0, "", True, True, "welcome")


def test_a_persistent_room_outlives_its_members_and_nobody_is_its_host(admin: OperatedBroker) -> None:
    admin.ask(admin_frames.Persist("lobby"))
    assert isinstance(admin.broker.ask(A, a_create("lobby")), Denied)
    guest = admin.broker.ask(A, a_join("lobby", "alice", token=1))
    assert isinstance(guest, Granted)
    assert not guest.is_host
    admin.broker.publish(A, said(guest, "hello"), left(guest))
    assert admin.rooms()["lobby"].members == 0
    admin.start_again()
    assert admin.broker.texts(guest.room) == ["hello"]
    assert admin.rooms()["lobby"].entries == 3


def test_a_moderator_may_make_a_host_there_whose_leaving_closes_nothing(admin: OperatedBroker) -> None:
    admin.ask(admin_frames.Persist("lobby"))
    moderator = admin.broker.ask(A, structs.replace(a_join("lobby", "carol"), rights=int(Rights.MODERATOR)))
    guest = admin.broker.ask(A, a_join("lobby", "bob", token=3))
    assert isinstance(moderator, Granted)
    assert isinstance(guest, Granted)
    admin.broker.publish(A, commanded(guest, "/topic mine"), commanded(moderator, "/topic tea"))
    assert admin.rooms()["lobby"].topic == "tea"
    admin.broker.publish(A, commanded(moderator, "/host bob"))
    assert admin.rooms()["lobby"].host == "bob"
    # Only the operator closes such a room.
    admin.broker.publish(A, commanded(moderator, "/close"), commanded(guest, "/close"))
    told = admin.broker.log(guest.room)[-2:]
    assert [(entry.sender, entry.code) for entry in told] == [("carol", Phrase.ROOM_STAYS), ("bob", Phrase.ROOM_STAYS)]
    admin.broker.publish(A, left(guest))
    room = admin.rooms()["lobby"]
    assert (room.members, room.host) == (1, "")


def test_a_moderator_is_one_in_a_room_of_somebody_elses(admin: OperatedBroker) -> None:
    admin.broker.create()
    moderator = admin.broker.ask(A, structs.replace(a_join(), rights=int(Rights.MODERATOR)))
    eve = admin.broker.ask(A, a_join(user="eve", token=3))
    assert isinstance(moderator, Granted)
    assert isinstance(eve, Granted)
    admin.broker.publish(A, commanded(eve, "/kick bob"), commanded(moderator, "/kick eve"))
    assert admin.names() == ["alice", "bob"]


def test_a_room_that_becomes_persistent_loses_its_host(admin: OperatedBroker) -> None:
    host, _ = admin.broker.create(), admin.broker.join()
    admin.ask(admin_frames.Persist("den"))
    admin.broker.publish(A, left(host))
    room = admin.rooms()["den"]
    assert (room.members, room.host, room.persistent) == (1, "", True)


def test_a_room_that_is_no_longer_persistent_closes_with_its_last_member(admin: OperatedBroker) -> None:
    admin.ask(admin_frames.Persist("lobby"))
    guest = admin.broker.ask(A, a_join("lobby", "alice", token=1))
    assert isinstance(guest, Granted)
    assert admin.ask(admin_frames.Unpersist("lobby")) == Done(1)
    assert admin.rooms()["lobby"].members == 1
    admin.broker.publish(A, left(guest))
    assert admin.rooms() == {}
    assert admin.kinds(guest.room)[-2:] == [EntryKind.LEFT, EntryKind.CLOSED]


def test_configured_rooms_are_made_once(admin: OperatedBroker) -> None:
    for _ in range(2):
        for name in ("lobby", "集会所"):
            admin.broker.core.directory.persist(RoomName(name), admin.broker.moment.wall_ms)
        admin.broker.turn()
        assert sorted(admin.rooms()) == ["lobby", "集会所"]
        admin.ask(admin_frames.Persist("lobby", topic="welcome"))
        admin.start_again()
    assert admin.rooms()["lobby"].topic == "welcome"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (b"2001:db8::1 5000 0 2001:db8::2", "[2001:db8::1]:5000"),
        (b"192.0.2.1 5000 0 192.0.2.2", "192.0.2.1:5000"),
        (b"", ""),
    ],
)
def test_an_operator_sees_a_members_address_as_host_and_port(address: bytes, shown: str) -> None:
    assert host_and_port(address) == shown
