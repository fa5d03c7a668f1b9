"""tsudoi/protocol/client/slash_commands.py: what a member may type, as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import strategies
from tsudoi.protocol.client.slash_commands import (
    COMMANDS,
    Act,
    Ban,
    Bans,
    Close,
    Command,
    HandOver,
    Help,
    History,
    Kick,
    Leave,
    Lock,
    Misused,
    Mute,
    Rename,
    Reply,
    Rooms,
    Time,
    Topic,
    Unban,
    Unknown,
    Unmute,
    Whisper,
    Who,
    escaped_text,
    parse_untrusted,
    serialize,
)

TEXTS = strategies.texts().map(str.strip).filter(bool)
NAMES = strategies.names().map(str.strip).filter(bool)
PAGES = st.integers(1, 1_000_000_000)
MINUTES = st.integers(0, 525_600)

ANY_COMMAND: st.SearchStrategy[Command] = st.one_of(
    st.sampled_from([Help(), Leave(), Time(), Close(), Topic(None), Topic(""), Lock("")]),
    st.builds(Who, PAGES),
    st.builds(Rooms, PAGES),
    st.builds(History, PAGES),
    st.builds(Whisper, NAMES, TEXTS),
    st.builds(Reply, TEXTS),
    st.builds(Act, TEXTS),
    st.builds(Rename, NAMES),
    st.builds(Kick, NAMES, st.one_of(st.just(""), TEXTS)),
    st.builds(Ban, NAMES, MINUTES),
    st.builds(Mute, NAMES, MINUTES),
    st.builds(Unban, NAMES),
    st.builds(Bans, PAGES),
    st.builds(Unmute, NAMES),
    st.builds(Lock, TEXTS),
    st.builds(Topic, TEXTS.filter(lambda text: text != "-")),
    st.builds(HandOver, NAMES),
)


@given(ANY_COMMAND)
def test_every_command_can_be_typed(command: Command) -> None:
    assert parse_untrusted(serialize(command)) == command


@given(ANY_COMMAND)
def test_a_full_width_slash_is_a_slash(command: Command) -> None:
    assert parse_untrusted("／" + serialize(command)[1:]) == command


def test_a_line_with_two_slashes_says_what_begins_with_the_second() -> None:
    lines = {"//a": "/a", "／／a": "／a", "/／a": "／a", "///": "//", "/a": "", "／": "", "/": "", "/ /": ""}
    assert {line: escaped_text(line) for line in lines} == lines


@given(strategies.texts(200))
def test_any_line_is_a_command_or_says_what_is_wrong(text: str) -> None:
    found = parse_untrusted("/" + text)
    if isinstance(found, Misused):
        assert found.word in COMMANDS
    elif not isinstance(found, Unknown):
        assert parse_untrusted(serialize(found)) == found


@given(st.sampled_from(list(COMMANDS)), strategies.texts(60))
def test_what_follows_a_command_never_breaks_it(word: str, rest: str) -> None:
    assert not isinstance(parse_untrusted(f"/{word} {rest}"), Unknown)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/who", Who()),
        ("/WHO 2", Who(2)),
        ("／ｗｈＯ　２", Who(2)),
        ("/msg bob hello there", Whisper("bob", "hello there")),
        ("/msg\u3000ボブ\u3000やあ", Whisper("ボブ", "やあ")),
        ('/msg "Anna Maria"  two  words ', Whisper("Anna Maria", "two  words")),
        ('/msg "say \\"hi\\"" hello', Whisper('say "hi"', "hello")),
        ("/msg bob one\ntwo", Whisper("bob", "one\ntwo")),
        ("/nick Anna Maria", Rename("Anna Maria")),
        ('/nick "Anna Maria"', Rename("Anna Maria")),
        ("/kick bob", Kick("bob")),
        ("/kick bob too loud", Kick("bob", "too loud")),
        ("/ban Anna Maria 10", Ban("Anna Maria", 10)),
        ('/ban "agent 47"', Ban("agent 47")),
        ('/ban "agent 47" 5', Ban("agent 47", 5)),
        ("/ban 10", Ban("10")),
        ("/ban 192.0.2.7 1", Ban("192.0.2.7", 1)),
        ("/mute ボブ ５", Mute("ボブ", 5)),
        ("/password", Lock()),
        ("/password two words", Lock("two words")),
        ("/topic", Topic(None)),
        ("/topic -", Topic("")),
        ("/topic 今日の話", Topic("今日の話")),
        ("/help me", Misused("help")),
        ("/msg bob", Misused("msg")),
        ("/msg", Misused("msg")),
        ('/msg "bob hello', Misused("msg")),
        ('/msg "bob"hello', Misused("msg")),
        ('/kick ""', Misused("kick")),
        ("/who 0", Misused("who")),
        ("/who two", Misused("who")),
        ("/mute bob 525601", Misused("mute")),
        ("/", Unknown("/")),
        ("/ who", Unknown("/")),
        ("/usr/bin/python is a path", Unknown("/usr/bin/python")),
        ("/" + "x" * 99, Unknown("/" + "x" * 40)),
    ],
)
def test_a_line_is_read_as_people_mean_it(line: str, command: object) -> None:
    assert parse_untrusted(line) == command
