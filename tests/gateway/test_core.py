"""gateway/core.py"""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Settings
from gateway.core import CROWD, LEAVING_S, MOVES, MUTE_S
from gateway.listeners import sockaddr as addresses
from gateway.listeners.flood_filter import PATIENCE
from gateway.strangers import EXIT_ADDRESSES, EXITS, EXITS_S, HELD_BYTES, HELD_DATAGRAMS, HELD_TOKENS, REFUSED_S
from tests.support.fakes import ScriptedGateway, a_grant, address_of, entry, room_name, said, token_of
from tests.support.strategies import datagrams
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Adopt, Adoption, Item, Refused, Resume
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.handshake import REASONS
from tsudoi.protocol.codes import EntryKind, LeaveReason, Status
from tsudoi.protocol.names import hash_token

ALICE, BOB = address_of(1), address_of(2)
ELSEWHERE = address_of(1, network="198.51.100.7")
LOOPBACK = addresses.pack("127.0.0.1", 4000)


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


def raw(number: int, text: str | bytes = b"", *, room: bytes | None = None, token: bytes | None = None) -> bytes:
    """A datagram with its sizes in bytes."""
    name = room_name(1).encode() if room is None else room
    key = token_of(number) if token is None else token
    return bytes((len(name), len(key))) + name + key + (text.encode() if isinstance(text, str) else text)


def send(gateway: ScriptedGateway, data: bytes, source: bytes = ALICE, door: int = 0) -> None:
    gateway.core.handle_datagrams(door, [(data, source)], gateway.now)


# --- what is said -------------------------------------------------------------------------------------------------


def test_what_a_member_says_goes_to_the_broker(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.hear(1, "hello", ALICE)
    gateway.hear(1, "やあ\t改行\n", ALICE)
    items = [item for item in gateway.published() if item.kind == EntryKind.SAID]
    assert items == [Item(1, 1, 1, "hello", 0), Item(1, 1, 1, "やあ\t改行\n", 0)]
    assert gateway.counters.accepted_messages == 2


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("m1: hello", "hello"),
        ("m1 : hello", "hello"),
        ("m1: m1: hello", "m1: hello"),
        ("m2: hello", "m2: hello"),
        ("m1:hello", "m1:hello"),
        (" m1: hello", "hello"),
        ("M1: hello", "M1: hello"),
    ],
)
def test_the_senders_own_name_is_taken_off(gateway: ScriptedGateway, text: str, heard: str) -> None:
    gateway.enter(1)
    gateway.hear(1, text, ALICE)
    assert gateway.said() == [heard]


def test_the_senders_own_name_may_be_written_in_any_normal_form(gateway: ScriptedGateway) -> None:
    gateway.enter(1, name="がく")
    for text in ("がく: a", "か\u3099く: b", "がぐ: c"):
        gateway.hear(1, text, ALICE)
    assert gateway.said() == ["a", "b", "がぐ: c"]


def test_one_that_was_told_apart_may_write_the_name_that_it_wished(gateway: ScriptedGateway) -> None:
    gateway.enter(1, name="alice#2")
    for text in ("alice: a", "alice#2: b", "alice : c", "alice#3: d"):
        gateway.hear(1, text, ALICE)
    assert gateway.said() == ["a", "b", "c", "alice#3: d"]


def test_a_signed_token_before_a_text_is_not_told_where_tokens_are_names(gateway: ScriptedGateway) -> None:
    text = f"eyJhbGciOiJFZERTQSJ9.{'x' * 40}.{'y' * 86}: hello"
    trusting = ScriptedGateway(Settings(auth="optional"))
    for each in (trusting, gateway):
        each.enter(1)
        each.hear(1, text, ALICE)
    assert trusting.said() == ["hello"]
    assert gateway.said() == [text]


@pytest.mark.parametrize("text", ["", "m1: ", "m1 : ", "\x00\x1b", "m1: \x07"])
def test_nothing_left_to_say_only_registers(gateway: ScriptedGateway, text: str) -> None:
    member = gateway.enter(1)
    gateway.wait(10.0)
    gateway.hear(1, text, ALICE)
    assert member.address == ALICE
    assert member.seen == gateway.now
    assert gateway.said() == []


@pytest.mark.parametrize(
    ("dialect", "word"), [(name, word) for name, dialect in DIALECTS.items() for word in dialect.register_words]
)
def test_words_to_register_are_never_relayed(gateway: ScriptedGateway, dialect: str, word: str) -> None:
    member = gateway.enter(1, dialect)
    for text in (word, f"m1: {word}"):
        gateway.hear(1, text, ALICE)
    assert member.address == ALICE
    assert gateway.said() == []
    gateway.hear(1, f"{word}!", ALICE)
    assert gateway.said() == [f"{word}!"]


def test_a_word_of_another_dialect_is_said(gateway: ScriptedGateway) -> None:
    gateway.enter(1, "tcrp")
    for text in ("@join", "@quit", "exit", "/leave", "__LEAVE__"):
        gateway.hear(1, text, ALICE)
    assert gateway.said() == ["@join", "@quit", "exit", "/leave", "__LEAVE__"]


@pytest.mark.parametrize(
    ("dialect", "word"), [(name, word) for name, dialect in DIALECTS.items() for word in dialect.leave_words]
)
def test_words_to_leave_leave_the_room(gateway: ScriptedGateway, dialect: str, word: str) -> None:
    member = gateway.enter(1, dialect, address=ALICE)
    gateway.published()
    gateway.hear(1, f"m1: {word}", ALICE)
    assert gateway.published() == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.LEFT)]
    gateway.hear(1, "one more thing", ALICE)
    assert gateway.published() == []
    assert member.leaving
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.LEFT))
    assert gateway.members.by_token == {}
    assert gateway.doors.to(ALICE) == []


def test_messages_in_json_are_unwrapped(gateway: ScriptedGateway) -> None:
    gateway.enter(1, "tcrp-202")
    for text in ('{"sender": "mallory", "message": "hi"}', '{"sender":"m1","message":"m1: hey"}', "plain", '{"a":1}'):
        gateway.hear(1, text, ALICE)
    assert gateway.said() == ["hi", "hey", "plain", '{"a":1}']


def test_bad_utf_8_is_replaced_and_a_cut_character_goes(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.hear(1, b"a\xffb", ALICE)
    gateway.hear(1, "あ".encode()[:2], ALICE)
    gateway.hear(1, "aあ".encode()[:3], ALICE)
    assert gateway.said() == ["a\ufffdb", "a"]


def test_what_is_beyond_4096_bytes_is_cut_off(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    send(gateway, raw(1, "x" * 9_000))
    (text,) = gateway.said()
    assert len(raw(1, text)) == 4_096


def test_a_member_may_say_so_much_at_once_and_so_much_a_second() -> None:
    gateway = ScriptedGateway(Settings(rate=10.0, burst=3.0))
    gateway.enter(1)
    gateway.enter(2)
    for number in range(5):
        gateway.hear(1, str(number), ALICE)
    gateway.hear(2, "another", BOB)
    assert gateway.said() == ["0", "1", "2", "another"]
    assert gateway.counters.rate_limited == 2
    gateway.now += 0.2
    for number in range(5):
        gateway.hear(1, str(number), ALICE)
    assert gateway.said() == ["0", "1"]
    # Silence, registering and leaving cost nothing.
    gateway.now += MUTE_S
    for _ in range(9):
        gateway.hear(1, "", ALICE)
    assert gateway.counters.rate_limited == 5


def test_who_shouts_is_not_read_for_a_moment_but_may_leave() -> None:
    gateway = ScriptedGateway(Settings(rate=100.0, burst=1.0))
    gateway.enter(1, "tcrp-json")
    for _ in range(3):
        gateway.hear(1, "x", ALICE)
    gateway.now += MUTE_S / 2
    gateway.hear(1, "y", ALICE)
    assert (gateway.said(), gateway.counters.rate_limited) == (["x"], 3)
    gateway.hear(1, "/exit", ALICE)
    assert gateway.members.rooms[1].members[1].leaving


def test_who_floods_is_not_heard_for_a_while_that_grows() -> None:
    gateway = ScriptedGateway(Settings(rate=100.0, burst=1.0))
    gateway.enter(1, "tsudoi")
    gateway.enter(2)
    for seconds in (1, 2, 4):
        for _ in range(PATIENCE + 3):
            gateway.hear(1, "x", ALICE)
        assert gateway.core.flood_filter.changed
        assert gateway.core.flood_filter.program()
        gateway.hear(1, "y", ALICE)
        gateway.hear(2, "another", BOB)
        assert gateway.said() == ["x", "another"]
        member, length = gateway.core.flooders[-1]
        assert (member.id, length) == (1, seconds)
        gateway.wait(seconds - 0.1)
        gateway.hear(1, "z", ALICE)
        assert (gateway.said(), gateway.core.flood_filter.changed) == ([], False)
        gateway.wait(0.2)
        assert (gateway.core.flood_filter.changed, gateway.core.flood_filter.program()) == (True, [])
    assert gateway.counters.silenced == 3
    # It was told so, unless it had been told less a moment before; and after a silence it may say its rate.
    words = [msgspec.json.decode(told)["text"] for told in gateway.doors.to(ALICE)]
    assert words[0] == "Too fast: what you said was dropped."
    gateway.hear(1, "again", ALICE)
    assert gateway.said() == ["again"]


@pytest.mark.parametrize(
    ("data", "counter"),
    [
        pytest.param(raw(1, "x", room=b"another"), "wrong_rooms", id="another room"),
        pytest.param(raw(1), "datagrams", id="nothing"),
        pytest.param(raw(1, "m1: "), "datagrams", id="nothing but a name"),
    ],
)
def test_who_floods_with_what_says_nothing_is_silenced_too(data: bytes, counter: str) -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)  # what only says where it is the first time is none of these
    before = getattr(gateway.counters, counter)
    gateway.core.handle_datagrams(0, [(data, ALICE)] * (PATIENCE + 1), gateway.now)
    assert getattr(gateway.counters, counter) == before + PATIENCE + 1
    assert gateway.counters.silenced == 1
    gateway.hear(1, "hello", ALICE)
    assert (gateway.said(), len(gateway.core.flood_filter)) == ([], 1)


def test_nobody_is_silenced_by_what_comes_from_elsewhere() -> None:
    gateway = ScriptedGateway(Settings(rate=100.0, burst=1.0))
    gateway.enter(1, address=ALICE)
    for _ in range(2):
        gateway.hear(1, "x", ALICE)
    for data in (raw(1), raw(1, "x"), raw(1, "x", room=b"another")):
        gateway.core.handle_datagrams(0, [(data, ELSEWHERE)] * (2 * PATIENCE), gateway.now)
    gateway.now += MUTE_S
    gateway.core.handle_datagrams(0, [(raw(1), ELSEWHERE)] * (2 * PATIENCE), gateway.now)
    assert (gateway.counters.silenced, gateway.counters.wrong_addresses) == (0, 2 * PATIENCE)
    gateway.hear(1, "hello", ALICE)
    assert gateway.said() == ["x", "hello"]


def test_who_comes_from_ever_other_ports_is_followed_so_fast_only() -> None:
    gateway = ScriptedGateway()
    member = gateway.enter(1, address=ALICE)
    ports = [address_of(1, port) for port in range(5_000, 5_000 + int(MOVES) + 10)]
    for source in ports:
        gateway.hear(1, "x", source)
    assert len(gateway.said()) == MOVES
    assert member.address == ports[int(MOVES) - 1]
    assert (gateway.counters.moved_addresses, gateway.counters.moves_limited) == (MOVES, 10)
    gateway.hear(1, "at home", ports[int(MOVES) - 1])
    gateway.now += 1.0
    gateway.hear(1, "moved", ALICE)
    assert (gateway.said(), member.address) == (["at home", "moved"], ALICE)
    # Whoever goes on is silenced like others.
    gateway.core.handle_datagrams(
        0, [(raw(1, "x"), address_of(1, 5_000 + number % 2)) for number in range(2 * PATIENCE + 100)], gateway.now
    )
    assert gateway.counters.silenced == 1


def test_a_token_that_somebody_shows_elsewhere_is_no_members_there_and_does_not_stand_in_its_way(
    gateway: ScriptedGateway,
) -> None:
    send(gateway, raw(1, "thief"), ELSEWHERE)
    send(gateway, raw(1, "more"), addresses.pack("198.51.100.7", 9))
    send(gateway, raw(1, "of the member"), ALICE)
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "198.51.100.7", 30_000)
    gateway.reply(request.id, Refused(Status.BAD_REQUEST, ""))
    assert gateway.counters.wrong_addresses == 2
    # What came from the member itself is asked for.
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "192.0.2.1", 30_000)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == ["of the member"]


def test_who_is_granted_at_another_host_is_heard_there_at_once_and_nobody_else(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "moved"), ELSEWHERE)
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, address=b"192.0.2.1 5000 0"))
    send(gateway, raw(1, "thief"), ALICE)
    assert gateway.said() == ["moved"]
    assert gateway.members.by_token[token_of(1)].address == ELSEWHERE


def test_where_a_token_is_shown_does_not_matter_if_nobody_checks_it() -> None:
    gateway = ScriptedGateway(Settings(check_ip="off"))
    send(gateway, raw(1, "x"), ELSEWHERE)
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "198.51.100.7", 0)


def test_whose_guesses_are_spent_is_not_read_for_a_moment() -> None:
    gateway = ScriptedGateway(Settings(guess_rate=2.0))
    gateway.core.handle_datagrams(0, [(b"\3nonsense", ALICE)] * 41, gateway.now)
    assert (gateway.counters.unknown_tokens, gateway.counters.guesses_limited) == (41, 1)
    send(gateway, raw(1, "x"))
    assert (gateway.asked(Resume), gateway.counters.guesses_limited) == ([], 2)
    gateway.enter(2, address=ALICE)
    gateway.hear(2, "a member is heard from there", ALICE)
    assert gateway.said() == ["a member is heard from there"]


def test_in_a_crowd_each_may_say_less() -> None:
    gateway = ScriptedGateway(Settings(rate=10.0, burst=8.0))
    for number in range(1, 4 * CROWD + 1):
        gateway.enter(number)
    for _ in range(5):
        gateway.hear(1, "a", ALICE)
    assert gateway.said() == ["a"] * 2
    gateway.now += 0.4
    gateway.hear(1, "b", ALICE)
    gateway.hear(1, "c", ALICE)
    gateway.hear(2, "d", BOB)
    assert gateway.said() == ["b", "d"]


def test_a_room_has_a_rate_of_its_own() -> None:
    gateway = ScriptedGateway(Settings(room_rate=2.0))
    for number in range(1, 4):
        gateway.enter(number)
    gateway.enter(9, room=2)
    for _ in range(2):
        for number in range(1, 4):
            gateway.hear(number, "x", address_of(number))
    gateway.hear(9, "elsewhere", address_of(9))
    assert gateway.said() == ["x"] * 4 + ["elsewhere"]
    assert (gateway.counters.room_limited, gateway.counters.rate_limited) == (2, 0)
    gateway.now += 0.5
    gateway.hear(1, "y", ALICE)
    gateway.hear(1, "z", ALICE)
    assert gateway.said() == ["y"]


def test_an_address_has_a_rate_for_all_of_its_members_in_all_rooms() -> None:
    gateway = ScriptedGateway(Settings(address_messages=2.0))
    for number in range(1, 4):
        gateway.enter(number, room=number, ip="192.0.2.1")
    gateway.enter(9, room=1, ip="192.0.2.9")
    gateway.enter(10, room=1, ip="127.0.0.1")
    for _ in range(3):
        for number in range(1, 4):
            gateway.hear(number, f"of {number}", address_of(number))
        gateway.hear(9, "another's", addresses.pack("192.0.2.9", 4000))
    for _ in range(9):
        gateway.hear(10, "this machine's", LOOPBACK)
    said = gateway.said()
    assert [text for text in said if text.startswith("of")] == ["of 1", "of 2", "of 3", "of 1"]
    assert (said.count("another's"), said.count("this machine's")) == (3, 9)
    assert (gateway.counters.address_limited, gateway.counters.room_limited) == (3, 0)
    assert gateway.counters.rate_limited == 2  # of those who had just been dropped
    gateway.now += 0.5
    gateway.hear(2, "again", address_of(2))
    assert gateway.said() == ["again"]


def test_an_address_has_so_many_members() -> None:
    gateway = ScriptedGateway(Settings(address_members=2))
    assert gateway.core.may_enter("2001:db8::1")
    gateway.enter(1, ip="2001:db8::1")
    gateway.enter(2, ip="2001:db8::2")
    assert not gateway.core.may_enter("2001:db8::3")
    assert gateway.core.may_enter("192.0.2.1")
    for number in range(3, 9):
        gateway.enter(number, ip="127.0.0.1")
    assert gateway.core.may_enter("127.0.0.1")
    assert gateway.counters.members_limited == 1
    gateway.core.delivery.drop(gateway.members.rooms[1].members[1])
    gateway.core.delivery.drop(gateway.members.rooms[1].members[3])
    assert gateway.core.may_enter("2001:db8::3")
    assert gateway.members.rate_keys == {"2001:db8::/64": 1}


def test_who_is_too_fast_is_told_once_a_second_if_its_dialect_has_words() -> None:
    gateway = ScriptedGateway(Settings(rate=0.1, burst=1.0))
    gateway.enter(1, "tsudoi")
    gateway.enter(2, "tcrp")
    for _ in range(9):
        gateway.hear(1, "x", ALICE)
        gateway.hear(2, "x", BOB)
    assert gateway.doors.to(BOB) == []
    (told,) = gateway.doors.to(ALICE)
    assert msgspec.json.decode(told) == {"notice": "slow", "text": "Too fast: what you said was dropped."}
    gateway.now += 1.0
    gateway.hear(1, "x", ALICE)
    gateway.hear(1, "x", ALICE)
    assert len(gateway.doors.to(ALICE)) == 2
    assert gateway.counters.told_to_slow_down == 2


def test_a_full_window_is_counted() -> None:
    gateway = ScriptedGateway(Settings(unaccepted=2))
    gateway.enter(1, address=ALICE)
    gateway.published()
    gateway.core.handle_datagrams(0, [(raw(1, text), ALICE) for text in "abcd"], gateway.now)
    assert gateway.counters.accepted_messages == 2
    assert gateway.counters.window_full == 2
    assert gateway.said() == ["a", "b"]


# --- room and token -----------------------------------------------------------------------------------------------


def test_a_datagram_for_another_room_is_counted_and_not_answered(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    for room in (room_name(2).encode(), b"", b"\xff\xfe", "部屋".encode(), b"\xe9\x83\xa8" * 85):
        send(gateway, raw(1, "hello", room=room))
    assert gateway.counters.wrong_rooms == 5
    assert gateway.published() == []
    assert member.address is None
    assert gateway.doors.sent == []


def test_a_room_may_be_written_in_any_normal_form(gateway: ScriptedGateway) -> None:
    granted = a_grant(1)
    granted.room_name = "が"
    gateway.core.enter(granted, token_of(1), gateway.now)
    for room in ("が", "か\u3099", " が "):
        send(gateway, raw(1, "hello", room=room.encode()))
    assert gateway.said() == ["hello"] * 3


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x03"])
def test_less_than_two_sizes_is_malformed(gateway: ScriptedGateway, data: bytes) -> None:
    send(gateway, data)
    assert gateway.counters.malformed_datagrams == 1


def test_a_room_counted_in_characters_is_found_by_its_token(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    name = room_name(1)
    send(gateway, bytes((len(name), 32)) + name.encode() + token_of(1) + "やあ".encode())
    send(gateway, bytes((len(name), 32)) + name.encode() + token_of(1))
    assert gateway.said() == ["やあ"]


@pytest.mark.parametrize("token", [b"", b"short", b"G" * 32, b"0" * 31, b"0" * 33, b"A" * 32, b"\xff" * 32])
def test_what_does_not_look_like_a_token_is_not_asked_for(gateway: ScriptedGateway, token: bytes) -> None:
    send(gateway, raw(1, "hello", token=token))
    assert gateway.asked(Resume) == []
    assert gateway.counters.unknown_tokens == 1
    assert gateway.doors.sent == []


def test_an_unknown_token_is_asked_for_once_and_its_datagrams_wait(gateway: ScriptedGateway) -> None:
    for number in range(3):
        send(gateway, raw(1, f"text {number}"))
    (request,) = gateway.asked(Resume)
    assert request.body == Resume(hash_token(token_of(1)), "192.0.2.1", 30_000)
    assert gateway.said() == []
    gateway.reply(request.id, a_grant(1, offset=5))
    assert gateway.said() == ["text 0", "text 1", "text 2"]
    assert gateway.members.by_token[token_of(1)].address == ALICE
    assert gateway.counters.resumed == 1
    assert backbone.room_topic(1) in gateway.doors.topics


def test_an_unknown_token_may_stand_behind_a_room_counted_in_characters(gateway: ScriptedGateway) -> None:
    name = room_name(1)
    send(gateway, bytes((len(name), 32)) + name.encode() + token_of(1) + b"hello")
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == ["hello"]


def test_a_token_that_the_directory_does_not_know_is_not_asked_for_again_at_once(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    send(gateway, raw(1, "two"))
    assert gateway.asked(Resume) == []
    assert gateway.counters.unknown_tokens == 2
    gateway.wait(REFUSED_S)
    send(gateway, raw(1, "three"))
    assert len(gateway.asked(Resume)) == 1
    assert gateway.doors.sent == []


def test_a_directory_that_is_busy_is_asked_again_at_once(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, Refused(Status.BUSY, ""))
    send(gateway, raw(1, "two"))
    assert len(gateway.asked(Resume)) == 1


def test_without_an_answer_what_waited_is_dropped_and_asked_for_again(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    gateway.asked(Resume)
    gateway.wait(gateway.settings.request_timeout_s + 1)
    assert gateway.counters.held_dropped == 1
    gateway.asked(Resume)
    send(gateway, raw(1, "two"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == ["two"]


def test_what_waits_is_bounded(gateway: ScriptedGateway) -> None:
    for number in range(HELD_DATAGRAMS + 5):
        send(gateway, raw(1, str(number)))
    assert gateway.counters.held_dropped == 5
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1))
    assert gateway.said() == [str(number) for number in range(HELD_DATAGRAMS)]


def test_how_many_unknown_tokens_wait_is_bounded(gateway: ScriptedGateway) -> None:
    strangers = [(raw(n, "x"), address_of(n, network=f"198.51.100.{n % 100}")) for n in range(HELD_TOKENS + 10)]
    gateway.core.handle_datagrams(0, strangers, gateway.now)
    assert gateway.counters.held_dropped == 10
    assert len(gateway.asked(Resume)) == HELD_TOKENS


def test_guessing_tokens_is_throttled_for_each_address() -> None:
    gateway = ScriptedGateway(Settings(guess_rate=2.0))
    gateway.core.handle_datagrams(0, [(raw(n, "x"), ALICE) for n in range(60)], gateway.now)
    asked = gateway.asked(Resume)
    assert len(asked) == 40
    assert gateway.counters.guesses_limited == 20
    for request in asked:
        gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    gateway.core.handle_datagrams(0, [(raw(n, "x"), ALICE) for n in range(60, 90)], gateway.now)
    send(gateway, raw(999, "x"), ELSEWHERE)
    assert len(gateway.asked(Resume)) == 1
    gateway.now += 1.0
    gateway.core.handle_datagrams(0, [(raw(n, "x"), ALICE) for n in range(90, 120)], gateway.now)
    assert len(gateway.asked(Resume)) == 2


def test_whose_tokens_are_members_comes_from_one_address_as_often_as_it_likes() -> None:
    gateway = ScriptedGateway(Settings(guess_rate=0.1))
    for number in range(1, 100):
        send(gateway, raw(number, "x"), ALICE)
        (request,) = gateway.asked(Resume)
        gateway.reply(request.id, a_grant(number))
    assert gateway.counters.guesses_limited == 0


def test_this_machine_is_not_throttled() -> None:
    gateway = ScriptedGateway(Settings(guess_rate=0.1))
    gateway.core.handle_datagrams(0, [(raw(n, "x"), LOOPBACK) for n in range(100)], gateway.now)
    assert len(gateway.asked(Resume)) == 100


# --- a refusal that was taken for a token -------------------------------------------------------------------------


def refused(
    room: str = "den", words: str = "ERROR: Room does not exist", text: str = "", *, chars: bool = False
) -> bytes:
    name = room.encode()
    return bytes((len(room) if chars else len(name), len(words))) + name + words.encode() + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        refused(),
        refused(text="bob: hello"),
        refused("部屋1"),
        refused("部屋1", chars=True),
        refused("部屋1", text="bob: hello there, how are you all", chars=True),
        refused(words="ERROR: Busy, try again"),
        refused(words="ERROR: Bad request: user name is longer than 255 bytes"),
    ],
)
def test_a_seed_client_with_a_refusal_for_its_token_is_told_to_end(gateway: ScriptedGateway, data: bytes) -> None:
    send(gateway, data, BOB, door=0)
    *why, end = gateway.doors.sent
    assert end == (0, BOB, b"exit!")
    assert len(why) == 1
    assert why[0][:2] == (0, BOB)
    assert why[0][2].removeprefix(b"ERROR: ").decode() in REASONS.values()
    assert why[0][2] in data
    assert gateway.counters.exit_answers == 1
    assert gateway.asked(Resume) == []


@pytest.mark.parametrize("data", [refused(words="ERROR: buy at example.org"), refused("d"), refused(words="ERROR: ")])
def test_it_is_told_only_what_we_might_have_said_and_no_more_bytes_than_it_sent(
    gateway: ScriptedGateway, data: bytes
) -> None:
    send(gateway, data, BOB, door=0)
    assert gateway.doors.sent == [(0, BOB, b"exit!")]
    assert gateway.counters.exit_answers == 1


def test_an_address_is_told_so_once_a_second(gateway: ScriptedGateway) -> None:
    for _ in range(5):
        send(gateway, refused(), ALICE)
        send(gateway, refused(), BOB)
    assert [address for _, address, _ in gateway.doors.sent] == [ALICE, ALICE, BOB, BOB]
    gateway.now += 0.99
    send(gateway, refused(), ALICE)
    assert len(gateway.doors.sent) == 4
    gateway.now += 0.02
    send(gateway, refused(), ALICE)
    assert len(gateway.doors.sent) == 6


def test_no_answer_is_larger_than_what_it_answers(gateway: ScriptedGateway) -> None:
    for size in range(2, 60):
        for number, words in enumerate(("x" * size, "Busy, try again" + "x" * size)):
            data = refused("d", "ERROR: " + words)[:size]
            gateway.doors.sent.clear()
            send(gateway, data, address_of(100 * number + size))
            assert sum(len(payload) for _, _, payload in gateway.doors.sent) <= len(data)


def test_how_many_addresses_are_remembered_for_that_is_bounded(gateway: ScriptedGateway) -> None:
    for number in range(EXIT_ADDRESSES + 10):
        send(gateway, refused(), addresses.pack("127.0.0.1", 1 + number % 60_000))
    assert gateway.counters.exit_answers == EXIT_ADDRESSES + 10
    send(gateway, refused(), addresses.pack("127.0.0.1", EXIT_ADDRESSES + 10))
    assert gateway.counters.exit_answers == EXIT_ADDRESSES + 10


def test_many_ports_of_one_address_are_told_so_as_one(gateway: ScriptedGateway) -> None:
    for port in range(1, 1_000):
        send(gateway, refused(), addresses.pack("192.0.2.1", port))
    assert gateway.counters.exit_answers == EXITS
    gateway.now += 1.0
    for port in range(1_000, 1_010):
        send(gateway, refused(), addresses.pack("192.0.2.1", port))
    assert gateway.counters.exit_answers == EXITS + EXITS_S


def test_what_waits_for_answers_about_tokens_has_a_bound_in_bytes(gateway: ScriptedGateway) -> None:
    size = len(raw(1, "x" * 4_000))
    fits, sources = HELD_BYTES // size, [addresses.pack(f"192.0.2.{number}", 1) for number in range(1, 100)]
    for number in range(fits + 10):
        send(gateway, raw(number, "x" * 4_000), sources[number % len(sources)])
    assert gateway.core.strangers.held == fits
    assert gateway.counters.held_dropped == 10
    # Those that were answered give their place to others.
    for request in gateway.asked(Resume)[:5]:
        gateway.reply(request.id, Refused(Status.ROOM_NOT_FOUND, ""))
    for number in range(fits + 10, fits + 20):
        send(gateway, raw(number, "x" * 4_000), sources[number % len(sources)])
    assert gateway.counters.held_dropped == 15


# --- addresses ----------------------------------------------------------------------------------------------------


def test_an_address_is_learned_from_the_first_datagram(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    known = [member.address]
    gateway.hear(1, "", ALICE)
    assert [*known, member.address] == [None, ALICE]
    (located,) = gateway.published()
    assert (located.kind, located.room, located.member) == (EntryKind.ADDRESSED, 1, 1)
    assert located.text.split() == ["192.0.2.1", "20001", "0"]


def test_another_port_of_the_same_host_moves_a_member_at_once(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, address=ALICE)
    moved = address_of(1, port=40_000)
    gateway.hear(1, "hello", moved)
    assert member.address == moved
    assert gateway.counters.moved_addresses == 1
    assert gateway.said() == ["hello"]
    gateway.news(said(2, 9, "hi"))
    assert gateway.doors.to(moved) == [b"m9: hi"]
    assert gateway.doors.to(ALICE) == []


def test_another_host_is_not_heard_before_the_old_one_was_silent_for_a_while(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, address=ALICE)
    gateway.wait(gateway.settings.move_after_s - 1)
    gateway.hear(1, "stolen?", ELSEWHERE)
    assert gateway.counters.wrong_addresses == 1
    assert member.address == ALICE
    gateway.hear(1, "still here", ALICE)
    gateway.wait(gateway.settings.move_after_s - 1)
    gateway.hear(1, "stolen?", ELSEWHERE)
    assert gateway.said() == ["still here"]
    # What is refused does not count as a sign of life.
    gateway.wait(1.0)
    gateway.hear(1, "moved", ELSEWHERE)
    assert member.address == ELSEWHERE
    assert gateway.said() == ["moved"]
    gateway.hear(1, "too late", ALICE)
    assert gateway.counters.wrong_addresses == 3


def test_the_first_datagram_must_come_from_the_host_of_the_handshake_too(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    gateway.hear(1, "hello", ELSEWHERE)
    assert member.address is None
    gateway.wait(gateway.settings.move_after_s)
    gateway.hear(1, "hello", ELSEWHERE)
    assert member.address == ELSEWHERE


def test_any_host_may_send_if_that_is_not_checked() -> None:
    gateway = ScriptedGateway(Settings(check_ip="off"))
    member = gateway.enter(1, address=ALICE)
    gateway.hear(1, "moved", ELSEWHERE)
    assert member.address == ELSEWHERE
    assert gateway.said() == ["moved"]


def test_loopback_addresses_count_as_one_host() -> None:
    gateway = ScriptedGateway(ipv6=(False, True))
    member = gateway.enter(1, ip="::1")
    gateway.hear(1, "a", LOOPBACK)
    gateway.hear(1, "b", addresses.pack("127.9.9.9", 4001))
    gateway.hear(1, "c", addresses.pack("::1", 4002), door=1)
    assert gateway.said() == ["a", "b", "c"]
    assert member.door == 1


def test_answers_leave_by_the_door_that_the_datagrams_come_in(gateway: ScriptedGateway) -> None:
    gateway = ScriptedGateway(ipv6=(False, False))
    gateway.enter(1, address=ALICE)
    gateway.news(said(2, 9, "one"))
    gateway.hear(1, "", ALICE, door=1)
    gateway.news(said(3, 9, "two"))
    assert [(door, payload) for door, _, payload in gateway.doors.sent] == [(0, b"m9: one"), (1, b"m9: two")]


def test_an_announced_address_counts_until_a_datagram_comes(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    gateway.core.announce(member, address_of(1, port=5_555), gateway.now)
    gateway.news(said(2, 9, "one"))
    gateway.hear(1, "", ALICE)
    gateway.core.announce(member, address_of(1, port=6_666), gateway.now)
    gateway.news(said(3, 9, "two"))
    assert gateway.doors.to(address_of(1, port=5_555)) == [b"m9: one"]
    assert gateway.doors.to(ALICE) == [b"m9: two"]


def test_an_announced_port_may_stay_whatever_the_datagrams_come_from(gateway: ScriptedGateway) -> None:
    gateway = ScriptedGateway(ipv6=(False, False))
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.core.announce(member, address_of(1, port=5_555), gateway.now)
    gateway.hear(1, "a", address_of(1, port=6_666), door=1)
    gateway.hear(1, "b", address_of(1, port=7_777), door=1)
    assert gateway.said() == ["a", "b"]
    assert (member.address, member.door) == (address_of(1, port=5_555), 1)
    assert gateway.counters.moved_addresses == 0


def test_a_port_that_stays_moves_to_another_host_with_its_member(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.core.announce(member, address_of(1, port=5_555), gateway.now)
    gateway.hear(1, "a", ELSEWHERE)
    assert gateway.said() == []
    gateway.wait(gateway.settings.move_after_s)
    gateway.hear(1, "b", ELSEWHERE)
    assert gateway.said() == ["b"]
    assert member.address == addresses.with_port(ELSEWHERE, 5_555)


def test_a_port_that_would_stay_and_was_never_announced_is_learned(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, dialect="tcrp-two-sockets")
    gateway.hear(1, "a", ALICE)
    assert member.address == ALICE


def test_an_announced_address_takes_the_door_of_its_family() -> None:
    gateway = ScriptedGateway(ipv6=(False, True, True))
    member = gateway.enter(1, ip="2001:db8::1")
    gateway.core.announce(member, addresses.pack("2001:db8::1", 5_555), gateway.now)
    assert member.door == 1


def test_who_leaves_announces_nothing(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    gateway.core.leave(member, LeaveReason.LEFT, gateway.now)
    gateway.core.announce(member, ALICE, gateway.now)
    assert member.address is None


# --- members from elsewhere ---------------------------------------------------------------------------------------


def test_a_member_that_comes_back_is_told_where_it_was(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, ""))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, offset=5, address=b"192.0.2.1 20001 0"))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.doors.to(ALICE) == [b"m9: hi"]


@pytest.mark.parametrize("door", [-1, -9, 9, 10**30])
def test_a_door_that_there_is_none_of_is_another(gateway: ScriptedGateway, door: int) -> None:
    send(gateway, raw(1, ""))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, offset=5, address=f"192.0.2.1 20001 {door}".encode()))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.doors.to(ALICE) == [b"m9: hi"]


@pytest.mark.parametrize(
    "written", [b"nonsense", b"", b"192.0.2.1 99999 0", b"192.0.2.1 5 x", b"\xff 5 0", b"host 5 0", b"192.0.2.1 5 0 7"]
)
def test_an_address_that_can_not_be_read_is_none(gateway: ScriptedGateway, written: bytes) -> None:
    send(gateway, raw(1, "hello"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, address=written))
    assert gateway.said() == ["hello"]
    assert gateway.members.by_token[token_of(1)].address == ALICE


@pytest.mark.parametrize(("written", "door"), [(b"192.0.2.1 5 2", 2), (b"192.0.2.1 5 1", 0), (b"2001:db8::1 5 9", 1)])
def test_an_address_takes_its_door_again_if_there_is_one_of_its_family(written: bytes, door: int) -> None:
    gateway = ScriptedGateway(ipv6=(False, True, False))
    member = gateway.core.enter(a_grant(1, address=written), token_of(1), gateway.now)
    assert member.door == door


def test_a_member_that_comes_back_may_change_its_port_where_it_was_last(gateway: ScriptedGateway) -> None:
    """Not where its handshake was: it has moved since."""
    gateway.core.enter(a_grant(1, address=b"198.51.100.7 20001 0"), token_of(1), gateway.now)
    gateway.hear(1, "hello", address_of(1, port=30_000, network="198.51.100.7"))
    assert gateway.said() == ["hello"]


def test_nonsense_in_a_grant_from_another_gateway_does_no_harm(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "hello"))
    (request,) = gateway.asked(Resume)
    gateway.reply(request.id, a_grant(1, "no such dialect", ip="nonsense"))
    gateway.wait(gateway.settings.move_after_s)
    gateway.hear(1, "hello again", ALICE)
    assert "hello again" in gateway.said()


def test_a_known_member_is_not_entered_twice(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    assert gateway.core.enter(a_grant(1), token_of(1), gateway.now) is member
    assert list(member.room.members) == [1]


def adoption(number: int, offset: int = 5, address: bytes = b"192.0.2.1 20001 0") -> Adoption:
    return Adoption(a_grant(number, offset=offset, address=address), hash_token(token_of(number)))


def test_an_adopted_member_hears_before_it_has_said_anything(gateway: ScriptedGateway) -> None:
    gateway.answer(Adopt([adoption(1)]))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.doors.to(ALICE) == [b"m9: hi"]
    assert gateway.counters.adopted == 1
    # Its token is known when it shows it, and the directory need not be asked.
    gateway.hear(1, "hello", ALICE)
    assert gateway.said() == ["hello"]
    assert gateway.asked(Resume) == []


def test_a_member_that_is_adopted_while_it_is_asked_for_is_one_member(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "hello"))
    (request,) = gateway.asked(Resume)
    gateway.answer(Adopt([adoption(1)]))
    gateway.reply(request.id, a_grant(1, offset=5, address=b"192.0.2.1 20001 0"))
    gateway.news(last=5)
    gateway.news(said(6, 9, "hi"))
    assert gateway.said() == ["hello"]
    assert gateway.doors.to(ALICE) == [b"m9: hi"]
    assert list(gateway.members.rooms[1].members) == [1]


def test_what_asked_for_a_member_that_is_adopted_comes_before_what_it_says_next(gateway: ScriptedGateway) -> None:
    send(gateway, raw(1, "one"))
    send(gateway, raw(1, "two"))
    (request,) = gateway.asked(Resume)
    gateway.answer(Adopt([adoption(1)]))
    send(gateway, raw(1, "three"))
    gateway.reply(request.id, a_grant(1, offset=5, address=b"192.0.2.1 20001 0"))
    assert gateway.said() == ["one", "two", "three"]


def test_a_member_that_is_here_is_not_adopted_again(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE, offset=5)
    gateway.answer(Adopt([adoption(1)]))
    gateway.news(said(6, 9, "hi"))
    assert gateway.doors.to(ALICE) == [b"m9: hi"]


# --- leaving, by silence too --------------------------------------------------------------------------------------


def test_a_silent_member_is_removed_by_way_of_the_broker_and_told(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    gateway.wait(99.0)
    assert gateway.published() == []
    gateway.wait(2.0)
    assert gateway.published() == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.IDLE)]
    assert gateway.doors.to(ALICE) == []
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.IDLE))
    assert gateway.doors.to(ALICE) == [b"Timeout!"]
    assert gateway.members.rooms == {}
    assert gateway.doors.topics == []


def test_any_accepted_datagram_counts_as_a_sign_of_life(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.published()
    for _ in range(5):
        gateway.wait(60.0)
        gateway.hear(1, "", ALICE)
    assert gateway.published() == []


def test_a_member_that_leaves_and_that_the_broker_does_not_know_is_dropped(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1, address=ALICE)
    gateway.core.leave(member, LeaveReason.LEFT, gateway.now)
    gateway.wait(LEAVING_S + 1)
    assert gateway.members.by_token == {}
    assert gateway.members.rooms == {}


# --- anything at all ----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(datagrams(), st.integers(0, 3)), max_size=20))
def test_no_datagram_raises_or_is_answered_with_more(batch: list[tuple[bytes, int]]) -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)
    for data, source in batch:
        gateway.doors.sent.clear()
        send(gateway, data, address_of(source))
        send(gateway, raw(1, data[:50]), ALICE)
        for _, address, payload in gateway.doors.sent:
            assert address == address_of(source)
            assert len(payload) <= len(data)
    gateway.published()


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_frame_raises(frames: list[bytes]) -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)
    for frame in frames:
        gateway.core.handle_news(frame, gateway.now)
        gateway.core.handle_news(backbone.room_topic(1) + frame, gateway.now)
        gateway.core.handle_answer(frame, gateway.now)
    gateway.tick()
