"""Answer gateways that ask for a part of a room's log; ARCHITECTURE.md, "Gaps and replay"."""

from collections.abc import Callable, Sequence

from tsudoi.protocol import backbone

from ..store.interface import Chunk
from .directory import Directory

REPLAY_SIZE = 2**18
"""Characters of the texts in one answer; for more, the gateway asks again."""


def answer(
    directory: Directory, question: backbone.Replay, read: Callable[[int, int, int], Sequence[Chunk]]
) -> backbone.Replayed:
    """Return the answer to a replay; `read` is `Store.read`."""
    room = directory.known_room(question.room)
    # Entries of the turn that is being collected have positions already, but are not committed yet.
    epoch, last = (room.epoch, directory.last_taken(room)) if room else (0, 0)
    # Offsets of another epoch mean nothing in this one.
    after = question.after if room is None or room.epoch == question.epoch else 0
    chunks = read(question.room, after, question.limit)
    news = [backbone.parse_news_untrusted(chunk.news) for chunk in chunks]
    entries = [entry for each in news for entry in each.entries if entry.offset > after][: question.limit]
    if len(entries) < question.limit:
        # The store has no more. Later entries of the directory are being committed, and will be published then.
        last = min(last, chunks[-1].last if chunks else after)
    size = 0
    for count, entry in enumerate(entries):
        size += len(entry.text)
        if size > REPLAY_SIZE and count:
            del entries[count:]
            break
    first = entries[0].offset if entries else last + 1
    return backbone.Replayed(question.room, epoch, first, last, entries)
