"""Ask all brokers that share a store, as if they were one.

Any of them says which brokers there are and which shards each serves. What concerns one room is asked of the broker
that serves its shard, all else of each broker; the answers are put together.
"""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from tsudoi.ops.keyfiles import SecretKey
from tsudoi.protocol import names
from tsudoi.protocol.backbone import admin_frames, is_tcp, shard_of
from tsudoi.protocol.backbone.admin_frames import AdminRefused, Answer, Done, Question, Shards
from tsudoi.protocol.errors import BackboneError, PeerError

from .client import ask_broker, encode_question
from .samples import merged_samples

AGAIN_S, FOR_S = 0.3, 5.0
"""An order for all shards is given again, after this pause and for this time, to those that moved meanwhile."""

_A = TypeVar("_A")
_Listed = TypeVar("_Listed", bound=msgspec.Struct)


class Incomplete(BackboneError):
    """Some brokers can not be reached, or some shards have none; the text is one line."""


def expect(answer: Answer, kind: type[_A]) -> _A:
    """Return an answer that is a `kind`; raise BackboneError for a refusal, and for any other one."""
    if isinstance(answer, AdminRefused):
        raise BackboneError(answer.why)
    if not isinstance(answer, kind):
        raise BackboneError(f"the broker answers with {type(answer).__name__}, not with {kind.__name__}")
    return answer


def room_of(question: Question) -> str:
    """Return the name of the one room that a question is about; empty: it is about all."""
    match question:
        case admin_frames.ListRooms(_, name):
            return name
        case (
            admin_frames.ListMembers(_, room)
            | admin_frames.CloseRoom(room)
            | admin_frames.RemoveMember(room)
            | admin_frames.Announce(_, room)
            | admin_frames.Persist(room)
            | admin_frames.Unpersist(room)
        ):
            return room
    return ""


class Brokers:
    """The brokers that share a store with the one at an endpoint, or that one alone."""

    def __init__(self, endpoint: str, key: SecretKey | None, answer_s: float | None = None) -> None:
        """Ask nothing yet; see `ask_broker` for the arguments."""
        self._endpoint, self._key, self._answer_s = endpoint, key, answer_s
        self._shards: Shards | None = None
        self.unreachable: dict[str, str] = {}
        """Endpoint for gateways of a broker whose answer is missing → why."""

    def copy(self, answer_s: float | None = None) -> "Brokers":
        """Return the same brokers, to be asked by another thread, with another patience."""
        return Brokers(self._endpoint, self._key, answer_s)

    def ask(self, question: Question) -> Answer:
        """Ask the broker that serves a question's room, or each of them, and return one answer.

        Raises:
            BackboneError: the broker does not answer.
            Incomplete: the order was not carried out in all shards.
        """
        encode_question(question)
        if self._shards is None:
            self._shards = self.shards()
        shards = self._shards
        if room := room_of(question):
            return self._ask_owner(shards, room, question)
        if isinstance(question, admin_frames.Ban | admin_frames.Unban | admin_frames.Announce):
            return self._order(shards, question)
        return _merged(question, list(self._each(shards, question)))

    def shards(self) -> Shards:
        """Return the shards as the broker at the endpoint sees them; raise BackboneError."""
        return expect(self._ask(self._endpoint, admin_frames.ListShards()), Shards)

    def all_shards(self) -> Shards:
        """Return the shards with the numbers of rooms and members that each broker has of its own."""
        shards = self.shards()
        known = {each.number: each for each in shards.shards}
        for answer in self._each(shards, admin_frames.ListShards()):
            if isinstance(answer, Shards):
                known |= {each.number: _seen_here(each, known[each.number]) for each in answer.shards if each.served}
        return Shards(shards.brokers, shards.me, [known[number] for number in sorted(known)])

    def _ask_owner(self, shards: Shards, room: str, question: Question) -> Answer:
        try:
            shard = shards.shards[shard_of(names.room_name(room), len(shards.shards))]
        except PeerError as exc:
            return AdminRefused(str(exc))
        if not shard.broker:
            raise Incomplete(f"no broker serves shard {shard.number}, which the room belongs to, at the moment")
        return self._ask(self._admin_of(shards, shard.broker), question)

    def _ask(self, endpoint: str, question: Question) -> Answer:
        return ask_broker(endpoint, question, self._key if is_tcp(endpoint) else None, self._answer_s)

    def _admin_of(self, shards: Shards, number: int) -> str:
        if number == shards.me:
            return self._endpoint
        broker = shards.brokers[number - 1]
        if not broker.admin:
            raise Incomplete(f"the broker at {broker.endpoint} has no address for operators (its --admin tcp://…)")
        return broker.admin

    def _each(self, shards: Shards, question: Question) -> Iterator[Answer]:
        """Yield the answer of each broker; note those that do not answer."""
        for number, broker in enumerate(shards.brokers, 1):
            try:
                yield self._ask(self._admin_of(shards, number), question)
            except BackboneError as exc:
                if len(shards.brokers) == 1:
                    raise
                self.unreachable[broker.endpoint] = str(exc)

    def _order(self, shards: Shards, question: Question) -> Answer:
        """Give an order to all shards."""
        if len(shards.shards) == 1:
            return self._ask(self._endpoint, question)
        missing, count = {each.number for each in shards.shards}, 0
        deadline = time.monotonic() + FOR_S
        while True:
            self.unreachable.clear()
            for answer in self._each(shards, question):
                if isinstance(answer, AdminRefused):
                    return answer
                if isinstance(answer, Done):
                    count += answer.count if missing & set(answer.shards) else 0
                    missing -= set(answer.shards)
            if not missing:
                break
            if time.monotonic() > deadline or isinstance(question, admin_frames.Announce):
                why = "; ".join(f"{endpoint}: {why}" for endpoint, why in self.unreachable.items())
                listed = ", ".join(map(str, sorted(missing)))
                raise Incomplete(f"not carried out in these shards: {listed} ({why or 'no broker serves them'})")
            time.sleep(AGAIN_S)
            shards = self.shards()
        if isinstance(question, admin_frames.Unban) and not count:
            return AdminRefused(f"{question.who} is not banned")
        return Done(count, [each.number for each in shards.shards])


def _seen_here(own: admin_frames.Shard, elsewhere: admin_frames.Shard) -> admin_frames.Shard:
    """Return a shard as its broker has it, with the broker's number in the list of the one that was asked first."""
    broker = elsewhere.broker if own.term == elsewhere.term else 0
    return admin_frames.Shard(own.number, own.term, broker, own.rooms, own.members, True)


def _merged(question: Question, answers: list[Answer]) -> Answer:
    if refused := next((each for each in answers if isinstance(each, AdminRefused)), None):
        return refused
    if len(answers) <= 1:
        return answers[0] if answers else AdminRefused("no broker answers")
    match question:
        case admin_frames.ListRooms():
            rooms, more = _page(answers, admin_frames.Rooms, lambda each: (each.rooms, each.more), lambda row: row.id)
            return admin_frames.Rooms(rooms, more)
        case admin_frames.FindRooms(_, limit):
            found = [each for each in answers if isinstance(each, admin_frames.Rooms)]
            most = sorted((room for each in found for room in each.rooms), key=lambda room: (-room.members, room.id))
            return admin_frames.Rooms(most[:limit], len(most) > limit or any(each.more for each in found))
        case admin_frames.Watch():
            return merged_samples([each for each in answers if isinstance(each, admin_frames.Watched)])
        case admin_frames.ListMembers():
            members, more = _page(
                answers, admin_frames.Members, lambda each: (each.members, each.more), lambda row: row.id
            )
            return admin_frames.Members(members, more)
        case admin_frames.ListGateways():
            return admin_frames.Gateways(_merged_gateways(answers))
        case admin_frames.ListBans():
            bans: dict[tuple[str, str], admin_frames.ListedBan] = {}
            for answer in answers:
                for ban in answer.bans if isinstance(answer, admin_frames.Bans) else ():
                    bans.setdefault((ban.name, ban.ip), ban)
            return admin_frames.Bans(list(bans.values()))
        case admin_frames.Count():
            sums: dict[str, int] = {}
            for answer in answers:
                for name, number in answer.counters if isinstance(answer, admin_frames.Counted) else ():
                    sums[name] = sums.get(name, 0) + number
            return admin_frames.Counted(list(sums.items()))
    return answers[0]


def _page(
    answers: list[Answer],
    kind: type[_A],
    content: Callable[[_A], tuple[list[_Listed], bool]],
    id_of: Callable[[_Listed], int],
) -> tuple[list[_Listed], bool]:
    """Return the rows of all brokers up to where each of them has told all, and whether there are more."""
    pages = [content(answer) for answer in answers if isinstance(answer, kind)]
    ends = [id_of(rows[-1]) for rows, more in pages if more and rows]
    rows = sorted((row for rows, _ in pages for row in rows), key=id_of)
    if not ends:
        return rows, False
    end = min(ends)
    return [row for row in rows if id_of(row) <= end], True


def _merged_gateways(answers: list[Answer]) -> list[admin_frames.Gateway]:
    found: dict[str, admin_frames.Gateway] = {}
    for answer in answers:
        for each in answer.gateways if isinstance(answer, admin_frames.Gateways) else ():
            if (before := found.get(each.instance)) is None:
                found[each.instance] = each
            else:
                latest = min(before, each, key=lambda gateway: gateway.silent_ms)
                members = before.members + each.members
                found[each.instance] = admin_frames.Gateway(each.instance, members, latest.state, latest.silent_ms)
    return list(found.values())
