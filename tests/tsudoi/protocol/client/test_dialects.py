"""tsudoi/protocol/client/dialects.py: the rows, and that a new one needs nothing else."""

import dataclasses

import pytest

from tests.tsudoi.protocol.vectors import TOKEN, worked_example
from tsudoi.events import Event, Message, RoomClosed, TimedOut
from tsudoi.protocol.client import datagram, downlink_encoder, handshake
from tsudoi.protocol.client.dialect import Dialect, DownForm, PortPlace, RequestForm
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.client.reply_decoder import Granted, HandshakeRefused
from tsudoi.protocol.codes import Operation, Status
from tsudoi.session import Enter, Membership

FAILURES = [status for status in Status if status is not Status.OK]
ALL = pytest.mark.parametrize("dialect", [*DIALECTS.values(), worked_example()], ids=lambda dialect: dialect.name)


@ALL
def test_every_profile_is_consistent(dialect: Dialect) -> None:
    assert dialect.summary
    assert dialect.pause_s > 0
    assert dialect.created
    assert dialect.refused
    assert dialect.password_key is None or dialect.request is RequestForm.JSON_OBJECT
    assert dialect.port is not PortPlace.KEY or dialect.request is RequestForm.JSON_OBJECT
    # Words without a header are taken for a token, and end the chat as datagrams do.
    assert dialect.refused[0].state is not None or dialect.refused[0].status_byte or dialect.down.form is DownForm.RAW
    assert set(dialect.refused_states) in (set(), set(FAILURES))
    assert set(dialect.words) in (set(), set(FAILURES))
    assert set(dialect.codes) == set(Status)
    assert "" not in dialect.leave_words | dialect.register_words
    assert not dialect.leave_words & dialect.register_words
    for template in (*dialect.closed, dialect.timed_out):
        assert template.format(user="{room}", room="{user}")


def test_a_dialect_is_known_by_its_name() -> None:
    assert all(name == dialect.name for name, dialect in DIALECTS.items())
    assert AUTO not in DIALECTS


@ALL
def test_a_profile_can_not_be_changed_by_its_users(dialect: Dialect) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        dialect.echo = True  # type: ignore[misc]
    hash(dialect.down)


# --- the worked example: all that a dialect of its own needs is this one value ------------------------------------


def request_of(data: bytes) -> handshake.Request:
    """What the server makes of what the client sent."""
    header = Header.parse_untrusted(data[:HEADER_SIZE])
    return handshake.parse_request_untrusted(worked_example(), header, data[HEADER_SIZE:])


@pytest.mark.parametrize("operation", Operation)
def test_a_new_dialect_enters_a_room(operation: Operation) -> None:
    client = Enter(worked_example(), operation, "部屋1", "アリス", "ひみつ", 50000)
    request = request_of(client.start())
    assert (request.operation, request.room, request.user) == (operation, "部屋1", "アリス")
    assert (request.password, request.port) == ("ひみつ", 50000)
    for frame in handshake.encode_grant(worked_example(), request, "部屋1", "アリス#2", TOKEN):
        client.feed(frame)
    assert client.result == Granted(TOKEN, "アリス#2")


@pytest.mark.parametrize("status", FAILURES)
def test_a_new_dialect_is_refused(status: Status) -> None:
    client = Enter(worked_example(), Operation.JOIN, "den", "bob")
    request = request_of(client.start())
    for frame in handshake.encode_refusal(worked_example(), request.header, "den", status, "so it is"):
        client.feed(frame)
    assert client.result == HandshakeRefused(status, f"{handshake.REASONS[status]}: so it is")


def test_a_new_dialect_chats_and_is_told_of_the_end() -> None:
    dialect = worked_example()
    member = Membership(dialect, "部屋1", "アリス", TOKEN)
    room, token, text = datagram.parse_untrusted(member.say("やあ"))
    assert (room.decode(), token.decode()) == ("部屋1", TOKEN)
    assert datagram.decode_text(text, dialect) == "やあ"
    assert datagram.parse_untrusted(member.register())[2].decode() in dialect.register_words
    assert datagram.parse_untrusted(member.leave() or b"")[2].decode() in dialect.leave_words

    def hears(raw: bytes) -> Event:
        return member.receive(raw)

    assert hears(downlink_encoder.encode_message(dialect.down, "部屋1", 1, "ボブ", "やあ")) == Message("ボブ", "やあ")
    closed, timed_out = (text.format(user="アリス", room="部屋1") for text in (*dialect.closed, dialect.timed_out))
    assert hears(downlink_encoder.encode_closing(dialect, "部屋1", "closed", closed)) == RoomClosed("* 部屋1 is closed")
    assert hears(downlink_encoder.encode_closing(dialect, "部屋1", "timeout", timed_out)) == TimedOut("* アリス slept")
