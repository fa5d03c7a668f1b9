"""Drop the datagrams of members that flood in the kernel, for a while.

The core ignores what a member sends beyond its rate, but each datagram still costs a system call's share and waits in
the socket's queue before those of other members. A BPF program (SO_ATTACH_FILTER) shuts out a member that continues: it
drops datagrams with the end of the member's token, or of its session. It does not compare addresses, which an attacker
could forge to shut out another member.

    | UDP header: 8 | room size: 1 | token size: 1 | room | token | text |      RFC 768; PROTOCOL.md, "Datagrams"
    | UDP header: 8 | 0 | kind: 1 | session: 16 | run | count | sealed |        PROTOCOL.md, "Packets"
"""

from tsudoi.ops.bounded import put_newest
from tsudoi.ops.token_bucket import Buckets

from . import bpf

PATIENCE = 1_000
"""Ignored datagrams of a member, at once and in a second, before it is shut out."""
PATIENCE_AGAIN = 100
"""The same for a member that was shut out lately. With `PATIENCE`, others' messages waited up to 0.1 s each time it
was let in; in the attack `wandering_flood` their p99 is a third to a quarter of that."""
FIRST_S, LONGEST_S = 1.0, 16.0
"""How long a member is shut out: twice as long each time. Less than `--idle-timeout`, so that it is not removed."""
FORGIVEN_S = 60.0
"""After this time, a member has `PATIENCE` again, and its next shut-out lasts `FIRST_S`."""
FLOODERS = 1_000
"""Members whose last shut-out is remembered; beyond that the oldest is forgotten."""
FILTERED = 16
"""Members that the kernel filters at a time, since it compares each datagram with all of them."""

_NEVER = 0.0, float("-inf")
"""The length and the end of the last shut-out of a member that had none."""
_UDP_HEADER, _SIZES, _TOKEN, _SESSION = 8, 2, 32, 16
_WORD = 4
_COMPARED = 3 * _WORD
"""Bytes at the end of a token or a session that are compared: 48 bits at least, so that no other is taken for it."""
_IN_PACKET = _UDP_HEADER + _SIZES + _SESSION - _COMPARED
"""Where the end of a session begins."""
_FURTHER = _TOKEN - _SESSION
"""How much further on the end of a token begins, after the room's name."""
_WHOLE = 0x40000
"""More bytes than any datagram has."""


class FloodFilter:
    """Knows which members are shut out, and until when; times are monotonic seconds."""

    def __init__(self) -> None:
        self._patience: Buckets[int] = Buckets(FLOODERS)
        self._last: dict[int, tuple[float, float]] = {}
        """Member id → (how long it was shut out last, until when)."""
        self._filtered: dict[bytes, float] = {}
        """The end of a token or session → until when the kernel drops datagrams with it."""

    def is_flood(self, member: int, now: float) -> bool:
        """Count an ignored datagram of a member; return whether it is one too many."""
        _, until = self._last.get(member, _NEVER)
        patience = PATIENCE_AGAIN if now - until < FORGIVEN_S else PATIENCE
        return until <= now and not self._patience.touch(member, now, patience, patience)

    def shut_out(self, member: int, token: bytes, now: float) -> float:
        """Drop all datagrams of a member for a while, by its token, or by its session; return until when."""
        length, until = self._last.get(member, _NEVER)
        length = min(2 * length, LONGEST_S) if length and now - until < FORGIVEN_S else FIRST_S
        until = now + length
        put_newest(self._last, member, (length, until), FLOODERS)
        self._filtered[token[-_COMPARED:]] = until
        if len(self._filtered) > FILTERED:
            del self._filtered[min(self._filtered, key=self._filtered.__getitem__)]
        return until

    def tick(self, now: float) -> bool:
        """Let members in again whose time is over; return whether there were any: then `program` has changed."""
        over = [key for key, until in self._filtered.items() if until <= now]
        for key in over:
            del self._filtered[key]
        return bool(over)

    def program(self) -> list[bytes]:
        """Return the program that drops these members' datagrams, empty if there are none."""
        if not self._filtered:
            return []
        # Built from the end, as a jump contains the number of steps that it skips.
        compare: list[bytes] = []
        for end in self._filtered:
            compare = [*_compare(end, len(compare) + 1), *compare]
        # X becomes the offset of what is compared; a datagram that is too short for it passes.
        return [
            bpf.step(bpf.LOAD_LENGTH),
            bpf.step(bpf.JUMP_IF_AT_LEAST, 0, 13 + len(compare), _UDP_HEADER + _SIZES),
            bpf.step(bpf.LOAD_BYTE, number=_UDP_HEADER + 1),
            bpf.step(bpf.JUMP_IF_EQUAL, 2, 0, _TOKEN),  # a packet's kind is another number
            bpf.step(bpf.LOAD_BYTE, number=_UDP_HEADER),
            bpf.step(bpf.JUMP_IF_AT_LEAST, 2, 0, 0),  # always
            bpf.step(bpf.LOAD_BYTE, number=_UDP_HEADER),
            bpf.step(bpf.ADD, number=_FURTHER),
            bpf.step(bpf.ADD, number=_IN_PACKET),
            bpf.step(bpf.STORE, number=0),
            bpf.step(bpf.ADD, number=_COMPARED),
            bpf.step(bpf.COPY_TO_X),
            bpf.step(bpf.LOAD_LENGTH),
            bpf.step(bpf.JUMP_IF_AT_LEAST_X, 0, 1 + len(compare)),
            bpf.step(bpf.LOAD_X, number=0),
            *compare,
            bpf.step(bpf.RETURN, number=_WHOLE),
            bpf.step(bpf.RETURN, number=0),
        ]


def _compare(end: bytes, skipped: int) -> list[bytes]:
    """Return steps that compare what is at X, and skip so many steps behind them if it is equal."""
    steps: list[bytes] = []
    for start in reversed(range(0, len(end), _WORD)):
        word = int.from_bytes(end[start : start + _WORD], "big")
        if_equal = 0 if steps else skipped
        equal = bpf.step(bpf.JUMP_IF_EQUAL, if_equal, len(steps), word)
        steps = [bpf.step(bpf.LOAD_WORD_AT_X, number=start), equal, *steps]
    return steps
