"""A text for a person in English and Japanese."""

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ja"]


@dataclass(frozen=True, slots=True)
class Words:
    """One text in both languages, with the same placeholders for `str.format`."""

    en: str
    ja: str

    def text(self, language: Language, /, **values: object) -> str:
        """Return the text in a language, with its placeholders filled in; without values it has none."""
        text = self.ja if language == "ja" else self.en
        return text.format_map(values) if values else text
