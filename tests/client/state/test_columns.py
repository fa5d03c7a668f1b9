"""client/state/columns.py: lines are as wide as they should be, and no character is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.state.columns import cut, fit, plain, width, wrap

TEXTS = st.text(st.sampled_from("ab -.\u3000、。「」あ漢字アー👨\u200d👩❤\ufe0f🇯🇵👍🏽e\u0301\u200bहि☰"), max_size=60)


@given(TEXTS, st.integers(2, 30))
def test_no_line_is_too_wide_and_nothing_but_spaces_is_lost(text: str, columns: int) -> None:
    lines = wrap(plain(text), columns)
    assert all(width(line) <= columns for line in lines)
    assert re.sub("[ \u3000]", "", "".join(lines)) == re.sub("[ \u3000]", "", plain(text))


@given(TEXTS, st.integers(1, 30), st.booleans())
def test_a_fitted_text_has_exactly_its_width(text: str, columns: int, right: bool) -> None:
    assert width(fit(text, columns, right)) == columns


@given(TEXTS)
def test_the_width_of_a_plain_text_is_the_sum_of_its_characters(text: str) -> None:
    assert width(plain(text)) == sum(width(char) for char in plain(text))


def test_a_vowel_sign_beside_its_letter_has_a_column_as_in_most_terminals() -> None:
    assert width("हिन्दी") == 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("👨‍👩‍👧", "👨👩👧"),
        ("❤️", "❤"),
        ("🇯🇵", "JP"),
        ("👍🏽", "👍"),
        ("1️⃣", "1"),
        ("क्‍ष", "क्ष"),
        ("می‌خواهم", "می‌خواهم"),
        ("a\tb", "a    b"),
        ("\u202eevil", "evil"),
        ("soft\u00adhyphen", "softhyphen"),
        ("ㅤfiller\uffa0", "filler"),
    ],
)
def test_characters_of_disputed_width_are_shown_by_their_parts(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("0123456789abc", ["01234567", "89abc"]),
        ("ああああ。い", ["あああ", "あ。い"]),
        ("あああ「い」", ["あああ", "「い」"]),
        ("[ああああ]", ["[あああ", "あ]"]),
        ("あああ [い]", ["あああ", "[い]"]),
        ("ああああ……", ["あああ", "あ……"]),
        ("ああああ～", ["あああ", "あ～"]),
        ("ああああｯ", ["あああ", "あｯ"]),
        ("ああ「ｶﾞ」", ["ああ", "「ｶﾞ」"]),
        ("あああ［い", ["あああ", "［い"]),
        ("a " + "b" * 9, ["a", "bbbbbbbb", "b"]),
        ("ああああ　い", ["ああああ", "い"]),
        ("あああ　い", ["あああ", "い"]),
        ("　ああああ", ["　あああ", "あ"]),
    ],
)
def test_where_lines_break(text: str, lines: list[str]) -> None:
    assert wrap(text, 8) == lines


def test_a_cut_text_ends_before_a_wide_character_that_does_not_fit() -> None:
    assert cut("あい", 3) == "あ"
