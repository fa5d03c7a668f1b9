"""tsudoi/protocol/client/sanitize.py"""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.protocol.client.sanitize import MAX_OPEN, MOST_BIDI, clean, strip_bidi

LRE, RLE, PDF, LRO, RLO = "\u202a", "\u202b", "\u202c", "\u202d", "\u202e"
LRI, RLI, FSI, PDI = "\u2066", "\u2067", "\u2068", "\u2069"

TURNS = LRE + RLE + PDF + LRO + RLO + LRI + RLI + FSI + PDI

awkward = st.text(st.sampled_from("ab\n\t\x1b\x9b\0 \u2028\u2029\u200fあא" + TURNS))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("hello", "hello"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b]0;title\x07\x9b2J\x7f", "]0;title2J"),
        (f"{RLO}drowssap", f"{RLO}drowssap{PDF}"),
        (f"{RLI}a{RLO}b", f"{RLI}a{RLO}b{PDF}{PDI}"),
        (f"a{PDF}{PDI}b", "ab"),
        (f"{RLI}a{PDI}b", f"{RLI}a{PDI}b"),
        (f"{RLI}a{RLO}b{PDI}c", f"{RLI}a{RLO}b{PDF}{PDI}c"),
        (f"{RLO}a{PDI}b{PDF}", f"{RLO}ab{PDF}"),
        (f"{RLI}a{PDF}b{PDI}", f"{RLI}ab{PDI}"),
        (f"{RLO}a\nb", f"{RLO}a{PDF}\nb"),
        ("a\u2028b\u2029\r\u2028c", "a\nb\n\nc"),
        (f"{RLO}a\u2028b", f"{RLO}a{PDF}\nb"),
        (f"{RLO * 100}x", f"{RLO * MAX_OPEN}x{PDF * MAX_OPEN}"),
        ("\u200fא\u200e", "\u200fא\u200e"),
        (f"{RLO}a{PDF}" * (MOST_BIDI // 2), f"{RLO}a{PDF}" * (MOST_BIDI // 2)),
        (f"{RLO}a{PDF}" * (MOST_BIDI // 2) + RLO, "a" * (MOST_BIDI // 2)),
        (f"{RLO}a\n" * MOST_BIDI, f"{RLO}a{PDF}\n" * (MOST_BIDI // 2) + "a\n" * (MOST_BIDI // 2)),
        (f"{RLI}{RLO}\n\nb", f"{RLI}{RLO}{PDF}{PDI}\n\nb"),
    ],
)
def test_controls_are_removed_and_bidi_is_closed(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def depths(line: str) -> list[int]:
    """How many turns are open before each character, and at the end: as UAX #9 counts them."""
    open_: list[str] = []
    found = []
    for char in line:
        found.append(len(open_))
        if char in LRE + RLE + LRO + RLO:
            open_.append(PDF)
        elif char in LRI + RLI + FSI:
            open_.append(PDI)
        elif char == PDF:
            assert open_, "nothing is closed that was not opened"
            assert open_.pop() == PDF
        elif char == PDI:
            assert open_.pop() == PDI
    return [*found, len(open_)]


@given(awkward)
def test_nothing_is_left_open_in_any_line(text: str) -> None:
    for line in clean(text).split("\n"):
        open_at = depths(line)
        assert open_at[-1] == 0
        assert max(open_at) <= MAX_OPEN


@given(awkward | st.text())
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert not {char for char in cleaned if unicodedata.category(char) in ("Cc", "Zl", "Zp")} - {"\t", "\n"}
    assert cleaned.splitlines() == cleaned.split("\n")[: len(cleaned.splitlines())]


def is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc" and char not in "\t\n"


@given(awkward)
def test_nothing_else_goes(text: str) -> None:
    kept = ["\n" if char in "\u2028\u2029" else char for char in text if not is_control(char)]
    assert strip_bidi(clean(text)) == strip_bidi("".join(kept))
    assert not set(strip_bidi(text)) & set(TURNS)
