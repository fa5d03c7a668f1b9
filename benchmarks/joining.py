"""Members for a measurement: joined over TCP with plain sockets, as any small client does it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.processes import BenchmarkError

CREATE, JOIN = 1, 2
TOKEN_SIZE = 32
AT_ONCE = 200
PATIENCE_S = 30.0


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


def join_all(door: tuple[str, int], wanted: Sequence[Seat], at_once: int = AT_ONCE) -> tuple[list[str], float]:
    """Take all seats in the dialect `classic`; return their tokens, and how many joined (or created) a second.

    Raises:
        BenchmarkError: one was refused.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_join_all(door, wanted, at_once))


async def _join_all(door: tuple[str, int], wanted: Sequence[Seat], at_once: int) -> tuple[list[str], float]:
    tokens = [""] * len(wanted)
    hosts: list[int] = []
    guests: list[int] = []
    known: set[int] = set()
    for at, seat in enumerate(wanted):
        (guests if seat.room in known else hosts).append(at)
        known.add(seat.room)
    start = time.monotonic()
    for operation, places in ((CREATE, hosts), (JOIN, guests)):
        left = iter(places)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(places))):
                group.create_task(_work(door, operation, wanted, left, tokens))
    return tokens, len(wanted) / (time.monotonic() - start)


async def _work(
    door: tuple[str, int], operation: int, wanted: Sequence[Seat], left: Iterator[int], tokens: list[str]
) -> None:
    for at in left:
        async with asyncio.timeout(PATIENCE_S):
            tokens[at] = await join(door, operation, wanted[at])


async def join(door: tuple[str, int], operation: int, seat: Seat) -> str:
    """Create or join one room and return the token; raises BenchmarkError when refused."""
    reader, writer = await asyncio.open_connection(*door)
    try:
        room, user = seat.room_name.encode(), seat.user.encode()
        if operation == CREATE:
            writer.write(_header(len(room), CREATE, len(user)) + room + user)
        else:
            writer.write(_header(0, JOIN, len(user)) + user)
            listed = await reader.read(4096)
            if not listed.startswith(b"["):
                raise BenchmarkError(f"no list of rooms but {listed!r}")
            writer.write(room)
        token = (await reader.read(255)).decode(errors="replace")
    finally:
        writer.close()
    if len(token) != TOKEN_SIZE:
        raise BenchmarkError(f"no token but {token!r}")
    return token


def _header(room_size: int, operation: int, payload_size: int) -> bytes:
    return bytes((room_size, operation, 0)) + payload_size.to_bytes(29, "big")


def write_members(path: Path, wanted: Sequence[Seat], tokens: Sequence[str]) -> None:
    """Write the file of members that the programs in `native/` read."""
    lines = []
    for seat, token in zip(wanted, tokens, strict=True):
        room, said = seat.room_name.encode(), f"{seat.user}: ".encode()
        head = bytes((len(room), len(token))) + room + token.encode()
        # Classic clients write their name themselves, so a relay that adds nothing sends the same bytes on.
        lines.append(f"{seat.room} {int(seat.sends)} {head.hex()} {said.hex()} - -1\n")
    path.write_text("".join(lines))
