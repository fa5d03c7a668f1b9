"""docs/settings_tables.py: the pages of settings are what the settings' fields say."""

from pathlib import Path

import pytest

from docs import settings_tables


@pytest.mark.parametrize("path", [settings_tables.ENGLISH, settings_tables.JAPANESE], ids=lambda path: path.name)
def test_the_tables_are_those_of_the_programs_options(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == settings_tables.page(path), "run `make settings`"
    assert settings_tables.MISSING not in path.read_text(encoding="utf-8"), "write the Japanese text"


def test_a_row_that_is_missing_or_wrong_is_written(tmp_path: Path) -> None:
    path = tmp_path / "settings.ja.md"
    text = settings_tables.JAPANESE.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines(keepends=True) if line.startswith(("| `--burst`", "| `--data`"))]
    path.write_text(text.replace(rows[0], "").replace(rows[1], rows[1].replace("2000", "3")), encoding="utf-8")
    assert settings_tables.page(path) == text.replace(
        rows[0], rows[0].rsplit("| ", 1)[0] + f"| {settings_tables.MISSING} |\n"
    )
