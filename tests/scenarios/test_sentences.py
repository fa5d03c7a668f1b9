"""What sentences mean, and what is said about those that mean nothing."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios import steps
from scenarios.sentences import FORMS, LANGUAGE, NotUnderstood, Value, understand

ALICE = ("alice",)
UNDERSTOOD: list[tuple[str, Value, steps.Step]] = [
    ("alice creates den", None, steps.Enter(ALICE, steps.JoinOptions("den", True))),
    (
        'alice, bob and カロル join "the den" in classic at b as "a b" with password "x y" silently',
        None,
        steps.Enter(
            ("alice", "bob", "カロル"), steps.JoinOptions("the den", False, "b", "classic", "a b", "x y", True)
        ),
    ),
    (
        "bob cannot join den",
        "no such room",
        steps.CannotEnter(("bob",), steps.JoinOptions("den", False), "no such room"),
    ),
    (
        "bob cannot create den with password x",
        "room exists",
        steps.CannotEnter(("bob",), steps.JoinOptions("den", True, password="x"), "room exists"),
    ),
    ("alice says", "hello", steps.Say(ALICE, ("hello",))),
    ("alice says", ["one", "two"], steps.Say(ALICE, ("one", "two"))),
    ('alice says "hello, you"', None, steps.Say(ALICE, ("hello, you",))),
    ("alice and bob say 20 lines", None, steps.SayLines(("alice", "bob"), 20)),
    ("alice hears", "hello", steps.Hear(ALICE, (steps.Line(None, "hello"),))),
    ("alice hears", {"bob": "hi"}, steps.Hear(ALICE, (steps.Line("bob", "hi"),))),
    (
        "alice hears from bob within 300 ms",
        ["hello", {"carol": "hi"}],
        steps.Hear(ALICE, (steps.Line("bob", "hello"), steps.Line("carol", "hi")), within_s=0.3),
    ),
    (
        "alice hears in any order",
        ["a", "b"],
        steps.Hear(ALICE, (steps.Line(None, "a"), steps.Line(None, "b")), in_any_order=True),
    ),
    ('alice hears "hi" from bob within 2 s', None, steps.Hear(ALICE, (steps.Line("bob", "hi"),), within_s=2)),
    ("everyone hears", "hi", steps.Hear((steps.EVERYONE,), (steps.Line(None, "hi"),))),
    ("everyone else hears nothing", None, steps.HearNothing((steps.EVERYONE_ELSE,), 0.3)),
    ("alice hears nothing for 1 s", None, steps.HearNothing(ALICE, 1)),
    ("bob hears all 1000 lines from alice within 1 min", None, steps.HearLines(("bob",), 1000, "alice", 60)),
    ("a and b hear the same 40 messages within 2s", None, steps.HearTheSame(("a", "b"), 40, 2)),
    ("bob hears that the room is closed", None, steps.HearEnding(("bob",), steps.Ending.CLOSED)),
    ("bob hears that time is up within 2.5 s", None, steps.HearEnding(("bob",), steps.Ending.TIMED_OUT, 2.5)),
    ("bob hears that they are removed", None, steps.HearEnding(("bob",), steps.Ending.REMOVED)),
    ('bob and eve are told "has joined" within 1 s', None, steps.BeTold(("bob", "eve"), ("has joined",), 1)),
    ("bob is told", ["alice has joined.", "hi"], steps.BeTold(("bob",), ("alice has joined.", "hi"))),
    ("bob leaves", None, steps.Do(("bob",), steps.Act.LEAVE)),
    ("bob and eve vanish", None, steps.Do(("bob", "eve"), steps.Act.VANISH)),
    ("bob falls silent", None, steps.Do(("bob",), steps.Act.FALL_SILENT)),
    ("bob moves to b", None, steps.Move(("bob",), "b")),
    ("bob sees the rooms", ["x", "y"], steps.SeeRooms(("bob",), ("x", "y"), True)),
    ("bob does not see the room within 1 s", "x", steps.SeeRooms(("bob",), ("x",), False, 1)),
    ("the broker is killed", None, steps.InjectFault(steps.BROKER, steps.Fault.KILLED)),
    ("a is started again", None, steps.InjectFault("a", steps.Fault.STARTED)),
    ("wait 20 ms", None, steps.Wait(0.02)),
    ("a stranger sends over udp to b", "00 ff", steps.SendRaw(steps.Wire.UDP, b"\x00\xff", "b")),
    ("a stranger sends over tcp", ["00", "ff"], steps.SendRaw(steps.Wire.TCP, b"\x00\xff")),
    ("a stranger sends half a header", None, steps.SendRaw(steps.Wire.TCP, b"\x03\x01\x00" + bytes(13))),
    (
        "a stranger promises 536870912 bytes to a",
        None,
        steps.SendRaw(steps.Wire.TCP, b"\x03\x01\x00" + (2**29).to_bytes(29, "big") + b"den", "a"),
    ),
    ("a stranger sends 200 random datagrams with seed 7", None, steps.SendRandom(200, 7)),
    ("the stranger is hung up on within 2 s", None, steps.HungUp(2)),
    ("nobody answers the stranger", None, steps.Unanswered(0.3)),
]


@pytest.mark.parametrize(("sentence", "value", "step"), UNDERSTOOD, ids=[sentence for sentence, _, _ in UNDERSTOOD])
def test_sentences_are_understood(sentence: str, value: Value, step: steps.Step) -> None:
    assert understand(sentence, value) == step


def test_every_form_is_tried_above() -> None:
    used = {form.pattern for form in FORMS for sentence, _, _ in UNDERSTOOD if form.pattern.match(sentence)}
    assert used == {form.pattern for form in FORMS}


@pytest.mark.parametrize(
    ("sentence", "value", "wrong"),
    [
        ("alice speaks", None, "is no step"),
        ("alice creates", None, "is no step"),
        ("alice creates den near b", None, "'near b' makes no sense here"),
        ("alice creates den at a at b", None, "'at b' is there twice"),
        ("alice creates den from bob", None, "'from bob' makes no sense"),
        ("alice creates den", "hello", "takes nothing behind a colon"),
        ("alice says", None, "needs a colon"),
        ("alice says", "", "stands a text"),
        ("alice says", [], "stands a text"),
        ("alice says", {"bob": "hi"}, "stands a text"),
        ("alice says 0 lines", None, "0 is not a number"),
        ("alice hears", [], "for silence there is `hears nothing`"),
        ("alice hears", [""], "stands a text"),
        ("alice hears", {"bob": "a", "eve": "b"}, "stands a text"),
        ("alice hears 3 lines", None, "say whose lines"),
        ("alice hear the same 3 messages", None, "the same as who?"),
        ("bob cannot join den", "bad weather", "reasons are room exists"),
        ("bob cannot join den", None, "needs a colon"),
        ("a stranger sends over udp", "0x", "no hex"),
        ("wait a moment", None, "is no step"),
    ],
)
def test_what_is_wrong_is_said(sentence: str, value: Value, wrong: str) -> None:
    with pytest.raises(NotUnderstood, match=re.escape(wrong)) as caught:
        understand(sentence, value)
    assert "\n" not in str(caught.value)


WORDS = """alice bob and everyone else creates joins says hears nothing den in at as within 2 s ms from a stranger sends
    the broker is killed wait for lines 3 same messages "x y" hear with password seed"""
words = st.sampled_from(WORDS.split())


@given(st.lists(words, max_size=8).map(" ".join), st.one_of(st.none(), st.text(max_size=5), st.lists(st.text())))
def test_no_words_do_anything_else(sentence: str, value: Value) -> None:
    with contextlib.suppress(NotUnderstood):
        understand(sentence, value)


def test_the_language_is_told_in_lines_that_fit() -> None:
    assert max(map(len, LANGUAGE.splitlines())) <= 120
