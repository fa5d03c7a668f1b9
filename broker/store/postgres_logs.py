"""What the PostgreSQL engine remembers of the logs of one shard: their ends, and the turns that are not folded yet."""

from collections.abc import Iterable, Mapping
from itertools import islice

from .interface import Batch, Chunk, Snapshot
from .unfolded_turns import UnfoldedTurns


class ShardLogs:
    """Of a shard that this broker owns, from its load on."""

    def __init__(self, snapshot: Snapshot, turns: Iterable[Batch]) -> None:
        """Begin with what is in the tables, and add to it the turns that are not folded into them."""
        self.turns = UnfoldedTurns()
        for turn in turns:
            self.turns.add(turn)
        for room, chunks in self.turns.chunks.items():
            first, _ = snapshot.ends.get(room, (chunks[0].first, 0))
            snapshot.ends[room] = first, chunks[-1].last
            snapshot.newest_ms = max(snapshot.newest_ms, *(chunk.at_ms for chunk in chunks))
        snapshot.accepted.update(self.turns.accepted)
        snapshot.delivered.update(self.turns.delivered)
        self.fullness = self.turns.fullness
        """As in `UnfoldedTurns`; a value, because each commit adds up those of all shards."""
        self._ends = {room: last for room, (_, last) in snapshot.ends.items()}
        """Room id → last offset of its log."""
        self._grown = dict.fromkeys(snapshot.ends)
        """Rooms whose logs in the tables grew since the last trim."""
        self._kept = 0
        """How many entries of each log the last trim kept at least."""
        self.aged_ms = 0
        """The last trim dropped what was older than this; later it would only find it again."""

    def find_conflict(self, chunks: Iterable[Chunk]) -> Chunk | None:
        """Return a chunk whose first entry is in its room's log already."""
        return next((each for each in chunks if each.first <= self._ends.get(each.room, 0)), None)

    def committed(self, batch: Batch, *, has_folded: bool) -> None:
        """Note a turn that is kept, and whether those before it were folded with it."""
        if has_folded:
            self._grown.update(dict.fromkeys(self.turns.chunks))
            self.turns.clear()
        self.turns.add(batch)
        self.fullness = self.turns.fullness
        self._ends.update((chunk.room, chunk.last) for chunk in batch.chunks)
        for room in batch.purged:
            self._ends.pop(room, None)
            self._grown.pop(room, None)

    def to_trim(self, keep: int, most: int) -> list[int]:
        """Return rooms that may have more than `keep` entries, those that grew first come first."""
        if keep < self._kept:
            self._grown.update(dict.fromkeys(self._ends))
        self._kept = keep
        return list(islice(self._grown, most))

    def trimmed(self, rooms: Iterable[int], aged_ms: int, left: Iterable[int]) -> None:
        """Note that rooms were trimmed, except those that are left, and up to which time all logs were."""
        for room in rooms:
            self._grown.pop(room, None)
        self._grown.update(dict.fromkeys(left))
        self.aged_ms = aged_ms


def to_fold(logs: Mapping[int, ShardLogs], needed: Iterable[int]) -> list[int]:
    """Return the shards to fold with the next commit: the needed, and the fullest if all turns together are many.

    All shards together are bounded as the one shard of a file is, so that a trim, which folds all, takes as long.
    """
    folds = set(needed)
    total = sum([each.fullness for each in logs.values()])
    if total >= 1:
        for shard in sorted(logs.keys() - folds, key=lambda shard: -logs[shard].fullness):
            if total <= 1 / 2:
                break
            folds.add(shard)
            total -= logs[shard].fullness
    return sorted(folds)
