"""Where a line stands in a room: by its position in the room's log, own lines that wait for one at the end."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from .items import Items
from .model import MAX_ITEMS, Item, Mark, Note, Room, Speech, SpeechKind

NEW_LOG = 100
"""A line that would stand this many lines further up is not late: the positions have begun anew."""


def add(items: Items, item: Item) -> Items:
    """Return the items with a new one at its place; unchanged if it is there already.

    A line of the user that comes back, in dialects that echo, takes the place of the one that was sent.
    """
    if isinstance(item, Speech) and item.mark is not Mark.NONE and item.number == 0:
        items, item = _claim(items, item)
    if isinstance(item, Speech) and item.mark is Mark.WAITING:
        return _bounded(items.append(item))
    end = _waiting_from(items)
    place = end
    if item.offset is not None and (last := _newest(items, end)) is not None and item.offset <= last:
        place = _place(items, end, item.offset)
        if _is_there(items, place, item):
            return items
        if end - place > NEW_LOG:
            items, place = forget_positions(items), end
    longer = items.append(item) if place == len(items) else Items((*items[:place], item, *items[place:]))
    return _bounded(longer)


def add_past(items: Items, past: Iterable[Speech]) -> Items:
    """Return the items with lines from before; a line of the user that was sent without receipt is found among them."""
    known = {item.offset for item in items if isinstance(item, Speech)}
    for line in past:
        assert line.offset is not None
        if line.offset in known:
            continue
        if line.mark is not Mark.NONE:
            items, line = _claim(items, line)
        place = _by_time(items, _place(items, _waiting_from(items), line.offset or 0), line)
        items = Items((*items[:place], line, *items[place:]))
    return items


def keep(items: Items, number: int, offset: int | None, at: datetime) -> Items:
    """Return the items with the user's line `number` marked as kept, at `offset`; None: it stays where it is.

    One that has waited stands below lines that came meanwhile, so its time is that of now, as theirs is. A whisper is
    removed: the server sends it back when it was delivered, and does not if no member has that name.
    """
    found = _line(items, number)
    if found is None or found[1].mark is Mark.KEPT:  # it came back before
        return items
    place, line = found
    rest = Items((*items[:place], *items[place + 1 :]))
    if line.kind is SpeechKind.WHISPERED:
        return rest
    return add(rest, replace(line, mark=Mark.KEPT, offset=offset, at=at))


def mark(items: Items, number: int, mark: Mark, why: str = "") -> Items:
    """Return the items with an own line marked."""
    if (found := _line(items, number)) is None:
        return items
    place, line = found
    return Items((*items[:place], replace(line, mark=mark, why=why), *items[place + 1 :]))


def _line(items: Items, number: int) -> tuple[int, Speech] | None:
    """Return the place of an own line, and the line; it is one of the last."""
    for place in range(len(items) - 1, -1, -1):
        if isinstance(item := items[place], Speech) and item.number == number:
            return place, item
    return None


def forget_positions(items: Items) -> Items:
    """Return the items without their positions, after the server has lost its log: new ones begin again."""
    return Items(item if item.offset is None else replace(item, offset=None) for item in items)


def oldest(items: Items) -> int | None:
    """Return the lowest position of a line; None if there is none."""
    return next((item.offset for item in items if isinstance(item, Speech) and item.offset is not None), None)


def may_load_before(room: Room) -> int | None:
    """Return the position before which older lines can be loaded; None: none can be asked for."""
    return None if room.ended or room.has_all or not room.may_ask else oldest(room.items)


def _claim(items: Items, line: Speech) -> tuple[Items, Speech]:
    """Take out the user's line that `line` is, as the server has it; return it with the server's position."""
    for at, item in enumerate(items):
        if (
            isinstance(item, Speech)
            and item.number
            and item.offset is None
            and item.mark in (Mark.SENT, Mark.WAITING, Mark.KEPT)
            and (item.text, item.kind) == (line.text, line.kind)
        ):
            rest = Items((*items[:at], *items[at + 1 :]))
            if item.kind is SpeechKind.WHISPERED:
                return rest, line
            return rest, replace(item, mark=Mark.KEPT, offset=line.offset)
    return items, line


def _waiting_from(items: Items) -> int:
    """Return where the own lines begin that wait at the end."""
    at = len(items)
    while at and isinstance(last := items[at - 1], Speech) and last.mark is Mark.WAITING:
        at -= 1
    return at


def _newest(items: Items, end: int) -> int | None:
    """Return the position of the last one of the items before `end` that has one; None if none has."""
    return next((found for at in range(end - 1, -1, -1) if (found := items[at].offset) is not None), None)


def _place(items: Items, end: int, offset: int) -> int:
    """Return where an item with this position belongs: before the first one with a higher position."""
    place = end
    for at in range(end - 1, -1, -1):
        found = items[at].offset
        if found is None:
            continue
        if found <= offset:
            break
        place = at
    return place


def _by_time(items: Items, end: int, line: Speech) -> int:
    """Return where a line from before belongs among the items without positions that are right before `end`."""
    place = end
    while place and items[place - 1].offset is None and items[place - 1].at > line.at:
        place -= 1
    return place


def _is_there(items: Items, place: int, item: Item) -> bool:
    """Return whether the same item is there: a notice and a line never have the same position, some notices do."""
    return any(
        found.offset == item.offset
        and type(found) is type(item)
        and (isinstance(item, Speech) or (isinstance(found, Note) and found.text == item.text))
        for found in items[max(place - 3, 0) : place]
    )


def _bounded(items: Items) -> Items:
    return Items(items[-MAX_ITEMS:]) if len(items) > MAX_ITEMS + MAX_ITEMS // 10 else items
