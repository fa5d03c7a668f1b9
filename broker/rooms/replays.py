"""Answer gateways that ask for a part of a room's log; ARCHITECTURE.md, "Gaps and replay"."""

from collections.abc import Callable, Generator, Sequence

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Entry, Replay

from ..store.interface import Chunk
from .directory import Directory

REPLAY_SIZE = 2**18
"""Characters of the texts in one answer; for more, the gateway asks again. Some 64 of the longest messages."""

Read = Callable[[int, int, int], Sequence[Chunk]]
"""`Store.read` of the room's shard."""

Steps = Generator[tuple[int, int, int], Sequence[Chunk], backbone.Replayed]
"""Yields the arguments of a `Read`, is sent its result, and returns the answer. The directory may change in between."""


def answer(directory: Directory, question: Replay, read: Read) -> backbone.Replayed:
    """Return the answer to a replay. A room that is behind the gateway begins a new epoch first."""
    asking = steps(directory, question)
    try:
        part = next(asking)
        while True:
            part = asking.send(read(*part))
    except StopIteration as done:
        replayed: backbone.Replayed = done.value
        return replayed


def steps(directory: Directory, question: Replay) -> Steps:
    """Return the way to the answer of `answer`, for a log that can not be read at once."""
    after = yield from _shared_until(directory, question)
    room = directory.known_room(question.room)
    epoch = room.epoch if room else 0
    chunks = yield question.room, after, question.limit
    room = directory.known_room(question.room)
    # Entries of the turn that is being collected have positions already, but are not committed yet.
    epoch, last = (epoch, directory.records.last_taken(room)) if room else (0, 0)
    entries = [entry for entry in _entries(chunks) if entry.offset > after][: question.limit]
    if len(entries) < question.limit:
        # The store has no more. Later entries of the directory are being committed, and will be published then.
        last = min(last, chunks[-1].last if chunks else after)
    first = entries[0].offset if entries else last + 1
    return backbone.Replayed(question.room, epoch, first, last, _fitting(entries, question.newest))


def _fitting(entries: list[Entry], newest: bool) -> list[Entry]:
    """Return the first entries, or the last ones, that fit one answer; one of them in any case."""
    size = 0
    for count, entry in enumerate(reversed(entries) if newest else entries):
        size += len(entry.text)
        if size > REPLAY_SIZE and count:
            return entries[-count:] if newest else entries[:count]
    return entries


def _shared_until(directory: Directory, question: Replay) -> Generator[tuple[int, int, int], Sequence[Chunk], int]:
    """Return the offset up to which the gateway has received what is in this log, as far as that is known.

    Two logs have the same entry at an offset if it has the same time.
    """
    after, room = question.after, directory.known_room(question.room)
    entry = None
    if room is not None and question.at_ms and 0 < after <= room.last:
        entries = _entries((yield room.id, after - 1, 1))
        entry = next((each for each in entries if each.offset == after), None)
        room = directory.known_room(question.room)
    if room is None:
        return after
    if entry is not None:
        is_same = entry.at_ms == question.at_ms
    else:
        is_same = question.epoch == room.epoch and after <= room.last
    if is_same:
        return after
    if question.epoch == room.epoch:
        directory.begin_epoch(room)
    return min(after, room.epoch_after)


def _entries(chunks: Sequence[Chunk]) -> list[Entry]:
    return [entry for chunk in chunks for entry in backbone.parse_news_untrusted(chunk.news).entries]
