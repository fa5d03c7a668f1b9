"""Report to the directory how far each room was delivered: after a crash another gateway continues there.

Members then receive again what was delivered since the last report.
"""

from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Delivered

from .members import Room
from .outbound import Component

REPORT_S = 0.25
"""The least time between two reports."""
FEW_ROOMS, REPORT_FEW_S = 16, 0.02
"""The same while few rooms have deliveries: such a report is cheap."""


@dataclass(slots=True, eq=False)
class DeliveryReports(Component):
    """Collects the rooms with deliveries since the last report."""

    _moved: dict[int, Room] = field(default_factory=dict)
    _reported_at: float = 0.0

    def note(self, room: Room) -> None:
        """Add a room to the next report: it has deliveries, or its last report may be lost."""
        self._moved[room.id] = room

    def report_if_due(self, now: float) -> None:
        """Report if the last report is long enough ago."""
        if self._moved:
            pause_s = REPORT_S if len(self._moved) > FEW_ROOMS else REPORT_FEW_S
            if now - self._reported_at >= pause_s:
                self._reported_at = now
                self.report()

    def report(self) -> None:
        """Report now."""
        by_shard: dict[int, list[tuple[int, int, int]]] = {}
        for room in self._moved.values():
            if room.members:
                by_shard.setdefault(room.shard, []).append((room.id, room.epoch, room.position))
        self._moved.clear()
        for shard, positions in by_shard.items():
            self.out.notify(shard, Delivered(positions))
