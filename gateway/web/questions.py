"""Answer what sessions ask about rooms: history, presence, the list of rooms; PROTOCOL.md, "WebSocket"."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tsudoi.protocol.backbone import Answer, Entry, Present, Replay, Replayed, Who
from tsudoi.protocol.web.codes import Error
from tsudoi.protocol.web.commands import History
from tsudoi.protocol.web.replies import Publication, client_info

from ..chat.members import Member
from ..join.admission import AdmissionRules
from ..link.merging import merge_page, page_of_each
from .recovered_reply import MAX_BYTES, epoch_of, visible

HISTORY = 300
"""Publications in one answer."""
PORTION, PORTIONS = 500, 4
"""Entries in one question to the broker, and most questions: only few of the entries may be for the member."""
MEMBERS, PAGE = 1_000, 100
"""Members in the answer to `presence`; members in one question to the broker, and rooms on a page."""

OnReply = Callable[[dict[str, Any]], None]
OnError = Callable[[Error, str], None]
_AWAY = "the broker is away or busy: try again"


@dataclass(slots=True)
class Looking:
    """The search for a member's history."""

    rules: AdmissionRules
    member: Member
    asked: History
    on_reply: OnReply
    on_error: OnError
    _found: list[Publication] = field(default_factory=list)
    """Oldest first; with `reverse` newest first."""
    _size: int = 0
    _portions: int = PORTIONS

    def begin(self, now: float) -> None:
        """Begin."""
        room, since = self.member.room, self.asked.since
        if not self.asked.limit:
            self._reply()
        elif since is not None and since.epoch and since.epoch != epoch_of(room.id, room.epoch):
            self.on_error(Error.BAD_REQUEST, "that position is of another epoch: leave out since")
        elif self.asked.reverse:
            newest = max(room.known_last, room.position, self.member.cursor)
            self._look_back(newest if since is None else min(max(since.offset - 1, 0), newest), now)
        else:
            self._look_on(0 if since is None else since.offset, now)

    @property
    def _limit(self) -> int:
        return HISTORY if self.asked.limit < 0 else min(self.asked.limit, HISTORY)

    def _add(self, entries: Iterable[Entry]) -> bool:
        """Add what the member sees of entries; return whether there is room for more."""
        for entry in entries:
            if len(self._found) >= self._limit or self._size > MAX_BYTES:
                return False
            if (publication := visible(entry, self.member)) is not None:
                self._found.append(publication)
                self._size += len(bytes(publication.data))
        return self._portions > 0

    def _look_on(self, after: int, now: float) -> None:
        def looked(answer: Replayed, now: float) -> None:
            last = answer.entries[-1].offset if answer.entries else answer.last
            if self._add(answer.entries) and last < answer.last:
                self._look_on(last, now)
            else:
                self._reply()

        self._ask(after, PORTION, now, looked)

    def _look_back(self, end: int, now: float) -> None:
        after = max(end - PORTION, 0)

        def looked(answer: Replayed, now: float) -> None:
            entries = [entry for entry in answer.entries if after < entry.offset <= end]
            # Of long entries one answer has the last ones only.
            reached = answer.entries[0].offset - 1 if answer.entries else after
            if self._add(reversed(entries)) and reached > 0 and answer.first == after + 1:
                self._look_back(reached, now)
            else:
                self._reply()

        if end <= 0:
            self._reply()
        else:
            self._ask(after, end - after, now, looked, newest=True)

    def _ask(
        self, after: int, limit: int, now: float, looked: Callable[[Replayed, float], None], *, newest: bool = False
    ) -> None:
        self._portions -= 1
        room = self.member.room

        def answered(answer: Answer | None, now: float) -> None:
            if isinstance(answer, Replayed) and answer.epoch == room.epoch:
                looked(answer, now)
            else:
                self.on_error(Error.INTERNAL, _AWAY)

        question = Replay(room.id, room.epoch, after, limit, newest=newest)
        self.rules.core.routes.ask(room.shard, question, now, answered)

    def _reply(self) -> None:
        room = self.member.room
        epoch = epoch_of(room.id, room.epoch)
        self.on_reply({"publications": self._found, "epoch": epoch, "offset": room.position})


def presence(rules: AdmissionRules, member: Member, now: float, on_reply: OnReply, on_error: OnError) -> None:
    """Ask for a room's members, a page at a time."""
    found: dict[str, Any] = {}

    def answered(answer: Answer | None, now: float) -> None:
        if not isinstance(answer, Present):
            on_error(Error.INTERNAL, _AWAY)
            return
        for name, is_host, idle_ms in answer.members:
            about = {"host": is_host, "idle": idle_ms // 1_000}
            found[name] = client_info(name) | {"conn_info": about}
        if len(answer.members) == PAGE and len(found) < min(answer.count, MEMBERS):
            ask(now)
        else:
            on_reply({"presence": found})

    def ask(now: float) -> None:
        rules.core.routes.ask(member.room.shard, Who(member.room.id, len(found), PAGE), now, answered)

    ask(now)


def list_rooms(rules: AdmissionRules, page: int, now: float, on_reply: OnReply, on_error: OnError) -> None:
    """Ask for a page of the rooms."""

    skip = (page - 1) * PAGE
    question = page_of_each(skip, PAGE, len(rules.core.routes.links))

    def answered(answers: list[Answer | None], now: float) -> None:
        if (found := merge_page(answers, question, skip, PAGE)) is None:
            on_error(Error.INTERNAL, _AWAY)
        else:
            rows = [{"name": name, "members": count, "locked": locked} for name, count, locked in found.rooms]
            on_reply({"data": {"count": found.count, "page": page, "rooms": rows}})

    rules.core.routes.ask_all(question, now, answered)
