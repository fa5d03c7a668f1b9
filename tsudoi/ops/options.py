"""Make command-line options from settings, and the options --config and --check-config.

A setting is taken from its flag, else from its environment variable, else from the configuration file, else it has its
default.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from click.core import ParameterSource

from ..protocol.errors import InvalidName, SettingError
from . import configfile
from .settings import MANY, Setting, each_setting

GROUP = {"show_default": True}
"""Context settings of a program's group of commands. Without click's `auto_envvar_prefix`, which would also read
variables for flags of subcommands and for hidden flags."""

Command = TypeVar("Command", bound=Callable[..., Any])


class Number(click.FloatRange):
    """A number from `min` to a billion; click alone lets inf and nan through."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not number <= MANY:
            self.fail(f"{value} is not a number up to {MANY:,}", param, ctx)
        return number


class Whole(click.IntRange):
    """A whole number, called so in messages: click says "integer range"."""

    name = "whole number"


class Parsed(click.ParamType[Any]):
    """A text that a function makes a value of; its SettingError becomes click's error of one line."""

    def __init__(self, parse: Callable[[str], Any], metavar: str | None = None) -> None:
        """`metavar` is the form of the text, for `--help`."""
        self._parse = parse
        self.name = metavar or "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except (SettingError, InvalidName) as exc:
            self.fail(str(exc), param, ctx)


class MarkdownOption(click.Option):
    """An option whose help is Markdown: code is in backquotes in docs/settings.md, and without them in `--help`."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0], record[1].replace("`", ""))

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return what an error names: the variable if the value came from it, else the flag."""
        is_variable = ctx is not None and ctx.get_parameter_source(self.name or "") is ParameterSource.ENVIRONMENT
        return f"'{self.envvar}'" if is_variable else click.Parameter.get_error_hint(self, ctx)


def settings_options(config: type) -> Callable[[Command], Command]:
    """Return a decorator that adds an option for each setting of a dataclass; see `settings.build`."""

    def decorate(command: Command) -> Command:
        for each in reversed(list(each_setting(config))):
            command = _option(each)(command)
        return command

    return decorate


def _option(each: Setting) -> Callable[[Command], Command]:
    is_flag = each.kind is bool
    return click.option(
        each.flag,
        each.parameter,
        cls=MarkdownOption,
        type=None if is_flag else _type(each),
        is_flag=is_flag,
        multiple=each.is_many,
        default=False if is_flag else each.default,
        metavar=None if is_flag else each.metavar,
        envvar=each.variable or None,
        show_envvar=True,
        show_default=each.default != "",
        hidden=each.is_hidden,
        help=each.help,
    )


def _type(each: Setting) -> click.ParamType[Any]:
    if each.parse is not None:
        return Parsed(each.parse, each.metavar)
    if get_origin(each.kind) is Literal:
        return click.Choice(get_args(each.kind))
    if each.kind is int:
        return Whole(int(each.at_least), int(each.at_most))
    if each.kind is float:
        return Number(each.at_least, each.at_most)
    if each.kind is Path:
        return click.Path(file_okay=not each.is_folder, dir_okay=each.is_folder, path_type=Path)
    assert each.kind is str, f"{each.name} is {each.kind}"
    return click.STRING


def config_option(program: str) -> Callable[[Command], Command]:
    """Return the option --config, which names the configuration file."""

    def read(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
        if path is not None:
            try:
                context.default_map = _from_file(context, path, program)
            except SettingError as exc:
                raise click.UsageError(str(exc)) from exc
        return path

    return click.option(
        "--config",
        cls=MarkdownOption,
        type=click.Path(path_type=Path),
        is_eager=True,
        callback=read,
        envvar="TSUDOI_CONFIG",
        show_envvar=True,
        metavar="FILE",
        help=f"TOML: settings by the names of these flags in a table `[{program}]`. Flags and variables win. SIGHUP"
        " reads it again.",
    )


def overridden(context: click.Context) -> tuple[str, ...]:
    """Return the settings of the configuration file that are not used, since a flag or a variable wins; by flag."""
    stronger = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    from_file = context.default_map or {}
    return tuple(
        parameter.opts[0].removeprefix("--")
        for parameter in context.command.params
        if parameter.name in from_file and context.get_parameter_source(parameter.name) in stronger
    )


def given_below_flags(context: click.Context, name: str) -> Iterator[tuple[str, str]]:
    """Yield what the variable and the configuration file say of a parameter, used or not, as (where, text)."""
    (option,) = (each for each in context.command.params if each.name == name)
    if (text := option.resolve_envvar_value(context)) is not None:
        yield str(option.envvar), text
    if name in (context.default_map or {}):
        yield f"[{context.command.name}] {option.opts[0].removeprefix('--')}", str((context.default_map or {})[name])


def check_config_option() -> Callable[[Command], Command]:
    return click.option(
        "--check-config", is_flag=True, help="Check all settings and exit: status 0, or 2 with what is wrong."
    )


def _from_file(context: click.Context, path: Path, program: str) -> dict[str, Any]:
    """Return the parameters that a file sets, each checked as a flag is; raise SettingError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors on Windows write a byte order mark
    except OSError as exc:
        raise SettingError(f"can not read {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingError(f"{path}:{exc.object[: exc.start].count(10) + 1}: this is not UTF-8") from exc
    parameters = {
        option.opts[0].removeprefix("--"): option
        for option in context.command.params
        if isinstance(option, click.Option)
        and not option.hidden
        and option.name not in ("config", "check_config", "help")
    }
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for entry in configfile.parse(text, str(path), program):
        option = parameters.get(entry.key)
        try:
            if option is None or option.name is None:
                raise configfile.unknown(entry, list(parameters))
            _check(context, option, entry)
        except SettingError as exc:
            mistakes.append(str(exc))
        else:
            values[option.name] = _listed(option, entry.value)
    if mistakes:
        raise SettingError("; ".join(mistakes))
    return values


def _check(context: click.Context, option: click.Option, entry: configfile.FileSetting) -> None:
    """Raise SettingError if the flag refuses the value, or if the value has another type of TOML's."""
    wanted, kinds = _toml_types(option)
    listed = _listed(option, entry.value)
    if not all(type(value) in kinds for value in (listed if option.multiple else [listed])):
        raise entry.error(f"{entry.value!r} is not {wanted}")
    try:
        value = option.type_cast_value(context, listed)
        # A file is there to be read; a folder may be made later.
        if isinstance(option.type, click.Path) and not option.type.dir_okay:
            value.open("rb").close()
    except click.BadParameter as exc:
        raise entry.error(exc.message.rstrip(".")) from exc
    except OSError as exc:
        raise entry.error(f"can not read {exc.filename}: {exc.strerror}") from exc
    except ValueError as exc:
        # Python's words for it differ between versions.
        raise entry.error(f"{entry.value!r} has a null character, as no path has") from exc


def _listed(option: click.Option, value: Any) -> Any:
    """Return the value of an option; a single one of an option that takes several becomes a list."""
    return [value] if option.multiple and not isinstance(value, list) else value


def _toml_types(option: click.Option) -> tuple[str, tuple[type, ...]]:
    if option.multiple:
        return 'a list of texts: ["…"]', (str,)
    if option.is_flag:
        return "true or false", (bool,)
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number", (int,)
    if isinstance(option.type, click.types.FloatParamType):
        return "a number", (int, float)
    return 'a text: "…"', (str,)
