"""What the command lines of gateway and broker share."""

from typing import Any

import click

from ops.place import Place, parse_place
from protocol.errors import SettingError

MANY = 1_000_000_000


class Number(click.FloatRange):
    """A number from `min` to a billion; click alone lets inf and nan through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        number = float(super().convert(value, param, ctx))
        if not number <= MANY:
            self.fail(f"{value} is not a number up to {MANY:,}", param, ctx)
        return number


class PlaceType(click.ParamType[Place]):
    """HOST:PORT."""

    name = "HOST:PORT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """See click."""
        if isinstance(value, Place):
            return value
        try:
            return parse_place(str(value))
        except SettingError as exc:
            self.fail(str(exc), param, ctx)
