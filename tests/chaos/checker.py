"""The invariants of a run, checked over its history; docs/chaos.md says them in words.

The broker's log is the truth about what was accepted and in which order. All that was heard is laid beside it.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from tests.chaos.crowd import HABITS, KINDS, key_of
from tests.chaos.history import FOREVER, Heard, History, Logged, Outage, Person, Sent
from tests.support.legacy.client import LegacyClient
from tests.support.legacy.wire import Door
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind

REPEATED_S = 0.5
"""What a gateway delivered in so long before it was killed, frozen or cut off may be told again by who goes on for it.
The documented time is 0.25 s; the rest is for a busy machine."""
LEASE_S = 1.8
"""So long a gateway may go on delivering, by its lease, when only its reports do not reach the broker any more."""
CALM_S = 2.0
"""So long after a fault the traces of it may last: a gateway is taken for dead after 2 s."""
ASKS_S = 4.0
"""So long a gateway's question about a token may be under way."""
SURE_S = 0.6
"""A datagram that a healthy gateway with a healthy broker has had for so long is in the log."""
AROUND = 4
"""Lines of history shown before and after a violation."""

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant."""

    kind: str
    """lost, doubled, swapped, misrouted, invented, after leaving, altered, log, not accepted, complaint"""
    what: str
    at: float = 0.0
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((f"{self.kind}: {self.what}", *(f"    {line}" for line in self.evidence)))


@dataclass(slots=True)
class Verdict:
    """What came of a check."""

    violations: list[Violation] = field(default_factory=list)
    accepted: int = 0
    """Messages in the logs."""
    heard: int = 0
    """Datagrams that were laid beside the logs."""
    repeats: int = 0
    """Of these, told again by the heir of a gateway that was gone: allowed."""
    surely_accepted: int = 0
    """Datagrams that had to be in a log."""
    members: int = 0


@dataclass(slots=True)
class _Seat:
    """A member's place in its room's log."""

    person: Person
    due: list[Entry]
    """What it is to hear, in order."""
    keys: dict[Key, list[int]]
    """Whose line → where in `due`."""
    ends: Entry | None
    """What ended its membership."""


class Checker:
    """Checks one history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._verdict = Verdict()
        self._by_client: dict[int, list[Heard]] = {}
        for heard in sorted(history.heard, key=lambda heard: heard.at):
            self._by_client.setdefault(heard.client, []).append(heard)
        self._rooms_of_keys: dict[Key, list[tuple[Logged, Entry]]] = {}
        for room in history.log.values():
            for entry in room.entries:
                key = key_of(entry.text.encode())
                if entry.kind == EntryKind.SAID and key is not None:
                    self._rooms_of_keys.setdefault(key, []).append((room, entry))
        self._start = min((heard.at for heard in history.heard), default=0.0)

    def check(self) -> Verdict:
        """Return what is wrong, and how much was looked at."""
        for complaint in self._history.complaints:
            self._blame("complaint", complaint)
        for room in self._history.log.values():
            self._check_log(room)
        self._check_accepted()
        for seat in self._seats():
            self._check_seat(seat)
        self._verdict.accepted = sum(len(found) for found in self._rooms_of_keys.values())
        return self._verdict

    # --- the log --------------------------------------------------------------------------------------------------

    def _check_log(self, room: Logged) -> None:
        offsets = [entry.offset for entry in room.entries]
        if offsets != list(range(1, len(offsets) + 1)):
            odd = next(at for at, offset in enumerate(offsets) if offset != at + 1)
            self._blame("log", f"room {room.room_id}: position {offsets[odd]} stands where {odd + 1} belongs")
        if room.epochs != {1}:
            self._blame("log", f"room {room.room_id} has epochs {sorted(room.epochs)} though no history was lost")
        for at, entry in enumerate(room.entries):
            if entry.kind == EntryKind.CLOSED and at + 1 < len(room.entries):
                self._blame("log", f"room {room.room_id} goes on after it was closed at {entry.offset}")

    def _check_accepted(self) -> None:
        """What a gateway that was well had received is in the log; once, if it came once; in the order it came."""
        last: dict[tuple[int, int, int], tuple[int, Sent]] = {}
        sent_keys = set()
        settled: dict[tuple[int, int, int], float] = {}
        """Stay → when the log first had something of it: from then on the gateway knew the sender."""
        for sent in sorted(self._history.sent, key=lambda sent: sent.at):
            key = key_of(sent.text.encode())
            assert key is not None
            sent_keys.add(key)
            found = self._rooms_of_keys.get(key, [])
            if len(found) > sent.copies:
                offsets = [entry.offset for _, entry in found]
                self._blame("log", f"{sent.text!r} reached a gateway {sent.copies} times, the log has it at {offsets}")
            stay = (sent.client, sent.gateway, self._stay(sent))
            person = self._history.people.get(sent.client)
            at_home = person is not None and person.home == sent.gateway and stay[2] == 0
            if self._surely(sent, at_home or settled.get(stay, FOREVER) < sent.at):
                self._verdict.surely_accepted += 1
                if not found:
                    self._blame("not accepted", self._tell_sent(sent), sent.at, self._faults_about(sent.at, FOREVER))
            if not found:
                continue
            settled.setdefault(stay, found[0][1].at_ms / 1000)
            offset = found[0][1].offset
            before = last.get(stay)
            if before is not None and offset < before[0] and not self._history.relayed:
                self._blame(
                    "swapped", f"{sent.text!r} was sent after {before[1].text!r}, the log has it before", sent.at
                )
            last[stay] = (offset, sent)
            if found[0][1].text != sent.text:
                self._blame("altered", f"{sent.text!r} is in the log as {found[0][1].text!r}", sent.at)
        for key in self._rooms_of_keys.keys() - sent_keys:
            self._blame("invented", f"nobody said {key}, and a log has it")

    def _stay(self, sent: Sent) -> int:
        """Number the times that a client came to a gateway, to one that ends, or to a new run of it."""
        knocks = [knock for knock in self._history.knocks if knock.client == sent.client and knock.at <= sent.at]
        moves = sum(1 for one, next_one in pairwise(knocks) if one.gateway != next_one.gateway)
        deaths = self._deaths(sent.gateway)
        return moves + sum((outage.start <= sent.at) + (outage.end <= sent.at) for outage in deaths)

    def _deaths(self, gateway: int) -> Iterator[Outage]:
        for outage in self._history.outages:
            if outage.target == f"gateway {gateway}" and outage.kind in ("kill", "drain"):
                yield outage

    def _surely(self, sent: Sent, settled: bool) -> bool:
        """Say whether a datagram must be in the log: its gateway served the sender, and had the time to hand it on."""
        if not settled or sent.copies == 0:
            return False
        if self._has_left_by(sent):
            return False
        if self._is_contested(sent):
            return False
        ends = [outage.start for outage in self._deaths(sent.gateway) if outage.end >= sent.at]
        ends += [
            knock.at
            for knock in self._history.knocks
            if knock.client == sent.client and knock.at > sent.at and knock.gateway != sent.gateway
        ]
        name = self._history.names[sent.gateway]
        if name and self._history.names.count(name) > 1:
            # Another may have gone on with the sender: what this one still has of it is refused then.
            ends += [outage.start for outage in self._outages(sent.gateway) if outage.end >= sent.at - CALM_S]
        ends.append(self._history.ended_at)
        end = min(ends)
        if end == self._history.ended_at:
            return True
        return end - sent.at >= SURE_S and not any(
            outage.touches(sent.at - CALM_S, end) and outage.start < end for outage in self._outages(sent.gateway)
        )

    def _is_contested(self, sent: Sent) -> bool:
        """Say whether another gateway may still have asked for the sender, and got it as this one was away."""
        elsewhere = any(
            knock.client == sent.client and knock.gateway != sent.gateway and sent.at - ASKS_S < knock.at < sent.at
            for knock in self._history.knocks
        )
        return elsewhere and any(
            outage.touches(sent.at - ASKS_S, sent.at + ASKS_S) for outage in self._outages(sent.gateway)
        )

    def _has_left_by(self, sent: Sent) -> bool:
        """Say whether the sender may have been out of its room when it said that."""
        person = self._history.people.get(sent.client)
        if person is None:
            return True
        for room in self._history.log.values():
            for entry in room.entries:
                gone = entry.kind == EntryKind.CLOSED or (entry.kind == EntryKind.LEFT and entry.sender == person.name)
                if gone and any(e.sender == person.name and e.kind == EntryKind.JOINED for e in room.entries):
                    at = entry.at_ms / 1000
                    # What came by another gateway may have been taken first, after an outage.
                    waited = any(outage.touches(sent.at, at) for outage in self._outages(sent.gateway))
                    return at < sent.at + CALM_S or waited or self._history.relayed
        return False

    def _outages(self, gateway: int) -> Iterator[Outage]:
        targets = ("broker", f"gateway {gateway}", f"link {gateway}")
        return (outage for outage in self._history.outages if outage.target in targets)

    # --- what members heard ---------------------------------------------------------------------------------------

    def _seats(self) -> Iterator[_Seat]:
        people = {person.name: person for person in self._history.people.values()}
        for room in self._history.log.values():
            for at, entry in enumerate(room.entries):
                if entry.kind != EntryKind.JOINED or entry.sender not in people:
                    continue
                person = people[entry.sender]
                ends = next(
                    (
                        later
                        for later in room.entries[at:]
                        if later.kind == EntryKind.CLOSED
                        or (later.kind == EntryKind.LEFT and later.member == entry.member)
                    ),
                    None,
                )
                due = [
                    later
                    for later in room.entries[at + 1 : ends.offset if ends else None]
                    if later.kind == EntryKind.SAID and (person.echo or later.member != entry.member)
                ]
                keys: dict[Key, list[int]] = {}
                for place, one in enumerate(due):
                    key = key_of(one.text.encode())
                    if key is not None:
                        keys.setdefault(key, []).append(place)
                yield _Seat(person, due, keys, ends)

    def _check_seat(self, seat: _Seat) -> None:
        """Walk what one member heard along what it was to hear."""
        self._verdict.members += 1
        person, due = seat.person, seat.due
        stand_in = KINDS[person.dialect](person.name, Door(("", 0), ("", 0)), HABITS)
        stand_in.room = person.room
        first_heard: dict[int, Heard] = {}
        next_due = 0
        for heard in self._by_client.get(person.id, ()):
            key = key_of(heard.raw)
            if key is None:
                if not _is_notice(stand_in, heard.raw):
                    self._blame_heard("invented", seat, heard, f"{heard.raw!r} is no line of anybody's")
                continue
            self._verdict.heard += 1
            places = seat.keys.get(key, [])
            if not places:
                self._blame_stranger(seat, heard, key)
                continue
            if person.dialect == "tsudoi":
                # It says which of several that are alike, as a relay may have doubled one on its way up.
                places = [place for place in places if _is_down(stand_in, due[place], heard.raw)] or places
            place = next((place for place in places if place >= next_due), places[0])
            if not _is_down(stand_in, due[place], heard.raw):
                self._blame_heard("altered", seat, heard, f"log: {due[place].sender!r} {due[place].text!r}")
            next_due = self._step(seat, heard, place, next_due, first_heard)
        if next_due < len(due) and self._must_hear_the_end(seat):
            rest, at = due[next_due:], due[next_due].at_ms / 1000
            first = _line(rest[0].text.encode())
            what = f"{_who(person)} never heard the last {len(rest)}, from {rest[0].offset} {first} on"
            self._blame("lost", what, at, self._around(seat, at))

    def _step(self, seat: _Seat, heard: Heard, place: int, next_due: int, first_heard: dict[int, Heard]) -> int:
        """Take one line that was heard, where another was due perhaps; return what is due next."""
        before = first_heard.setdefault(place, heard)
        if place > next_due:
            missed = [due.text for due in seat.due[next_due:place]]
            later = {key_of(one.raw) for one in self._by_client[seat.person.id] if one.at > heard.at}
            kind = "swapped" if key_of(missed[0].encode()) in later else "lost"
            first = _line(missed[0].encode())
            self._blame_heard(kind, seat, heard, f"{len(missed)} before it were not heard, first {first}")
        elif before is not heard:
            self._verdict.repeats += 1
            if not self._may_repeat(before, heard):
                why = f"it was heard {heard.at - before.at:.3f} s before, from gateway {before.gateway}"
                self._blame_heard("doubled", seat, heard, f"{why}, and no fault of that explains it")
                return max(next_due, place + 1)
        elif place < next_due:
            self._blame_heard("swapped", seat, heard, "newer ones were heard before it")
            return next_due
        return place + 1

    def _may_repeat(self, before: Heard, heard: Heard) -> bool:
        """Say whether a repeat is the documented one: its first teller was killed, frozen or cut off right after."""
        if self._was_adopted(before, heard):
            return True
        for outage in self._history.outages:
            target, _, number = outage.target.partition(" ")
            if target == "broker" or int(number) != before.gateway:
                continue
            if not outage.start - REPEATED_S <= before.at <= outage.start + LEASE_S or outage.start > heard.at:
                continue
            if heard.gateway != before.gateway or outage.kind in ("kill", "drain"):
                return True
            if any(outage.start <= death.start <= heard.at for death in self._deaths(before.gateway)):
                return True  # what it had to report was held up, and then it was killed
            # Frozen or cut off, it may have got the member back from one that had taken it over and told it nothing.
            names = self._history.names
            if names[before.gateway] and names.count(names[before.gateway]) > 1:
                return True
            if any(k.client == heard.client and k.gateway != before.gateway for k in self._history.knocks):
                return True
        return False

    def _was_adopted(self, before: Heard, heard: Heard) -> bool:
        """Say whether a gateway told a member again what went to an address that is no more.

        It took the member over from one that was out, adopted it or was granted it too late for the datagram that had
        asked, and the member's client then turned out to be elsewhere.
        """
        names = self._history.names
        if before.gateway != heard.gateway or before.port == heard.port:
            return False
        for outage in self._history.outages:
            target, _, number = outage.target.partition(" ")
            if outage.start > before.at:
                continue
            if target == "broker":
                if outage.touches(before.at - ASKS_S, before.at):
                    return True  # the answer to what the client's datagram asked was late
            elif int(number) != heard.gateway or (names[heard.gateway] and names.count(names[heard.gateway]) > 1):
                return True
        return False

    def _must_hear_the_end(self, seat: _Seat) -> bool:
        """One that was in its room to the end hears all; one that left, or whose room closed, if all was calm then."""
        if seat.ends is None:
            # One whose leave word got lost sends nothing that would tell another gateway where it is.
            return seat.person.id not in self._history.leavers
        ended = seat.ends.at_ms / 1000
        return (
            not any(outage.touches(ended - CALM_S, ended + CALM_S) for outage in self._history.outages)
            and not (self._history.relayed or seat.ends.kind == EntryKind.LEFT)
            and any(knock.client == seat.person.id and knock.at < ended - SURE_S for knock in self._history.knocks)
        )

    def _blame_stranger(self, seat: _Seat, heard: Heard, key: Key) -> None:
        """A line that this member was not to hear at all."""
        found = self._rooms_of_keys.get(key, [])
        if not found:
            self._blame_heard("invented", seat, heard, "no log has it")
            return
        room, entry = found[0]
        mine = any(one.sender == seat.person.name and one.kind == EntryKind.JOINED for one in room.entries)
        if not mine:
            self._blame_heard("misrouted", seat, heard, f"it was said in room {room.room_id}")
        elif seat.ends is not None and entry.offset > seat.ends.offset:
            self._blame_heard("after leaving", seat, heard, f"it had left at position {seat.ends.offset}")
        elif entry.sender == seat.person.name:
            self._blame_heard("doubled", seat, heard, "its own line, which its dialect is not told")
        else:
            self._blame_heard("misrouted", seat, heard, "it was said before this member joined")

    # --- telling --------------------------------------------------------------------------------------------------

    def _blame_heard(self, kind: str, seat: _Seat, heard: Heard, why: str) -> None:
        what = f"{_who(seat.person)} at {self._clock(heard.at)} from gateway {heard.gateway}: {_line(heard.raw)}; {why}"
        self._blame(kind, what, heard.at, self._around(seat, heard.at))

    def _blame(self, kind: str, what: str, at: float = 0.0, evidence: tuple[str, ...] = ()) -> None:
        self._verdict.violations.append(Violation(kind, what, at, evidence))

    def _around(self, seat: _Seat, at: float) -> tuple[str, ...]:
        """The shortest part of the history that shows it: what it heard then, what the log has there, what was done."""
        heard = self._by_client.get(seat.person.id, [])
        middle = bisect_left([one.at for one in heard], at)
        lines = [
            f"{self._clock(one.at)} heard from gateway {one.gateway}: {_line(one.raw)}"
            for one in heard[max(0, middle - AROUND) : middle + AROUND + 1]
        ]
        places = [
            seat.keys[key][0] for one in heard[max(0, middle - 1) : middle + 2] if (key := key_of(one.raw)) in seat.keys
        ]
        low, high = (min(places), max(places)) if places else (len(seat.due) - 1, len(seat.due) - 1)
        lines += [
            f"{self._clock(entry.at_ms / 1000)} log {entry.offset}: {entry.sender} {_line(entry.text.encode())}"
            for entry in seat.due[max(0, low - AROUND) : min(high, low + 3 * AROUND) + AROUND]
        ]
        knocks = [knock for knock in self._history.knocks if knock.client == seat.person.id and knock.at - at < 1.0]
        moves = [one for before, one in pairwise(knocks) if before.gateway != one.gateway]
        lines += [f"{self._clock(knock.at)} sends to gateway {knock.gateway} from here on" for knock in moves[-AROUND:]]
        return tuple(sorted(lines, key=lambda line: line[:12])) + self._faults_about(at, at)

    def _faults_about(self, start: float, end: float) -> tuple[str, ...]:
        return tuple(
            f"{self._clock(outage.start)} {outage.kind} {outage.target} until {self._clock(outage.end)}"
            for outage in self._history.outages
            if outage.touches(start - 5.0, end)
        )

    def _tell_sent(self, sent: Sent) -> str:
        person = self._history.people[sent.client]
        return (
            f"{_who(person)} sent {sent.text!r} to gateway {sent.gateway} at {self._clock(sent.at)},"
            " which served it and was well, and no log has it"
        )

    def _clock(self, at: float) -> str:
        return "the end" if at == FOREVER else f"{at - self._start:9.3f} s"


def _who(person: Person) -> str:
    return f"client {person.id} ({person.dialect}, {person.name} in {person.room})"


def _line(raw: bytes) -> str:
    text = raw.decode(errors="replace")
    return repr(text if len(text) < 70 else text[:67] + "…")


def _is_notice(stand_in: LegacyClient, raw: bytes) -> bool:
    try:
        sender, text = stand_in.parse(raw)
        known = ("ホストの", "Timeout!", "exit!")
        return stand_in.ends_at(text, raw) or sender == "server" or any(word in text for word in known)
    except (AssertionError, ValueError, KeyError, msgspec.DecodeError):
        return False


def _is_down(stand_in: LegacyClient, entry: Entry, raw: bytes) -> bool:
    """Say whether a datagram is what this client must get for an entry, its position too where there is one."""
    try:
        if stand_in.dialect == "tsudoi":
            return bool(msgspec.json.decode(raw) == {"n": entry.offset, "from": entry.sender, "text": entry.text})
        return stand_in.parse(raw) == stand_in.parse(stand_in.down(entry.sender, entry.text))
    except (AssertionError, ValueError, KeyError, msgspec.DecodeError):
        return False


def check(history: History) -> Verdict:
    """Return what is wrong with a history."""
    return Checker(history).check()


def count_kinds(verdict: Verdict) -> Counter[str]:
    """Return how many violations there are of each kind."""
    return Counter(violation.kind for violation in verdict.violations)
