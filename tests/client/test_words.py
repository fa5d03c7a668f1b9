"""client/words.py: all words are in both languages, with the same values, and used."""

import re
from pathlib import Path
from string import Formatter

import pytest

from client import words
from tsudoi.protocol.client.words import Words

CLIENT = Path(words.__file__).parent
NAMED = {name: value for name, value in vars(words).items() if isinstance(value, Words)}
SAME = {"MONTHS"}
"""Without a Japanese character."""


def fields(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field}


def test_both_languages_have_the_same_values() -> None:
    for name, text in NAMED.items():
        assert fields(text.en) == fields(text.ja), name
        assert name in SAME or re.search("[ぁ-んァ-ヶ一-龠]", text.ja), name
        assert not re.search("[ぁ-んァ-ヶ一-龠]", text.en), name


def test_the_help_is_in_both_languages() -> None:
    for key, text in words.HELP:
        assert key
        assert re.search("[ぁ-んァ-ヶ一-龠]", text.ja), key


def test_all_words_are_used() -> None:
    source = "".join(path.read_text("utf-8") for path in CLIENT.rglob("*.py") if path.name != "words.py")
    assert [name for name in NAMED if f"words.{name}" not in source] == []


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": ""}, "ja"),
    ],
)
def test_the_language_is_the_locales(environment: dict[str, str], language: str) -> None:
    assert words.language_of(environment) == language
