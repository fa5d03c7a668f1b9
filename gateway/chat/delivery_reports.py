"""Report to the directory how far each room was delivered: after a crash another gateway continues there.

What was delivered after the last report is then repeated. A report goes with items to the broker if there are some,
because a frame of its own wakes up both ends; else within 40 ms of a delivery, or 250 ms if many rooms have deliveries.
A broker in the same process ends with this gateway, so it gets reports at its tick, in which it stores them.
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

    def report_all(self, shard: int) -> None:
        """Report all rooms of a shard now: the last reports may be lost with its broker.

        Not only when this gateway has reconciled, up to a second later: until then its end would repeat to its members
        what they were sent right before the broker's end.
        """
        for room in self.members.by_shard[shard].values():
            self.note(room)
        self.report()

    def wait_s(self, now: float) -> float | None:
        """Return for how long the next report must wait; not above 0 if it is due, None if there is none."""
        if not self._moved:
            return None
        return self._reported_at - now + (REPORT_S if len(self._moved) > FEW_ROOMS else REPORT_FEW_S)

    def report_if_due(self, now: float) -> None:
        """Report if the last report is long enough ago."""
        wait_s = self.wait_s(now)
        if wait_s is not None and wait_s <= 0:
            self._reported_at = now
            self.report()

    def report(self) -> None:
        """Report now, unless datagrams still wait in this process: they would be lost with it."""
        if self.out.is_behind:
            return
        by_shard: dict[int, list[tuple[int, int, int]]] = {}
        for room in self._moved.values():
            if room.members:
                by_shard.setdefault(room.shard, []).append((room.id, room.epoch, room.position))
        self._moved.clear()
        for shard, positions in by_shard.items():
            self.routes.notify(shard, Delivered(positions))
