"""What the command lines of gateway and broker share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from tsudoi.ops import configfile
from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.protocol.errors import SettingError

MANY = 1_000_000_000
NOT_IN_FILES = ("config", "check_config", "help")

Command = TypeVar("Command", bound=Callable[..., Any])


class Number(click.FloatRange):
    """A number from `min` to a billion; click alone lets inf and nan through."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        number = float(super().convert(value, param, ctx))
        if not number <= MANY:
            self.fail(f"{value} is not a number up to {MANY:,}", param, ctx)
        return number


class HostPortType(click.ParamType[HostPort]):
    """HOST:PORT."""

    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> HostPort:
        """See click."""
        if isinstance(value, HostPort):
            return value
        try:
            return parse_host_port(str(value))
        except SettingError as exc:
            self.fail(str(exc), param, ctx)


def config_option(program: str) -> Callable[[Command], Command]:
    """Return the option --config: a file whose settings count where neither flag nor environment says otherwise."""

    def read(context: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
        if path is not None:
            try:
                context.default_map = _from_file(context, path, program)
            except SettingError as exc:
                raise click.UsageError(str(exc)) from exc
        return path

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        callback=read,
        show_envvar=True,
        metavar="FILE",
        help=f"TOML: settings by the names of these flags in a table [{program}]. Flags and variables win. SIGHUP reads"
        " it again.",
    )


def check_config_option() -> Callable[[Command], Command]:
    """Return the option --check-config."""
    return click.option(
        "--check-config", is_flag=True, help="Say whether all settings are fine, and go: exit status 0 or 2."
    )


def _from_file(context: click.Context, path: Path, program: str) -> dict[str, Any]:
    """Return the parameters that a file sets, each checked as a flag would be; raises SettingError."""
    try:
        with path.open("rb") as file:
            raw = file.read(configfile.MAX_SIZE + 1)
    except OSError as exc:
        raise SettingError(f"can not read {path}: {exc.strerror}") from exc
    if len(raw) > configfile.MAX_SIZE:
        raise SettingError(f"{path} has more than {configfile.MAX_SIZE} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as exc:
        raise SettingError(f"{path}:{raw[: exc.start].count(10) + 1}: this is not UTF-8") from exc
    parameters = {
        option.opts[0].removeprefix("--"): option
        for option in context.command.params
        if isinstance(option, click.Option) and not option.hidden and option.name not in NOT_IN_FILES
    }
    values: dict[str, Any] = {}
    for entry in configfile.parse(text, str(path), program):
        option = parameters.get(entry.key)
        if option is None or option.name is None:
            raise configfile.unknown(entry, list(parameters))
        _check(context, option, entry)
        values[option.name] = entry.value
    return values


def _check(context: click.Context, option: click.Option, entry: configfile.Entry) -> None:
    """Raise SettingError if a flag would not take the value, or if it is of another kind of TOML's."""
    wanted, kinds = _kinds(option)
    values = entry.value if option.multiple and isinstance(entry.value, list) else [entry.value]
    if (option.multiple and not isinstance(entry.value, list)) or not all(type(value) in kinds for value in values):
        raise entry.error(f"{entry.value!r} is not {wanted}")
    try:
        value = option.type_cast_value(context, entry.value)
        if option.callback is not None:
            option.callback(context, option, value)
        # A file to be read; a folder may be made yet.
        if isinstance(option.type, click.Path) and not option.type.dir_okay:
            value.open("rb").close()
    except click.BadParameter as exc:
        raise entry.error(exc.message.rstrip(".")) from exc
    except OSError as exc:
        raise entry.error(f"can not read {exc.filename}: {exc.strerror}") from exc
    except ValueError as exc:
        # Versions of Python have other words for it.
        raise entry.error(f"{entry.value!r} has a null character, as no path has") from exc


def _kinds(option: click.Option) -> tuple[str, tuple[type, ...]]:
    if option.multiple:
        return 'a list of texts: ["…"]', (str,)
    if option.is_flag:
        return "true or false", (bool,)
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number", (int,)
    if isinstance(option.type, click.types.FloatParamType):
        return "a number", (int, float)
    return 'a text: "…"', (str,)
