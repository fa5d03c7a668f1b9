"""broker/admin/web/questions.py"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.admin.web.questions import QUESTIONS, parse_question_untrusted, to_json
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.backbone.admin_frames import Question
from tsudoi.protocol.errors import MalformedMessage


def body(ask: str, **fields: Any) -> bytes:
    return json.dumps({"ask": ask, **fields}).encode()


@pytest.mark.parametrize(
    ("question", "frame"),
    [
        (body("watch"), admin_frames.Watch(0)),
        (body("watch", after_ms=7), admin_frames.Watch(7)),
        (body("rooms", text="集"), admin_frames.FindRooms("集", 200)),
        (body("members", room="den"), admin_frames.ListMembers(0, "den")),
        (body("close", room="den"), admin_frames.CloseRoom("den")),
        (body("remove", room="den", name="bob", reason="spam"), admin_frames.RemoveMember("den", "bob", "spam")),
        (body("ban", name="bob"), admin_frames.Ban("bob", "", 0)),
        (body("ban", ip="192.0.2.1", minutes=5, reason="x"), admin_frames.Ban("", "192.0.2.1", 5, "x")),
        (body("unban", who="bob"), admin_frames.Unban("bob")),
        (body("announce", text="hello"), admin_frames.Announce("hello", "")),
        (body("persist", room="den", topic="tea"), admin_frames.Persist("den", None, "tea")),
        (body("unpersist", room="den"), admin_frames.Unpersist("den")),
    ],
)
def test_a_question_is_the_frame_that_the_command_line_sends(question: bytes, frame: Question) -> None:
    assert parse_question_untrusted(question) == frame


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"[]",
        b'"close"',
        b"{",
        b"\xff",
        b"[" * 100_000,
        body("open"),
        body(""),
        json.dumps({"ask": ["close"]}).encode(),
        json.dumps({"room": "den"}).encode(),
        body("close"),
        body("close", room=7),
        body("close", room=None),
        body("close", room="x" * 2_001),
        body("close", room="den", name="bob"),
        body("rooms", limit=0),
        body("rooms", limit=1_001),
        body("ban", name="bob", minutes=-1),
        body("ban", name="bob", minutes=10_000_001),
        body("ban", name="bob", minutes=1.5),
        body("watch", after_ms=2**64),
        # The page sets no passwords, and leads a list from no id.
        body("persist", room="den", password_hash="x"),
        body("members", room="den", after=1),
        b'{"ask": "close", "room": "\\ud800"}',
    ],
)
def test_all_else_is_malformed(question: bytes) -> None:
    with pytest.raises(MalformedMessage):
        parse_question_untrusted(question)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(sorted({each for _, known in QUESTIONS.values() for each in known}))


@given(st.sampled_from(sorted(QUESTIONS)), st.dictionaries(fields, json_values))
def test_any_fields_are_a_frame_that_brokers_take_or_malformed(ask: str, given_fields: dict[str, Any]) -> None:
    try:
        question = parse_question_untrusted(json.dumps({"ask": ask, **given_fields}).encode())
    except MalformedMessage:
        return
    frame = admin_frames.encode(admin_frames.Ask(admin_frames.VERSION, question))
    assert admin_frames.parse_ask_untrusted(frame).body == question


def test_answers_have_names_for_their_fields_and_no_ids() -> None:
    member = admin_frames.Member(2**60, "den", "bob", False, 2, "tcrp", "192.0.2.1", "", "g/1", 5_000)
    assert to_json(admin_frames.Members([member], True)) == {
        "members": [
            {
                "room": "den",
                "name": "bob",
                "host": False,
                "moderator": True,
                "verified": False,
                "dialect": "tcrp",
                "ip": "192.0.2.1",
                "address": "",
                "gateway": "g/1",
                "silent_ms": 5_000,
            }
        ],
        "more": True,
    }
    assert to_json(admin_frames.Done(3, [1, 2])) == {"count": 3, "shards": [1, 2]}
