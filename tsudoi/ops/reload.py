"""What a reload changes: compares settings, and takes over what can be changed while the program runs."""

from collections.abc import Collection
from dataclasses import fields
from typing import Any


def differing(old: Any, new: Any, but: Collection[str] = ()) -> list[str]:
    """Return the names of the fields in which two dataclasses of one kind differ, but for some."""
    return [
        field.name
        for field in fields(old)
        if field.name not in but and getattr(old, field.name) != getattr(new, field.name)
    ]


def take_over(settings: Any, new: Any, fixed: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """Let `settings` be as `new`, but for fields that can not change while the program runs.

    Returns:
        (names of the fields that changed, names of those that would have, but are fixed)
    """
    changed = differing(settings, new, fixed)
    left = [name for name in differing(settings, new) if name in fixed]
    for name in changed:
        setattr(settings, name, getattr(new, name))
    return changed, left
