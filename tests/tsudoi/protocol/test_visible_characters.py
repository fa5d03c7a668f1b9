"""tsudoi/protocol/visible_characters.py"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import CHARACTERS, texts
from tsudoi.protocol.names import cut
from tsudoi.protocol.visible_characters import FAR, boundary

WHOLE = (
    *("か\u3099", "e\u0301\u0323", "👩🏽\u200d💻", "🇯🇵", "❤\ufe0f", "\u1100\u1161\u11a8", "1\ufe0f\u20e3"),
    "🏴\U000e0067\U000e0062\U000e007f",
)


@pytest.mark.parametrize("whole", WHOLE)
def test_no_visible_character_is_taken_apart(whole: str) -> None:
    for before in ("", "a", "部", "a b ", "🇫🇷", "🇫🇷🇫🇷"):
        text = f"{before}{whole}b"
        for end in range(len(before), len(before + whole)):
            assert boundary(text, end) == len(before)
        assert boundary(text, len(before + whole)) == len(before + whole)


@given(texts(), st.integers(0, 70))
def test_a_boundary_is_near_and_not_behind(text: str, end: int) -> None:
    end = min(end, len(text))
    assert end - FAR < boundary(text, end) <= end


@given(st.text(CHARACTERS), st.integers(0, 70))
def test_a_boundary_grows_with_its_end(text: str, end: int) -> None:
    end = min(end, len(text))
    assert boundary(text, max(end - 1, 0)) <= boundary(text, end)


def test_a_heap_of_marks_is_cut_where_it_must_be() -> None:
    heap = "a" + "\u0301" * 200
    assert boundary(heap, 100) == 100
    assert cut(heap, 100) == heap[:50]


def test_letters_and_spaces_are_cut_anywhere() -> None:
    for text in ("hello", "部屋1", "a b", "éa"):
        assert [boundary(text, end) for end in range(len(text) + 1)] == list(range(len(text) + 1))
