"""What is fuzzed: each function that reads what others wrote, by the bytes that it is given.

A target runs one input and returns; `declared` is what it may raise. Anything else, an assertion too, is a finding.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from broker.admin.web.questions import parse_question_untrusted
from client.state.events import Entered, Received
from client.state.model import State
from client.state.reduce import reduce
from client.state.view import item_lines, timeline
from gateway.explain.explain import explain_datagram
from gateway.join.key_forms import parse_public_keys, parse_shared_secret
from gateway.join.signed_tokens import TokenVerifier
from gateway.join.token_keys import TokenKeys
from tests.fuzz import sealed, shards, stories
from tests.fuzz.pieces import Pieces
from tsudoi.ops import configfile
from tsudoi.protocol import backbone, untrusted
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.client import datagram, downlink_decoder, handshake, header, reply_decoder, slash_commands
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import InvalidName, MalformedMessage, SettingError, WrongPassword
from tsudoi.protocol.web import commands as web_commands
from tsudoi.session import Membership

NOW = 1_800_000_000.0
TIME = datetime.fromtimestamp(NOW, UTC)
SECRET = b"a secret of at least thirty-two bytes"
MALFORMED = (MalformedMessage,)


@dataclass(frozen=True)
class Target:
    """One thing to fuzz."""

    run: Callable[[bytes], object]
    reads: tuple[Callable[..., Any], ...]
    """The functions that it is there for; replaying its corpus reaches them all."""
    declared: tuple[type[Exception], ...] = MALFORMED
    """What it may raise."""

    def one_input(self, data: bytes) -> None:
        """Run it; only what is not declared gets out."""
        with suppress(*self.declared):
            self.run(data)


# --- protocol -----------------------------------------------------------------------------------------------------


def _header(data: bytes) -> None:
    assert Header.parse_untrusted(data).serialize() == data


def _body(data: bytes) -> None:
    trailer, head, body = data[:1] > b"\x7f", data[1 : 1 + HEADER_SIZE], data[1 + HEADER_SIZE :]
    parsed = Header.parse_untrusted(head)
    room, payload = header.split_untrusted(parsed, body, 2 * trailer)
    assert body.startswith(room.encode() + payload)


def _request(data: bytes) -> None:
    pieces = Pieces(data)
    dialect, rest = pieces.one_of(list(DIALECTS.values())), pieces.rest()
    head, body = Header.parse_untrusted(rest[:HEADER_SIZE]), rest[HEADER_SIZE:]
    request = handshake.parse_request_untrusted(dialect, head, body)
    assert request.port is None or 0 < request.port < 2**16


def _datagram(data: bytes) -> None:
    for dialect in DIALECTS.values():
        datagram.decode_text(data, dialect).encode()
    for parse in (datagram.parse_untrusted, datagram.parse_in_characters_untrusted):
        try:
            room, token, text = parse(data)
        except MalformedMessage:
            continue
        assert data[2:].startswith(room + token + text)
    fields = explain_datagram(data, lambda _: None).fields
    assert b"".join(data[each.begin : each.end] for each in fields) == data


def _down(data: bytes) -> None:
    pieces = Pieces(data)
    dialect, room = pieces.one_of(list(DIALECTS.values())), pieces.one_of(("den", "部屋", "{room}"))
    event = Membership(dialect, room, "alice", "0" * 32).receive(pieces.rest())
    state, _ = reduce(State(), Entered(room, "alice", TIME, has_receipts=True, position=(1, 1)))
    state, _ = reduce(state, Received(room, event, TIME, "alice"))
    for _, lines in timeline(state.rooms[0], 40, "en", partial(item_lines, columns=40, language="en")):
        assert all(clean(text) == text for line in lines for text, _ in line)


def _answer(data: bytes) -> None:
    pieces = Pieces(data)
    reader = reply_decoder.AnswerReader(pieces.one_of(list(DIALECTS.values())), pieces.one_of(list(Operation)))
    for _, part in pieces.each():
        if (answer := reader.feed_untrusted(part)) is not None:
            assert isinstance(answer, reply_decoder.HandshakeRefused) or answer.token.isascii()
            return
    reader.settle_untrusted()


def _rooms(data: bytes) -> None:
    reader = reply_decoder.RoomsReader()
    for _, part in Pieces(data).each():
        if (rooms := reader.feed_untrusted(part)) is not None:
            assert all(rooms)
            return


def _join_list(data: bytes) -> None:
    reply_decoder.parse_join_list_untrusted(data)
    reader = reply_decoder.JoinListReader()
    for _, part in Pieces(data).each():
        if reader.feed_untrusted(part) is not None:
            return
    reader.settle_untrusted()


def _command(data: bytes) -> None:
    line = data.decode(errors="replace")
    command = slash_commands.parse_untrusted(line)
    if not isinstance(command, slash_commands.Unknown | slash_commands.Misused):
        assert slash_commands.parse_untrusted(slash_commands.serialize(command)) == command


def _upward(data: bytes) -> None:
    for each in backbone.unpack_frames_untrusted(data):
        backbone.encode(backbone.parse_upward_untrusted(each))


def _downward(data: bytes) -> None:
    for each in backbone.unpack_frames_untrusted(data):
        backbone.encode(backbone.parse_downward_untrusted(each))


def _published(data: bytes) -> None:
    try:
        backbone.parse_news_untrusted(data)
    except MalformedMessage:
        backbone.parse_bundle_untrusted(data)


def _page_questions(data: bytes) -> None:
    question = parse_question_untrusted(data)
    frame = admin_frames.encode(admin_frames.Ask(admin_frames.VERSION, question))
    assert admin_frames.parse_ask_untrusted(frame).body == question


def _orders(data: bytes) -> None:
    try:
        admin_frames.parse_ask_untrusted(data)
    except MalformedMessage:
        admin_frames.parse_answer_untrusted(data)


# --- tokens and files ---------------------------------------------------------------------------------------------


_keys = TokenKeys((parse_shared_secret(SECRET),))
_trusting = TokenVerifier(_keys, required=False)


def _token(data: bytes) -> None:
    user, _, password = data.decode(errors="replace").partition("\n")
    admitted = _trusting.identify_untrusted(Operation.JOIN, "den", user, password or None, NOW)
    assert not admitted.rights, "nobody has signed it"


def _signature(data: bytes) -> None:
    _keys.verify_untrusted(data.decode(errors="replace"))


def _claims(data: bytes) -> None:
    pieces = Pieces(data)
    operation = pieces.one_of(list(Operation))
    verifier = TokenVerifier(stories.Believing((), pieces.rest()), required=True)
    with suppress(MalformedMessage, WrongPassword, InvalidName):
        verifier.webhook_untrusted("eyJhbGciOiJIUzI1.e30.x", "den", NOW)
    verifier.identify_untrusted(operation, "den", "eyJhbGciOiJIUzI1.e30.x", None, NOW)


def _keys_file(data: bytes) -> None:
    with suppress(SettingError):
        parse_shared_secret(data)
    parse_public_keys(data)


def _settings(data: bytes) -> None:
    for program in configfile.PROGRAMS:
        configfile.parse(data.decode(errors="replace"), "tsudoi.toml", program)


def _web_commands(data: bytes) -> None:
    for command in web_commands.parse_untrusted(data[1:]):
        if command.connect is not None:
            web_commands.parse_connect_data_untrusted(command.connect.data)
        elif command.subscribe is not None:
            web_commands.parse_subscribe_data_untrusted(command.subscribe.data)
        elif command.publish is not None:
            web_commands.parse_publish_data_untrusted(command.publish.data)
        elif command.rpc is not None:
            web_commands.parse_page_untrusted(command.rpc.data)


TARGETS = {
    "header": Target(_header, (Header.parse_untrusted,)),
    "body": Target(_body, (header.split_untrusted,)),
    "request": Target(_request, (handshake.parse_request_untrusted,)),
    "datagram": Target(
        _datagram, (datagram.parse_untrusted, datagram.parse_in_characters_untrusted, untrusted.parse_json_untrusted)
    ),
    "down": Target(_down, (downlink_decoder.parse_down_untrusted,)),
    "answer": Target(
        _answer,
        (
            reply_decoder.FrameReader.next_untrusted,
            reply_decoder.AnswerReader.feed_untrusted,
            reply_decoder.AnswerReader.settle_untrusted,
        ),
    ),
    "rooms": Target(_rooms, (reply_decoder.RoomsReader.feed_untrusted,)),
    "join_list": Target(
        _join_list,
        (
            reply_decoder.parse_join_list_untrusted,
            reply_decoder.JoinListReader.feed_untrusted,
            reply_decoder.JoinListReader.settle_untrusted,
        ),
    ),
    "sealed": Target(sealed.codec, sealed.CODEC),
    "sealed_over_tcp": Target(sealed.over_tcp, sealed.OVER_TCP),
    "command": Target(_command, (slash_commands.parse_untrusted,), ()),
    "web_commands": Target(
        _web_commands,
        (
            web_commands.parse_untrusted,
            web_commands.parse_connect_data_untrusted,
            web_commands.parse_subscribe_data_untrusted,
            web_commands.parse_publish_data_untrusted,
            web_commands.parse_page_untrusted,
        ),
    ),
    "upward": Target(_upward, (backbone.unpack_frames_untrusted, backbone.parse_upward_untrusted)),
    "downward": Target(_downward, (backbone.parse_downward_untrusted,)),
    "published": Target(_published, (backbone.parse_news_untrusted, backbone.parse_bundle_untrusted)),
    "orders": Target(
        _orders, (admin_frames.parse_ask_untrusted, admin_frames.parse_answer_untrusted, untrusted.decode_untrusted)
    ),
    "page_questions": Target(_page_questions, (parse_question_untrusted,)),
    "token": Target(_token, (TokenVerifier.identify_untrusted,), (MalformedMessage, WrongPassword, InvalidName)),
    "signature": Target(_signature, (TokenKeys.verify_untrusted,), (MalformedMessage, WrongPassword)),
    "claims": Target(
        _claims,
        (TokenVerifier._claims_untrusted, TokenVerifier.webhook_untrusted),
        (MalformedMessage, WrongPassword, InvalidName),
    ),
    "keys_file": Target(_keys_file, (parse_public_keys,), (SettingError,)),
    "settings": Target(_settings, (configfile.parse,), (SettingError,)),
    # These have bounds and counters for what is wrong, and never an exception.
    "sealed_gateway": Target(sealed.gateway, sealed.GATEWAY, ()),
    "conversation": Target(stories.conversation, stories.CONVERSATION, ()),
    "web": Target(stories.web, stories.WEB, ()),
    "webhook": Target(stories.webhook, stories.WEBHOOK, ()),
    "gateway": Target(stories.gateway, stories.GATEWAY, ()),
    "broker": Target(stories.broker, stories.BROKER, ()),
    "office": Target(stories.office, stories.OFFICE, ()),
    "routes": Target(shards.routes, shards.ROUTES, ()),
    "incoming": Target(shards.incoming, shards.INCOMING, ()),
}
