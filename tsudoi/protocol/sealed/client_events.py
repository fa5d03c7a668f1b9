"""What happens to a member of version 2, as values; `client.SealedClient` returns them."""

from typing import TypeAlias

import msgspec


class Delivered(msgspec.Struct, frozen=True):
    """An entry of the room came: in order, exactly once."""

    offset: int
    line: bytes
    """A message or a notice, as PROTOCOL.md, "Bodies", has it."""
    number: int | None = None
    """Of a message of this member: the number that `say` returned. None: another member's, or a notice."""
    is_own: bool = False
    """A message of this member, or of one that it was before it joined again."""
    cause: int | None = None
    """Of a notice: the number of this member's command that it comes from. None: it comes from none."""


class Told(msgspec.Struct, frozen=True):
    """The server answers this member alone; such an answer may get lost."""

    line: bytes
    """JSON: a notice without a position."""
    cause: int | None = None
    """The number of the command that it answers. None: it answers none."""


class Kept(msgspec.Struct, frozen=True):
    """A line is kept, or its command carried out. Comes once for each line that is not refused, in their order."""

    number: int
    offset: int | None
    """The message's position; None: it is a command, or its entry can not be had any more."""


class LineRefused(msgspec.Struct, frozen=True):
    """A line was not said, and will not be."""

    number: int
    text: str
    """The server's words."""


class Gap(msgspec.Struct, frozen=True):
    """What was at these positions is lost to this member: the log has it no more, or the membership has ended."""

    first: int
    last: int


class Reset(msgspec.Struct, frozen=True):
    """The room's history was lost, or replaced: positions begin anew, and what was missed between is not known."""


class Silent(msgspec.Struct, frozen=True):
    """The server has not answered for some seconds, and is asked at all its addresses."""


class Away(msgspec.Struct, frozen=True):
    """Nothing has come from the server for `link.AWAY_S`, though it was asked. Comes once until `Back`."""


class Back(msgspec.Struct, frozen=True):
    """The server serves this member again."""

    missed: int | None
    """Positions that are lost, which a Gap has told; None: a Reset has."""


class Rerouted(msgspec.Struct, frozen=True):
    """Packets go by TCP from now on, since UDP does not pass; or by UDP again."""

    by_tcp: bool


class Moving(msgspec.Struct, frozen=True):
    """The server stops, and names others: `SealedClient.go_to` one of them now."""

    to: tuple[str, ...]
    """`HOST:TCP:UDP`"""


class Ended(msgspec.Struct, frozen=True):
    """The membership has ended. The last event."""

    reason: str
    """`left`, `closed`, `kicked`, `banned`, `removed`, `idle`, `elsewhere`; `gone`: the service has no such session."""
    text: str
    """The server's words; empty for `gone`."""
    is_whole: bool = False
    """All that this client was to get has come: a message of its own that has not, was not said."""


ClientEvent: TypeAlias = (
    Delivered | Told | Kept | LineRefused | Gap | Reset | Silent | Away | Back | Rerouted | Moving | Ended
)
