"""Read the settings again while the program runs, apply those that can change, and report what that did.

The report says nothing that is not so: a setting is *changed* if it holds for everything from now on, members who are
there already included. Settings are named by their flags, as in the configuration file.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import click

from ..protocol.errors import SettingError
from .settings import each_setting


@dataclass(slots=True)
class Report:
    """What a reload did; each list has flags' names without the dashes."""

    changed: list[str] = field(default_factory=list)
    """They hold from now on."""
    for_new_members: list[str] = field(default_factory=list)
    """They hold for members that join from now on."""
    needs_restart: list[str] = field(default_factory=list)
    """They differ from what the program uses, and will be used after a restart."""
    overridden: list[str] = field(default_factory=list)
    """They stand in the file and are not used: a flag or a variable gives another value."""


Apply = Callable[[], Report]
"""Applies settings that have been read and checked; can not fail."""


def reload(logger: Any, parts: Sequence[tuple[str, Callable[[], Apply]]]) -> bool:
    """Read the settings of all parts of this program again, then apply and log them; all parts or none.

    Each part is its name for the log, and a function that reads and checks, and raises SettingError or
    click.ClickException. Lines are warnings: they answer an operator's signal, whatever `--log-level` is.

    Returns:
        False if there is a mistake in the settings; then nothing has changed.
    """
    try:
        prepared = [(what, prepare()) for what, prepare in parts]
    except (SettingError, click.ClickException) as exc:
        why = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
        logger.error("not reloaded, all stays as it was", why=why)
        return False
    for what, apply in prepared:
        report = apply()
        more = {
            name: ", ".join(flags)
            for name, flags in (("for_new_members", report.for_new_members), ("overridden", report.overridden))
            if flags
        }
        logger.warning(
            f"{what} reloaded",
            changed=", ".join(report.changed) or "nothing",
            needs_restart=", ".join(report.needs_restart) or "nothing",
            **more,
        )
    return True


def differing(old: Any, new: Any, but: Collection[str] = ()) -> list[str]:
    """Return the names of the fields in which two dataclasses of one kind differ, without those in `but`."""
    return [
        field.name
        for field in fields(old)
        if field.name not in but and getattr(old, field.name) != getattr(new, field.name)
    ]


def take_over(settings: Any, new: Any, fixed: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """Change `settings` into `new` in place, but for the fields that can not change while the program runs.

    Returns:
        (names of the fields that changed, names of those that differ and are fixed)
    """
    changed = differing(settings, new, fixed)
    left = [name for name in differing(settings, new) if name in fixed]
    for name in changed:
        setattr(settings, name, getattr(new, name))
    return changed, left


def flags(config: type, names: Collection[str]) -> list[str]:
    """Return the flags of fields of a dataclass with settings, without dashes; raise KeyError for another field."""
    flag_of = {each.name: each.flag.removeprefix("--") for each in each_setting(config)}
    return [flag_of[name] for name in names]
