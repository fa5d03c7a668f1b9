"""Give rooms and members ids that are never given twice, not even by a broker that has lost its store.

Ids begin with the time. If the clock was set back too, a repetition is improbable: each run of the broker begins each
millisecond with a random number. A shard gives only ids whose remainder is its own number.
"""

TIME_SHIFT = 16


class Ids:
    """Ids begin with the milliseconds of their creation, and grow."""

    def __init__(self, first: int = 0, shard: int = 0, shards: int = 1) -> None:
        """Begin each millisecond with the number `first`, of which the last 16 bits count."""
        self._last = 0
        self._first = first & ((1 << TIME_SHIFT) - 1)
        self.shard, self.shards = shard, shards
        """The number of the shard, and how many the store has."""

    def seen(self, used: int) -> None:
        self._last = max(self._last, used)

    def new(self, wall_ms: int) -> int:
        least = max(self._last + 1, wall_ms << TIME_SHIFT | self._first)
        if self.shards > 1:
            least += (self.shard - least) % self.shards
        # CPython allocates room for a carry with a sum, and keeps it; `| 0` copies the number without.
        self._last = least | 0
        return self._last


def created_ms(given: int) -> int:
    """Return when an id was given, in milliseconds of Unix time, as far as the broker's clock was right."""
    return given >> TIME_SHIFT


def first_epoch(room_id: int) -> int:
    """Return the epoch with which a room begins: when it was made, in milliseconds; at least 1.

    So a room that is made again under a name has another epoch, and positions in the room before it are not valid.
    """
    return max(1, created_ms(room_id))
