"""Groups of live members with streams: what a turn has for a room is one frame, encoded once and written to each.

`fan_out` only collects; the frame is written by `flush`: when the turn of the event loop ends, before the group
changes, and before anything is sent to one member alone. So each stream has all in order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from .collecting import Collecting
from .members import Member, Stream

MAX_COLLECTED = 65_536
"""Bytes that are collected at most: a repaired gap must not become one frame of megabytes."""


@dataclass(slots=True, eq=False)
class PendingGroups:
    """The groups that have something to write."""

    encode: Callable[[bytes], bytes]
    """Makes a frame of a payload."""
    schedule: Callable[[], object]
    """Is called when there is something to write, once until the next `flush`."""
    _groups: list["StreamGroup"] = field(default_factory=list)

    def add(self, group: "StreamGroup") -> None:
        """Note that a group has something to write."""
        if not self._groups:
            self.schedule()
        self._groups.append(group)

    def flush(self) -> None:
        """Let all groups write."""
        groups, self._groups = self._groups, []
        for group in groups:
            group.flush()


class FrameStream(Stream, Protocol):
    """A stream of frames, which may be the same bytes for many."""

    @property
    def write(self) -> Callable[[bytes], object]:
        """What writes the bytes of a frame."""


class StreamGroup(Collecting):
    """Streams that get the same payloads."""

    __slots__ = ("_payloads", "_pending", "_size", "_writes")

    def __init__(self, pending: PendingGroups) -> None:
        """Begin without members."""
        self._pending = pending
        self._writes: dict[int, Callable[[bytes], object]] = {}
        """By member id. Writing changes no group: what follows from it is put off."""
        self._payloads: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._writes)

    def add(self, member: Member, address: bytes) -> None:
        """Add a member that has a stream."""
        self.flush()
        self._writes[member.id] = cast(FrameStream, member.stream).write

    def remove(self, member: Member) -> None:
        """Remove a member."""
        self.flush()
        del self._writes[member.id]

    def address_in(self, slot: int) -> bytes:
        """Raise LookupError: streams have no addresses."""
        raise LookupError(slot)

    def collect(self, payloads: Sequence[bytes]) -> None:
        """Send payloads to all, in the next frame."""
        if not self._payloads:
            self._pending.add(self)
        self._payloads += payloads
        self._size += sum(map(len, payloads))
        if self._size > MAX_COLLECTED:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if not self._payloads:
            return
        frame = self._pending.encode(b"\n".join(self._payloads))
        self._payloads.clear()
        self._size = 0
        for write in self._writes.values():
            write(frame)
