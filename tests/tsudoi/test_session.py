"""Every dialect's client side against the server forms of `protocol.handshake` and `protocol.datagram`."""

import bisect
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat.render import payload
from tsudoi import session
from tsudoi.errors import InvalidText
from tsudoi.events import Emote, Event, Kicked, Message, Notice, Private, RoomClosed, TimedOut
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client import datagram, downlink_encoder, handshake
from tsudoi.protocol.client.closing_words import closing_text
from tsudoi.protocol.client.dialect import Dialect, DownForm, PortPlace
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TCRP_202, TCRP_JSON, TCRP_OK, TSUDOI
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.lines import bound_lines, without_blank_runs
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.own_name import own_names, without_own_name
from tsudoi.protocol.client.reply_decoder import Granted, HandshakeRefused, parse_join_list_untrusted
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.client.slash_commands import Act, Whisper, escaped_text, parse_untrusted
from tsudoi.protocol.codes import EntryKind, Operation, Status
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.session import Conversation, Enter, ListRooms, Membership, Recent, lists_first

TOKEN = "0123456789abcdef0123456789abcdef"
ROOM = "部屋: [1], 'x'"
USER = "アリス"
OPERATIONS = (Operation.CREATE, Operation.JOIN)

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
any_dialect = st.sampled_from(list(DIALECTS.values()))


def request_of(dialect: Dialect, data: bytes) -> handshake.Request:
    header = Header.parse_untrusted(data[:HEADER_SIZE])
    return handshake.parse_request_untrusted(dialect, header, data[HEADER_SIZE:])


def feed_slowly(conversation: Conversation, data: bytes) -> bytes:
    """One byte at a time; return all that the client sent meanwhile."""
    return b"".join(conversation.feed(data[at : at + 1]) for at in range(len(data)))


def entered(dialect: Dialect, operation: Operation, room: str = ROOM) -> tuple[Enter, handshake.Request]:
    """A conversation that has sent all of its request, past the list where there is one."""
    enter = Enter(dialect, operation, room, USER, port=40000)
    request = request_of(dialect, enter.start())
    if dialect.join_lists_rooms and operation is Operation.JOIN:
        assert request.room == ""
        assert feed_slowly(enter, handshake.encode_join_list(["den", room, "a]b"])) == room.encode()
        assert enter.rooms == ["den", room, "a]b"]
    else:
        assert request.room == room
    return enter, request


@every_dialect
@every_operation
def test_granted_gives_the_token(dialect: Dialect, operation: Operation) -> None:
    for slowly in (False, True):
        enter, request = entered(dialect, operation)
        assert request.user == USER
        answer = b"".join(handshake.encode_grant(dialect, request, ROOM, f"{USER}#2", TOKEN))
        sent = feed_slowly(enter, answer) if slowly else enter.feed(answer)
        assert isinstance(enter.result, Granted)
        assert enter.result.token == TOKEN
        assert enter.result.user == (f"{USER}#2" if "{user}" in str(dialect.created) else None)
        announced = handshake.PORT.unpack(sent)[0] if sent else request.port
        in_bytes = dialect.port not in (PortPlace.NOWHERE, PortPlace.TCP_SOURCE)
        assert announced == (40000 if in_bytes else None)


@every_dialect
@every_operation
def test_refused_gives_the_status(dialect: Dialect, operation: Operation) -> None:
    for slowly in (False, True):
        for status in filter(None, Status):
            enter, request = entered(dialect, operation)
            answer = b"".join(handshake.encode_refusal(dialect, request.header, ROOM, status, "so it is"))
            assert not (feed_slowly(enter, answer) if slowly else enter.feed(answer))
            if not enter.done:
                assert enter.waits_for_silence
                enter.settle()
            assert isinstance(enter.result, HandshakeRefused)
            silent = dialect.name == "tcrp-success"
            assert enter.result.status == (None if silent else status)
            assert enter.result.reason in ("", f"{handshake.REASONS[status]}: so it is")


def test_classic_may_be_refused_in_place_of_the_list() -> None:
    enter = Enter(CLASSIC, Operation.JOIN, "den", "a" * 300)
    assert enter.feed(b"ERROR: Bad request: user name is longer") == b""
    assert enter.waits_for_silence
    enter.settle()
    assert enter.result == HandshakeRefused(Status.BAD_REQUEST, "Bad request: user name is longer")


def test_a_bare_token_of_another_form_is_taken_when_no_more_comes() -> None:
    enter, _ = entered(CLASSIC, Operation.CREATE)
    enter.feed(b"token-")
    enter.feed(b"7")
    assert not enter.done
    enter.settle()
    assert enter.result == Granted("token-7", None)


@every_dialect
def test_an_end_before_the_answer_is_malformed(dialect: Dialect) -> None:
    enter, _ = entered(dialect, Operation.CREATE)
    with pytest.raises(MalformedMessage):
        enter.settle()


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS.values() if dialect.created[0].state is not None])
def test_a_promise_of_much_is_not_believed(dialect: Dialect) -> None:
    enter, _ = entered(dialect, Operation.CREATE)
    header_only = dialect.created[0].header_only
    data = Header(0, 1, 1, 0).serialize() if header_only else b""
    with pytest.raises(MalformedMessage):
        enter.feed(data + Header(0, 1, 2 if header_only else 1, 2**29).serialize())


@pytest.mark.parametrize("slowly", [False, True])
def test_rooms(slowly: bool) -> None:
    ask = ListRooms()
    assert ask.start() == Header(0, 2, 0, 0).serialize()
    answer = handshake.encode_room_list(["den", "部屋"])
    assert not (feed_slowly(ask, answer) if slowly else ask.feed(answer))
    assert ask.rooms == ["den", "部屋"]


def test_no_rooms() -> None:
    ask = ListRooms()
    ask.feed(handshake.encode_room_list([]))
    assert ask.rooms == []


def test_only_who_has_no_mark_of_its_own_lists_first() -> None:
    assert [dialect.name for dialect in DIALECTS.values() if lists_first(dialect)] == [TCRP_OK.name]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=10))
def test_join_list_is_pythons_own(rooms: list[str]) -> None:
    written = str(rooms).encode()
    assert parse_join_list_untrusted(written) == rooms
    for end in range(len(written)):
        assert parse_join_list_untrusted(written[:end]) is None


@pytest.mark.parametrize(
    "raw", [b"['a'", b"[a]", b"['a' 'b']", b"[1]", b"['\\ud800']", b"['\\Uffffffff']", b"['\xff']"]
)
def test_join_list_takes_nothing_else(raw: bytes) -> None:
    assert parse_join_list_untrusted(raw) is None


# Datagrams.


def place(dialect: Dialect, user: str = USER, room: str = ROOM) -> Membership:
    return Membership(dialect, room, user, TOKEN)


@every_dialect
def test_what_is_said_comes_up_as_said(dialect: Dialect) -> None:
    room, token, text = datagram.parse_untrusted(place(dialect).say("こんにちは: hi"))
    assert (room.decode(), token.decode()) == (ROOM, TOKEN)
    assert datagram.decode_text(text, dialect) == "こんにちは: hi"


@every_dialect
def test_messages_down(dialect: Dialect) -> None:
    for text in ("hello", "a: b", "こんにちは", "Timeout!", "exit!", "two\nlines"):
        heard = place(dialect).receive(downlink_encoder.encode_message(dialect.down, ROOM, 7, "ボブ", text))
        assert heard == Message("ボブ", text, 7 if dialect is TSUDOI else None)


@every_dialect
@pytest.mark.parametrize("room", [ROOM, "{user}", "{{room}} (.*) ["])
def test_notices_down(dialect: Dialect, room: str) -> None:
    member = place(dialect, room=room)
    told: list[Event] = []
    for words in dialect.closed:
        text = closing_text(dialect, words, room, "ボブ")
        told.append(member.receive(downlink_encoder.encode_closing(dialect, room, "closed", text)))
        assert told[-1] == RoomClosed(text)
    text = closing_text(dialect, dialect.timed_out, room, USER)
    told.append(member.receive(downlink_encoder.encode_closing(dialect, room, "timeout", text)))
    # Where both have the same words, the member is out in any case.
    assert told[-1] == (RoomClosed(text) if dialect.timed_out in dialect.closed else TimedOut(text))


def test_native_notices_name_their_kind() -> None:
    member = place(TSUDOI)
    assert member.receive(b'{"notice":"kicked","text":"bye"}') == Kicked("bye")
    assert member.receive(b'{"notice":"moon","text":"full"}') == Notice("full")


@pytest.mark.parametrize("notice", ["moon", "who"])
@pytest.mark.parametrize("nested", ["[" * 600 + "]" * 600, '{"a":' * 600 + "1" + "}" * 600])
def test_a_notice_may_have_deeply_nested_values(notice: str, nested: str) -> None:
    datagram = f'{{"notice":"{notice}","text":"full","more":{nested},"members":[{{"name":{nested}}}]}}'.encode()
    assert place(TSUDOI).receive(datagram) == Notice("full")


@pytest.mark.parametrize("at", [-1, 2**47 + 1, 2**53, 2**64])
def test_a_time_that_no_calendar_has_is_none(at: int) -> None:
    past = f'{{"n":1,"from":"bob","said":"hi","at":{at}}}'
    ban = f'{{"name":"bob","address":"","muted":false,"until":{at}}}'
    member = place(TSUDOI)
    assert member.receive(f'{{"notice":"history","text":"x","messages":[{past}]}}'.encode()) == Notice("x")
    assert member.receive(f'{{"notice":"bans","text":"x","bans":[{ban}]}}'.encode()) == Notice("x")


def test_no_name_makes_a_message_a_notice() -> None:
    # A bare notice has no name before it, so whoever is called like half a notice says nothing but a message.
    said = downlink_encoder.encode_message(CLASSIC.down, ROOM, 1, "ホストの", "がルームを退出しました．")
    assert place(CLASSIC).receive(said) == Message("ホストの", "がルームを退出しました．")


def test_terminal_tricks_are_taken_out() -> None:
    said = downlink_encoder.encode_message(CLASSIC.down, ROOM, 1, "e\x1b[31mve", "\x07ring\x9b2J\ttab\nline")
    assert place(CLASSIC).receive(said) == Message("e[31mve", "ring2J\ttab\nline")
    assert clean("plain") == "plain"


FILLERS = ["", "\\", '"', "\n", "語", "か\u3099", "/who ", " /who", "/", f"{USER}: ", f" {USER}:", "exit: ", "@quit "]


@given(any_dialect, st.text(st.characters(codec="utf-8"), max_size=3000), st.sampled_from(FILLERS))
def test_pieces_are_all_of_the_text_and_fit_everybody(dialect: Dialect, text: str, filler: str) -> None:
    text = "x" + text + filler * (10_000 // max(1, len(filler)))
    member = place(dialect)
    pieces = member.pieces(text)
    if filler == "/":
        pieces = [piece[1:] if number and piece.startswith("//") else piece for number, piece in enumerate(pieces)]
    assert "".join(pieces) in (text, clean(text), without_blank_runs(clean(text)))
    for piece in member.pieces(text):
        assert member.fits(piece)
        assert 0 < member.size_of(piece) <= member.text_limit
        up = datagram.parse_untrusted(member.say(piece))
        assert datagram.decode_text(up[2], dialect) == clean(piece)
        for other in DIALECTS.values():
            down = downlink_encoder.encode_message(other.down, ROOM, 10**12, f"{USER}#1000", piece)
            assert len(down) <= downlink_encoder.MAX_DOWN
            heard = place(other).receive(down)
            assert isinstance(heard, Message)
            assert heard.text == clean(piece)


@given(any_dialect, st.integers(3_800, 4_000), st.sampled_from(FILLERS), st.booleans())
def test_no_piece_becomes_a_command_or_loses_its_beginning(
    dialect: Dialect, before: int, word: str, spaced: bool
) -> None:
    member = place(dialect)
    first, *others = member.pieces("x" * before + " " * spaced + word * 900)
    assert first.startswith("x")
    for piece in others:
        assert not piece.startswith(("/", "／")) or escaped_text(piece)
        assert without_own_name(piece, own_names(USER)) == piece
        assert piece not in member.reserved


@given(any_dialect, st.integers(2_000, 9_000), st.sampled_from(["x", "語", '"', "word ", "/close ", "\n", "か\u3099"]))
def test_the_pieces_of_a_whisper_are_whispers_to_the_same_member(dialect: Dialect, size: int, word: str) -> None:
    member, text = place(dialect), "x" + word * (size // len(word))
    for line, kind in ((f'/msg "b ob" {text}', Whisper), (f"/me {text}", Act)):
        pieces = [parse_untrusted(piece) for piece in member.pieces(line)]
        assert all(isinstance(piece, kind) and getattr(piece, "name", "b ob") == "b ob" for piece in pieces)
        assert "".join("".join(getattr(piece, "text", "")) for piece in pieces).split() == text.split() or " " in word
        assert "".join(getattr(piece, "text", "") for piece in pieces).replace(" ", "") == text.replace(" ", "").strip()
        assert all(map(member.fits, member.pieces(line)))


@pytest.mark.parametrize("line", ["/r ", "/kick bob ", "/topic ", "/nothing ", "/usr/", "／password "])
def test_a_command_that_is_too_long_is_refused_whole(line: str) -> None:
    with pytest.raises(InvalidText, match="at most"):
        place(TSUDOI).pieces(line + "x" * 5_000)


@pytest.mark.parametrize("line", ["/close\nhello", "/password\nx", "/kick bob\nhello", "/usr/bin\n/usr/lib"])
def test_a_pasted_command_with_further_lines_is_refused(line: str) -> None:
    with pytest.raises(InvalidText, match="one line"):
        place(TSUDOI).pieces(line)
    assert place(TSUDOI).pieces(f"x\n{line}") == [f"x\n{line}"]
    assert place(TSUDOI).pieces("/close\n") == ["/close\n"]
    assert place(TSUDOI).pieces("/msg bob a\n/close") == ["/msg bob a\n/close"]


@given(any_dialect, st.sampled_from(['"', "語", "x", "a\n", "exit:"]))
def test_the_limits_tell_the_truth(dialect: Dialect, unit: str) -> None:
    member = place(dialect)

    def longest(line: str) -> str:
        return unit * (bisect.bisect(range(6_000), 0, key=lambda count: not member.fits(line + unit * count)) - 1)

    said, bob = longest("x"), place(TSUDOI)
    assert downlink_encoder.fits_every_form(ROOM, f"{USER}#9999", f"x{said}")
    for kind, line in ((EntryKind.WHISPERED, "/msg bob "), (EntryKind.ACTED, "/me x")):
        text = longest(line).strip()
        entry = Entry(10**12, kind, 1, f"{USER}#9999", text, 0, 0, 2, "bob")
        for language in (0, MemberOptions.JAPANESE):
            for receiver in (1, 2):
                data = payload(entry, ROOM, TSUDOI.down, language, receiver)
                assert data is not None
                event = bob.receive(data)
                assert isinstance(event, Private | Emote)
                assert event.text == text
                assert text in json.loads(data)["text"]


def test_a_longer_name_leaves_less_for_the_text() -> None:
    member = place(TSUDOI)
    before = member.text_limit
    member.user = "x" * 255
    assert member.text_limit < before - 200


@pytest.mark.parametrize("front", [f"{USER}: ", f"{USER}:", f"{USER} : ", "\x1b", "\x00\x07"])
def test_a_whisper_behind_the_own_name_or_controls_is_a_whisper(front: str) -> None:
    pieces = place(TSUDOI).pieces(f"{front}/msg bob {'secret ' * 900}")
    assert len(pieces) > 1
    assert all(isinstance(parse_untrusted(piece), Whisper) for piece in pieces)
    member = place(TSUDOI)
    member.user = "later"
    assert all(piece.startswith("/msg") for piece in member.pieces(f"{USER}: /msg bob {'secret ' * 900}"))


@pytest.mark.parametrize("front", [f"{USER}: ", "\x1b"])
def test_a_command_behind_the_own_name_or_controls_has_one_line_too(front: str) -> None:
    with pytest.raises(InvalidText):
        place(TSUDOI).pieces(f"{front}/kick bob\nhello")


def test_no_piece_hides_a_slash_behind_a_control_character() -> None:
    for before in range(3_900, 4_010):
        assert not any(clean(piece).startswith("/") for piece in place(TSUDOI).pieces("x" * before + "\0/close " * 90))


@pytest.mark.parametrize(
    "line", ["/close", "／close", f"{USER}: /close", f"{USER}:／close", "\0/close", "//x", "hello"]
)
def test_a_line_as_text_is_no_command(line: str) -> None:
    taken = without_own_name(clean(place(TSUDOI).as_text(line)), own_names(USER))
    assert escaped_text(taken) or not taken.startswith(("/", "／"))


def test_pieces_end_at_spaces() -> None:
    member = place(TSUDOI)
    assert all(piece.endswith("word ") for piece in member.pieces("word " * 3000))


@pytest.mark.parametrize("before", ["", "/msg bob ", "/me "])
def test_a_text_of_many_lines_keeps_them_in_several_pieces(before: str) -> None:
    lines = [f"line {number}" + "\n" * (number % 9 == 0) for number in range(1, 121)]
    pieces = place(TSUDOI).pieces(before + "\n".join(lines))
    assert len(pieces) == 3
    said = [bound_lines(getattr(parse_untrusted(piece), "text", piece) if before else piece) for piece in pieces]
    assert [line for text in said for line in text.split("\n") if line] == [line.strip() for line in lines]


def test_an_answer_of_many_lines_stays_one() -> None:
    assert len(place(TSUDOI).pieces("/r " + "line\n" * 90)) == 1


def test_json_up_leaves_room_for_its_keys() -> None:
    assert place(TCRP_202).text_limit < place(TCRP_JSON).text_limit


def test_only_the_same_message_at_the_same_place_is_a_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RECENT", 2)
    recent = Recent()
    one = Message("bob", "hi", 1)
    assert not recent.has_seen(one)
    assert recent.has_seen(Message("bob", "hi", 1))
    assert not recent.has_seen(Message("bob", "hi", 2))
    assert not recent.has_seen(Message("bob", "another history", 2))
    assert not recent.has_seen(one)  # too long ago
    assert not recent.has_seen(Message("bob", "hi"))
    assert not recent.has_seen(Message("bob", "hi"))


# Hostile servers.


@given(any_dialect, st.sampled_from(OPERATIONS), st.lists(st.binary(max_size=80), max_size=6), st.booleans())
def test_hostile_answers_raise_the_documented_error(
    dialect: Dialect, operation: Operation, segments: list[bytes], listed: bool
) -> None:
    enter = Enter(dialect, operation, "den", "alice", port=1)
    enter.start()
    with contextlib.suppress(MalformedMessage):
        if listed and dialect.join_lists_rooms:
            enter.feed(b"['den']")
        for segment in segments:
            enter.feed(segment)
            if enter.done:
                break
        else:
            enter.settle()
    assert isinstance(enter.result, Granted | HandshakeRefused | None)


def test_every_down_form_is_covered() -> None:
    assert {dialect.down.form for dialect in DIALECTS.values()} == set(DownForm) - {DownForm.WEB, DownForm.SEALED}
