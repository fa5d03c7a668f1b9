"""Read the settings again while the program runs, and apply those that can change."""

from collections.abc import Callable, Collection
from dataclasses import fields
from typing import Any, TypeVar

import click

from ..protocol.errors import SettingError
from . import logs

Config = TypeVar("Config")


def reload(logger: Any, read: Callable[[], Config], apply: Callable[[Config], tuple[list[str], list[str]]]) -> bool:
    """Apply the settings as they are now, and log what that did; return False if there is a mistake in them.

    `read` returns a config with `log_level`; it raises SettingError or click.ClickException. `apply` returns the names
    of the settings that changed, and of those that need a restart; it raises SettingError.
    """
    try:
        config = read()
        changed, fixed = apply(config)
    except (SettingError, click.ClickException) as exc:
        why = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
        logger.error("not reloaded, all stays as it was", why=why)
        return False
    logs.set_level(config.log_level)  # type: ignore[attr-defined]
    logger.info("reloaded", changed=", ".join(changed) or "nothing", needs_restart=", ".join(fixed) or "nothing")
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
