"""Read a configuration file: TOML, a table for each program, with the names of the flags.

    [gateway]
    rate = 500
    tcp = ["0.0.0.0:9001", "0.0.0.0:9005=tcrp-200"]

    [broker]
    log-entries = 50_000

One file serves all programs of a machine; each reads its own table. An error names the file, the line and the key.
"""

import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..protocol.errors import SettingError

PROGRAMS = ("gateway", "broker")

_HEADER = re.compile(r"\s*\[\s*\"?([^\]\"]+?)\"?\s*\]")
_KEY = re.compile(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*[=.]")
_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)\Z")


@dataclass(frozen=True, slots=True)
class FileSetting:
    """One setting, and its line."""

    key: str
    value: Any
    where: str
    """FILE:LINE."""

    def error(self, why: str) -> SettingError:
        return SettingError(f"{self.where}: {self.key}: {why}")


def parse(text: str, name: str, program: str) -> list[FileSetting]:
    """Return the settings in the table of `program`; `name` is the file's, for errors.

    Raises:
        SettingError: the text is not TOML, or has settings outside of the programs' tables.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        found = _WHERE.search(str(exc))
        line = found[1] if found and found[1] else str(max(text.count("\n"), 1))
        raise SettingError(f"{name}:{line}: this is not TOML: {_WHERE.sub('', str(exc))}") from exc
    except RecursionError as exc:
        raise SettingError(f"{name}:1: it is nested too deeply") from exc
    lines = _lines(text)
    for key, value in tables.items():
        if key not in PROGRAMS or not isinstance(value, dict):
            where = f"{name}:{lines.get((key, ''), lines.get(('', key), 1))}"
            raise FileSetting(key, value, where).error("settings stand in a table, [gateway] or [broker]")
    return [
        FileSetting(key, value, f"{name}:{lines.get((program, key), lines.get((program, ''), 1))}")
        for key, value in tables.get(program, {}).items()
    ]


def unknown(entry: FileSetting, known: list[str]) -> SettingError:
    """Return an error about a key that no flag has; it names the most similar flag."""
    close = get_close_matches(entry.key.replace("_", "-"), known, 1)
    return entry.error(f"there is no such setting{f'; {close[0]}?' if close else ''}")


def _lines(text: str) -> dict[tuple[str, str], int]:
    """Return the line of each (table, key), and of each table with an empty key; the TOML parser does not."""
    lines: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if found := _HEADER.match(line):
            table = found[1].split(".")[0].strip()
            lines.setdefault((table, ""), number)
        elif found := _KEY.match(line):
            lines.setdefault((table, found[1]), number)
    return lines
