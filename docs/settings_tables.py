"""Write the tables of settings in docs/settings.md and docs/settings.ja.md: `make settings`.

Flag, variable, default and the English text come from the programs' options. The Japanese texts stand in the Japanese
page itself, which keeps those of the flags that it has.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from broker.cli import main as broker
from client.cli import main as client
from gateway.cli import main as gateway

HERE = Path(__file__).parent
PROGRAMS: dict[str, click.Group] = {"gateway": gateway, "broker": broker, "client": client}
ENGLISH, JAPANESE = HERE / "settings.md", HERE / "settings.ja.md"
NONE = "–"
MISSING = "(this text is missing)"

_TABLE = re.compile(r"(?<=\|---\|---\|---\|---\|\n)(?:\| `--.*\|\n)+")
_ROW = re.compile(r"^\| `(--[a-z-]+)` \| .* \| .* \| (.*) \|$", re.MULTILINE)

Row = tuple[str, str, str, str]
"""Flag, variable, default, text."""


def rows(program: click.Group) -> list[Row]:
    """Return a row for each flag in a program's `--help`, then for the flags that only its commands have."""
    found: dict[str, Row] = {}
    context = click.Context(program, **program.context_settings)
    for option in _visible(program):
        found[option.opts[0]] = _row(option, context, "")
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        assert command is not None
        for option in _visible(command):
            # The client has no flags of its own: what people use most goes without saying.
            of = "" if name in ("create", "join") else f"Of `{name}`: "
            found.setdefault(option.opts[0], _row(option, context, of))
    return list(found.values())


def _visible(command: click.Command) -> Iterator[click.Option]:
    return (option for option in command.params if isinstance(option, click.Option) and not option.hidden)


def _row(option: click.Option, context: click.Context, of: str) -> Row:
    extra = option.get_help_extra(context)
    default = extra.get("default", "").removesuffix(".0").strip('"')
    text = re.sub(r" \[default: .*\]$", "", option.help or "")
    return option.opts[0], "".join(extra.get("envvars", ())), default, of + (text[0].lower() + text[1:] if of else text)


def page(path: Path) -> str:
    """Return a page with its tables as they should be."""
    text = path.read_text(encoding="utf-8")
    programs = iter(PROGRAMS.values())
    return _TABLE.sub(lambda old: _table(rows(next(programs)), old[0], is_english=path == ENGLISH), text)


def _table(rows: list[Row], old: str, is_english: bool) -> str:
    texts = dict(_ROW.findall(old))
    return "".join(
        f"| `{flag}` | {_code(variable)} | {_code(default)} | {text if is_english else texts.get(flag, MISSING)} |\n"
        for flag, variable, default, text in rows
    )


def _code(text: str) -> str:
    return f"`{text}`" if text else NONE


def main() -> None:
    """Write both pages; exit with status 1 if a Japanese text is missing."""
    for path in (ENGLISH, JAPANESE):
        path.write_text(page(path), encoding="utf-8")
    if MISSING in JAPANESE.read_text(encoding="utf-8"):
        sys.exit(f"{JAPANESE}: write the texts that are missing")


if __name__ == "__main__":
    main()
