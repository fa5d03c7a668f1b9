"""Checks the invariants of a run over its history; docs/chaos.md has them in words.

The broker's log says which messages were accepted, and in which order. All received datagrams are compared with it.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from tests.chaos.allowances import Allowances
from tests.chaos.clients import HABITS, KINDS, key_of
from tests.chaos.command_rules import judge_room, judge_stay
from tests.chaos.evidence import Evidence, Membership, Verdict, Violation, described, shown
from tests.chaos.history import FOREVER, History, Key, Member, Outage, Received, RoomLog, Sent, ending, joins
from tests.chaos.sealed_rules import judge
from tests.support.legacy.client import LegacyClient
from tests.support.legacy.wire import Listener
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.sealed.lines import member_number

Stay = tuple[int, int, int]
"""Client, gateway, and the number of the client's stay there."""


def check(history: History) -> Verdict:
    return Checker(history).check()


def count_kinds(verdict: Verdict) -> Counter[str]:
    return Counter(violation.kind for violation in verdict.violations)


class Checker:
    def __init__(self, history: History) -> None:
        self._history = history
        self._allowances = Allowances(history)
        self._evidence = Evidence(history)
        self._verdict = Verdict()
        self._logged: dict[Key, list[tuple[RoomLog, Entry]]] = {}
        """Line → its entries in the logs."""
        for room in history.log.values():
            for entry in room.entries:
                key = key_of(entry.text.encode())
                if entry.kind == EntryKind.SAID and key is not None:
                    self._logged.setdefault(key, []).append((room, entry))

    def check(self) -> Verdict:
        """Return the violations, and how much was compared."""
        for complaint in self._history.complaints:
            self._blame("complaint", complaint)
        for room in self._history.log.values():
            self._check_log(room)
        self._check_accepted()
        for membership, room in self._memberships():
            if membership.member.id in self._history.sealed:
                self._check_sealed(membership, room)
            else:
                self._check_received(membership)
        self._check_commands()
        self._verdict.accepted = sum(len(found) for found in self._logged.values())
        return self._verdict

    # --- the log ---

    def _check_log(self, room: RoomLog) -> None:
        offsets = [entry.offset for entry in room.entries]
        if offsets != list(range(1, len(offsets) + 1)):
            odd = next(at for at, offset in enumerate(offsets) if offset != at + 1)
            self._blame("log", f"room {room.room_id}: position {offsets[odd]} stands where {odd + 1} belongs")
        if len(room.epochs) != 1:
            self._blame("log", f"room {room.room_id} has epochs {sorted(room.epochs)} though no history was lost")
        for at, entry in enumerate(room.entries):
            if entry.kind == EntryKind.CLOSED and at + 1 < len(room.entries):
                self._blame("log", f"room {room.room_id} goes on after it was closed at {entry.offset}")

    def _check_accepted(self) -> None:
        """Check that the log has what healthy gateways received: once, if it came once, and in the order it came."""
        last: dict[Stay, tuple[int, Sent]] = {}
        served_since: dict[Stay, float] = {}
        """When the log first had a line of this stay: from then on the gateway knew the sender."""
        sent_keys = {key_of(text.encode()) for seen in self._history.sealed.values() for text in seen.said.values()}
        for sent in sorted(self._history.sent, key=lambda sent: sent.at):
            key = key_of(sent.text.encode())
            assert key is not None
            sent_keys.add(key)
            found = self._logged.get(key, [])
            if len(found) > sent.copies:
                offsets = [entry.offset for _, entry in found]
                self._blame("log", f"{sent.text!r} reached a gateway {sent.copies} times, the log has it at {offsets}")
            stay = (sent.client, sent.gateway, self._allowances.stay(sent))
            member = self._history.members.get(sent.client)
            at_home = member is not None and member.home == sent.gateway and stay[2] == 0
            served = at_home or served_since.get(stay, FOREVER) < sent.at
            if self._allowances.must_be_accepted(sent, served):
                self._verdict.surely_accepted += 1
                if not found:
                    faults = self._evidence.faults(sent.at, FOREVER)
                    self._blame("not accepted", self._evidence.not_accepted(sent), sent.at, faults)
            if not found:
                continue
            entry = found[0][1]
            served_since.setdefault(stay, entry.at_ms / 1000)
            before = last.get(stay)
            if before is not None and entry.offset < before[0] and not self._history.relayed:
                what = f"{sent.text!r} was sent after {before[1].text!r}, the log has it before"
                self._blame("swapped", what, sent.at)
            last[stay] = (entry.offset, sent)
            if entry.text != sent.text:
                self._blame("altered", f"{sent.text!r} is in the log as {entry.text!r}", sent.at)
        for key in self._logged.keys() - sent_keys:
            self._blame("invented", f"nobody sent {key}, and a log has it")

    # --- what members received ---

    def _check_sealed(self, membership: Membership, room: RoomLog) -> None:
        """Judge a member of version 2 by the stricter rules."""
        seen = self._history.sealed[membership.member.id]
        self._verdict.members += 1
        self._verdict.received += len(seen.heard)
        self._verdict.nonces += seen.nonces
        stays = membership.ends is None and not seen.has_left
        settled = stays and self._allowances.must_receive_the_end(membership)
        for kind, what in judge(membership, seen, room, settled):
            self._blame(kind, what)

    def _check_commands(self) -> None:
        """Judge the rooms of commands, and each membership there."""
        begins = {
            member_number(entry.member): (room, at)
            for room in self._history.log.values()
            for at, entry in enumerate(room.entries)
            if entry.kind == EntryKind.JOINED
        }
        # One gateway alone is the service in one process, with the broker in it.
        brokers = ("broker", "gateway 0") if len(self._history.names) == 1 else ("broker",)
        broker_deaths = [
            outage for outage in self._history.outages if outage.target in brokers and outage.kind in ("kill", "drain")
        ]
        # The next owner of a shard knows as little as one that was started again.
        broker_deaths += [Outage("kill", "broker", move.start, move.end) for move in self._history.moves]
        rooms: dict[int, RoomLog] = {}
        for member, stays in self._history.stays.items():
            for number, stay in enumerate(stays, 1):
                who = f"membership {number} of member {member}"
                self._verdict.members += 1
                self._verdict.received += len(stay.heard)
                self._verdict.commands += len(stay.asked)
                if stay.member not in begins:
                    self._blame("lost", f"{who}: no log has that it joined")
                    continue
                room, at = begins[stay.member]
                rooms[room.room_id] = room
                for kind, what in judge_stay(who, stay, room, at, broker_deaths):
                    self._blame(kind, what)
        for room in rooms.values():
            for kind, what in judge_room(room):
                self._blame(kind, what)

    def _memberships(self) -> Iterator[tuple[Membership, RoomLog]]:
        for client, (room, at) in joins(self._history).items():
            yield _membership(self._history.members[client], room, at), room

    def _check_received(self, membership: Membership) -> None:
        """Walk along what one member received and what was due."""
        self._verdict.members += 1
        member, due = membership.member, membership.due
        stand_in = KINDS[member.dialect](member.name, Listener(("", 0), ("", 0)), HABITS)
        stand_in.room = member.room
        first: dict[int, Received] = {}
        next_due = 0
        for received in self._evidence.by_client.get(member.id, ()):
            key = key_of(received.raw)
            if key is None:
                if not _is_notice(stand_in, received.raw):
                    self._blame_received("invented", membership, received, f"{received.raw!r} is no line of a client")
                continue
            self._verdict.received += 1
            places = membership.places.get(key, [])
            if not places:
                self._blame_not_due(membership, received, key)
                continue
            if member.dialect == "tsudoi":
                # Its position tells apart copies of one line, which a relay may have doubled on its way up.
                places = [place for place in places if _is_down(stand_in, due[place], received.raw)] or places
            # One that is told again is the latest copy that it can be: what follows that one is due next.
            place = next((place for place in places if place >= next_due), places[-1])
            if not _is_down(stand_in, due[place], received.raw):
                self._blame_received("altered", membership, received, f"log: {due[place].sender!r} {due[place].text!r}")
            next_due = self._step(membership, received, place, places, next_due, first)
        if next_due < len(due) and self._allowances.must_receive_the_end(membership):
            rest, at = due[next_due:], due[next_due].at_ms / 1000
            line = shown(rest[0].text.encode())
            what = f"{described(member)} never received the last {len(rest)}, from {rest[0].offset} {line} on"
            self._blame("lost", what, at, self._evidence.around(membership, at))

    def _step(
        self,
        membership: Membership,
        received: Received,
        place: int,
        places: list[int],
        next_due: int,
        first: dict[int, Received],
    ) -> int:
        """Check a line's place against the place that is due next; return what is due after it.

        Args:
            places: those of all entries that look like it.
        """
        before = first.setdefault(place, received)
        if place > next_due:
            missed = [due.text for due in membership.due[next_due:place]]
            own = self._evidence.by_client[membership.member.id]
            later = {key_of(one.raw) for one in own if one.at > received.at}
            kind = "swapped" if key_of(missed[0].encode()) in later else "lost"
            line = shown(missed[0].encode())
            self._blame_received(kind, membership, received, f"{len(missed)} before it did not come, first {line}")
        elif before is not received:
            self._verdict.repeats += 1
            if self._allowances.was_in_hand(before, received, membership.due[place]):
                return max(next_due, place + 1)  # what follows goes on from where the other gateway has come to
            # What is told again after the first copy of a line is both: the second one repeats the first as well.
            copies = [first[each] for each in places if each in first and first[each] is not received]
            if not any(self._allowances.may_repeat(copy, received) for copy in copies):
                why = f"it came {received.at - before.at:.3f} s before, from gateway {before.gateway}"
                self._blame_received("doubled", membership, received, f"{why}, and no fault of that explains it")
                return max(next_due, place + 1)
        elif place < next_due:
            self._blame_received("swapped", membership, received, "newer ones came before it")
            return next_due
        return place + 1

    def _blame_not_due(self, membership: Membership, received: Received, key: Key) -> None:
        """Blame a line that this member was not to receive at all."""
        found = self._logged.get(key, [])
        if not found:
            self._blame_received("invented", membership, received, "no log has it")
            return
        room, entry = found[0]
        name = membership.member.name
        if not any(one.sender == name and one.kind == EntryKind.JOINED for one in room.entries):
            self._blame_received("misrouted", membership, received, f"it belongs to room {room.room_id}")
        elif membership.ends is not None and entry.offset > membership.ends.offset:
            self._blame_received("after leaving", membership, received, f"it left at {membership.ends.offset}")
        elif entry.sender == name:
            self._blame_received("doubled", membership, received, "its own line, which its dialect does not echo")
        else:
            self._blame_received("misrouted", membership, received, "it was sent before this member joined")

    def _blame_received(self, kind: str, membership: Membership, received: Received, why: str) -> None:
        at = self._evidence.clock(received.at)
        what = f"{described(membership.member)} at {at} from gateway {received.gateway}: {shown(received.raw)}; {why}"
        self._blame(kind, what, received.at, self._evidence.around(membership, received.at))

    def _blame(self, kind: str, what: str, at: float = 0.0, evidence: tuple[str, ...] = ()) -> None:
        self._verdict.violations.append(Violation(kind, what, at, evidence))


def _membership(member: Member, room: RoomLog, joined: int) -> Membership:
    """Return the membership that begins with the entry at index `joined`."""
    number = room.entries[joined].member
    ends = ending(room, joined)
    entries = room.entries[joined + 1 : ends.offset if ends else None]
    due = [entry for entry in entries if entry.kind == EntryKind.SAID and (member.echo or entry.member != number)]
    whispers = [
        entry for entry in entries if entry.kind == EntryKind.WHISPERED and number in (entry.member, entry.peer)
    ]
    places: dict[Key, list[int]] = {}
    for place, entry in enumerate(due):
        key = key_of(entry.text.encode())
        if key is not None:
            places.setdefault(key, []).append(place)
    return Membership(member, due, places, ends, whispers)


def _is_notice(stand_in: LegacyClient, raw: bytes) -> bool:
    try:
        sender, text = stand_in.parse(raw)
        known = ("ホストの", "Timeout!", "exit!")
        return stand_in.ends_at(text, raw) or sender == "server" or any(word in text for word in known)
    except (AssertionError, ValueError, KeyError, msgspec.DecodeError):
        return False


def _is_down(stand_in: LegacyClient, entry: Entry, raw: bytes) -> bool:
    """Say whether a datagram is what this client must get for an entry, with its position where there is one."""
    try:
        if stand_in.dialect == "tsudoi":
            return bool(msgspec.json.decode(raw) == {"n": entry.offset, "from": entry.sender, "text": entry.text})
        return stand_in.parse(raw) == stand_in.parse(stand_in.down(entry.sender, entry.text))
    except (AssertionError, ValueError, KeyError, msgspec.DecodeError):
        return False
