"""Number the name of a member whose wished name another member has: alice, alice#2, alice#3."""

from tsudoi.ops.bounded import put_newest
from tsudoi.protocol.names import UserName, numbered_name

from .room_and_member import Room

NUMBERS = 1_000
"""Wished names of a room whose last number is remembered; for others the search begins at 2."""


def free_name(room: Room, wished: UserName) -> UserName:
    """Return the wished name, with a number if another member of the room has it."""
    name, number = wished, room.numbers.get(wished, 1)
    while room.is_taken(name):
        number += 1
        name = numbered_name(wished, number)
    if name != wished:
        put_newest(room.numbers, wished, number, NUMBERS)
    return name
