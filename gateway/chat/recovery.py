"""Decide what a client that comes back with its position has missed: all of it, or what exactly is lost.

PROTOCOL.md, "WebSocket", and "Version 2".
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tsudoi.protocol.backbone import Answer, Entry, Replay, Replayed

from ..link.requests import OnAnswer
from .members import Member


@dataclass(frozen=True, slots=True)
class Missed:
    """What a client has missed."""

    offset: int
    """The position that it is at now, and its entries follow on."""
    is_complete: bool
    lost: tuple[int, int] | None = None
    """The first and the last offset that are lost; None: none are, or it is not known which."""
    entries: list[Entry] = field(default_factory=list)
    """The first entries behind it, if the log was asked."""


NO_EPOCH = 0
"""Of no room: the broker answers with what the log has of its present epoch alone behind an offset, or behind the end
of the epoch before; and begins no new one, as for a gateway that has seen more than the log has."""

Ask = Callable[[int, Replay, float, OnAnswer], None]
OnMissed = Callable[[Missed | None, float], None]
"""Called once; None: the broker has not answered."""


def recover(
    ask: Ask, member: Member, epoch: str, offset: int, start: int, portion: int, now: float, on_missed: OnMissed
) -> None:
    """Find what came after a client's position.

    Args:
        ask: asks the broker of a shard.
        member: whose client it is.
        epoch: of its position.
        offset: its position.
        start: where it begins if that position means nothing here.
        portion: how many entries to ask the log for at once.
        now: monotonic seconds.
        on_missed: is called at once, or when the broker has answered.
    """
    room = member.room
    if not epoch.isdigit():
        on_missed(Missed(start, False), now)
        return
    if epoch != str(room.epoch):
        # An older store was put in place. The client hears all that its history and the log do not have in common.
        def begun_anew(answer: Answer | None, now: float) -> None:
            if isinstance(answer, Replayed) and answer.epoch == room.epoch:
                on_missed(Missed(answer.first - 1 or start, False), now)  # 0: they have nothing in common
            else:
                on_missed(None, now)

        ask(room.shard, Replay(room.id, NO_EPOCH, offset, 1), now, begun_anew)
        return
    if offset == room.position and room.confirmed and not room.is_stale:
        on_missed(Missed(offset, True), now)
        return
    # Never the client's own offset beyond the log's end: a gateway that names one knows of a later state of the store.
    asked = min(offset, room.position)

    def answered(answer: Answer | None, now: float) -> None:
        if not isinstance(answer, Replayed) or str(answer.epoch) != epoch:
            on_missed(None, now)
        elif offset > answer.last:
            on_missed(Missed(start, False), now)
        else:
            begun = max(answer.first - 1, offset)
            lost = (offset + 1, begun) if begun > offset else None
            entries = [entry for entry in answer.entries if entry.offset > begun]
            on_missed(Missed(begun, lost is None, lost, entries), now)

    ask(room.shard, Replay(room.id, room.epoch, asked, portion), now, answered)
