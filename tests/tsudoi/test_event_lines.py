"""Events as lines of text."""

import pytest

from tsudoi.event_lines import notice_line, speech_line
from tsudoi.events import (
    Emote,
    Event,
    Gap,
    Joined,
    Kicked,
    Message,
    Notice,
    Private,
    Reset,
    RoomClosed,
    ServerAway,
    ServerBack,
    TimedOut,
)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Message("alice", "hello"), "alice: hello"),
        (Message("alice", "two\nlines"), "alice: two lines"),
        (Message("", "a line of nobody's"), "a line of nobody's"),
        (Emote("alice", "waves\nagain", 1), "* alice waves again"),
        (Private("alice", "bob", "psst", 1), "alice → bob: psst"),
    ],
)
def test_messages(message: Message | Emote | Private, line: str) -> None:
    assert speech_line(message) == line


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (RoomClosed("exit!"), "the room is closed (exit!)"),
        (TimedOut("Timeout!"), "silent for too long"),
        (Kicked("out"), "you were removed from the room (out)"),
        (Joined("bob", 3, "bob has joined."), "bob has joined."),
        (ServerAway("nobody\nthere"), "nobody there"),
        (ServerBack(0), "nothing is lost"),
        (ServerBack(3), "3 entries"),
        (ServerBack(None), "answers again"),
        (Gap(4, 6), "3 entries of the room are lost to you (4 to 6)"),
        (Reset(), "history was lost"),
        (Notice("full\nmoon"), "full moon"),
    ],
)
def test_notices(event: Event, words: str) -> None:
    assert words in notice_line(event)
    assert "\n" not in notice_line(event)
