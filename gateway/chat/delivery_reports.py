"""Tell the directory how far each room was delivered, for the gateway that goes on with its members after a crash.

A crash repeats to members what was delivered since the last report.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Delivered

from .members import Room
from .outbound import Outbound

REPORT_S = 0.25
"""The least time between two reports."""
FEW_ROOMS, REPORT_FEW_S = 16, 0.02
"""The same while only a few rooms move on: such a report costs little."""


@dataclass(slots=True, eq=False)
class DeliveryReports:
    """Collects the rooms that have moved on since the last report; `now` is monotonic seconds."""

    out: Outbound
    _moved: dict[int, Room] = field(default_factory=dict)
    _reported_at: float = 0.0

    def note(self, room: Room) -> None:
        """Note that a room has moved on."""
        self._moved[room.id] = room

    def repeat(self, rooms: Iterable[Room]) -> None:
        """Report these rooms again: reports may have been lost."""
        self._moved.update((room.id, room) for room in rooms)

    def report_if_due(self, now: float) -> None:
        """Report, if the last report is long enough ago."""
        if self._moved:
            pause_s = REPORT_S if len(self._moved) > FEW_ROOMS else REPORT_FEW_S
            if now - self._reported_at >= pause_s:
                self._reported_at = now
                self.report()

    def report(self) -> None:
        """Report now."""
        positions = [(room.id, room.position) for room in self._moved.values() if room.members]
        self._moved.clear()
        if positions:
            self.out.notify(Delivered(positions))
