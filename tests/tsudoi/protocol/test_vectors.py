"""tests/vectors/ against the code, in both directions: what is written is these bytes, and these bytes read so."""

import pytest

from tests.support.each import each
from tests.tsudoi.protocol.vectors import Vector, data, dialect_of, files, frames, vectors, worked_example
from tsudoi.protocol import names
from tsudoi.protocol.client import datagram, downlink_encoder, handshake, long_answers
from tsudoi.protocol.client.dialect import Dialect, DownForm, PortPlace
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS
from tsudoi.protocol.client.downlink_decoder import Noticed, NoticeKind, Said, parse_down_untrusted
from tsudoi.protocol.client.handshake import Request
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import asks_for_rooms, recognise
from tsudoi.protocol.client.reply_decoder import AnswerReader, Granted, HandshakeRefused, JoinListReader, RoomsReader
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import InvalidName, MalformedMessage


def request_in(dialect: Dialect, raw: bytes) -> Request:
    """A request's bytes, read."""
    header = Header.parse_untrusted(raw[:HEADER_SIZE])
    return handshake.parse_request_untrusted(dialect, header, raw[HEADER_SIZE:])


# --- TCP ----------------------------------------------------------------------------------------------------------


@each(vectors("header"))
def test_header(vector: Vector) -> None:
    header = Header(*(vector[field] for field in ("room_size", "operation", "state", "payload_size")))
    assert header.serialize() == data(vector)
    assert Header.parse_untrusted(data(vector)) == header


@each(vectors("malformed header"))
def test_malformed_header(vector: Vector) -> None:
    with pytest.raises(MalformedMessage):
        Header.parse_untrusted(data(vector))


@each(vectors("request"))
def test_request(vector: Vector) -> None:
    dialect, operation = dialect_of(vector), Operation(vector["operation"])
    found = request_in(dialect, data(vector))
    assert found.operation == operation
    assert {key: getattr(found, key) for key in ("room", "user", "password", "port")} == {
        key: vector[key] for key in ("room", "user", "password", "port")
    }
    if vector["written"]:
        room = vector["room"] or "den"
        values = (operation, room, vector["user"], vector["password"], vector["port"] or 0)
        assert handshake.serialize_request(dialect, *values) == data(vector)


@each(vectors("no request"))
def test_no_request(vector: Vector) -> None:
    dialect, raw = dialect_of(vector), data(vector)
    header, body = Header.parse_untrusted(raw[:HEADER_SIZE]), raw[HEADER_SIZE:]
    assert recognise(header, body, listed_before=True).dialect is dialect
    with pytest.raises(MalformedMessage):
        request_in(dialect, raw)
    assert handshake.encode_refusal(dialect, header, "", Status.BAD_REQUEST) == [bytes.fromhex(vector["answer"])]


@each(vectors("granted"))
def test_granted(vector: Vector) -> None:
    dialect = dialect_of(vector)
    request = request_in(dialect, bytes.fromhex(vector["request"]))
    assert handshake.encode_grant(dialect, request, request.room, vector["user"], vector["token"]) == frames(vector)
    answer = AnswerReader(dialect, request.operation).feed_untrusted(b"".join(frames(vector)))
    assert isinstance(answer, Granted)
    assert answer.token == vector["token"]
    assert answer.user in (None, vector["user"])


@each(vectors("refused"))
def test_refused(vector: Vector) -> None:
    dialect, status = dialect_of(vector), Status(vector["status"])
    request = request_in(dialect, bytes.fromhex(vector["request"]))
    assert handshake.encode_refusal(dialect, request.header, vector["room"], status) == frames(vector)
    reader = AnswerReader(dialect, request.operation)
    answer = reader.feed_untrusted(b"".join(frames(vector))) or reader.settle_untrusted()
    assert isinstance(answer, HandshakeRefused)
    assert answer.status in (None, status)


@each(vectors("port"))
def test_port(vector: Vector) -> None:
    assert dialect_of(vector).port is PortPlace.AFTER_TOKEN
    assert handshake.PORT.pack(vector["port"]) == data(vector)
    assert handshake.PORT.unpack(data(vector)) == (vector["port"],)


@each(vectors("ask for rooms"))
def test_ask_for_rooms(vector: Vector) -> None:
    assert asks_for_rooms(Header.parse_untrusted(data(vector)))


@each(vectors("rooms"))
def test_rooms(vector: Vector) -> None:
    assert handshake.encode_room_list(vector["rooms"]) == data(vector)
    assert RoomsReader().feed_untrusted(data(vector)) == vector["rooms"]


@each(vectors("join list"))
def test_join_list(vector: Vector) -> None:
    assert handshake.encode_join_list(vector["rooms"]) == data(vector)
    assert JoinListReader().feed_untrusted(data(vector)) == vector["rooms"]


@each(vectors("room name"))
def test_room_name(vector: Vector) -> None:
    assert names.room_name(data(vector).decode()) == vector["room"]


# --- names and tokens ---------------------------------------------------------------------------------------------


@each(vectors("name"))
def test_name(vector: Vector) -> None:
    try:
        normal = names.normalise(data(vector).decode())
    except (InvalidName, UnicodeDecodeError):
        assert vector["normal"] is None
    else:
        assert normal == vector["normal"]


@each(vectors("user name"))
def test_user_name(vector: Vector) -> None:
    try:
        normal: str | None = names.user_name(data(vector).decode())
    except InvalidName:
        normal = None
    assert normal == vector["normal"]


@each(vectors("token"))
def test_token(vector: Vector) -> None:
    assert names.looks_like_token(data(vector))
    assert names.hash_token(data(vector)) == bytes.fromhex(vector["hash"])


# --- UDP ----------------------------------------------------------------------------------------------------------


@each(vectors("up"))
def test_up(vector: Vector) -> None:
    dialect, raw = dialect_of(vector), data(vector)
    in_bytes = vector["counted"] == "bytes"
    room, token, text = (datagram.parse_untrusted if in_bytes else datagram.parse_in_characters_untrusted)(raw)
    assert (room.decode(), token.decode()) == (vector["room"], vector["token"])
    assert datagram.decode_text(text, dialect) == vector["text"]
    if in_bytes and vector.get("written", True):
        assert datagram.serialize(vector["room"], vector["token"], text.decode()) == raw


@each(vectors("malformed datagram"))
def test_malformed_datagram(vector: Vector) -> None:
    for parse in (datagram.parse_untrusted, datagram.parse_in_characters_untrusted):
        with pytest.raises(MalformedMessage):
            parse(data(vector))


@each(vectors("error token"))
def test_error_token(vector: Vector) -> None:
    _, token, _ = datagram.parse_untrusted(data(vector))
    assert token.startswith(b"ERROR: ")
    assert CLASSIC.closed[-1].encode() == bytes.fromhex(vector["answer"])
    assert bytes.fromhex(vector["why"]) == token
    assert token.decode().removeprefix("ERROR: ") in handshake.REASONS.values()


@each(vectors("said"))
def test_said(vector: Vector) -> None:
    dialect = dialect_of(vector)
    values = tuple(vector[key] for key in ("room", "offset", "sender", "text"))
    assert downlink_encoder.encode_message(dialect.down, *values) == data(vector)
    found = parse_down_untrusted(dialect, vector["room"], data(vector))
    assert found == Said(vector["sender"], vector["text"], found.offset if isinstance(found, Said) else None)
    assert found.offset in (None, vector["offset"])


@each(vectors("closed", "timed out"))
def test_closing_words(vector: Vector) -> None:
    dialect, closed = dialect_of(vector), vector["kind"] == "closed"
    kind = NoticeKind.CLOSED if closed else NoticeKind.TIMED_OUT
    texts = dialect.closed if closed else (dialect.timed_out,)
    filled = [text.format(user=vector["user"], room=vector["room"]) for text in texts]
    written = [downlink_encoder.encode_closing(dialect, vector["room"], kind.value, text) for text in filled]
    assert written == frames(vector)
    for raw, text in zip(written, filled, strict=True):
        heard = NoticeKind.CLOSED if text in dialect.closed else kind
        assert parse_down_untrusted(dialect, vector["room"], raw) == Noticed(heard, text)


@each(vectors("notice"))
def test_notice_is_decoded(vector: Vector) -> None:
    found = parse_down_untrusted(dialect_of(vector), vector["room"], data(vector))
    if "fields" in vector:
        assert isinstance(found, Noticed)
        assert (found.kind, found.text, found.fields) == (NoticeKind.OTHER, vector["fields"]["text"], vector["fields"])
    elif vector["from"] == names.SERVER_NAME:
        assert found == Noticed(NoticeKind.OTHER, vector["text"])
    else:
        assert found == Said(vector["from"], vector["text"])


@each(vectors("list"))
def test_list(vector: Vector) -> None:
    values = tuple(vector[key] for key in ("room", "notice", "rows_key", "values", "head", "rows"))
    assert long_answers.encode_list(dialect_of(vector).down, *values) == frames(vector)


# --- nothing is missing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [*DIALECTS.values(), worked_example()], ids=lambda dialect: dialect.name)
def test_every_dialect_has_vectors_of_all_it_says(dialect: Dialect) -> None:
    (content,) = (content for content in files().values() if content.get("dialect") == dialect.name)
    here = content["vectors"]

    def of(kind: str) -> list[Vector]:
        return [vector for vector in here if vector["kind"] == kind]

    assert {vector["operation"] for vector in of("request")} == set(Operation)
    assert {vector["counted"] for vector in of("request")} == {"bytes", "characters", "room"}
    assert any(vector["password"] for vector in of("request")) == (dialect.password_key is not None)
    assert not all((vector["room"] + vector["user"]).isascii() for vector in of("request"))
    assert {bytes.fromhex(vector["request"])[1] for vector in of("granted")} == set(Operation)
    assert {vector["status"] for vector in of("refused")} == set(Status) - {Status.OK}
    assert dialect.register_words | dialect.leave_words <= {vector["text"] for vector in of("up")}
    assert {vector["counted"] for vector in of("up")} == {"bytes", "characters"}
    assert of("said")
    assert of("closed")
    assert of("timed out")
    assert bool(dialect.down.ends_at) == any("\u200b".encode() in data(vector) for vector in of("said"))


DATAGRAM_FORMS = set(DownForm) - {DownForm.WEB, DownForm.SEALED}
"""Those of version 1: entries of version 2 are lines of bodies, which have vectors of their own."""


def test_every_form_of_notices_has_a_vector() -> None:
    assert {dialect.down.form for dialect in DIALECTS.values()} == DATAGRAM_FORMS
    forms_of: dict[tuple[str, str], set[DownForm]] = {}
    for vector in files()["notices"]["vectors"]:
        about = vector["kind"], vector["name"].partition(": ")[0]
        forms_of.setdefault(about, set()).add(dialect_of(vector).down.form)
    assert {kind for kind, _ in forms_of} == {"notice", "list", "removed"}
    assert all(forms == DATAGRAM_FORMS for forms in forms_of.values())


def test_names_of_vectors_are_unique() -> None:
    for content in files().values():
        labels = [(vector["kind"], vector["name"]) for vector in content["vectors"]]
        assert len(set(labels)) == len(labels)
        assert content["about"]
