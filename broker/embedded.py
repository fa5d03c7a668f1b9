"""Find settings that are given in vain to the broker of a service of one command: the gateway has set them.

Passed over in silence, rooms would be looked for where they are not.
"""

from collections.abc import Iterator

import click

from tsudoi.ops.options import given_below_flags
from tsudoi.protocol.backbone.endpoint import INPROC
from tsudoi.protocol.errors import SettingError

from .config import Config
from .store.place import Database, StorePlace, parse_store

SET_BY_GATEWAY = ("bind", "store", "log_level", "log_format")
_OWN_VARIABLES = ("bind", "store")
"""The others' variables are the gateway's, too."""


def is_embedded(config: Config) -> bool:
    """Return whether a gateway has started this broker for itself."""
    return config.exit_with_parent or config.bind.startswith(INPROC)


def unused(context: click.Context, config: Config) -> Iterator[tuple[str, str]]:
    """Yield each setting of the environment or the file that the gateway's flags contradict, and the flag instead.

    Raises:
        SettingError: it is a database, or no place for a store.
    """
    if config.store is None:  # `identify`, which is to keep nothing
        return
    for name in SET_BY_GATEWAY:
        used = context.params[name]
        for where, text in given_below_flags(context, name):
            if not where.startswith("[") and name not in _OWN_VARIABLES:
                continue
            if _place(where, text) != _absolute(config.store) if name == "store" else text != str(used):
                yield where, _flag(name, used)


def _place(where: str, text: str) -> StorePlace:
    try:
        place = parse_store(text)
    except SettingError as exc:
        raise SettingError(f"{where}: {exc}") from exc
    if isinstance(place, Database):
        raise SettingError(
            f"{where}: a gateway without --broker keeps its rooms in its --data; for a database start"
            " `python -m broker`, and the gateway with --broker"
        )
    return _absolute(place)


def _absolute(place: StorePlace) -> StorePlace:
    return place if place is None or isinstance(place, Database) else place.absolute()


def _flag(name: str, value: object) -> str:
    if name == "store":
        value = f"sqlite:{value}"
    return f"--{name.replace('_', '-')} {value}"
