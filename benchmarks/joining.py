"""Members for a measurement: joined over TCP, as any small client does it."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import CORES, BenchmarkError, build

CREATE, JOIN = 1, 2
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Seat:
    """A member that is to be: the first of a room creates it."""

    room: int
    user: str
    sends: bool = True

    @property
    def room_name(self) -> str:
        """What the room is called on the wire."""
        return f"room-{self.room}"


def seats(rooms: int, members: int, senders: int | None = None, first: int = 0) -> list[Seat]:
    """Return the seats of equal rooms, numbered from `first`; the first `senders` of each room send (None: all)."""
    return [
        Seat(room, f"user-{member}", senders is None or member < senders)
        for room in range(first, first + rooms)
        for member in range(members)
    ]


def join_all(
    listener: tuple[str, int], wanted: Sequence[Seat], at_once: int = AT_ONCE, cores: Iterable[int] = CORES
) -> tuple[list[str], float]:
    """Take all seats in the dialect `classic`; return their tokens, and how many joined (or created) a second.

    The clients are a program in C (`native/join.c`) on `cores`: to connect, send and read costs it a tenth of a
    millisecond, so a service that is faster than that is what limits.

    Raises:
        BenchmarkError: one was refused.
    """
    known: set[int] = set()
    lines = []
    for seat in wanted:
        lines.append(f"{JOIN if seat.room in known else CREATE} {seat.room_name} {seat.user}\n")
        known.add(seat.room)
    done = subprocess.run(
        (str(build("join")), str(listener[1]), str(at_once)),
        input="".join(lines),
        text=True,
        capture_output=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode:
        raise BenchmarkError(f"joining: {done.stderr.strip()}")
    *tokens, rate = done.stdout.splitlines()
    return tokens, float(rate.removeprefix("rate "))


def write_members(path: Path, wanted: Sequence[Seat], tokens: Sequence[str]) -> None:
    """Write the file of members that the programs in `native/` read."""
    lines = []
    for seat, token in zip(wanted, tokens, strict=True):
        room, said = seat.room_name.encode(), f"{seat.user}: ".encode()
        head = bytes((len(room), len(token))) + room + token.encode()
        # Classic clients write their name themselves, so a relay that adds nothing sends the same bytes on.
        lines.append(f"{seat.room} {int(seat.sends)} {head.hex()} {said.hex()} - -1\n")
    path.write_text("".join(lines))
