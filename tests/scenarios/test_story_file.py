"""Reading scenarios: what they say, and at which line they are wrong."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.steps import Say
from scenarios.story import BrokerSettings, GatewaySettings, Person
from scenarios.story_file import StoryError, read

GOOD = """\
story: Two meet
servers:
  a: {options: [--history, "10"]}
  b:
people:
  bob: {at: b, in: classic, as: ボブ, password: yes}
steps:
  - alice creates den
  - bob joins den
  - alice says: 42
  - bob hears:
      alice: "42"
"""


def test_each_dialect_is_there_once_whoever_speaks_it() -> None:
    people = "people: {bob: {in: tcrp-json}, carol: {in: tcrp-202}, dave: {in: tcrp-json}}"
    steps = "[alice creates den, bob and carol join den, dave joins den, bob joins den]"
    assert read(f"story: x\n{people}\nsteps: {steps}\n", "x.yaml").dialects == ["tsudoi", "tcrp-json", "tcrp-202"]


def test_a_story() -> None:
    story = read(GOOD, "meet.yaml")
    assert story.title == "Two meet"
    assert story.servers == {
        "a": GatewaySettings(("--history", "10")),
        "b": GatewaySettings(),
    }
    assert story.broker == BrokerSettings()
    assert story.person("bob") == Person(at="b", dialect="classic", user="ボブ", password="yes")
    assert story.person("alice") == Person()
    assert story.dialects == ["tsudoi", "classic"]
    assert not story.needs_local
    assert [scene.line for scene in story.scenes] == [8, 9, 10, 11]
    assert story.scenes[2].step == Say(("alice",), ("42",))
    assert [scene.text for scene in story.scenes][2:] == ["alice says: 42", "bob hears: alice: 42"]


def test_the_smallest_story_has_one_server() -> None:
    assert list(read("{story: s, steps: [wait 1 s]}", "s").servers) == ["a"]


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("", 1, "begins with `story:`"),
        ("- a", 1, "begins with `story:`"),
        ("story: s", 1, "this is missing: `steps`"),
        ("story: [s]\nsteps: []", 1, "story: must be a text"),
        ("story: s\nsteps: []", 2, "at least one step"),
        ("story: s\nsteps: wait", 2, "steps: must be a list"),
        ("story: s\nstepps: []", 2, "there is no such setting: `stepps`"),
        ("story: s\nstory: t\nsteps: []", 2, "'story' is there twice"),
        ("story: s\nneeds: water\nsteps: []", 2, "'water' is not one of the possible words"),
        ("story: s\npatience: long\nsteps: []", 2, "patience: must be a number"),
        ("story: s\npatience: 0\nsteps: [wait 1 s]", 2, "more than 0"),
        ("story: s\nservers:\n  a: {}\n  b: {idle: 3}\nsteps: []", 4, "no such setting: `idle`"),
        ("story: s\nservers:\n  a:\n    options: --ipv6\nsteps: []", 4, "options: must be a list"),
        ("story: s\nservers:\n  a b: {}\nsteps: []", 3, "can not be a name"),
        ("story: s\nbroker: {store: redis}\nsteps: []", 2, "'redis' is not one of"),
        ("story: s\ndialect: klingon\nsteps: [wait 1 s]", 2, "there is no dialect 'klingon'"),
        ("story: s\npeople:\n  bob: {at: c}\nsteps: [wait 1 s]", 3, "there is no server 'c'; there are a"),
        ("story: s\nsteps:\n  - alice creates den\n  - bob says: hi", 4, "nobody called 'bob' has come"),
        ("story: s\nsteps:\n  - alice creates den at x", 3, "there is no server 'x'"),
        ("story: s\nsteps:\n  - alice creates den in x", 3, "there is no dialect 'x'"),
        ("story: s\nsteps:\n  - b is killed", 3, "there is no server 'b'"),
        ("story: s\nsteps:\n  - alice creates den\n  - alice moves to b", 4, "there is no server 'b'"),
        ("story: s\nsteps:\n  - alice flies", 3, "is no step"),
        ('story: s\nsteps:\n  - alice creates den\n  - alice says "a #1"', 4, "begins a comment"),
        ("story: s\nsteps:\n  - [a, b]", 3, "a step is a sentence"),
        ("story: s\nsteps:\n  - {a: b, c: d}", 3, "a step is a sentence"),
        ("story: s\nsteps:\n  - alice says: a: b", 3, "mapping values are not allowed here"),
        ("story: s\nsteps:\n\t- tab", 3, "'\\t'"),
        ("story: s\n? [a]\n: b", 2, "a plain word"),
        ("story: &a [*a]", 1, "nested too deeply"),
        ("story: \x07", 1, "special characters"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, wrong: str) -> None:
    with pytest.raises(StoryError, match=re.escape(wrong)) as caught:
        read(text, "bad.yaml")
    assert str(caught.value).startswith(f"bad.yaml:{line}: ")
    assert "\n" not in str(caught.value)


@given(
    st.text(max_size=200) | st.lists(st.sampled_from([*GOOD.splitlines(keepends=True), "  - [\n", "{"])).map("".join)
)
def test_any_text_is_a_story_or_an_error(text: str) -> None:
    with contextlib.suppress(StoryError):
        read(text, "any")


def test_all_that_we_ship_can_be_read() -> None:
    for path in Path(__file__).parent.glob("*.yaml"):
        assert read(path.read_text("utf-8"), path.name).scenes
