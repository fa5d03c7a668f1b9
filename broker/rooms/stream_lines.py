"""Decide on lines that clients number; PROTOCOL.md, "WebSocket", and "Version 2".

They send a line again when they do not know whether it was kept. The number of a member's last line is kept in the same
commit as the line.
"""

from collections.abc import Sequence

from tsudoi.protocol.backbone import Item, Posted, Say
from tsudoi.protocol.client.refusals import MUTED, lasting
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import Muted, PeerError, RoomNotFound

from . import commands
from .bans_and_mutes import minutes_left
from .directory import Directory
from .received_text import received_text
from .room_and_member import Member

NUMBERS = 2**63
"""Numbers of lines are below this, as all numbers of frames: a gateway that was taken over may send others."""


class LineMissing(PeerError):
    """The line that this one names is not kept (yet); answered *busy*, so that the client sends it again."""

    status = Status.BUSY


def say(directory: Directory, member: Member | None, line: Say, peer: str, wall_ms: int) -> Posted:
    """Say a line, or carry out a command, of a member that the gateway `peer` serves.

    Raises:
        RoomNotFound: the member is not there, or not this gateway's: whether the line is kept is not known.
        Muted: the member is muted.
        PeerError: the text is empty, its number is lower than that of a line before it, or its room is closed.
        LineMissing: the line before it is not kept.
    """
    if member is None or member.room.id != line.room or not member.may_come_from(peer):
        raise RoomNotFound
    room, number = member.room, line.number
    if number and number <= member.said:
        if number == member.said or line.after is not None:
            return Posted(member.name, room.epoch, 0, True)
        raise PeerError("a line with a higher number is kept already: numbers must grow")
    if room.closed_ms:
        raise PeerError("the room is closed: this was not said")
    if line.after is not None and not is_next(member, number, line.after):
        raise LineMissing  # the line before it is not kept here
    text = received_text(line.text)
    if not text and not (line.is_command and line.after is not None):
        raise PeerError("the text is empty")
    if not text:
        pass  # it was answered by the gateway
    elif member.muted_until_ms > wall_ms and (not line.is_command or commands.speaks(text)):
        raise Muted(lasting(MUTED, minutes_left(member.muted_until_ms, wall_ms)))
    elif line.is_command:
        with directory.records.caused_by(number):
            commands.execute(directory, member, text, wall_ms)
    else:
        directory.say(member, (text,), wall_ms, number)
    if number:
        directory.records.note_number(member, number)
    return Posted(member.name, room.epoch, room.last, True)


def is_next(member: Member, number: int, after: int) -> bool:
    """Return whether a line follows directly on the member's last line that is kept."""
    return after == member.said < number


def new_lines(member: Member, item: Item) -> tuple[int, Sequence[str]]:
    """Return the texts of a numbered item's lines that are to be kept, and the number of the first.

    These are the ones behind the member's last line that is kept; none if the first does not follow.
    """
    number, texts = item.code, (item.text, *item.more)
    if number + len(texts) > NUMBERS:
        return 0, ()
    if is_next(member, number, item.after):
        return number, texts
    known = member.said - number + 1
    return number + known, texts[known:] if known > 0 else ()
