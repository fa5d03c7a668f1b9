"""Translate between the broker's rows and the PostgreSQL engine's: the values of a commit, and what a load reads."""

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from .interface import Batch, Chunk, MemberRow, PostRow, Restriction, RoomRow
from .unfolded_turns import UnfoldedTurns, encode_turn

_ROOM = tuple(column.name for column in fields(RoomRow))
_MEMBER = tuple(column.name for column in fields(MemberRow))
_room_values = operator.attrgetter(*_ROOM)
_member_values = operator.attrgetter(*_MEMBER)
_post_values = operator.attrgetter(*(column.name for column in fields(PostRow)))
_restriction_values = operator.attrgetter(*(column.name for column in fields(Restriction)))

ROW_SIZE: Final = 2**14
"""Bytes of news in one row of the table `log`. A read of one chunk reads the row; with a row for each chunk there
would be ten times as many rows to delete and to vacuum under load."""
COMMIT: Final = "SELECT commit_turns($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
FOLD: Final = "SELECT fold_alone($1, $2, $3, $4, $5)"
NOTHING: Final[tuple[Any, ...]] = ([], False, *([],) * 14)
"""The values of a commit of nothing."""
READ: Final = """
-- The rows that hold the first $4 entries after $3; their chunks may have more.
SELECT firsts, lasts, times, news FROM (
    SELECT *, sum(last - greatest(first - 1, $3)) OVER (ORDER BY last) - (last - greatest(first - 1, $3)) AS before
    FROM log WHERE shard = $1 AND room = $2 AND last > $3 ORDER BY last LIMIT $4
) AS rows WHERE before < $4 ORDER BY last
"""
TRIM: Final = "SELECT room, first, is_left FROM trim_logs($1, $2, $3, $4, $5, $6, $7)"
TURNS: Final = "SELECT body FROM turns WHERE shard=$1 ORDER BY number"
ROOMS: Final = f"SELECT {', '.join(_ROOM)} FROM rooms WHERE shard=$1 ORDER BY created_ms, id"
MEMBERS: Final = f"SELECT {', '.join(_MEMBER)} FROM members WHERE shard=$1 ORDER BY id"
ACCEPTED: Final = "SELECT gateway, number FROM accepted WHERE shard=$1"
DELIVERED: Final = 'SELECT room, gateway, "offset" FROM delivered WHERE shard=$1'
RESTRICTIONS: Final = "SELECT room, kind, name, ip, until_ms FROM restrictions WHERE shard=$1"
POSTS: Final = 'SELECT key, room, epoch, "offset", text_hash, at_ms FROM posts WHERE shard=$1 ORDER BY at_ms'
NEWEST: Final = """
-- Many rows: clocks are set back. Few: rows of the log are large.
SELECT max(at_ms) FROM (SELECT at_ms FROM log WHERE shard = $1 ORDER BY since_ms DESC LIMIT 100) AS newest
"""
ENDS: Final = """
-- Jumps from room to room in the index: a log has many more rows than rooms.
WITH RECURSIVE found AS (
    (SELECT room FROM log WHERE shard = $1 ORDER BY room LIMIT 1)
    UNION ALL
    SELECT (SELECT l.room FROM log l WHERE l.shard = $1 AND l.room > found.room ORDER BY l.room LIMIT 1)
    FROM found WHERE found.room IS NOT NULL
)
SELECT found.room,
    (SELECT first FROM log l WHERE l.shard = $1 AND l.room = found.room ORDER BY l.last LIMIT 1),
    (SELECT last FROM log l WHERE l.shard = $1 AND l.room = found.room ORDER BY l.last DESC LIMIT 1)
FROM found WHERE found.room IS NOT NULL
"""


def commit_values(
    terms: Mapping[int, int], batches: Sequence[Batch], folds: Mapping[int, UnfoldedTurns], needs_standby: bool
) -> tuple[Any, ...]:
    """Return the values of `COMMIT`.

    Args:
        terms: of at least all shards of the batches and folds.
        batches: without what they drop themselves (`Batch.without_dropped`).
        folds: the turns of each shard that is folded.
        needs_standby: nothing may be kept while no standby is waited for.
    """
    held = sorted({batch.shard for batch in batches} | set(folds))
    return (
        [(shard, terms[shard]) for shard in held],
        needs_standby,
        [(b.shard, encode_turn(b)) for b in batches if b.chunks or b.accepted or b.delivered],
        [(b.shard, *_room_values(room)) for b in batches for room in b.rooms.values()],
        [(b.shard, *_member_values(member)) for b in batches for member in b.members.values() if member],
        [(b.shard, member_id) for b in batches for member_id, member in b.members.items() if member is None],
        [(b.shard, *_restriction_values(each)) for b in batches for each in b.restrictions.values() if each],
        [(b.shard, *key, 0) for b in batches for key, each in b.restrictions.items() if each is None],
        [(b.shard, *_post_values(post)) for b in batches for post in b.posts.values() if post],
        [(b.shard, key) for b in batches for key, post in b.posts.items() if post is None],
        *_folded(folds),
        [(b.shard, room) for b in batches for room in b.purged],
        [(b.shard, gateway) for b in batches for gateway in b.forgotten],
    )


def fold_values(terms: Mapping[int, int], folds: Mapping[int, UnfoldedTurns]) -> tuple[Any, ...]:
    """Return the values of `FOLD`; the arguments are those of `commit_values`."""
    return [(shard, terms[shard]) for shard in sorted(folds)], *_folded(folds)


def _folded(folds: Mapping[int, UnfoldedTurns]) -> tuple[Any, ...]:
    return (
        list(folds),
        [row for shard, turns in folds.items() for row in log_rows(shard, turns)],
        [(shard, *each) for shard, turns in folds.items() for each in turns.accepted.items()],
        [(shard, *key, offset) for shard, turns in folds.items() for key, offset in turns.delivered.items()],
    )


def log_rows(shard: int, turns: UnfoldedTurns) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table `log` to which turns are folded: the chunks of a room, several in a row."""
    for chunks in turns.chunks.values():
        start = size = 0
        for at, chunk in enumerate(chunks):
            if at > start and size + len(chunk.news) > ROW_SIZE:
                yield _log_row(shard, chunks[start:at])
                start, size = at, 0
            size += len(chunk.news)
        yield _log_row(shard, chunks[start:])


def _log_row(shard: int, chunks: Sequence[Chunk]) -> tuple[Any, ...]:
    rooms, firsts, lasts, times, news = zip(*chunks, strict=True)
    return shard, rooms[0], firsts[0], lasts[-1], times[0], max(times), firsts, lasts, times, news


def chunks_of(room: int, rows: Iterable[Sequence[Any]]) -> Iterator[Chunk]:
    """Yield the chunks in rows of `READ`."""
    for row in rows:
        for first, last, at_ms, news in zip(*row, strict=True):
            yield Chunk(room, first, last, at_ms, news)
