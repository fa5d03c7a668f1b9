"""Answer gateways' questions."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from tsudoi.protocol import backbone
from tsudoi.protocol.errors import RoomNotFound

from ..store.interface import FOREVER, RestrictionKind
from .directory import Directory

LISTED = 500
"""Members, rooms or bans in one page. A member reads pages of a few; of rooms, a gateway asks each shard for a few more
than its share."""
LISTED_ROOMS = 1_000
"""Names in one list of rooms; a gateway asks for no more."""

_T = TypeVar("_T")


def positions(directory: Directory, claims: Sequence[tuple[int, int, int, int]]) -> backbone.RoomPositions:
    """Return where rooms stand. One that is behind the gateway begins a new epoch first."""
    for room_id, epoch, offset, at_ms in claims:
        room = directory.rooms.get(room_id)
        if room is not None and room.epoch == epoch and directory.is_behind(room, offset, at_ms):
            directory.begin_epoch(room)
    return backbone.RoomPositions([directory.standing(room_id) for room_id, *_ in claims])


def list_rooms(directory: Directory, limit: int) -> backbone.Rooms:
    """Return the names of the newest rooms, oldest first."""
    newest = list(islice(reversed(directory.by_name.values()), min(max(limit, 1), LISTED_ROOMS)))[::-1]
    return backbone.Rooms([room.name for room in newest], [room.id for room in newest])


def who(directory: Directory, question: backbone.Who, wall_ms: int) -> backbone.Present:
    """Return a page of a room's members: name, whether it is the host, milliseconds since it last sent a message.

    Raises:
        RoomNotFound: the room has closed, or is not known. An empty page would say that it is open and has no members.
    """
    if (room := directory.rooms.get(question.room)) is None:
        raise RoomNotFound
    members = room.members
    page = _page(members.values(), question.skip, question.limit)
    return backbone.Present(len(members), [(m.name, m.is_host, max(wall_ms - m.spoke_ms, 0)) for m in page])


def browse(directory: Directory, question: backbone.Browse) -> backbone.Browsed:
    """Return a page of the rooms: name, number of members, whether it has a password."""
    rooms = directory.by_name
    page = list(_page(rooms.values(), question.skip, question.limit))
    rows: list[tuple[str, int, bool]] = [(room.name, len(room.members), bool(room.password_hash)) for room in page]
    return backbone.Browsed(len(rooms), rows, [room.id for room in page])


def bans(directory: Directory, question: backbone.Bans, wall_ms: int) -> backbone.Banned:
    """Return a page of a room's bans and mutes: name, address, whether it is a mute, until when (0: for good)."""
    held = [each for each in directory.bans_and_mutes.of_room(question.room) if each.until_ms > wall_ms]
    rows = [
        (each.name, each.ip, each.kind == RestrictionKind.MUTE, 0 if each.until_ms == FOREVER else each.until_ms)
        for each in _page(held, question.skip, question.limit)
    ]
    return backbone.Banned(len(held), rows)


def _page(rows: Iterable[_T], skip: int, limit: int) -> Iterator[_T]:
    # Not `skip + limit`: a gateway may name numbers whose sum `islice` does not take.
    return islice(islice(rows, skip, None), min(limit, LISTED))
