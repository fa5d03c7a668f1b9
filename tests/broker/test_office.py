"""broker/office.py"""

import pytest
from msgspec import structs

from broker.office import ANNOUNCED_A_TICK, TEXT_SIZE
from broker.sanctions import SANCTIONS_A_ROOM
from tests.broker.operated import Desk
from tests.broker.scripted import A, B, a_create, a_join, addressed, left, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Bye, Granted, Hello, Item, Join, admin_frames
from tsudoi.protocol.backbone import Refused as Denied
from tsudoi.protocol.backbone.admin_frames import PAGE, VERSION, Ask, Done, Refused
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.codes import EntryKind, LeaveReason, Rights


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- what there is ------------------------------------------------------------------------------------------------


def test_rooms_and_members_are_listed(desk: Desk) -> None:
    host = desk.broker.create(peer=A)
    guest = desk.broker.ask(B, structs.replace(a_join(), rights=int(Rights.MODERATOR)))
    assert isinstance(guest, Granted)
    desk.broker.publish(A, addressed(host, 2), said(host, "hello"))
    (room,) = desk.ask(admin_frames.ListRooms()).rooms
    assert (room.name, room.members, room.host, room.locked, room.persistent) == ("den", 2, "alice", False, False)
    assert room.entries == 3
    alice, bob = desk.ask(admin_frames.ListMembers()).members
    assert (alice.room, alice.name, alice.host, alice.rights, alice.gateway) == ("den", "alice", True, 0, A)
    assert (alice.dialect, alice.ip, alice.address) == ("tcrp", "192.0.2.1", "192.0.2.1 5000 0")
    assert (bob.name, bob.host, bob.rights, bob.address) == ("bob", False, Rights.MODERATOR, "")
    assert desk.names("den") == ["alice", "bob"]


def test_very_many_rooms_come_in_pages(desk: Desk) -> None:
    for number in range(PAGE + 5):
        desk.broker.ask(A, a_create(f"room {number}", token=number + 1))
    first = desk.ask(admin_frames.ListRooms())
    assert (len(first.rooms), first.more) == (PAGE, True)
    rest = desk.ask(admin_frames.ListRooms(first.rooms[-1].id))
    assert ([room.name for room in rest.rooms], rest.more) == ([f"room {PAGE + n}" for n in range(5)], False)
    assert len(desk.ask(admin_frames.ListMembers()).members) == PAGE


def test_gateways_are_listed_with_how_they_are(desk: Desk) -> None:
    desk.broker.create(peer=A)
    desk.broker.say(B, Bye())
    told = {gateway.instance: gateway for gateway in desk.ask(admin_frames.ListGateways()).gateways}
    assert (told[A].members, told[A].state, told[B].state) == (1, "serves", "stopped")
    desk.broker.now += 10.0
    told = {gateway.instance: gateway for gateway in desk.ask(admin_frames.ListGateways()).gateways}
    assert (told[A].state, told[A].silent_ms) == ("away", 10_000)


def test_counters_are_told_by_name(desk: Desk) -> None:
    desk.broker.create()
    desk.broker.core.handle_untrusted(A, b"nonsense", desk.broker.moment)
    counted = dict(desk.ask(admin_frames.Count()).counters)
    assert (counted["rooms"], counted["members"], counted["malformed"]) == (1, 1, 1)


# --- orders -------------------------------------------------------------------------------------------------------


def test_a_room_is_closed_and_everybody_hears_it(desk: Desk) -> None:
    host = desk.broker.create()
    desk.broker.join()
    assert desk.ask(admin_frames.CloseRoom(" den ")) == Done(1)
    entry = desk.last(host.room)
    assert (entry.kind, entry.code) == (EntryKind.CLOSED, LeaveReason.OPERATOR)
    assert desk.rooms() == {}
    assert desk.names() == []


def test_a_member_is_removed_with_a_reason(desk: Desk) -> None:
    desk.broker.create()
    guest = desk.broker.join()
    assert desk.ask(admin_frames.RemoveMember("den", "bob", "spam")) == Done(1)
    entry = desk.last(guest.room)
    assert (entry.kind, entry.code, entry.text, entry.sender) == (EntryKind.LEFT, LeaveReason.OPERATOR, "spam", "bob")
    assert desk.names() == ["alice"]


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (admin_frames.CloseRoom("den"), "there is no room called den"),
        (admin_frames.CloseRoom(""), "room name is empty"),
        (admin_frames.ListMembers(room="den"), "there is no room called den"),
        (admin_frames.RemoveMember("lab", "bob"), "nobody in lab is called bob"),
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
    desk: Desk, question: admin_frames.Question, why: str
) -> None:
    desk.broker.ask(A, a_create("lab", "carol"))
    before = desk.rooms()
    answer = desk.ask(question)
    assert isinstance(answer, Refused)
    assert why in answer.why
    assert "\n" not in answer.why
    assert desk.rooms() == before


def test_an_operator_of_another_version_is_told_so(desk: Desk) -> None:
    frame = admin_frames.encode(Ask(VERSION + 1, admin_frames.ListRooms()))
    answer = desk.office.handle_untrusted(frame, desk.broker.moment)
    assert isinstance(answer, Refused)
    assert f"version {VERSION}" in answer.why


def test_bytes_that_are_no_order_are_counted_and_not_answered(desk: Desk) -> None:
    assert desk.office.handle_untrusted(b"nonsense", desk.broker.moment) is None
    assert desk.office.malformed == 1


# --- bans ---------------------------------------------------------------------------------------------------------


def a_join_from(ip: str, user: str, token: int, room: str = "den") -> Join:
    return structs.replace(a_join(room, user, token=token), ip=ip)


def test_who_is_banned_goes_and_does_not_come_back_also_after_a_restart(desk: Desk) -> None:
    host = desk.broker.create()
    desk.broker.ask(A, a_join_from("198.51.100.7", "mallory", 2))
    desk.broker.ask(A, a_join_from("198.51.100.7", "eve", 3))
    assert desk.ask(admin_frames.Ban("", "198.51.100.7", 0, "flood")) == Done(2)
    assert desk.names() == ["alice"]
    entry = desk.last(host.room)
    assert (entry.kind, entry.code, entry.text) == (EntryKind.LEFT, LeaveReason.BANNED, "flood")
    desk.start_again()
    desk.broker.say(A, Hello(backbone.VERSION))
    assert isinstance(desk.broker.ask(A, a_join_from("198.51.100.7", "peggy", 4)), Denied)
    assert isinstance(desk.broker.ask(A, structs.replace(a_create("lab", "eve", token=5), ip="198.51.100.7")), Denied)
    assert isinstance(desk.broker.ask(A, a_join_from("198.51.100.8", "peggy", 6)), Granted)
    assert [ban.ip for ban in desk.ask(admin_frames.ListBans()).bans] == ["198.51.100.7"]
    assert desk.ask(admin_frames.Unban("198.51.100.7")) == Done(1)
    assert isinstance(desk.broker.ask(A, a_join_from("198.51.100.7", "eve", 7)), Granted)


def test_of_ipv6_a_household_is_banned(desk: Desk) -> None:
    desk.broker.create()
    desk.broker.ask(A, a_join_from("2001:db8:1:2::7", "mallory", 2))
    assert desk.ask(admin_frames.Ban("", "2001:db8:1:2::9", 0)) == Done(1)
    assert isinstance(desk.broker.ask(A, a_join_from("2001:db8:1:2:3::", "eve", 3)), Denied)
    assert isinstance(desk.broker.ask(A, a_join_from("2001:db8:1:3::", "eve", 4)), Granted)
    assert [ban.ip for ban in desk.ask(admin_frames.ListBans()).bans] == ["2001:db8:1:2::/64"]
    assert desk.ask(admin_frames.Ban("", "2001:db8:1:2::/48", 0)) == Refused("'2001:db8:1:2::/48' is not an IP address")
    assert desk.ask(admin_frames.Unban("2001:db8:1:2::/64")) == Done(1)
    assert isinstance(desk.broker.ask(A, a_join_from("2001:db8:1:2:3::", "eve", 5)), Granted)


def test_a_name_is_banned_for_a_time(desk: Desk) -> None:
    desk.broker.create()
    assert desk.ask(admin_frames.Ban("ボブ", "", 5)) == Done(0)
    assert isinstance(desk.broker.ask(A, a_join(user="ボブ")), Denied)
    (ban,) = desk.ask(admin_frames.ListBans()).bans
    assert ban.until_ms == desk.broker.moment.wall_ms + 300_000
    desk.broker.wait(301.0, A, B)
    assert desk.ask(admin_frames.ListBans()).bans == []
    assert isinstance(desk.broker.ask(A, a_join(user="ボブ")), Granted)


def test_a_banned_hosts_room_closes_once_and_its_guests_hear_why_they_go(desk: Desk) -> None:
    host = desk.broker.create()
    desk.broker.join()
    assert desk.ask(admin_frames.Ban("", "192.0.2.1", 0)) == Done(2)
    assert desk.rooms() == {}
    assert desk.kinds(host.room)[-2:] == [EntryKind.LEFT, EntryKind.CLOSED]


def test_no_ban_makes_an_older_one_end(desk: Desk) -> None:
    desk.broker.create()
    for number in range(SANCTIONS_A_ROOM):
        assert desk.ask(admin_frames.Ban(f"mallory{number}", "", 0)) == Done(0)
    assert desk.ask(admin_frames.Ban("eve", "", 0)) == Refused("1000 names and addresses are banned: unban some first")
    assert desk.ask(admin_frames.Ban("mallory0", "", 5)) == Done(0)
    assert len(desk.ask(admin_frames.ListBans()).bans) == SANCTIONS_A_ROOM
    desk.broker.wait(301.0, A, B)
    assert desk.ask(admin_frames.Ban("eve", "", 0)) == Done(0)


# --- announcements ------------------------------------------------------------------------------------------------


def test_an_announcement_goes_to_every_room_that_has_members(desk: Desk) -> None:
    host = desk.broker.create()
    desk.ask(admin_frames.Persist("empty"))
    assert desk.ask(admin_frames.Announce("at 22:00 we go")) == Done(1)
    desk.tick()
    entry = desk.last(host.room)
    assert (entry.kind, entry.text, entry.member) == (EntryKind.ANNOUNCED, "at 22:00 we go", 0)
    assert desk.rooms()["empty"].entries == 0


def test_an_announcement_may_be_for_one_room(desk: Desk) -> None:
    den, lab = desk.broker.create(), desk.broker.ask(A, a_create("lab", token=9))
    assert isinstance(lab, Granted)
    assert desk.ask(admin_frames.Announce("lights out", "lab")) == Done(1)
    desk.tick()
    assert EntryKind.ANNOUNCED not in desk.kinds(den.room)
    assert desk.last(lab.room).text == "lights out"


def test_very_many_rooms_are_told_a_part_at_a_time(desk: Desk) -> None:
    for number in range(ANNOUNCED_A_TICK + 1):
        desk.broker.ask(A, a_create(f"room {number}", token=number + 1))
    desk.ask(admin_frames.Announce("one"))
    desk.ask(admin_frames.Announce("two"))
    desk.tick()
    rooms = list(desk.broker.core.directory.rooms)
    told = [desk.kinds(room).count(EntryKind.ANNOUNCED) for room in rooms]
    assert told == [2] * ANNOUNCED_A_TICK + [0]
    desk.tick()
    assert desk.kinds(rooms[-1])[-2:] == [EntryKind.ANNOUNCED] * 2


def commanded(member: Granted, line: str) -> Item:
    return Item(EntryKind.COMMANDED, member.room, member.member, line, 0)


# --- persistent rooms ---------------------------------------------------------------------------------------------


def test_a_persistent_room_is_there_without_anybody_and_after_a_restart(desk: Desk) -> None:
    assert desk.ask(admin_frames.Persist("lobby", "$argon2id$…", "welcome")) == Done(1)
    desk.start_again()
    room = desk.rooms()["lobby"]
    assert (room.members, room.host, room.locked, room.persistent, room.topic) == (0, "", True, True, "welcome")


def test_a_persistent_room_outlives_its_members_and_nobody_is_its_host(desk: Desk) -> None:
    desk.ask(admin_frames.Persist("lobby"))
    assert isinstance(desk.broker.ask(A, a_create("lobby")), Denied)
    guest = desk.broker.ask(A, a_join("lobby", "alice", token=1))
    assert isinstance(guest, Granted)
    assert not guest.is_host
    desk.broker.publish(A, said(guest, "hello"), left(guest))
    assert desk.rooms()["lobby"].members == 0
    desk.start_again()
    assert desk.broker.texts(guest.room) == ["hello"]
    assert desk.rooms()["lobby"].entries == 3


def test_a_moderator_may_make_a_host_there_whose_leaving_closes_nothing(desk: Desk) -> None:
    desk.ask(admin_frames.Persist("lobby"))
    moderator = desk.broker.ask(A, structs.replace(a_join("lobby", "carol"), rights=int(Rights.MODERATOR)))
    guest = desk.broker.ask(A, a_join("lobby", "bob", token=3))
    assert isinstance(moderator, Granted)
    assert isinstance(guest, Granted)
    desk.broker.publish(A, commanded(guest, "/topic mine"), commanded(moderator, "/topic tea"))
    assert desk.rooms()["lobby"].topic == "tea"
    desk.broker.publish(A, commanded(moderator, "/host bob"))
    assert desk.rooms()["lobby"].host == "bob"
    # Only the operator closes such a room.
    desk.broker.publish(A, commanded(moderator, "/close"), commanded(guest, "/close"))
    told = desk.broker.log(guest.room)[-2:]
    assert [(entry.sender, entry.code) for entry in told] == [("carol", Phrase.ROOM_STAYS), ("bob", Phrase.ROOM_STAYS)]
    desk.broker.publish(A, left(guest))
    room = desk.rooms()["lobby"]
    assert (room.members, room.host) == (1, "")


def test_a_moderator_is_one_in_a_room_of_somebody_elses(desk: Desk) -> None:
    desk.broker.create()
    moderator = desk.broker.ask(A, structs.replace(a_join(), rights=int(Rights.MODERATOR)))
    eve = desk.broker.ask(A, a_join(user="eve", token=3))
    assert isinstance(moderator, Granted)
    assert isinstance(eve, Granted)
    desk.broker.publish(A, commanded(eve, "/kick bob"), commanded(moderator, "/kick eve"))
    assert desk.names() == ["alice", "bob"]


def test_a_room_that_becomes_persistent_loses_its_host(desk: Desk) -> None:
    host, _ = desk.broker.create(), desk.broker.join()
    desk.ask(admin_frames.Persist("den"))
    desk.broker.publish(A, left(host))
    room = desk.rooms()["den"]
    assert (room.members, room.host, room.persistent) == (1, "", True)


def test_a_room_that_is_no_longer_persistent_closes_with_its_last_member(desk: Desk) -> None:
    desk.ask(admin_frames.Persist("lobby"))
    guest = desk.broker.ask(A, a_join("lobby", "alice", token=1))
    assert isinstance(guest, Granted)
    assert desk.ask(admin_frames.Unpersist("lobby")) == Done(1)
    assert desk.rooms()["lobby"].members == 1
    desk.broker.publish(A, left(guest))
    assert desk.rooms() == {}
    assert desk.kinds(guest.room)[-2:] == [EntryKind.LEFT, EntryKind.CLOSED]


def test_an_empty_room_that_is_no_longer_persistent_closes_at_once(desk: Desk) -> None:
    desk.ask(admin_frames.Persist("lobby"))
    assert desk.ask(admin_frames.Unpersist("lobby")) == Done(1)
    assert desk.rooms() == {}


def test_configured_rooms_are_made_once(desk: Desk) -> None:
    for _ in range(2):
        desk.broker.core.begin(["lobby", "集会所"], desk.broker.moment.wall_ms)
        desk.broker.turn()
        assert sorted(desk.rooms()) == ["lobby", "集会所"]
        desk.ask(admin_frames.Persist("lobby", topic="welcome"))
        desk.start_again()
    assert desk.rooms()["lobby"].topic == "welcome"
