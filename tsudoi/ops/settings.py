"""Define each setting once, as a dataclass field with its default, bounds, unit and help text.

    @dataclass
    class Settings:
        rate: float = setting(1_000.0, "Messages a second from one member.", at_least=0.1, metavar="PER_SECOND")

`options.py` makes the flag, the environment variable, the key in the configuration file and `--help` of the field;
`docs/settings_tables.py` makes the row in docs/settings.md. Fields without `setting` are not for users.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .host_port import parse_host_port

MANY = 1_000_000_000
"""The largest value of a number that has no other bound."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, from its field."""

    default: Any
    """As on a command line, before `parse`; None: the setting may be absent."""
    help: str
    """What it does, in one or two sentences of Markdown, without the default."""
    flag: str = ""
    """Empty: `--` and the field's name without its unit (`--no-` for a boolean that is True)."""
    parse: Callable[[str], Any] | None = None
    """Makes the field's value from a text, or raises SettingError."""
    metavar: str | None = None
    """The unit, or the form of the text."""
    at_least: float = 1
    at_most: float = MANY
    is_folder: bool = False
    """The path is a folder's, not a file's."""
    envvar: str = ""
    """Empty: TSUDOI_ and the flag's name. One variable never means different things to two programs: a shell that sets
    the client's name must not rename a gateway."""
    is_hidden: bool = False
    """Only programs set it, for each other."""
    # The rest comes from the field.
    name: str = ""
    kind: Any = None
    """The field's type; of an optional field or a tuple, the type of what is in it."""
    is_many: bool = False

    @property
    def parameter(self) -> str:
        """The name of click's parameter."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable; empty if it has none."""
        return "" if self.is_hidden else self.envvar or f"TSUDOI_{self.parameter.upper()}"

    @property
    def is_inverted(self) -> bool:
        """Whether the field is true unless its flag, `--no-NAME`, is given."""
        return self.kind is bool and self.default is True


def setting(default: Any, help: str, **about: Any) -> Any:
    """Return a dataclass field that users can set; `about` is the further content of its `Setting`."""
    found = Setting(default, help, **about)
    value = default
    if found.parse is not None and default is not None:
        value = tuple(map(found.parse, default)) if isinstance(default, tuple) else found.parse(default)
    return field(default=value, metadata={"setting": found})


def each_setting(config: type) -> Iterator[Setting]:
    """Yield the settings of a dataclass, in order, with those of dataclasses that are its fields."""
    hints = get_type_hints(config)
    for each in fields(config):
        kind = hints[each.name]
        if "setting" in each.metadata:
            yield _named(each.metadata["setting"], each.name, kind)
        elif is_dataclass(kind):
            yield from each_setting(kind)  # type: ignore[arg-type]


def _named(about: Setting, name: str, kind: Any) -> Setting:
    is_many = get_origin(kind) is tuple
    if is_many or isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    is_inverted = kind is bool and about.default is True
    flag = about.flag or f"--{'no-' * is_inverted}{name.removesuffix('_s').replace('_', '-')}"
    return replace(about, name=name, kind=kind, is_many=is_many, flag=flag)


def build(config: type[T], given: Mapping[str, Any]) -> T:
    """Return an instance of a dataclass with settings, made of the values of click's parameters."""
    values = {
        each.name: not given[each.parameter] if each.is_inverted else given[each.parameter]
        for each in each_setting(config)
    }
    hints = get_type_hints(config)
    own: dict[str, Any] = {}
    for each in fields(config):  # type: ignore[arg-type]
        if "setting" in each.metadata:
            own[each.name] = values[each.name]
        elif is_dataclass(hints[each.name]):
            own[each.name] = build(hints[each.name], given)
    return config(**own)


# --- the fields that gateway and broker share -------------------------------------------------------------------------


def http_setting(envvar: str = "") -> Any:
    """Return the field `http: HostPort | None`."""
    help = "Serve `GET /healthz` and `GET /metrics` here. Without it they are not served."
    return setting(None, help, parse=parse_host_port, metavar="HOST:PORT", envvar=envvar)


def log_level_setting() -> Any:
    """Return the field `log_level: logs.Level`."""
    levels = "`debug`, `info`, `warning` or `error`"
    return setting(
        "info", f"The least level of log lines that are written: {levels}. SIGUSR1 switches to `debug` and back."
    )


def log_format_setting() -> Any:
    """Return the field `log_format: logs.Format`."""
    return setting("human", "`human`: log lines for people; `json`: one JSON object a line.")
