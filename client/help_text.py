"""`--help` in the user's language: that of `--language`, of its variable, or of the locale.

click makes the English one. In Japanese the lines are wrapped here: click counts characters, not columns.
"""

import inspect
import os
import re
from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

import click

from tsudoi.ops.command_line import OneLineCommand, OneLineGroup
from tsudoi.ops.options import MarkdownOption
from tsudoi.protocol.client.words import Language

from . import help_words, usage_words, words

VARIABLE = "TSUDOI_CLIENT_LANGUAGE"
_LANGUAGE = "client.language"
_WIDTH = 78
_EXTRA = re.compile(r"  \[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]$")
"""What click puts behind an option's help: its variable and its default."""


def language_in(arguments: Sequence[str]) -> Language:
    """Return the language that a command line asks for; else that of the variable or of the locale."""
    given = os.environ.get(VARIABLE, "")
    for at, argument in enumerate(arguments):
        if argument == "--language":
            given = "".join(arguments[at + 1 : at + 2])
        elif argument.startswith("--language="):
            given = argument.partition("=")[2]
    return next((language for language in words.LANGUAGES if language == given), words.language_of())


class Option(MarkdownOption):
    """An option whose help is there in Japanese, too."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not _is_japanese(ctx):
            return record
        extra = _EXTRA.search(record[1])
        said = help_words.OPTIONS[self.name or ""]
        return record[0], said + (_translate(extra[0].strip()) if extra else "")


class Command(OneLineCommand):
    """A command whose help is there in Japanese, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_LANGUAGE] = language_in(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as exc:
            exc.ctx = exc.ctx or ctx  # click's parser names none
            raise

    def _in_words(self, exc: click.ClickException) -> str:
        """See `OneLineCommand`; the context of an error knows the language of its command line."""
        said = super()._in_words(exc)
        ctx = exc.ctx if isinstance(exc, click.UsageError) else None
        is_japanese = _is_japanese(ctx) if ctx is not None else words.language_of() == "ja"
        return usage_words.in_japanese(said) if is_japanese else said

    def get_short_help_str(self, limit: int = 45) -> str:
        """See click; called for a group's commands, whose context is not theirs."""
        ctx = click.get_current_context(silent=True)
        if ctx is not None and _is_japanese(ctx):
            return help_words.COMMANDS[self.name or ""].partition("。")[0] + "。"
        return super().get_short_help_str(limit)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not _is_japanese(ctx):
            super().format_help(ctx, formatter)
            return
        usage = " ".join(self.collect_usage_pieces(ctx)).replace("[OPTIONS]", "[オプション]")
        usage = usage.replace("COMMAND [ARGS]...", "コマンド [引数]...")
        parts = [[f"使い方: {ctx.command_path} {usage}"], _wrap(help_words.COMMANDS[self.name or ""], "  ")]
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        records = [record for each in options if (record := _record(each, ctx)) is not None]
        parts.append(["オプション:", *_rows(records)])
        if isinstance(self, click.Group):
            found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
            rows = [(name, _short(command)) for name, command in found if command is not None and not command.hidden]
            parts.append(["コマンド:", *_rows(rows)])
        formatter.write("\n\n".join("\n".join(lines) for lines in parts) + "\n")


class Group(Command, OneLineGroup):
    """The same for a command with subcommands."""

    command_class = Command


def _is_japanese(ctx: click.Context) -> bool:
    return bool(ctx.meta.get(_LANGUAGE) == "ja")


def _record(option: click.Option, ctx: click.Context) -> tuple[str, str] | None:
    record = option.get_help_record(ctx)
    return record if record is None or isinstance(option, Option) else (record[0], help_words.OPTIONS["help"])


def _short(command: click.Command) -> str:
    if isinstance(command, Command) or command.name not in help_words.COMMANDS:
        return command.get_short_help_str(200)
    return help_words.COMMANDS[command.name]


def _translate(extra: str) -> str:
    for english, japanese in help_words.EXTRAS.items():
        extra = extra.replace(english, japanese)
    return f" {extra}"


def _rows(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    for head, text in rows:
        yield f"  {head}"
        yield from _wrap(text, "      ")


def _wrap(text: str, indent: str) -> list[str]:
    """Break a text into lines of at most `_WIDTH` columns: beside wide characters, and at spaces."""
    lines, line = [], ""
    for word in re.findall(r"[\x21-\x7e]+ ?|.", inspect.cleandoc(text).replace("\n", "")):
        if line and _columns(indent + line + word.rstrip()) > _WIDTH and word not in "。、）」…":
            lines.append(indent + line.rstrip())
            line = ""
        line += word
    return [*lines, indent + line.rstrip()]


def _columns(text: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
