"""Members that flood: whom nobody hears for a while, and the kernel's program that drops what they send.

What is beyond a member's rate is passed over unread (`core.py`), but still taken from the socket, where it stands in
line before what others say. So a member that goes on all the same is silenced: a program that the kernel runs on each
datagram (classic BPF, socket(7), SO_ATTACH_FILTER; `net/bpf.py`) drops those with its token for a while. It goes by the
token and not by the address: nobody else can have a member silenced, wherever from.

    | UDP header: 8 | room size: 1 | token size: 1 | room | token | text |      RFC 768; PROTOCOL.md, "Datagrams"
"""

from gateway import bpf
from tsudoi.ops.token_bucket import Buckets

PATIENCE = 1_000
"""Datagrams of a member that are passed over at once, and in a second, before it is silenced: a millisecond's work."""
FIRST_S, LONGEST_S = 1.0, 16.0
"""A silence; each further one is twice as long. Less than `--idle-timeout`, so that it removes nobody."""
FORGIVEN_S = 60.0
"""So long after a silence, the next one is the first again."""
FLOODERS = 1_000
"""Members of whom this is known; beyond that the one that was longest quiet is forgotten."""
SILENCED = 16
"""Members at once whose datagrams the kernel drops: it looks at each datagram twice for each. Others are passed by."""

_UDP_HEADER, _SIZES, _TOKEN = 8, 2, 32
_WORD = 4
_LOOKED_AT = 3 * _WORD
"""Bytes at a token's end that are looked at: 48 bits, so nobody's is taken for another's."""
_ALL_OF_IT = 0x40000
"""More than any datagram has."""


class Silences:
    """Who floods, and until when it is not heard. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._patience: Buckets[int] = Buckets(FLOODERS)
        self._last: dict[int, tuple[float, float]] = {}
        """Member id → how long its last silence is or was, and until when."""
        self._dropped: dict[tuple[int, bytes], float] = {}
        """(bytes before a token's end, that end) → until when the kernel is to drop such datagrams."""
        self.changed = False
        """There is another program since it was asked for last."""

    def __len__(self) -> int:
        return len(self._dropped)

    def passed_over(self, member: int, now: float) -> bool:
        """Count a datagram that was passed over as its member says too much; say whether the member floods by now."""
        _, until = self._last.get(member, (0.0, 0.0))
        return until <= now and not self._patience.touch(member, now, PATIENCE, PATIENCE)

    def begin(self, member: int, room_name: bytes, token: bytes, now: float) -> float:
        """Silence a member; return until when.

        Args:
            member: its id.
            room_name: as it stands in its datagrams.
            token: of 32 bytes.
            now: when.
        """
        length, until = self._last.pop(member, (0.0, float("-inf")))
        length = min(2 * length, LONGEST_S) if length and now - until < FORGIVEN_S else FIRST_S
        until = now + length
        self._last[member] = length, until
        if len(self._last) > FLOODERS:
            del self._last[next(iter(self._last))]
        before = _UDP_HEADER + _SIZES + len(room_name) + _TOKEN - _LOOKED_AT
        self._dropped[before, token[-_LOOKED_AT:]] = until
        if len(self._dropped) > SILENCED:
            del self._dropped[min(self._dropped, key=self._dropped.__getitem__)]
        self.changed = True
        return until

    def tick(self, now: float) -> None:
        """Let those be heard again whose silence is over."""
        over = [key for key, until in self._dropped.items() if until <= now]
        for key in over:
            del self._dropped[key]
        self.changed = self.changed or bool(over)

    def program(self) -> list[bytes]:
        """Return what the kernel is to run on each datagram from now on, empty if nothing: it drops theirs."""
        self.changed = False
        if not self._dropped:
            return []
        # From the end, as a step that jumps there says how far that is. Sizes may be counted in characters: then the
        # token is not where they say, but where it was in what came.
        steps: list[bytes] = []
        for before, end in self._dropped:
            look = _look(bpf.LOAD_WORD, before, end, len(steps) + 1)
            enough = bpf.step(bpf.JUMP_IF_AT_LEAST, 0, len(look), before + _LOOKED_AT)
            steps = [bpf.step(bpf.LOAD_LENGTH), enough, *look, *steps]
        declared: list[bytes] = []
        for _, end in self._dropped:
            at = _TOKEN - _LOOKED_AT
            declared = [*_look(bpf.LOAD_WORD_AT_X, at, end, len(declared) + len(steps) + 1), *declared]
        return [
            *_find_declared(len(declared)),
            *declared,
            *steps,
            bpf.step(bpf.RETURN, number=_ALL_OF_IT),
            bpf.step(bpf.RETURN, number=0),
        ]


def _find_declared(otherwise: int) -> list[bytes]:
    """Return steps that make X where the sizes say that a token is; if there is none, they jump over so many."""
    return [
        bpf.step(bpf.LOAD_LENGTH),
        bpf.step(bpf.JUMP_IF_AT_LEAST, 0, 8 + otherwise, _UDP_HEADER + _SIZES),
        bpf.step(bpf.LOAD_BYTE, number=_UDP_HEADER),
        bpf.step(bpf.ADD, number=_UDP_HEADER + _SIZES),
        bpf.step(bpf.STORE, number=0),
        bpf.step(bpf.ADD, number=_TOKEN),
        bpf.step(bpf.COPY_TO_X),
        bpf.step(bpf.LOAD_LENGTH),
        bpf.step(bpf.JUMP_IF_AT_LEAST_X, 0, 1 + otherwise),
        bpf.step(bpf.LOAD_X, number=0),
    ]


def _look(load: int, at: int, wanted: bytes, behind: int) -> list[bytes]:
    """Return steps that look for bytes in a place, and if they are there, jump over so many behind them."""
    steps: list[bytes] = []
    for start in reversed(range(0, len(wanted), _WORD)):
        word = int.from_bytes(wanted[start : start + _WORD], "big")
        if_equal = 0 if steps else behind
        compare = bpf.step(bpf.JUMP_IF_EQUAL, if_equal, len(steps), word)
        steps = [bpf.step(load, number=at + start), compare, *steps]
    return steps
