"""Answers to gateways that ask for a part of a room's log; ARCHITECTURE.md, "Gaps and replay"."""

from collections.abc import Sequence

from tsudoi.protocol import backbone

from ..store.interface import Chunk
from .directory import Directory

REPLAY_SIZE = 2**18
"""Characters of the texts in one answer; for more, the gateway asks again."""


def replay_after(directory: Directory, question: backbone.Replay) -> int:
    """Return the offset after which to read the log: offsets of another epoch mean nothing in this one."""
    room = directory.known_room(question.room)
    return question.after if room is None or room.epoch == question.epoch else 0


def replayed(directory: Directory, question: backbone.Replay, chunks: Sequence[Chunk]) -> backbone.Replayed:
    """Return the answer to a replay, given the chunks that the store has."""
    room = directory.known_room(question.room)
    # Entries of the turn that is being collected have positions already, and nobody may see them yet.
    epoch, last = (room.epoch, directory.last_taken(room)) if room else (0, 0)
    after = replay_after(directory, question)
    news = [backbone.parse_news_untrusted(chunk.news) for chunk in chunks]
    entries = [entry for each in news for entry in each.entries if entry.offset > after][: question.limit]
    if len(entries) < question.limit:
        # The store has no more. What the directory has after that is being committed, and will be published then.
        last = min(last, chunks[-1].last if chunks else after)
    if sum(len(chunk.news) for chunk in chunks) > REPLAY_SIZE:
        size = 0
        for count, entry in enumerate(entries):
            size += len(entry.text)
            if size > REPLAY_SIZE and count:
                del entries[count:]
                break
    first = entries[0].offset if entries else last + 1
    return backbone.Replayed(question.room, epoch, first, last, entries)
