"""tsudoi/protocol/backbone/admin_frames.py"""

import contextlib
import typing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.properties import examples
from tests.support.strategies import messages
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Wire, admin_frames
from tsudoi.protocol.backbone.admin_frames import VERSION, Ask, encode, parse_answer_untrusted, parse_ask_untrusted
from tsudoi.protocol.errors import MalformedMessage

QUESTIONS: tuple[type[Wire], ...] = typing.get_args(admin_frames.Question)
ANSWERS: tuple[type[Wire], ...] = typing.get_args(admin_frames.Answer)
of_a_kind = examples(8)
"""For tests with a kind of frame as a parameter."""
GATEWAYS: tuple[type[Wire], ...] = typing.get_args(backbone.Upward)


@pytest.mark.parametrize("kind", QUESTIONS)
@of_a_kind
@given(data=st.data())
def test_a_question_comes_as_it_was_asked(kind: type[Wire], data: st.DataObject) -> None:
    ask = Ask(VERSION, data.draw(messages(kind)))
    assert parse_ask_untrusted(encode(ask)) == ask


@pytest.mark.parametrize("kind", ANSWERS)
@of_a_kind
@given(data=st.data())
def test_an_answer_comes_as_it_was_given(kind: type[Wire], data: st.DataObject) -> None:
    answer = data.draw(messages(kind))
    assert parse_answer_untrusted(encode(answer)) == answer


@given(st.one_of(st.binary(), *(messages(kind).map(encode) for kind in QUESTIONS + ANSWERS)), st.data())
@example(b"\x93\x01\x01\x91\xc1", None)
@example(b"\x91" * 5_000, None)
def test_other_bytes_are_malformed_and_nothing_worse(frame: bytes, data: st.DataObject | None) -> None:
    if data is not None and frame:
        at = data.draw(st.integers(0, len(frame) - 1))
        frame = frame[:at] + data.draw(st.binary(max_size=3)) + frame[at + data.draw(st.integers(0, 2)) :]
    for parse in (parse_ask_untrusted, parse_answer_untrusted):
        with contextlib.suppress(MalformedMessage):
            parse(frame)


@pytest.mark.parametrize("kind", QUESTIONS)
@of_a_kind
@given(data=st.data())
def test_no_operators_question_parses_as_a_gateways_frame(kind: type[Wire], data: st.DataObject) -> None:
    with pytest.raises(MalformedMessage):
        backbone.parse_upward_untrusted(encode(Ask(VERSION, data.draw(messages(kind)))))


@pytest.mark.parametrize("kind", GATEWAYS)
@of_a_kind
@given(data=st.data())
def test_no_gateways_frame_parses_as_an_operators_question(kind: type[Wire], data: st.DataObject) -> None:
    with pytest.raises(MalformedMessage):
        parse_ask_untrusted(backbone.encode(data.draw(messages(kind))))


def test_texts_have_a_bound() -> None:
    with pytest.raises(MalformedMessage):
        parse_ask_untrusted(encode(Ask(VERSION, admin_frames.Announce("x" * 2_001))))


def test_a_ban_ends_within_what_a_store_and_a_calendar_have() -> None:
    for minutes, is_right in ((admin_frames.MAX_MINUTES, True), (admin_frames.MAX_MINUTES + 1, False)):
        frame = encode(Ask(VERSION, admin_frames.Ban("bob", "", minutes)))
        with contextlib.nullcontext() if is_right else pytest.raises(MalformedMessage):
            parse_ask_untrusted(frame)
