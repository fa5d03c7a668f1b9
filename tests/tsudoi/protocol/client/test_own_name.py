"""tsudoi/protocol/client/own_name.py"""

import unicodedata
from types import SimpleNamespace
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.strategies import names, texts
from tsudoi.protocol.client.own_name import own_names, without_own_name

SEPARATORS = (": ", " : ", ":", " :")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice:", ""),
        ("alice: ", ""),
        ("alice :", ""),
        ("alice:hello", "hello"),
        ("alice :hello", "hello"),
        ("alice:/who", "/who"),
        ("alice:D", "D"),
        ("alice:(笑)", "(笑)"),
        ("alice::)", ":)"),
        ("alice: )", ")"),
        ("alice:)", "alice:)"),
        ("alice :)", "alice :)"),
        ("alice:-(", "alice:-("),
        ("alice:))", "alice:))"),
        ("alice", "alice"),
        ("alice hello: you", "alice hello: you"),
        ("alice#2: hello", "alice#2: hello"),
        ("alice\u3000: hello", "hello"),
        ("malice: hello", "malice: hello"),
    ],
)
def test_a_name_and_its_separator_are_taken_off_but_no_smiley(text: str, said: str) -> None:
    assert without_own_name(text, own_names("alice")) == said


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_name_may_have_colons_of_its_own(separator: str) -> None:
    own = own_names("a:b", "a")
    assert without_own_name(f"a:b{separator}hello", own) == "hello"
    assert without_own_name(f"a{separator}hello", own) == "hello"
    dotted = own_names("カ\u3099:b".replace("カ\u3099", "ガ"))
    assert without_own_name(f"カ\u3099:b{separator}hello", dotted) == "hello"


@given(names(), texts(), st.sampled_from(SEPARATORS))
def test_whatever_is_written_behind_the_name_is_said(name: str, text: str, separator: str) -> None:
    own = own_names(name)
    assume(text.strip("-()") and not text.startswith((" ", ":")))
    for form in ("NFC", "NFD"):
        assert without_own_name(unicodedata.normalize(form, name) + separator + text, own) == text


@given(names(), names(), texts(), st.sampled_from(SEPARATORS))
def test_another_name_stays(name: str, other: str, text: str, separator: str) -> None:
    assume(":" not in name + other and name not in (other, other.partition("#")[0]))
    line = f"{other}{separator}{text}"
    assert without_own_name(line, own_names(name)) == line


@given(names(), texts(), st.sampled_from(SEPARATORS))
def test_the_name_is_taken_off_once(name: str, text: str, separator: str) -> None:
    line = f"{name}: {name}{separator}{text}"
    assert without_own_name(line, own_names(name)) == f"{name}{separator}{text}"


def test_a_text_too_long_for_a_name_is_not_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        lengths.append(len(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr("tsudoi.protocol.client.own_name.unicodedata", SimpleNamespace(normalize=normalize))
    own = own_names("が" * 85)
    assert without_own_name("か\u3099" * 85 + ": hello", own) == "hello"
    marks = "a" + "\u0315\u0300" * 1_000
    assert without_own_name(f"{marks}: hello", own) == f"{marks}: hello"
    assert without_own_name(":" * 4_000, own) == ":" * 4_000
    assert max(lengths) < 1_000
    assert len(lengths) < 10
