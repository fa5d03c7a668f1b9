"""gateway/chat/receive.py, in a whole gateway without I/O."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.dropped_log import Drop
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, raw, send
from tests.support.fakes import ScriptedGateway, a_grant, address_of, entry, room_name, token_of
from tests.support.strategies import datagrams
from tsudoi.protocol.backbone import Item
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind, LeaveReason


def test_a_message_is_published(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.receive(1, "hello", ALICE)
    gateway.receive(1, "やあ\t改行\n", ALICE)
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
        ("m1:hello", "hello"),
        ("m1 :hello", "hello"),
        ("m1:)", "m1:)"),
        ("m1hello: x", "m1hello: x"),
        (" m1: hello", "hello"),
        ("M1: hello", "M1: hello"),
    ],
)
def test_the_senders_own_name_is_taken_off(gateway: ScriptedGateway, text: str, heard: str) -> None:
    gateway.enter(1)
    gateway.receive(1, text, ALICE)
    assert gateway.said() == [heard]


def test_the_senders_own_name_may_be_written_in_any_normal_form(gateway: ScriptedGateway) -> None:
    gateway.enter(1, name="がく")
    for text in ("がく: a", "か\u3099く: b", "がぐ: c"):
        gateway.receive(1, text, ALICE)
    assert gateway.said() == ["a", "b", "がぐ: c"]


def test_a_client_may_write_the_name_that_it_asked_for(gateway: ScriptedGateway) -> None:
    gateway.enter(1, name="alice#2")
    for text in ("alice: a", "alice#2: b", "alice : c", "alice#3: d"):
        gateway.receive(1, text, ALICE)
    assert gateway.said() == ["a", "b", "c", "alice#3: d"]


def test_a_signed_token_before_a_text_is_stripped_where_tokens_are_names(gateway: ScriptedGateway) -> None:
    text = f"eyJhbGciOiJFZERTQSJ9.{'x' * 40}.{'y' * 86}: hello"
    trusting = ScriptedGateway(Settings(auth="optional"))
    for each in (trusting, gateway):
        each.enter(1)
        each.receive(1, text, ALICE)
    assert trusting.said() == ["hello"]
    assert gateway.said() == [text]


@pytest.mark.parametrize("text", ["", "m1: ", "m1 : ", "\x00\x1b", "m1: \x07"])
def test_an_empty_text_only_registers(gateway: ScriptedGateway, text: str) -> None:
    member = gateway.enter(1)
    gateway.wait(10.0)
    gateway.receive(1, text, ALICE)
    assert member.address == ALICE
    assert member.seen == gateway.now
    assert gateway.said() == []


@pytest.mark.parametrize(
    ("dialect", "word"), [(name, word) for name, dialect in DIALECTS.items() for word in dialect.register_words]
)
def test_words_to_register_are_never_relayed(gateway: ScriptedGateway, dialect: str, word: str) -> None:
    member = gateway.enter(1, dialect)
    for text in (word, f"m1: {word}"):
        gateway.receive(1, text, ALICE)
    assert member.address == ALICE
    assert gateway.said() == []
    gateway.receive(1, f"{word}!", ALICE)
    assert gateway.said() == [f"{word}!"]


def test_a_word_of_another_dialect_is_said(gateway: ScriptedGateway) -> None:
    gateway.enter(1, "tcrp")
    for text in ("@join", "@quit", "exit", "/leave", "__LEAVE__"):
        gateway.receive(1, text, ALICE)
    assert gateway.said() == ["@join", "@quit", "exit", "/leave", "__LEAVE__"]


@pytest.mark.parametrize(
    ("dialect", "word"), [(name, word) for name, dialect in DIALECTS.items() for word in dialect.leave_words]
)
def test_words_to_leave_leave_the_room(gateway: ScriptedGateway, dialect: str, word: str) -> None:
    member = gateway.enter(1, dialect, address=ALICE)
    gateway.published()
    gateway.receive(1, f"m1: {word}" if word.isprintable() else word, ALICE)
    assert gateway.published() == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.LEFT)]
    gateway.receive(1, "one more thing", ALICE)
    assert gateway.published() == []
    assert member.leaving
    gateway.news(entry(2, EntryKind.LEFT, 1, LeaveReason.LEFT))
    assert gateway.members.by_token == {}
    assert gateway.outbound.to(ALICE) == []


def test_messages_in_json_are_unwrapped(gateway: ScriptedGateway) -> None:
    gateway.enter(1, "tcrp-202")
    for text in ('{"sender": "mallory", "message": "hi"}', '{"sender":"m1","message":"m1: hey"}', "plain", '{"a":1}'):
        gateway.receive(1, text, ALICE)
    assert gateway.said() == ["hi", "hey", "plain", '{"a":1}']


def test_bad_utf_8_is_replaced_and_a_cut_character_goes(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    gateway.receive(1, b"a\xffb", ALICE)
    gateway.receive(1, "あ".encode()[:2], ALICE)
    gateway.receive(1, "aあ".encode()[:3], ALICE)
    assert gateway.said() == ["a\ufffdb", "a"]


def test_what_is_beyond_4096_bytes_is_cut_off(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    send(gateway, raw(1, "x" * 9_000))
    (text,) = gateway.said()
    assert len(raw(1, text)) == 4_096


def test_a_full_window_is_counted() -> None:
    gateway = ScriptedGateway(Settings(unaccepted=2))
    gateway.enter(1, address=ALICE)
    gateway.published()
    gateway.core.handle_datagrams(0, [(raw(1, text), ALICE) for text in "abcd"], gateway.now)
    assert gateway.counters.accepted_messages == 2
    assert gateway.counters.window_full == 2
    assert gateway.said() == ["a", "b"]


def test_a_datagram_for_another_room_is_counted_and_not_answered(gateway: ScriptedGateway) -> None:
    member = gateway.enter(1)
    rooms = (room_name(2).encode(), b"", b"\xff\xfe", "部屋".encode(), b"\xe9\x83\xa8" * 85)
    sent = [raw(1, "hello", room=room) for room in rooms]
    apart = b"\5alice\x20" + token_of(1) + b"\6room-1hello"
    for data in (*sent, apart):
        send(gateway, data)
    assert gateway.counters.wrong_rooms == 6
    assert gateway.outbound.dropped == [(ALICE, Drop.OTHER_ROOM, data) for data in (*sent, apart)]
    assert gateway.published() == []
    assert member.address is None
    assert gateway.outbound.sent == []


def test_a_text_that_is_not_utf8_is_said_and_logged(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    data = raw(1, "やあ".encode("cp932"))
    for each in (raw(1), raw(1, "やあ"), raw(1, "やあ".encode()[:-1]), data):
        send(gateway, each)
    assert len(gateway.said()) == 3
    assert gateway.outbound.doubtful == [(ALICE, data)]


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
    assert gateway.outbound.dropped == [(ALICE, Drop.SHORT, b"")]


def test_a_room_counted_in_characters_is_found_by_its_token(gateway: ScriptedGateway) -> None:
    gateway.enter(1)
    name = room_name(1)
    send(gateway, bytes((len(name), 32)) + name.encode() + token_of(1) + "やあ".encode())
    send(gateway, bytes((len(name), 32)) + name.encode() + token_of(1))
    assert gateway.said() == ["やあ"]


@given(st.lists(st.tuples(datagrams(), st.integers(0, 3)), max_size=20))
def test_no_datagram_raises_or_is_answered_with_more(batch: list[tuple[bytes, int]]) -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=ALICE)
    for data, source in batch:
        gateway.outbound.sent.clear()
        send(gateway, data, address_of(source))
        send(gateway, raw(1, data[:50]), ALICE)
        for _, address, payload in gateway.outbound.sent:
            assert address == address_of(source)
            assert len(payload) <= len(data)
    gateway.published()


def told(gateway: ScriptedGateway) -> list[str]:
    return [payload.decode() for payload in gateway.outbound.to(ALICE)]


CUT = "That was too long: its end was cut off."


@pytest.mark.parametrize("dialect", ["classic", "tcrp-named", "tcrp-bare-ack", "tcrp-202", "tsudoi"])
def test_the_sender_of_a_text_that_is_cut_is_told(dialect: str, gateway: ScriptedGateway) -> None:
    head = len(raw(1, ""))
    gateway.enter(1, dialect).options = MemberOptions.COMMANDS
    gateway.receive(1, "x" * (4096 - head + 1), ALICE)
    assert gateway.said() == ["x" * (4096 - head)]
    assert len(told(gateway)) == 1
    assert CUT in told(gateway)[0]
    gateway.wait(1.0)
    gateway.receive(1, "x" * 3_500, ALICE)
    gateway.receive(1, "\n".join("x" * 40), ALICE)
    assert len(told(gateway)) == 1
    # Only some forms must cut it: those of JSON.
    gateway.receive(1, '"' * 2_100, ALICE)
    assert len(told(gateway)) == 2
    gateway.receive(1, '"' * 2_100, ALICE)
    assert len(told(gateway)) == 2


def test_a_listener_for_clients_that_know_only_messages_sends_none(gateway: ScriptedGateway) -> None:
    gateway.enter(1).options = 0
    gateway.receive(1, "x" * 4_096, ALICE)
    assert (len(gateway.said()), told(gateway)) == (1, [])


@pytest.mark.parametrize("line", ["/password moon", "/msg bob psst", "/ban bob 5", "/nothing", "／kick bob"])
def test_a_command_that_was_cut_is_not_carried_out(line: str, gateway: ScriptedGateway) -> None:
    gateway.enter(1).options = MemberOptions.COMMANDS
    gateway.published()
    gateway.receive(1, line + " x" * 2_100, ALICE)
    assert [item for item in gateway.published() if item.kind in (EntryKind.COMMANDED, EntryKind.SAID)] == []
    assert told(gateway) == ["server: That is too long: 4096 bytes at most."]
    gateway.receive(1, "//" + "x" * 4_096, ALICE)
    assert gateway.said()[0].startswith("/xx")


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("text", ["あ" * 1_400, "😀" * 1_100, 'say "hi" ' * 400, "\\" * 3_000])
def test_a_cut_text_in_json_is_its_beginning(escaped: bool, text: str, gateway: ScriptedGateway) -> None:
    gateway.enter(1, "tcrp-202").options = MemberOptions.COMMANDS
    whole = json.dumps({"sender": "m1", "message": text}, ensure_ascii=escaped)
    for extra in range(12):
        gateway.receive(1, " " * extra + whole, ALICE)
        (said,) = gateway.said()
        assert text.startswith(said)
        most = len(raw(1, " " * extra + json.dumps({"sender": "m1", "message": said}, ensure_ascii=escaped)))
        assert 4_096 - 12 <= most - len('"}') <= 4_096
    assert CUT in told(gateway)[0]


@pytest.mark.parametrize("end", [1, 2, 9])
def test_a_command_whose_json_its_client_cut_is_not_carried_out_or_told(end: int, gateway: ScriptedGateway) -> None:
    gateway.enter(1, "tcrp-202").options = MemberOptions.COMMANDS
    gateway.published()
    gateway.receive(1, '{"sender":"m1","message":"/msg bob psst psst"}'[:-end], ALICE)
    assert [item for item in gateway.published() if item.kind in (EntryKind.COMMANDED, EntryKind.SAID)] == []
    assert "too long" in told(gateway)[0]
    gateway.receive(1, '{"sender":"m1","message":"psst psst"}'[:-end], ALICE)
    assert gateway.said()[0].startswith("ps")


def test_many_lines_are_bounded_and_no_line_feed_makes_a_command(gateway: ScriptedGateway) -> None:
    gateway.enter(1).options = MemberOptions.COMMANDS
    for text in ("\n" * 3_900, "a\n\n\n\nb", "\n/close", "a\n" * 1_900):
        gateway.receive(1, text, ALICE)
    assert [said.count("\n") for said in gateway.said()] == [1, 2, 1, 49]
