"""Seal the bodies that all members of a group get; headers and ciphers of the members are kept side by side.

On cold caches, finding a packet's header and cipher took as long as using them (benchmarks, "sealed"). So the headers
of what goes out together are one number, and one addition counts for all of them.

**No key is used twice with one nonce.** A grouped member's count is `link.count` + `common`, two numbers that only
grow. A column caches these sums, and is dropped when anything but `common` changes.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import cycle
from operator import call
from struct import Struct
from typing import TYPE_CHECKING

from tsudoi.protocol.sealed.packets import COUNT_SIZE, HEADER_SIZE, RUN_AT, RUN_SIZE
from tsudoi.protocol.sealed.suites import TAG_SIZE

from ..chat.members import Recipients
from .keys import is_plain
from .packing import even

if TYPE_CHECKING:
    from .link import SealedLink
    from .sender import Sender

COLUMN = 64
"""Members whose fields and ciphers are kept together. A packet for one of them alone makes new ones."""
_FIELD = f"{HEADER_SIZE}s{RUN_SIZE + COUNT_SIZE}s"
"""| header: 30 | nonce: 12 |: the count stands there twice, so that both are taken out by one call."""
_FIELD_SIZE = Struct(_FIELD).size
_ONE = 1 | 1 << 8 * (RUN_SIZE + COUNT_SIZE)


@lru_cache(64)
def _counting(members: int, packets: int) -> tuple[int, int, Struct]:
    """Return how the fields of so many members' packets are counted.

    These are a number that adds one to all counts, one that adds to each the packet's place among its member's, and the
    format of the fields.
    """
    ones = [_ONE << 8 * _FIELD_SIZE * place for place in range(members * packets)]
    places = sum(one * (packets - 1 - place % packets) for place, one in enumerate(ones))
    return sum(ones), places, Struct(_FIELD * len(ones))


class Column:
    """What up to `COLUMN` members are sealed with."""

    __slots__ = ("at", "encrypts", "fields")

    def __init__(self, links: "Sequence[SealedLink]", common: int) -> None:
        keys = links[0].sender.keys
        self.at = common
        """The common count that stands in `fields`."""
        counts = [(link.count + common).to_bytes(COUNT_SIZE, "big") for link in links]
        self.fields = b"".join(
            [link.head + count + link.head[RUN_AT:] + count for link, count in zip(links, counts, strict=True)]
        )
        self.encrypts: list[Callable[[bytes, bytes, bytes], bytes]] = [
            keys.find(link.session).down.encrypt for link in links
        ]

    def seal(self, common: int, bodies: Sequence[bytes], first: int, end: int) -> list[bytes]:
        """Return headers and seals of bodies, the first with a common count, one member of a part behind the other.

        Each packet is one call, which seals it: a loop around that took 0.15 µs more.
        """
        encrypts, packets = self.encrypts[first:end], len(bodies)
        fields = self.fields[first * _FIELD_SIZE : end * _FIELD_SIZE]
        ones, places, layout = _counting(end - first, packets)
        if packets > 1:
            encrypts = [encrypt for encrypt in encrypts for _ in bodies]
            starts = range(0, len(fields), _FIELD_SIZE)
            fields = b"".join([fields[start : start + _FIELD_SIZE] * packets for start in starts])
        counted = int.from_bytes(fields, "big") + ones * (common - self.at) + places
        pieces = list(layout.unpack(counted.to_bytes(layout.size, "big")))
        heads = pieces[::2]
        pieces[1::2] = map(call, encrypts, pieces[1::2], cycle(bodies), heads)
        return pieces


class Seals:
    """The members of one group, all of the suite `plain` or all of sealed ones, by slot."""

    __slots__ = ("_columns", "_common", "_sender", "links")

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender
        self.links: list[SealedLink] = []
        """By slot."""
        self._common = 0
        """Packets that all members had since the group began."""
        self._columns: dict[int, Column] = {}

    # --- members -----------------------------------------------------------------------------------------------------

    def add(self, link: "SealedLink") -> None:
        """Add a member behind the others."""
        self._forget_column(len(self.links))
        self.links.append(link)
        link.count -= self._common
        link.seals = self

    def remove(self, slot: int) -> None:
        """Remove a member; the last one gets its slot."""
        link, last = self.links[slot], self.links.pop()
        self._forget_column(slot)
        self._forget_column(len(self.links))
        if last is not link:
            self.links[slot] = last
        link.count += self._common
        link.seals = None

    def next_count(self, link: "SealedLink", packets: int) -> int:
        """Return the first of as many counts for packets to one member, which are used from now on."""
        self._forget_column(link.member.slot)
        first = link.count + 1
        link.count += packets
        return first + self._common

    # --- packets for all ---------------------------------------------------------------------------------------------

    def send(self, recipients: Recipients, slots: range, bodies: Sequence[bytes]) -> None:
        """Send bodies of up to `MAX_WHOLE` bytes to the members in some slots; the others miss as many counts."""
        link, bodies = self.links[slots.start], even(bodies)
        common = self._common + 1
        self._common += len(bodies)  # before: no error lets a count be used twice
        more = HEADER_SIZE if is_plain(link.session) else HEADER_SIZE + TAG_SIZE
        fill = partial(self._seal, bodies, common)
        self._sender.out.send_filled(link.listener, recipients, slots, [more + len(body) for body in bodies], fill)

    def _seal(self, bodies: Sequence[bytes], common: int, start: int, end: int, first: int, last: int) -> bytes:
        """Return the packets of `bodies[start:end]` for slots from `first` to before `last`; see `outbound.Fill`."""
        pieces: list[bytes] = []
        while first < last:
            place = first % COLUMN
            stop = min(last, first - place + COLUMN)
            column = self._columns.get(first - place) or self._new_column(first - place, common)
            pieces += column.seal(common + start, bodies[start:end], place, stop - first + place)
            first = stop
        return b"".join(pieces)

    # --- columns -----------------------------------------------------------------------------------------------------

    def _new_column(self, first: int, common: int) -> Column:
        links = self.links[first : first + COLUMN]
        self._sender.keep_column(self, len(links))
        column = self._columns[first] = Column(links, common)
        return column

    def _forget_column(self, slot: int) -> None:
        if self._columns and (column := self._columns.pop(slot - slot % COLUMN, None)) is not None:
            self._sender.in_columns -= len(column.encrypts)

    def forget_columns(self) -> None:
        """Let go of all ciphers."""
        self._columns.clear()
