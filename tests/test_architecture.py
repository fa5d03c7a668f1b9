"""ARCHITECTURE.md's tables: what they name is in the code, and has the numbers that they say."""

import importlib
import inspect
import re
from typing import Any

import pytest

from broker.cli import main as broker
from gateway.cli import main as gateway
from gateway.settings import Settings
from tests.test_documents import NONE, code, tables

(BOUNDS,) = (table for table in tables("ARCHITECTURE.md") if "bound" in table[0])
FLAGS = {
    option.opts[0]: option.default
    for program in (gateway, broker)
    for option in program.params
    if option.opts[0].startswith("--")
}


def find(dotted: str) -> tuple[Any, str]:
    """Return (module or class, name in it)."""
    parts = dotted.split(".")
    for size in range(len(parts) - 1, 0, -1):
        try:
            place: Any = importlib.import_module(".".join(parts[:size]))
        except ModuleNotFoundError:
            continue
        for part in parts[size:-1]:
            place = getattr(place, part)
        return place, parts[-1]
    raise AssertionError(f"there is no {dotted}")


@pytest.mark.parametrize("row", BOUNDS[2:], ids=lambda row: row[0])
def test_a_bound_is_what_the_table_says(row: list[str]) -> None:
    _, bound, default, flag, full, counter = row
    place, name = find(code(bound)[0])
    assert getattr(place, name) == float(default)
    assert full
    if flag != NONE:
        assert FLAGS[code(flag)[0]] == float(default)
    if counter != NONE:
        place, name = find(code(counter)[0])
        assert re.search(
            rf" {name}: (int|dict\[str, int\]) = ", inspect.getsource(place)
        ) or f"self.{name} = 0" in inspect.getsource(place)


def test_every_setting_with_a_bound_has_its_flag() -> None:
    """A field of the settings that the table names is set by a flag of the same name, or by none."""
    settings = [(row, name) for row in BOUNDS[2:] for place, name in [find(code(row[1])[0])] if place is Settings]
    assert settings
    for row, name in settings:
        assert code(row[3]) == ["--" + name.replace("_", "-")]
