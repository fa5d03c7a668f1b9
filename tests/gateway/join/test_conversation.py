"""gateway/join/conversation.py"""

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.join.conversation import ROOM_SIZE_LIMIT, TRANSITIONS, JoinConversation, State, UnexpectedEvent
from gateway.join.room_list import Listing
from gateway.join.steps import (
    Announce,
    AskForRooms,
    AskToEnter,
    Command,
    Declined,
    Entered,
    Event,
    Finish,
    Listed,
    Quiet,
    Received,
    Report,
    Send,
    WaitBriefly,
)
from tests.support.strategies import payloads, requests
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TCRP, TCRP_200, TCRP_JSON, TCRP_OK, TSUDOI
from tsudoi.protocol.client.handshake import encode_join_list, encode_room_list, serialize_request
from tsudoi.protocol.client.header import HEADER_SIZE, PAYLOAD_LIMIT, Header, frame
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.client.reply_decoder import AnswerReader, Granted, HandshakeRefused
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.names import MAX_NAME_SIZE

CREATE, JOIN = Operation.CREATE, Operation.JOIN
TOKEN = "0123456789abcdef0123456789abcdef"
EACH = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


@dataclass
class Client:
    """A conversation, and a client who is heard as the TCP listener hears it: in segments, then silence."""

    listener: str
    listed_before: bool = False
    accepts_tokens: bool = False
    commands: list[Command] = field(default_factory=list)
    rooms: tuple[str, ...] = ("den", "部屋1")

    def __post_init__(self) -> None:
        self.conversation = JoinConversation(self.listener, self.listed_before, self.accepts_tokens)

    @property
    def state(self) -> State:
        return self.conversation.state

    def handle(self, event: Event) -> list[Command]:
        commands = self.conversation.handle(event)
        self.commands += commands
        return commands

    def send(self, *segments: bytes) -> "Client":
        """Send segments without a pause, then nothing for a moment."""
        waiting = False
        for segment in segments:
            waiting = WaitBriefly() in self.handle(Received(segment))
        if waiting:
            self.handle(Quiet())
        return self

    @property
    def asked(self) -> AskToEnter:
        """The one thing that was asked of the directory."""
        (asked,) = [command for command in self.commands if isinstance(command, AskToEnter)]
        return asked

    @property
    def sent(self) -> list[bytes]:
        """The frames that were sent so far."""
        return [raw for command in self.commands if isinstance(command, Send) for raw in command.frames]

    def enter(self, room: str = "den", user: str = "alice") -> "Client":
        """Let the directory grant what was asked."""
        self.handle(Entered(room, user, TOKEN))
        return self

    def choose(self, dialect: Dialect, operation: Operation, room: str) -> "Client":
        """Answer a room list with a room's name, if this is a dialect that does so."""
        if dialect.join_lists_rooms and operation is JOIN:
            assert self.state is State.AWAITING_LIST
            self.handle(Listed(Listing(list(self.rooms))))
            assert self.sent == [encode_join_list(list(self.rooms))]
            self.commands.clear()
            self.send(room.encode())
        return self


def read(dialect: Dialect, operation: Operation, frames: list[bytes]) -> Granted | HandshakeRefused:
    """What a client of the dialect makes of an answer."""
    reader = AnswerReader(dialect, operation)
    for raw in frames:
        answer = reader.feed_untrusted(raw)
        if answer is not None:
            return answer
    return reader.settle_untrusted()


# --- every dialect ------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("operation", [CREATE, JOIN])
@pytest.mark.parametrize("room", ["den", "部屋1"])
def test_a_client_gets_in(dialect: Dialect, operation: Operation, room: str) -> None:
    client = Client(dialect.name).send(serialize_request(dialect, operation, room, "アリス", "secret", 50_000))
    client.choose(dialect, operation, room)
    asked = client.asked
    assert (asked.dialect, asked.operation, asked.room, asked.user) == (dialect, operation, room, "アリス")
    assert asked.password == ("secret" if dialect.password_key else None)
    client.commands.clear()
    client.enter(room, "アリス")
    granted = read(dialect, operation, client.sent)
    assert isinstance(granted, Granted)
    assert granted.token == TOKEN
    if dialect.port is PortPlace.AFTER_TOKEN:
        assert client.state is State.AWAITING_PORT
        client.send(b"\xc3\x50")
    announced = [command.port for command in client.commands if isinstance(command, Announce)]
    expected = {PortPlace.NOWHERE: [], PortPlace.TCP_SOURCE: [None]}
    assert announced == expected.get(dialect.port, [50_000])
    assert client.commands[-1] == Finish()
    assert client.state is State.DONE
    (pause_s,) = {command.pause_s for command in client.commands if isinstance(command, Send)}
    assert pause_s == dialect.pause_s


@EACH
@pytest.mark.parametrize("operation", [CREATE, JOIN])
def test_a_request_may_come_byte_by_byte(dialect: Dialect, operation: Operation) -> None:
    raw = serialize_request(dialect, operation, "部屋1", "アリス", None, 50_000)
    client = Client(dialect.name)
    for byte in raw[:-1]:
        assert client.handle(Received(bytes((byte,)))) == []
    client.send(raw[-1:])
    client.choose(dialect, operation, "部屋1")
    assert (client.asked.room, client.asked.user) == ("部屋1", "アリス")


@EACH
def test_a_refusal_is_told_in_the_clients_words(dialect: Dialect) -> None:
    for status in filter(None, Status):
        client = Client(dialect.name).send(serialize_request(dialect, CREATE, "den", "alice", None, 50_000))
        client.commands.clear()
        client.handle(Declined(status, "because" if status is Status.BAD_REQUEST else ""))
        refused = read(dialect, CREATE, client.sent)
        if dialect.refused[0].state is None:  # its client takes a refusal for a token
            assert isinstance(refused, Granted | HandshakeRefused)
        else:
            assert isinstance(refused, HandshakeRefused)
            assert refused.status in (status, None, Status.WRONG_PASSWORD)
        assert TOKEN.encode() not in b"".join(client.sent)
        if dialect.stays_open:
            assert client.state is State.AWAITING_REQUEST
            assert Finish() not in client.commands
        else:
            assert client.commands[-1] == Finish()
            assert client.state is State.DONE


@EACH
def test_each_refusal_is_counted_once_by_its_reason(dialect: Dialect) -> None:
    client = Client(dialect.name).send(serialize_request(dialect, CREATE, "den", "alice", None, 50_000))
    client.handle(Declined(Status.WRONG_PASSWORD, counted_as="token_refused"))
    other = Client(dialect.name).send(frame(b"den", 7, 0, b"alice"))
    reports = [[each for each in one.commands if isinstance(each, Report)] for one in (client, other)]
    counted = [[each.account.counted_as for each in some] for some in reports]
    assert counted == [["token_refused"], ["bad_request"]]


@EACH
def test_a_refusal_that_closes_ends_it_in_every_dialect(dialect: Dialect) -> None:
    client = Client(dialect.name).send(serialize_request(dialect, CREATE, "den", "alice", None, 50_000))
    assert [type(command) for command in client.handle(Declined(Status.BUSY, close=True))] == [
        Send,
        Report,
        Finish,
    ]
    assert client.state is State.DONE


@EACH
def test_bad_bytes_are_a_bad_request(dialect: Dialect) -> None:
    client = Client(dialect.name).send(frame(b"den", 7, 0, b"alice"))
    assert [type(command) for command in client.commands] == [Send, Report, Finish]
    answer = read(dialect, CREATE, [b"".join(client.sent[:-1]) + client.sent[-1]])
    assert answer != Granted(TOKEN, None)
    assert client.state is State.DONE


@EACH
def test_names_are_brought_into_normal_form(dialect: Dialect) -> None:
    client = Client(dialect.name).send(serialize_request(dialect, CREATE, " がっこう", "か\u3099く ", None, 50_000))
    assert (client.asked.room, client.asked.user) == ("がっこう", "がく")


@EACH
def test_names_that_break_the_rules_are_a_bad_request(dialect: Dialect) -> None:
    for room, user in (("", "alice"), ("den", ""), ("den", " "), ("d\0en", "alice"), ("den", "\u202ea")):
        client = Client(dialect.name).send(serialize_request(dialect, CREATE, room, user, None, 50_000))
        assert [type(command) for command in client.commands][-3:] == [Send, Report, Finish]
        assert not any(isinstance(command, AskToEnter) for command in client.commands)


# --- sizes --------------------------------------------------------------------------------------------------------


def counted(room: str, payload: bytes, room_size: int, payload_size: int) -> list[bytes]:
    """Header, room and payload of a request with these sizes."""
    return [Header(room_size, CREATE, 0, payload_size).serialize(), room.encode(), payload]


@pytest.mark.parametrize("listener", ["tcrp", "classic", AUTO])
@pytest.mark.parametrize(("room_size", "payload_size"), [(7, 9), (3, 3), (3, 9), (7, 3)])
@pytest.mark.parametrize("cut", ["whole", "header", "three", "late"])
def test_sizes_may_be_counted_in_characters(listener: str, room_size: int, payload_size: int, cut: str) -> None:
    header, room, payload = counted("部屋1", "アリス".encode(), room_size, payload_size)
    segments = {
        "whole": [header + room + payload],
        "header": [header, room + payload],
        "three": [header, room, payload],
        "late": [header + room + payload[:-1], payload[-1:]],
    }
    client = Client(listener).send(*segments[cut])
    assert (client.asked.room, client.asked.user) == ("部屋1", "アリス")


def test_a_port_at_the_end_is_two_bytes_however_the_rest_is_counted() -> None:
    payload = "アリス".encode() + b"\xc3\x50"
    for size in (len(payload), 3 + 2):
        client = Client(TCRP_OK.name).send(*counted("部屋1", payload, 3, size))
        assert (client.asked.room, client.asked.user) == ("部屋1", "アリス")
        assert [command for command in client.enter().commands if isinstance(command, Announce)] == [Announce(50_000)]


def test_ascii_needs_no_pause() -> None:
    client = Client("tcrp")
    assert client.handle(Received(serialize_request(TCRP, CREATE, "den", "alice"))) == [
        AskToEnter(TCRP, CREATE, "den", "alice", None)
    ]


def test_anything_else_is_waited_for_a_moment() -> None:
    client = Client("tcrp")
    assert client.handle(Received(serialize_request(TCRP, CREATE, "部屋", "alice"))) == [WaitBriefly()]
    assert [type(command) for command in client.handle(Quiet())] == [AskToEnter]


def test_a_header_that_promises_too_much_is_refused_before_its_body() -> None:
    client = Client("tcrp")
    header = Header(3, 1, 0, PAYLOAD_LIMIT + 1).serialize()
    assert [type(command) for command in client.handle(Received(header))] == [Send, Report, Finish]
    again = Client("tcrp")
    assert again.handle(Received(Header(3, 1, 0, PAYLOAD_LIMIT).serialize())) == []


@pytest.mark.parametrize(
    ("header", "most"),
    [
        (Header(3, CREATE, 0, 5), 4 * (3 + 5)),
        (Header(0, JOIN, 0, 3), 4 * 3),
        (Header(255, CREATE, 0, PAYLOAD_LIMIT), 4 * 255 + PAYLOAD_LIMIT),
    ],
)
def test_more_than_a_header_can_mean_is_refused(header: Header, most: int) -> None:
    """A character has four bytes at most, and a payload as many as it may."""
    client = Client("tcrp")
    assert client.handle(Received(header.serialize() + b"\xff" * most)) == [WaitBriefly()]
    assert client.conversation.held == HEADER_SIZE + most
    assert [type(command) for command in client.handle(Received(b"\xff"))] == [Send, Report, Finish]
    assert client.conversation.held == 0


def test_what_is_held_is_what_is_not_answered_yet() -> None:
    client = Client("tcrp-no-token")
    raw = serialize_request(TCRP, JOIN, "den", "alice")
    client.send(raw[:-1])
    assert client.conversation.held == len(raw) - 1
    client.send(raw[-1:])
    assert client.conversation.held == len(raw) + len("denalice")
    client.handle(Declined(Status.ROOM_NOT_FOUND))
    assert (client.state, client.conversation.held) == (State.AWAITING_REQUEST, 0)
    client.send(raw).enter()
    assert client.conversation.held == 0


def test_a_classic_join_holds_its_header_and_name_and_not_what_came_with_them() -> None:
    client = Client("classic").send(Header(0, JOIN, 0, 1_100).serialize() + b"bob".ljust(1_100) + b"\xff" * 3_300)
    client.handle(Listed(Listing(["den"])))
    assert client.conversation.held == HEADER_SIZE + 1_100
    client.send(b"den").enter()
    assert client.conversation.held == 0


def test_begun_says_whether_the_rest_must_come_soon() -> None:
    client = Client("tcrp")
    begun = [client.conversation.begun]
    client.handle(Received(b"\3"))
    begun.append(client.conversation.begun)
    client.send(serialize_request(TCRP, CREATE, "den", "alice")[1:])
    begun.append(client.conversation.begun)
    assert begun == [False, True, False]


# --- the room list ------------------------------------------------------------------------------------------------

LIST = Header(0, JOIN, 0, 0).serialize()


@pytest.mark.parametrize("listener", [AUTO, "tsudoi", "tcrp-ok"])
def test_a_list_is_asked_for_on_a_connection_of_its_own(listener: str) -> None:
    client = Client(listener).send(LIST)
    assert client.commands == [AskForRooms(alone=True)]
    send, report, finish = client.handle(Listed(Listing(["den", "部屋1"])))
    assert (send, finish) == (Send([encode_room_list(["den", "部屋1"])], 0.0), Finish())
    assert isinstance(report, Report)
    assert client.state is State.DONE


def test_other_listeners_have_no_list() -> None:
    client = Client("tcrp").send(LIST)
    assert [type(command) for command in client.commands] == [Send, Report, Finish]


def test_a_list_that_can_not_be_had_is_refused() -> None:
    client = Client("tcrp-ok").send(LIST)
    client.handle(Declined(Status.BUSY))
    assert client.sent[-1].endswith(b"BUSY")
    assert client.state is State.DONE


def test_a_classic_client_chooses_from_the_list() -> None:
    client = Client("classic").send(serialize_request(CLASSIC, JOIN, "den", "bob"))
    assert client.commands == [AskForRooms(alone=False)]
    client.handle(Listed(Listing(["den"])))
    assert client.sent == [b"['den']"]
    client.send("部".encode(), "屋1".encode()[:2], "屋1".encode()[2:])
    assert (client.asked.room, client.asked.user, client.asked.operation) == ("部屋1", "bob", JOIN)
    client.enter("部屋1", "bob")
    assert client.sent[-1] == TOKEN.encode()


def test_a_classic_join_that_names_its_room_needs_no_list() -> None:
    client = Client("classic").send(frame(b"den", 2, 0, b"bob"))
    assert client.asked.room == "den"


@pytest.mark.parametrize(
    ("name", "words"),
    [(b"", b"ERROR: Bad request"), (b"\xff\xfe", b"ERROR: Bad request"), ("é".encode() * 128, b"ERROR: Bad request")],
)
def test_a_room_that_is_no_name_is_refused(name: bytes, words: bytes) -> None:
    client = Client("classic").send(serialize_request(CLASSIC, JOIN, "", "bob"))
    client.handle(Listed(Listing([])))
    client.handle(Received(name))
    client.handle(Quiet())
    assert client.sent[-1].startswith(words)
    assert client.state is State.DONE


def test_a_room_without_an_end_is_refused() -> None:
    client = Client("classic").send(serialize_request(CLASSIC, JOIN, "", "bob"))
    client.handle(Listed(Listing([])))
    assert client.handle(Received("é".encode() * (ROOM_SIZE_LIMIT // 2))) == [WaitBriefly()]
    assert [type(command) for command in client.handle(Received(b"x"))] == [Send, Report, Finish]


def test_a_room_in_ascii_is_asked_for_at_once() -> None:
    client = Client("classic").send(serialize_request(CLASSIC, JOIN, "", "bob"))
    client.handle(Listed(Listing([])))
    (command,) = client.handle(Received(b"den"))
    assert isinstance(command, AskToEnter)


def test_a_bad_user_name_is_refused_before_the_list() -> None:
    client = Client("classic").send(serialize_request(CLASSIC, JOIN, "", "b\aob"))
    assert [type(command) for command in client.commands] == [Send, Report, Finish]


# --- what else dialects do ----------------------------------------------------------------------------------------


def test_after_a_refusal_tcrp_200_may_try_again_on_the_same_connection() -> None:
    client = Client(TCRP_200.name)
    for _ in range(3):
        client.send(serialize_request(TCRP_200, JOIN, "nowhere", "bob"))
        client.handle(Declined(Status.ROOM_NOT_FOUND))
        assert client.state is State.AWAITING_REQUEST
        assert not client.conversation.begun
    client.commands.clear()
    client.send(serialize_request(TCRP_200, JOIN, "部屋1", "bob")).enter("部屋1", "bob")
    assert read(TCRP_200, JOIN, client.sent) == Granted(TOKEN, None)


def test_a_port_may_come_byte_by_byte_or_be_none() -> None:
    client = Client(TCRP_JSON.name).send(serialize_request(TCRP_JSON, CREATE, "den", "alice")).enter()
    assert client.handle(Received(b"\xc3")) == []
    assert client.handle(Received(b"\x50")) == [Announce(50_000), Finish()]
    none = Client(TCRP_JSON.name).send(serialize_request(TCRP_JSON, CREATE, "den", "alice")).enter()
    assert none.handle(Received(b"\0\0")) == [Finish()]


def test_answers_repeat_the_room_as_the_client_wrote_it() -> None:
    client = Client(TCRP_JSON.name).send(serialize_request(TCRP_JSON, CREATE, " den ", "alice")).enter("den")
    assert client.sent[0] == frame(b" den ", 1, 1, b"\0")


@pytest.mark.parametrize("listener", [AUTO, "tcrp-json"])
@pytest.mark.parametrize(
    "payload",
    [
        b'\xef\xbb\xbf{"username":"alice","password":"moonlight"}',
        b' {"username":"alice","password":"moonlight","age":NaN}',
        b'{"username":"alice","password":"\\ud83d"}',
    ],
)
def test_an_object_that_went_wrong_is_not_shown_to_anybody(listener: str, payload: bytes) -> None:
    for listed_before in (False, True):
        client = Client(listener, listed_before).send(frame(b"den", CREATE, 0, payload))
        refusal = Send([frame(b"", CREATE, 1, b"\4")], TCRP_JSON.pause_s)
        commands = [each for each in client.commands if not isinstance(each, WaitBriefly | Report)]
        assert commands == [refusal, Finish()]


@pytest.mark.parametrize(
    "payload", [b'{"tsudoi":2,"name":"a"', b'{"tsudoi":2,"name":"\xff"}', b'{"tsudoi":2,"name":"\\ud800"}']
)
@pytest.mark.parametrize("listener", [AUTO, "tsudoi"])
def test_damaged_json_of_tsudoi_is_refused_with_words(payload: bytes, listener: str) -> None:
    client = Client(listener)
    client.send(frame(b"den", CREATE, 0, payload))
    refused = read(TSUDOI, CREATE, client.sent)
    assert isinstance(refused, HandshakeRefused)
    assert refused.status is Status.BAD_REQUEST
    assert "Bad request: " in refused.reason


# --- hostile bytes ------------------------------------------------------------------------------------------------


def drive(client: Client, segments: list[bytes], answers: list[str]) -> None:
    """Give a conversation all of this, whatever it says, as the TCP listener would."""
    todo = list(segments)
    for _ in range(200):
        state = client.state
        if state is State.DONE:
            break
        if state is State.AWAITING_LIST:
            client.handle(
                Listed(Listing(["den", "'\"", "部屋1"]))
                if answers and answers.pop() == "yes"
                else Declined(Status.BUSY)
            )
        elif state is State.AWAITING_GRANT:
            asked = next(command for command in reversed(client.commands) if isinstance(command, AskToEnter))
            assert 1 <= len(asked.room.encode()) <= MAX_NAME_SIZE
            assert 1 <= len(asked.user.encode()) <= MAX_NAME_SIZE
            if answers and answers.pop() == "yes":
                client.handle(Entered(asked.room, asked.user, TOKEN))
            else:
                client.handle(Declined(Status.ROOM_EXISTS, "words"))
        elif todo:
            commands = client.handle(Received(todo.pop(0)))
            if WaitBriefly() in commands and not (answers and answers.pop() == "more"):
                client.handle(Quiet())
        else:
            break
    assert (client.state is State.DONE) == (Finish() in client.commands)
    assert all(isinstance(raw, bytes) for raw in client.sent)
    assert sum(len(raw) for raw in client.sent) <= 200 * 2_000


LISTENERS = st.sampled_from([AUTO, *DIALECTS])
ANSWERS = st.lists(st.sampled_from(["yes", "no", "more"]), max_size=10)


@given(
    listener=LISTENERS,
    listed=st.booleans(),
    segments=st.lists(st.binary(min_size=1, max_size=60), max_size=8),
    answers=ANSWERS,
)
@example(AUTO, True, [b"\0\2\0" + bytes(29)], ["yes"])
@example("classic", False, [b"\0\2\0" + bytes(28) + b"\1", b"a", b"\xff" * 60], ["yes"])
def test_no_bytes_raise(listener: str, listed: bool, segments: list[bytes], answers: list[str]) -> None:
    drive(Client(listener, listed), segments, answers)


@given(listener=LISTENERS, listed=st.booleans(), data=st.data(), answers=ANSWERS)
def test_no_request_raises(listener: str, listed: bool, data: st.DataObject, answers: list[str]) -> None:
    segments: list[bytes] = []
    for _ in range(data.draw(st.integers(1, 3))):
        header, body = data.draw(requests())
        if data.draw(st.booleans()):
            payload = data.draw(payloads())
            header, body = Header(3, header.operation, 0, len(payload)), b"den" + payload
        raw = header.serialize() + body
        cut = data.draw(st.integers(0, len(raw)))
        segments += [part for part in (raw[:cut], raw[cut:]) if part]
    drive(Client(listener, listed), segments, answers)


# --- the table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    "event", [Received(b"x"), Quiet(), Listed(Listing([])), Entered("den", "a", TOKEN), Declined(Status.BUSY)]
)
def test_what_is_not_in_the_table_is_a_bug_and_raises(state: State, event: Event) -> None:
    if (state, type(event)) in TRANSITIONS:
        return
    conversation = JoinConversation("tcrp", False)
    conversation.state = state
    with pytest.raises(UnexpectedEvent):
        conversation.handle(event)


def test_a_state_that_may_not_follow_is_a_bug_and_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSITIONS, (State.AWAITING_REQUEST, Received), frozenset({State.DONE}))
    with pytest.raises(UnexpectedEvent):
        Client("tcrp").send(serialize_request(TCRP, CREATE, "den", "alice"))


SIGNED = f"eyJhbGciOiJFZERTQSJ9.{'x' * 300}.{'y' * 86}"


@EACH
def test_a_signed_token_stands_for_the_name_where_it_is_taken(dialect: Dialect) -> None:
    for operation in (CREATE, JOIN):
        request = serialize_request(dialect, operation, "den", SIGNED, None, 50_000)
        client = Client(dialect.name, accepts_tokens=True).send(request)
        if dialect.join_lists_rooms and operation is JOIN:
            client.handle(Listed(Listing(["den"])))
            client.send(b"den")
        assert client.asked.user == SIGNED
        # Elsewhere it is a name that is too long.
        stranger = Client(dialect.name).send(request)
        assert [type(command) for command in stranger.commands][-3:] == [Send, Report, Finish]


def test_a_signed_token_in_the_passwords_place_needs_no_name() -> None:
    client = Client("tsudoi", accepts_tokens=True).send(serialize_request(TSUDOI, JOIN, "den", "", f"{SIGNED} moon"))
    assert (client.asked.user, client.asked.password) == ("", f"{SIGNED} moon")
    nameless = Client("tsudoi", accepts_tokens=True).send(serialize_request(TSUDOI, JOIN, "den", "", "moon"))
    assert [type(command) for command in nameless.commands] == [Send, Report, Finish]
