"""Violations, and the part of a history that shows one."""

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import pairwise

from tests.chaos.clients import key_of
from tests.chaos.history import FOREVER, History, Key, Member, Received, Sent
from tsudoi.protocol.backbone import Entry

AROUND = 4
"""Lines of history shown before and after a violation."""
STANDSTILL_S = 1.0
"""Where the run's own process stood still for so long, those of the service may have, too, and leases have ended."""
BY_TIME = frozenset(("doubled", "not accepted", "commands", "complaint"))
"""Kinds of violations that a machine may cause by standing still: their rules allow for some time."""


@dataclass(frozen=True, slots=True)
class Violation:
    kind: str
    """lost, doubled, swapped, misrouted, invented, after leaving, altered, log, commands, not accepted, complaint"""
    what: str
    at: float = 0.0
    evidence: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((f"{self.kind}: {self.what}", *(f"    {line}" for line in self.evidence)))


@dataclass(slots=True)
class Verdict:
    violations: list[Violation] = field(default_factory=list)
    accepted: int = 0
    """Messages in the logs."""
    received: int = 0
    """Datagrams that were compared with the logs."""
    repeats: int = 0
    """Datagrams of these that repeated an earlier one as the rules allow."""
    surely_accepted: int = 0
    """Sent datagrams that had to be in a log."""
    members: int = 0
    commands: int = 0
    """That members gave in rooms of commands."""
    nonces: int = 0
    """Of packets of version 2, that were compared with each other."""


@dataclass(slots=True)
class Membership:
    """What one member was to receive."""

    member: Member
    due: list[Entry]
    """Messages, in order."""
    places: dict[Key, list[int]]
    """Line → indices in `due`."""
    ends: Entry | None
    """The entry that ended the membership."""
    whispers: list[Entry] = field(default_factory=list)
    """Those to it, and its own."""


def are_by_standstill(violations: list[Violation], history: History) -> bool:
    """Say whether the machine stood still, and that may be the cause of all violations."""
    kinds = {violation.kind for violation in violations}
    return history.stood_still_s >= STANDSTILL_S and bool(kinds) and kinds <= BY_TIME


class Evidence:
    def __init__(self, history: History) -> None:
        self._history = history
        self.by_client: dict[int, list[Received]] = {}
        for received in sorted(history.received, key=lambda received: received.at):
            self.by_client.setdefault(received.client, []).append(received)
        self._start = min((received.at for received in history.received), default=0.0)

    def around(self, membership: Membership, at: float) -> tuple[str, ...]:
        """Return what the member received then, what the log has there, and which faults there were."""
        received = self.by_client.get(membership.member.id, [])
        middle = bisect_left([one.at for one in received], at)
        lines = [
            f"{self.clock(one.at)} received from gateway {one.gateway}: {shown(one.raw)}"
            for one in received[max(0, middle - AROUND) : middle + AROUND + 1]
        ]
        near = [key_of(one.raw) for one in received[max(0, middle - 1) : middle + 2]]
        places = [membership.places[key][0] for key in near if key in membership.places]
        last = len(membership.due) - 1
        low, high = (min(places), max(places)) if places else (last, last)
        lines += [
            f"{self.clock(entry.at_ms / 1000)} log {entry.offset}: {entry.sender} {shown(entry.text.encode())}"
            for entry in membership.due[max(0, low - AROUND) : min(high, low + 3 * AROUND) + AROUND]
        ]
        uplinks = [one for one in self._history.uplinks if one.client == membership.member.id and one.at - at < 1.0]
        moves = [after for before, after in pairwise(uplinks) if before.gateway != after.gateway]
        lines += [f"{self.clock(move.at)} sends to gateway {move.gateway} from here on" for move in moves[-AROUND:]]
        return tuple(sorted(lines, key=lambda line: line[:12])) + self.faults(at, at)

    def faults(self, start: float, end: float) -> tuple[str, ...]:
        """Return the faults between, or shortly before."""
        return tuple(
            f"{self.clock(outage.start)} {outage.kind} {outage.target} until {self.clock(outage.end)}"
            for outage in self._history.outages
            if outage.touches(start - 5.0, end)
        )

    def not_accepted(self, sent: Sent) -> str:
        member = self._history.members[sent.client]
        return (
            f"{described(member)} sent {sent.text!r} to gateway {sent.gateway} at {self.clock(sent.at)},"
            " which served it and was well, and no log has it"
        )

    def clock(self, at: float) -> str:
        return "the end" if at == FOREVER else f"{at - self._start:9.3f} s"


def described(member: Member) -> str:
    return f"client {member.id} ({member.dialect}, {member.name} in {member.room})"


def shown(raw: bytes) -> str:
    text = raw.decode(errors="replace")
    return repr(text if len(text) < 70 else text[:67] + "…")
