"""Ask the brokers, and show the operator the answers: as a table, as JSON, or an error in one line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
import msgspec

from tsudoi.protocol.backbone.admin_frames import Done, Question
from tsudoi.protocol.errors import BackboneError

from .spanning import Brokers, expect
from .tables import Cells, print_table

_A = TypeVar("_A")
_R = TypeVar("_R", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Console:
    """Reaches the broker, or all that share a store, and shows the answers."""

    brokers: Brokers
    as_json: bool

    def ask(self, question: Question, kind: type[_A]) -> _A:
        """Return the answer; raise BackboneError if there is none, or another one than a `kind`."""
        return expect(self.brokers.ask(question), kind)

    def order(self, question: Question, words: str) -> None:
        """Send an order and print the result; `words` may contain {count}."""
        done = self.ask(question, Done)
        if self.as_json:
            print_json({"done": done.count})
        else:
            click.echo(words.format(count=done.count))

    def show(self, what: str, rows: list[_R], cells: Callable[[_R], Cells], empty: str) -> None:
        """Print rows as a table with the `cells` of each, or all fields as JSON."""
        if self.as_json:
            print_json({what: [shown_fields(row) for row in rows]})
        elif not rows:
            click.echo(empty)
        else:
            print_table([cells(row) for row in rows])
        self.check_complete()

    def check_complete(self) -> None:
        """Raise BackboneError if some brokers have not answered: what was shown is without theirs."""
        if missing := self.brokers.unreachable:
            without = "; ".join(f"{endpoint}: {why}" for endpoint, why in missing.items())
            raise BackboneError(f"without the rooms of {without}")


def print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


def shown_fields(row: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a row that mean something outside."""
    # Ids mean nothing outside, and are too large for many readers of JSON.
    return {key: value for key, value in msgspec.structs.asdict(row).items() if key != "id"}
