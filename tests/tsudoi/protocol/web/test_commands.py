"""tsudoi/protocol/web: what clients send, and the vectors in both directions."""

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat import render
from tests.support.strategies import texts
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client.dialects import WEB
from tsudoi.protocol.client.notices import encode_notice
from tsudoi.protocol.client.phrases import Phrase, phrase
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.web import commands, replies
from tsudoi.protocol.web.codes import Close, Ending, Error

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "web.json").read_text(encoding="utf-8"))["vectors"]

DATA_PARSERS = (
    commands.parse_connect_data_untrusted,
    commands.parse_subscribe_data_untrusted,
    commands.parse_publish_data_untrusted,
    commands.parse_page_untrusted,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "data", "name", "x"]), inner),
    max_leaves=8,
)
METHODS = st.sampled_from([field for field in commands.Command.__struct_fields__ if field != "id"])


def of(kind: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS if vector["kind"] == kind]


@given(st.binary(max_size=300))
def test_any_bytes_are_commands_or_malformed(frame: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        commands.parse_untrusted(frame)


@given(st.lists(st.dictionaries(METHODS | st.just("id"), VALUES, max_size=3), max_size=3))
def test_any_json_is_commands_or_malformed(values: list[dict[str, Any]]) -> None:
    frame = "\n".join(json.dumps(value) for value in values).encode()
    with contextlib.suppress(MalformedMessage):
        assert len(commands.parse_untrusted(frame)) == max(len(values), 1)


@given(VALUES)
def test_any_data_is_as_it_must_be_or_malformed(value: Any) -> None:
    raw = msgspec.Raw(json.dumps(value).encode())
    for parse in DATA_PARSERS:
        with contextlib.suppress(MalformedMessage):
            parse(raw)


def test_a_frame_has_a_bounded_number_of_commands() -> None:
    assert len(commands.parse_untrusted(b"{}\n" * commands.MAX_COMMANDS)) == commands.MAX_COMMANDS
    with pytest.raises(MalformedMessage, match="more than 100 commands"):
        commands.parse_untrusted(b"{}\n" * (commands.MAX_COMMANDS + 1))


@pytest.mark.parametrize("text", [b"{" * 100_000, b'{"connect":' + b"[" * 100_000, b'{"id":1e400}', b"\xff"])
def test_hostile_json_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        commands.parse_untrusted(text)


@pytest.mark.parametrize("vector", of("command"))
def test_vectors_of_commands(vector: dict[str, Any]) -> None:
    (command,) = commands.parse_untrusted(vector["text"].encode())
    assert command.id == vector["id"]
    found = getattr(command, vector["method"])
    for key, value in vector["fields"].items():
        assert getattr(found, key) == value
    if "data" in vector:
        parse = {"connect": DATA_PARSERS[0], "subscribe": DATA_PARSERS[1], "publish": DATA_PARSERS[2]}[vector["method"]]
        data = parse(found.data)
        assert {key: getattr(data, key) for key in vector["data"]} == vector["data"]


@pytest.mark.parametrize("vector", of("publication"))
def test_vectors_of_publications(vector: dict[str, Any]) -> None:
    about = vector["entry"]
    kind = EntryKind[about["kind"]]
    entry = Entry(about["offset"], kind, 7, about["sender"], about["text"], about["code"], about["at"])
    assert render.payload(entry, vector["room"], WEB.down, 0, 7) == vector["text"].encode()


@pytest.mark.parametrize("vector", of("reply"))
def test_vectors_of_replies(vector: dict[str, Any]) -> None:
    found = {
        "error": lambda: replies.error(3, Error.INTERNAL, "busy"),
        "final error": lambda: replies.error(3, Error.UNKNOWN_CHANNEL, "no room"),
        "publish": lambda: replies.reply(3, "publish", {"epoch": "1", "offset": 2}),
        "the broker is away": lambda: encode_notice(WEB.down, "den", "away", {}, phrase(Phrase.BROKER_AWAY, False)),
        "unsubscribe": lambda: replies.unsubscribe("den", Ending.CLOSED, "closed"),
        "ping": lambda: replies.PING,
    }[vector["name"]]()
    assert found == vector["text"].encode()


def test_codes_tell_clients_of_centrifuge_what_to_do() -> None:
    assert {code for code in Close if 3000 <= code < 3500} == {
        Close.SHUTDOWN,
        Close.SLOW,
        Close.NO_PONG,
        Close.TOO_MANY,
    }
    assert all(3500 <= code < 4000 for code in (Close.BAD_REQUEST, Close.STALE))
    assert {ending for ending in Ending if ending >= 2500} == {Ending.INSUFFICIENT}
    assert {code for code in Error if code.is_temporary} == {Error.INTERNAL, Error.TOO_MANY}
