"""client/state/completion.py: what Tab makes of a line."""

import pytest

from client.state.completion import complete

NAMES = ("alice", "bob b", "bobby", "ハナコ", 'q"x y')
ROOMS = ("den", "garden path")


def tabs(before: str, count: int = 1, tail: str = "") -> str | None:
    found = complete(before, tail, NAMES, ROOMS)
    if found is None:
        return None
    for _ in range(count - 1):
        found = found.next()
    return found.text + "|" + found.tail


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("al", "alice: |"),
        ("AL", "alice: |"),
        ("ハ", "ハナコ: |"),
        ("bob b", "bob b: |"),
        ("hi al", "hi alice |"),
        ("hi @al", "hi @alice |"),
        ("@al", "@alice |"),
        ("見て@al", "見て@alice |"),
        ("ねえ、ハ", "ねえ、ハナコ |"),
        ("「bob b", "「bob b |"),
        ("line\nal", "line\nalice |"),
        ("/wh", "/who |"),
        ("／wh", "／who |"),
        ("/jo", "/join |"),
        ("/msg al", "/msg alice |"),
        ("/msg bob ", '/msg "bob b" |'),
        ('/msg "bob ', '/msg "bob b" |'),
        ("/kick q", '/kick "q\\"x y" |'),
        ("/msg alice is bo", "/msg alice is bob b |"),
        ("/me hugs al", "/me hugs alice |"),
        ("/join gar", "/join garden path|"),
        ("//al", None),
        ("", None),
        ("hi ", None),
        ("zz", None),
        ("/zz", None),
    ],
)
def test_what_tab_completes(before: str, text: str | None) -> None:
    assert tabs(before) == text


def test_tab_goes_round_the_candidates_and_leaves_what_is_behind_the_cursor() -> None:
    assert [tabs("bo", count, "!") for count in (1, 2, 3)] == ["bob b: |!", "bobby: |!", "bob b: |!"]
