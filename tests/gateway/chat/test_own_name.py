"""gateway/chat/own_name.py"""

import unicodedata
from types import SimpleNamespace
from typing import Literal

import pytest

from gateway.chat.own_name import own_prefixes, without_own_name


def test_a_text_too_long_for_a_name_is_not_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def normalize(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        lengths.append(len(text))
        return unicodedata.normalize(form, text)

    monkeypatch.setattr("gateway.chat.own_name.unicodedata", SimpleNamespace(normalize=normalize))
    own = own_prefixes("が" * 85)
    assert without_own_name("か\u3099" * 85 + ": hello", own) == "hello"
    marks = "a" + "\u0315\u0300" * 1_000
    assert without_own_name(f"{marks}: hello", own) == f"{marks}: hello"
    assert max(lengths) < 1_000
