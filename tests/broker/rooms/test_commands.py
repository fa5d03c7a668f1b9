"""broker/rooms/commands.py and what of core.py and directory.py is for commands: what comes of a member's line."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest
from msgspec import structs

from broker.config import Limits
from broker.rooms import bans_and_mutes
from broker.rooms.bans_and_mutes import BansAndMutes
from broker.rooms.commands import TOLD_MUTED_MS, TOPIC_SIZE
from broker.rooms.requests import ALL_RIGHTS
from broker.store.interface import FOREVER, Restriction, RestrictionKind
from tests.broker.scripted import A, B, Broker, a_create, a_join, a_token, left, said
from tests.support.fakes import hash_of
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    Banned,
    Bans,
    Browse,
    Browsed,
    Done,
    Entry,
    GetTime,
    Granted,
    Hashed,
    HashPassword,
    Item,
    Present,
    Question,
    Request,
    ServerTime,
    Who,
)
from tsudoi.protocol.client.downlink_encoder import json_size
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.notices import said_limit
from tsudoi.protocol.client.phrases import Phrase, pack_arguments, unpack_arguments
from tsudoi.protocol.codes import EntryKind, LeaveReason, Status


class Room(Broker):
    """A room with alice, its host, and bob, who comes from elsewhere."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits, A, B)
        self.alice = self.create()
        self.bob = self.join(peer=B, ip="198.51.100.7")
        self.seen = len(self.log(self.alice.room))

    def join(self, room: str = "den", user: str = "bob", peer: str = A, token: int = 2, ip: str = "") -> Granted:
        body = a_join(room, user, token=token)
        granted = self.ask(
            peer, backbone.Join(*(body.room, body.user, None, body.token_hash), "tcrp", ip or body.ip, 100_000)
        )
        assert isinstance(granted, Granted), granted
        return granted

    def a_moderator(self, token: int) -> Granted:
        body = a_join(user="mod", token=token)
        granted = self.ask(
            A, backbone.Join(body.room, body.user, None, body.token_hash, "tcrp", "192.0.2.9", 100_000, ALL_RIGHTS)
        )
        assert isinstance(granted, Granted), granted
        self.seen = len(self.log(granted.room))
        return granted

    def does(self, member: Granted, line: str) -> list[Entry]:
        """What comes of a line that a member types."""
        peer = self.core.directory.members[member.member].gateway
        self.publish(peer, Item(EntryKind.COMMANDED, member.room, member.member, line, 0))
        return self.news_since()

    def news_since(self) -> list[Entry]:
        """What was put into the room's order since this was asked last."""
        log = self.log(self.alice.room)
        new, self.seen = log[self.seen :], len(log)
        return new


@pytest.fixture
def room() -> Room:
    return Room()


def told(entries: list[Entry]) -> list[tuple[EntryKind, str, str]]:
    """(kind, whose, text) of entries."""
    return [(EntryKind(entry.kind), entry.sender, entry.text) for entry in entries]


def answers(entries: list[Entry]) -> list[tuple[str, Phrase, str]]:
    """(to whom, what, about what) of entries that are all answers."""
    assert all(entry.kind == EntryKind.ANSWERED for entry in entries)
    return [(entry.sender, Phrase(entry.code), entry.text) for entry in entries]


# --- for everyone -------------------------------------------------------------------------------------------------


def test_a_whisper_is_for_one_and_can_be_answered(room: Room) -> None:
    (entry,) = room.does(room.alice, "/msg bob psst")
    assert (entry.kind, entry.member, entry.peer, entry.text) == (
        EntryKind.WHISPERED,
        room.alice.member,
        room.bob.member,
        "psst",
    )
    room.restart()
    (entry,) = room.does(room.bob, "/r yes?")
    assert (entry.member, entry.peer, entry.text) == (room.bob.member, room.alice.member, "yes?")
    carol = room.join(user="carol", token=3)
    room.news_since()
    assert answers(room.does(carol, "/r hello?")) == [("carol", Phrase.NOBODY_WROTE, "")]
    assert answers(room.does(carol, "/msg zoe hello?")) == [("carol", Phrase.NO_SUCH_MEMBER, "zoe")]


@pytest.mark.parametrize("command", ["ban", "mute"])
def test_more_than_minutes_behind_a_members_name_is_answered_with_how_the_command_is_written(
    command: str, room: Room
) -> None:
    usage = (Phrase.USAGE, f"/{command} NAME{'|ADDRESS' if command == 'ban' else ''} [MINUTES]")
    for more in ("5 too loud", "because", '5"'):
        assert answers(room.does(room.alice, f"/{command} bob {more}")) == [("alice", *usage)]
    assert answers(room.does(room.alice, f"/{command} zoe 5 too loud")) == [
        ("alice", Phrase.NO_SUCH_MEMBER, "zoe 5 too loud")
    ]
    for minutes in ("", " 5"):  # in quotes all of it is a name
        quoted = f'/{command} "bob the second"{minutes}'
        assert answers(room.does(room.alice, quoted)) == [("alice", Phrase.NO_SUCH_MEMBER, "bob the second")]
    spaced, members = room.join(user="bob 5 b", token=3), room.core.directory.members
    room.does(room.alice, f"/{command} bob 5 b")
    assert members[spaced.member].muted_until_ms if command == "mute" else spaced.member not in members


@pytest.mark.parametrize("text", ["x" * 1_985, '"' * 995, "あ" * 665], ids=["ASCII", "quotes", "Japanese"])
def test_a_whisper_or_an_action_that_would_be_cut_is_refused(text: str, room: Room) -> None:
    room.does(room.alice, "/msg bob hello")
    room.news_since()
    for line in ("/msg alice ", "/r "):
        limit = said_limit("bob", "alice")
        assert answers(room.does(room.bob, line + text)) == [("bob", Phrase.TOO_LONG, str(limit))]
        (entry,) = room.does(room.bob, line + text[: limit * len(text) // json_size(text)])
        assert entry.kind == EntryKind.WHISPERED
    assert answers(room.does(room.bob, f"/me {text}")) == [("bob", Phrase.TOO_LONG, str(said_limit("bob")))]


def test_a_new_name_is_the_members_from_there_on(room: Room) -> None:
    (entry,) = room.does(room.bob, "/nick か\u3099")
    assert (entry.kind, entry.sender, entry.text) == (EntryKind.RENAMED, "bob", "が")
    room.publish(B, said(room.bob, "hello"))
    assert told(room.news_since()) == [(EntryKind.SAID, "が", "hello")]
    assert answers(room.does(room.alice, "/nick が")) == [("alice", Phrase.NAME_TAKEN, "が")]
    assert answers(room.does(room.alice, "/nick server")) == [("alice", Phrase.NAME_TAKEN, "server")]
    for name in ("x" * 256, "\u200b", "ser\u200bver"):
        assert answers(room.does(room.alice, f"/nick {name}")) == [("alice", Phrase.BAD_NAME, "")]
    for name in ("server: hello", "a：b", "* alice", "alice (host)"):
        assert answers(room.does(room.alice, f"/nick {name}")) == [("alice", Phrase.MISLEADING_NAME, "")]
    # The former name is free again, and whoever takes the member over knows what its client writes.
    assert told(room.does(room.alice, "/nick bob"))[0][0] is EntryKind.RENAMED
    resumed = room.ask(B, backbone.Resume(a_token(2)))
    assert isinstance(resumed, Granted)
    assert (resumed.user, resumed.wished) == ("が", "bob")


@pytest.mark.parametrize("end", ["\n", "\u2028", "\u2029"])
def test_what_stands_in_the_servers_words_is_one_line(room: Room, end: str) -> None:
    assert told(room.does(room.bob, f"/me waves{end}and leaves")) == [(EntryKind.ACTED, "bob", "waves and leaves")]
    assert told(room.does(room.alice, f"/topic tea{end}bob: hi")) == [(EntryKind.TOPIC, "alice", "tea bob: hi")]
    assert told(room.does(room.bob, f"/msg alice psst{end}psst")) == [(EntryKind.WHISPERED, "bob", "psst\npsst")]
    assert told(room.does(room.alice, f"/kick bob no{end}tea"))[0] == (EntryKind.LEFT, "bob", "no tea")


def test_questions_are_answered_in_pages(room: Room) -> None:
    room.now += 7
    room.publish(B, said(room.bob, "hello"))
    room.now += 3
    present = room.ask(A, Who(room.alice.room, 0, 20))
    assert present == Present(2, [("alice", True, 10_000), ("bob", False, 3_000)])
    assert room.ask(A, Who(room.alice.room, 1, 1)) == Present(2, [("bob", False, 3_000)])
    other = room.create("部屋", token=4).room
    assert room.alice.room < other
    assert room.ask(A, Browse(0, 20)) == Browsed(2, [("den", 2, False), ("部屋", 1, False)], [room.alice.room, other])
    assert room.ask(A, Browse(1, 20)) == Browsed(2, [("部屋", 1, False)], [other])
    assert room.ask(A, GetTime()) == ServerTime(room.moment.wall_ms)


# --- for the host -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "/kick alice",
        "/ban alice",
        "/unban zoe",
        "/mute alice",
        "/unmute alice",
        "/password",
        "/host bob",
        "/close",
        "/topic x",
    ],
)
def test_only_the_host_may(room: Room, line: str) -> None:
    assert answers(room.does(room.bob, line)) == [("bob", Phrase.NOT_HOST, line.split()[0])]


@pytest.mark.parametrize("line", ["/kick alice", "/ban alice", "/mute alice", "/host alice"])
def test_nobody_does_that_to_oneself(room: Room, line: str) -> None:
    assert answers(room.does(room.alice, line)) == [("alice", Phrase.YOURSELF, "")]


def test_who_is_kicked_is_out_and_may_come_back(room: Room) -> None:
    (entry,) = room.does(room.alice, "/kick bob too loud")
    assert (entry.kind, entry.code, entry.sender, entry.peer_name, entry.text) == (
        EntryKind.LEFT,
        LeaveReason.KICKED,
        "bob",
        "alice",
        "too loud",
    )
    assert room.ask(B, backbone.Resume(a_token(2))) == backbone.Refused(2, "")
    room.join(peer=B, token=5, ip="198.51.100.7")


def test_a_topic_is_kept_and_told(room: Room) -> None:
    assert answers(room.does(room.bob, "/topic")) == [("bob", Phrase.NO_TOPIC, "")]
    assert told(room.does(room.alice, "/topic 今日の話")) == [(EntryKind.TOPIC, "alice", "今日の話")]
    room.start_again("broker-2")
    room.say(B, backbone.Hello(backbone.VERSION))
    assert answers(room.does(room.bob, "/topic")) == [("bob", Phrase.TOPIC_IS, "今日の話")]
    room.say(A, backbone.Hello(backbone.VERSION))
    long = "あ" * TOPIC_SIZE
    assert answers(room.does(room.alice, f"/topic {long}")) == [("alice", Phrase.TOO_LONG, str(TOPIC_SIZE))]
    assert told(room.does(room.alice, "/topic -")) == [(EntryKind.TOPIC, "alice", "")]
    assert answers(room.does(room.alice, "/topic -")) == [("alice", Phrase.NO_TOPIC, "")]


def test_a_muted_member_is_heard_by_nobody_and_told_so_now_and_then(room: Room) -> None:
    (entry,) = room.does(room.alice, "/mute bob 2")
    assert (entry.kind, entry.member, entry.code, entry.peer) == (
        EntryKind.MUTED,
        room.bob.member,
        2,
        room.alice.member,
    )
    room.publish(B, said(room.bob, "one"), said(room.bob, "two"))
    assert answers(room.news_since()) == [("bob", Phrase.MUTED_FOR, "2")]
    for line in ("/me shouts", "/msg alice hey", "/r hey", "/nick loud"):
        assert room.does(room.bob, line) == []
    room.now += TOLD_MUTED_MS / 1000
    assert answers(room.does(room.bob, "/me shouts")) == [("bob", Phrase.MUTED_FOR, "2")]
    assert answers(room.does(room.bob, "/topic")) == [("bob", Phrase.NO_TOPIC, "")]
    room.now -= 60  # the clock is set back
    assert answers(room.does(room.bob, "/me shouts")) == [("bob", Phrase.MUTED_FOR, "3")]
    assert room.does(room.bob, "/me shouts") == []
    room.now += 180
    room.publish(B, said(room.bob, "at last"))
    assert told(room.news_since()) == [(EntryKind.SAID, "bob", "at last")]


def test_who_was_muted_is_so_when_it_comes_back_and_after_a_restart(room: Room) -> None:
    room.does(room.alice, "/mute bob")
    room.publish(B, Item(EntryKind.LEFT, room.bob.room, room.bob.member, "", LeaveReason.LEFT))
    room.restart()
    other = room.join(user="bobby", peer=B, token=6, ip="198.51.100.7")
    room.news_since()
    room.publish(B, said(other, "me again"))
    assert answers(room.news_since()) == [("bobby", Phrase.MUTED, "")]
    assert [entry.kind for entry in room.does(room.alice, "/unmute bobby")] == [EntryKind.UNMUTED]
    room.publish(B, said(other, "thank you"))
    assert told(room.news_since()) == [(EntryKind.SAID, "bobby", "thank you")]
    assert answers(room.does(room.alice, "/unmute bobby")) == [("alice", Phrase.NOT_MUTED, "bobby")]


def test_somebody_who_has_gone_is_let_speak_again(room: Room) -> None:
    room.does(room.alice, "/mute bob")
    room.publish(B, Item(EntryKind.LEFT, room.bob.room, room.bob.member, "", LeaveReason.LEFT))
    room.restart()
    room.news_since()
    assert answers(room.does(room.alice, "/unmute bob")) == [("alice", Phrase.UNMUTED, "bob")]
    assert answers(room.does(room.alice, "/unmute bob")) == [("alice", Phrase.NOT_MUTED, "bob")]
    again = room.join(peer=B, token=6, ip="198.51.100.7")
    room.news_since()
    room.publish(B, said(again, "thank you"))
    assert told(room.news_since()) == [(EntryKind.SAID, "bob", "thank you")]


def test_who_took_a_muted_ones_name_does_not_keep_it_muted(room: Room) -> None:
    room.does(room.alice, "/mute bob")
    room.publish(B, Item(EntryKind.LEFT, room.bob.room, room.bob.member, "", LeaveReason.LEFT))
    carol = room.join(user="carol", token=3)
    room.does(carol, "/nick bob")
    assert answers(room.does(room.alice, "/unmute bob")) == [("alice", Phrase.UNMUTED, "bob")]


NAT = "203.0.113.5"


def muted(room: Room) -> list[tuple[str, str]]:
    return [(each.name, each.ip) for each in room.core.directory.bans_and_mutes.of_room(room.alice.room)]


def is_heard(room: Room, member: Granted) -> bool:
    room.news_since()
    room.publish(room.core.directory.members[member.member].gateway, said(member, "hello"))
    return EntryKind.SAID in [entry.kind for entry in room.news_since()]


def test_a_mute_of_one_of_many_behind_an_address_is_by_name(room: Room) -> None:
    eve, ann = (room.join(user=user, peer=B, token=token, ip=NAT) for token, user in enumerate(("eve", "ann"), 10))
    room.news_since()
    entries = room.does(room.alice, "/mute eve")
    assert [entry.kind for entry in entries] == [EntryKind.MUTED, EntryKind.ANSWERED]
    assert (entries[1].code, unpack_arguments(entries[1].text)) == (
        Phrase.NAME_MUTED,
        {"arg": "eve", "address": NAT, "others": 1},
    )
    cat = room.join(user="cat", peer=B, token=12, ip=NAT)
    assert [is_heard(room, member) for member in (eve, ann, cat)] == [False, True, True]
    assert answers(room.does(room.alice, "/unmute cat")) == [("alice", Phrase.NOT_MUTED, "cat")]
    room.publish(B, left(eve))
    eve = room.join(user="eve", peer=B, token=13, ip=NAT)
    assert not is_heard(room, eve)


def test_a_member_muted_by_anothers_address_is_let_speak_alone(room: Room) -> None:
    room.does(room.alice, "/mute bob")
    cat, dan = (
        room.join(user=user, peer=B, token=token, ip="198.51.100.7") for token, user in ((10, "cat"), (11, "dan"))
    )
    assert (muted(room), is_heard(room, cat)) == ([("bob", "198.51.100.7")], False)
    room.does(room.alice, "/unmute cat")
    assert [is_heard(room, member) for member in (room.bob, cat, dan)] == [False, True, False]
    assert muted(room) == [("bob", "")]
    # Who comes now is not muted: the address has turned out to be shared.
    assert is_heard(room, room.join(user="erin", peer=B, token=12, ip="198.51.100.7"))


@pytest.mark.parametrize("line", ["/unmute bob", "/unmute 198.51.100.7"])
def test_those_muted_for_an_address_speak_again_with_its_mute(room: Room, line: str) -> None:
    room.does(room.alice, "/mute bob")
    cat = room.join(user="cat", peer=B, token=10, ip="198.51.100.7")
    assert not is_heard(room, cat)
    room.does(room.alice, line)
    assert is_heard(room, cat)
    assert is_heard(room, room.bob) == line.endswith("bob")


def test_a_renamed_member_is_muted_under_both_names(room: Room) -> None:
    carol = room.join(user="carol", token=10)
    room.does(carol, "/nick eve")
    room.does(room.alice, "/mute eve")
    room.publish(A, left(carol))
    for token, user in ((11, "carol"), (12, "eve")):
        assert not is_heard(room, room.join(user=user, token=token))


def test_a_mute_of_the_second_of_a_name_leaves_the_first_alone(room: Room) -> None:
    second = room.join(peer=B, token=10, ip=NAT)
    assert second.user == "bob#2"
    room.does(room.alice, "/mute bob#2")
    room.does(room.alice, "/mute bob")
    assert muted(room) == [("bob#2", NAT), ("bob", "198.51.100.7")]
    room.does(room.alice, "/unmute bob#2")
    assert [is_heard(room, member) for member in (room.bob, second)] == [False, True]


def test_the_host_hands_over(room: Room) -> None:
    (entry,) = room.does(room.alice, "/host bob")
    assert (entry.kind, entry.sender, entry.peer_name) == (EntryKind.HOST, "bob", "alice")
    room.restart()
    assert answers(room.does(room.alice, "/close")) == [("alice", Phrase.NOT_HOST, "/close")]
    (entry,) = room.does(room.bob, "/close")
    assert (entry.kind, entry.code) == (EntryKind.CLOSED, LeaveReason.HOST_CLOSED)
    assert "den" not in room.core.directory.by_name


def test_who_was_there_longest_inherits() -> None:
    room = Room(Limits(host_leaves="inherit"))
    carol = room.join(user="carol", token=3)
    room.news_since()
    room.publish(A, Item(EntryKind.LEFT, room.alice.room, room.alice.member, "", LeaveReason.LEFT))
    assert told(room.news_since()) == [(EntryKind.LEFT, "alice", ""), (EntryKind.HOST, "bob", "")]
    room.publish(B, Item(EntryKind.LEFT, room.bob.room, room.bob.member, "", LeaveReason.IDLE))
    room.publish(A, Item(EntryKind.LEFT, carol.room, carol.member, "", LeaveReason.LEFT))
    assert [kind for kind, _, _ in told(room.news_since())] == [EntryKind.LEFT, EntryKind.HOST, EntryKind.CLOSED]
    assert "den" not in room.core.directory.by_name


# --- bans ---------------------------------------------------------------------------------------------------------


def test_a_ban_removes_and_is_of_name_and_address(room: Room) -> None:
    entries = room.does(room.alice, "/ban bob 10")
    assert [(entry.kind, entry.code) for entry in entries] == [
        (EntryKind.LEFT, LeaveReason.BANNED),
        (EntryKind.ANSWERED, Phrase.BOTH_BANNED),
    ]
    assert entries[0].text == "10"
    assert unpack_arguments(entries[1].text) == {"arg": "bob", "address": "198.51.100.7", "others": 0}
    bans = room.core.directory.bans_and_mutes.of_room(room.alice.room)
    assert [(ban.name, ban.ip, ban.until_ms) for ban in bans] == [
        ("bob", "198.51.100.7", room.moment.wall_ms + 600_000)
    ]
    assert not may_join(room, "robert", "198.51.100.7")
    room.now += 61
    answer = room.ask(A, structs.replace(a_join(user="robert"), ip="198.51.100.7"))
    assert answer == backbone.Refused(Status.BAD_REQUEST, "you are banned from this room for 9 more min")


def test_an_unban_lifts_what_it_names(room: Room) -> None:
    room.does(room.alice, "/ban bob 10")
    assert answers(room.does(room.alice, "/unban 198.51.100.7")) == [("alice", Phrase.UNBANNED, "198.51.100.7")]
    assert muted(room) == [("bob", "")]
    assert (may_join(room, "robert", "198.51.100.7"), may_join(room, "bob", "198.51.100.7")) == (True, False)
    assert answers(room.does(room.alice, "/unban bob"))[-1] == ("alice", Phrase.UNBANNED, "bob")
    assert may_join(room, "bob", "198.51.100.7")
    assert answers(room.does(room.alice, "/unban bob"))[-1] == ("alice", Phrase.NOT_BANNED, "bob")


def may_join(room: Room, user: str, ip: str, options: int = 0) -> bool:
    """Whether a client may join; it leaves again."""
    body = structs.replace(a_join(user=user, token=99), ip=ip, options=options)
    answer = room.ask(B, body)
    if isinstance(answer, Granted):
        room.publish(B, left(answer))
    room.news_since()
    return isinstance(answer, Granted)


def test_a_ban_of_one_of_many_behind_an_address_is_by_name(room: Room) -> None:
    for token, user in enumerate(("eve", "ann", "ben"), 10):
        room.join(user=user, peer=B, token=token, ip=NAT)
    room.news_since()
    answer = room.does(room.alice, "/ban eve")[-1]
    assert (answer.code, unpack_arguments(answer.text)) == (
        Phrase.NAME_BANNED,
        {"arg": "eve", "address": NAT, "others": 2},
    )
    assert [may_join(room, user, NAT) for user in ("eve", "dan", "ann")] == [False, True, True]
    entries = room.does(room.alice, f"/ban {NAT}")
    assert unpack_arguments(entries[0].text) == {"arg": NAT, "address": NAT, "others": 2}
    assert [may_join(room, user, NAT) for user in ("eve", "dan", "ann")] == [False, False, False]
    room.does(room.alice, f"/unban {NAT}")
    assert [may_join(room, user, NAT) for user in ("eve", "dan", "ann")] == [False, True, True]


def test_an_address_that_many_may_have_is_banned_only_where_it_is_named(room: Room) -> None:
    shared = int(MemberOptions.SHARED_ADDRESS)
    room.core.directory.members[room.bob.member].options |= shared
    answer = room.does(room.alice, "/ban bob")[-1]
    assert (answer.code, unpack_arguments(answer.text)["others"]) == (Phrase.NAME_BANNED, 0)
    assert may_join(room, "dan", "198.51.100.7", shared)
    # One of both from before the operator said that the address is shared.
    both = Restriction(room.alice.room, RestrictionKind.BAN, "eve", NAT, FOREVER)
    room.core.directory.bans_and_mutes.add(both)
    assert [may_join(room, "dan", NAT, options) for options in (0, shared)] == [False, True]
    room.does(room.alice, f"/ban {NAT}")
    assert not may_join(room, "dan", NAT, shared)


def test_a_ban_lets_the_hosts_own_address_alone(room: Room) -> None:
    room.join(user="carol", token=3)
    room.news_since()
    answer = room.does(room.alice, "/ban carol")[-1]
    assert (answer.code, unpack_arguments(answer.text)["others"]) == (Phrase.NAME_BANNED, 1)
    assert [ban.ip for ban in room.core.directory.bans_and_mutes.of_room(room.alice.room)] == [""]


def test_an_address_is_banned_with_all_who_are_there_from_it(room: Room) -> None:
    room.join(user="carol", peer=B, token=3, ip="198.51.100.7")
    room.news_since()
    entries = room.does(room.alice, "/ban 198.51.100.7")
    assert told(entries) == [
        (EntryKind.ANSWERED, "alice", pack_arguments("198.51.100.7", "198.51.100.7", 2)),
        (EntryKind.LEFT, "bob", ""),
        (EntryKind.LEFT, "carol", ""),
    ]


def test_of_ipv6_a_ban_is_of_a_64(room: Room) -> None:
    room.join(user="carol", peer=B, token=3, ip="2001:db8:1:2::3")
    room.join(user="dave", peer=B, token=4, ip="2001:db8:1:3::4")
    room.news_since()
    entries = room.does(room.alice, "/ban 2001:DB8:1:2::9")
    network = "2001:db8:1:2::/64"
    answer = (EntryKind.ANSWERED, "alice", pack_arguments(network, network, 1))
    assert told(entries) == [answer, (EntryKind.LEFT, "carol", "")]
    body = a_join(user="erin", token=5)
    assert isinstance(room.ask(B, structs.replace(body, ip="2001:db8:1:2:ffff::1")), backbone.Refused)
    for line in ("/unban 2001:db8:1:2::/64", "/unban 2001:db8:1:2:8::"):
        room.does(room.alice, "/ban 2001:db8:1:2::9")
        assert [code for _, code, _ in answers(room.does(room.alice, line))] == [Phrase.UNBANNED]
    assert isinstance(room.ask(B, structs.replace(body, ip="2001:db8:1:2:ffff::1")), Granted)
    entries = room.does(room.alice, "/ban erin")
    assert [ban.ip for ban in room.core.directory.bans_and_mutes.of_room(room.alice.room)] == ["2001:db8:1:2::/64"]


def test_who_shares_the_hosts_64_is_banned_and_muted_by_name(room: Room) -> None:
    host = room.core.directory.members[room.alice.member]
    host.ip = "2001:db8:1:2::1"
    for token, user in enumerate(("carol", "dave"), 3):
        room.join(user=user, token=token, ip=f"2001:db8:1:2::{token}")
    room.does(room.alice, "/mute carol")
    room.does(room.alice, "/ban dave")
    restrictions = room.core.directory.bans_and_mutes.of_room(room.alice.room)
    assert [(each.name, each.ip) for each in restrictions] == [("carol", ""), ("dave", "")]


def test_a_single_address_of_ipv6_in_an_older_store_stands_for_its_64(room: Room) -> None:
    old = Restriction(room.alice.room, RestrictionKind.BAN, "", "2001:db8:1:2::9", FOREVER)
    bans = room.core.directory.bans_and_mutes = BansAndMutes([old])
    assert list(bans.changes) == [old.key, (room.alice.room, RestrictionKind.BAN, "", "2001:db8:1:2::/64")]
    assert bans.changes[old.key] is None
    body = structs.replace(a_join(user="erin", token=5), ip="2001:db8:1:2::1")
    assert isinstance(room.ask(B, body), backbone.Refused)
    assert answers(room.does(room.alice, "/unban 2001:db8:1:2::1"))[0][1] == Phrase.UNBANNED


def test_a_look_at_very_many_bans_reads_one_address(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere = [Restriction(0, RestrictionKind.BAN, "", f"198.51.100.{number}", FOREVER) for number in range(200)]
    bans, key_of = BansAndMutes(everywhere), Mock(side_effect=str)
    monkeypatch.setattr(bans_and_mutes, "rate_key", key_of)
    assert bans.until(room.alice.room, RestrictionKind.BAN, "eve", "198.51.100.7", 0) == FOREVER
    assert bans.until(room.alice.room, RestrictionKind.BAN, "eve", "203.0.113.7", 0) == 0
    assert key_of.call_count == 2


def test_what_has_expired_everywhere_is_dropped_once(room: Room) -> None:
    bans = BansAndMutes([Restriction(0, RestrictionKind.BAN, "eve", "", 5_000)])
    assert bans.until(0, RestrictionKind.BAN, "eve", "", 5_000) == 0
    assert bans.of_room(0) == []


def test_a_member_may_be_called_like_an_address(room: Room) -> None:
    room.join(user="2001:db8::7", peer=B, token=5, ip="203.0.113.5")
    room.news_since()
    assert told(room.does(room.alice, "/kick 2001:db8::7")) == [(EntryKind.LEFT, "2001:db8::7", "")]


def test_the_host_is_told_what_holds(room: Room) -> None:
    room.does(room.alice, "/ban 203.0.113.9")
    room.does(room.alice, "/mute bob")
    room.does(room.alice, "/ban bob 10")
    until_ms = room.moment.wall_ms + 600_000
    rows = [("", "203.0.113.9", False, 0), ("bob", "198.51.100.7", True, 0), ("bob", "198.51.100.7", False, until_ms)]
    question = Bans(room.alice.room, room.alice.member, 0, 20)
    assert room.ask(A, question) == Banned(3, rows)
    assert room.ask(A, Bans(room.alice.room, room.alice.member, 1, 1)) == Banned(3, rows[1:2])
    room.now += 600
    assert room.ask(A, question) == Banned(2, rows[:2])


def test_what_holds_is_the_hosts_to_know(room: Room) -> None:
    question = Bans(room.bob.room, room.bob.member, 0, 20)
    assert room.ask(B, question) == Done()
    # Nor another gateway's, whatever member it names.
    assert room.ask(B, Bans(room.alice.room, room.alice.member, 0, 20)) == backbone.Refused(Status.ROOM_NOT_FOUND, "")
    assert room.news_since() == []


# --- passwords ----------------------------------------------------------------------------------------------------


HASH = hash_of("moon")


def test_a_password_is_hashed_first_and_set_in_the_order_of_the_commands(room: Room) -> None:
    room.handle(A, Request(50, HashPassword(room.alice.room, room.alice.member, "moon")))
    (job,) = room.turn().passwords
    room.core.requests.hashed(job, HASH, room.moment)
    assert room.turn().replies == [(A, backbone.Reply(50, Hashed(HASH)))]
    assert room.core.directory.by_name["den"].password_hash == ""
    assert [(entry.kind, entry.code) for entry in room.does(room.alice, f"/password {HASH}")] == [(EntryKind.LOCKED, 1)]
    assert room.core.directory.by_name["den"].password_hash == HASH
    assert [(entry.kind, entry.code) for entry in room.does(room.alice, "/password")] == [(EntryKind.LOCKED, 0)]
    assert room.core.directory.by_name["den"].password_hash == ""
    assert answers(room.does(room.alice, "/password")) == [("alice", Phrase.NO_PASSWORD, "")]


def test_a_password_is_set_by_the_host_at_its_place_in_the_order(room: Room) -> None:
    room.handle(B, Request(50, HashPassword(room.bob.room, room.bob.member, "moon")))
    assert room.turn().passwords == []
    assert room.news_since() == []
    for password_hash in (HASH, "-"):
        assert answers(room.does(room.bob, f"/password {password_hash}")) == [("bob", Phrase.NOT_HOST, "/password")]
    room.does(room.alice, "/host bob")
    assert answers(room.does(room.alice, f"/password {HASH}")) == [("alice", Phrase.NOT_HOST, "/password")]
    assert room.core.directory.by_name["den"].password_hash == ""


@pytest.mark.parametrize(
    "text",
    [
        # The first is of one that has become the host only since its gateway asked for the hash.
        *("-", "moon", "$2b$12$abc", "$argon2id$" + "x" * 200),
        # A check would take hours, or gigabytes, in one of two threads.
        *(HASH.replace("t=2", "t=4294967295"), HASH.replace("m=19456", "m=4194304"), HASH.replace("p=1", "p=255")),
    ],
)
def test_a_text_that_is_no_hash_sets_no_password(room: Room, text: str) -> None:
    assert answers(room.does(room.alice, f"/password {text}")) == [("alice", Phrase.BUSY, "")]
    assert room.core.directory.by_name["den"].password_hash == ""


# --- nobody is trusted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forge", [lambda room: (A, room.bob.room, room.bob.member), lambda room: (B, 99, room.bob.member)]
)
def test_commands_count_from_the_members_gateway_only(
    room: Room, forge: Callable[[Room], tuple[str, int, int]]
) -> None:
    peer, where, who = forge(room)
    refused = room.core.counters.refused_items
    room.publish(peer, Item(EntryKind.COMMANDED, where, who, "/me waves", 0))
    assert room.news_since() == []
    assert room.core.counters.refused_items == refused + 1


def test_a_password_comes_from_the_members_gateway_only(room: Room) -> None:
    body = HashPassword(room.alice.room, room.alice.member, "moon")
    assert room.ask(B, body) == Done()
    assert room.core.directory.by_name["den"].password_hash == ""
    assert room.ask(A, HashPassword(room.bob.room, room.bob.member, "moon")) == Done()
    assert room.news_since() == []


def test_a_closed_rooms_log_ends_with_its_end(room: Room) -> None:
    body = room.a_moderator(token=7)
    assert told(room.does(body, "/ban alice"))[-1][0] == EntryKind.CLOSED
    assert room.ask(B, HashPassword(room.bob.room, room.bob.member, "moon")) == Done()
    assert room.ask(A, HashPassword(room.alice.room, room.alice.member, "moon")) == Done()
    assert room.news_since() == []


@pytest.mark.parametrize("question", [lambda room: Who(room, 2**63 - 1, 2**63 - 1), lambda _: Browse(2**63 - 1, 1)])
def test_a_page_that_is_nowhere_is_empty(room: Room, question: Callable[[int], Question]) -> None:
    answer = room.ask(A, question(room.alice.room))
    assert answer == Present(2, []) or answer == Browsed(1, [])


def test_a_room_that_has_closed_is_not_shown_without_members(room: Room) -> None:
    room.does(room.alice, "/close")
    for room_id in (room.alice.room, 99):
        assert room.ask(B, Who(room_id, 0, 20)) == backbone.Refused(Status.ROOM_NOT_FOUND, "")


def test_a_repeated_command_is_done_once(room: Room) -> None:
    item = Item(EntryKind.COMMANDED, room.bob.room, room.bob.member, "/me waves", 0)
    for _ in range(2):
        room.say(B, backbone.Publish(1, [item]))
    assert told(room.news_since()) == [(EntryKind.ACTED, "bob", "waves")]


# --- limits -------------------------------------------------------------------------------------------------------


def refusal(answer: backbone.Answer) -> str:
    assert isinstance(answer, backbone.Refused), answer
    assert answer.status == Status.BUSY
    return answer.detail


def test_a_full_room_and_a_full_server_say_so() -> None:
    room = Room(Limits(room_members=3, rooms=2, rooms_per_address=0))
    room.join(user="carol", token=3)
    assert refusal(room.ask(A, a_join(user="dave", token=4))) == "the room has its most members (3)"
    room.does(room.alice, "/kick carol")
    room.join(user="dave", token=5)
    room.create("second", token=6)
    assert refusal(room.ask(A, a_create("third", token=7))) == "the server has its most rooms (2)"
    assert room.core.counters.full == 2
    room.does(room.alice, "/close")
    room.create("third", token=8)


def test_an_address_has_its_most_rooms_also_after_a_restart() -> None:
    room = Room(Limits(rooms_per_address=2))
    room.create("second", token=4)
    for _ in range(2):
        assert refusal(room.ask(A, a_create("third", token=5))) == "your address has its most rooms (2)"
        room.restart(A)
    elsewhere = a_create("third", token=6)
    elsewhere.ip = "203.0.113.5"
    assert isinstance(room.ask(A, elsewhere), Granted)
    room.does(room.alice, "/close")
    room.create("fourth", token=7)
    for number, kind in ((1, Granted), (2, Granted), (3, backbone.Refused)):
        body = structs.replace(a_create(f"v6-{number}", token=10 + number), ip=f"2001:db8::{number}")
        assert isinstance(room.ask(A, body), kind)


def test_a_password_that_is_right_does_not_open_a_full_room() -> None:
    room = Room(Limits(room_members=2))
    room.does(room.alice, f"/password {HASH}")
    room.handle(A, Request(51, a_join(user="dave", password="moon", token=4)))
    (job,) = room.turn().passwords
    room.core.requests.hashed(job, True, room.moment)
    (reply,) = [message for _, message in room.turn().replies if isinstance(message, backbone.Reply)]
    assert refusal(reply.body) == "the room has its most members (2)"
