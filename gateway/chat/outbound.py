"""Define how the components send to members; `process/outbound.py` implements it.

Calls are carried out at once and in order: a group of recipients may change with the next decision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..counters import Counters
from ..link.routes import Routes
from ..listeners import segments
from ..settings import Settings
from .dropped_log import Drop
from .members import Member, Members, Recipients

Fill = Callable[[int, int, int, int], bytes]
"""Called with (start, end, first slot, end of the slots): returns the datagrams with the indexes from `start` to `end`
for each of the slots, one behind the other."""


class Outbound(Protocol):
    """Sends to members, and subscribes to rooms. What is for brokers goes by `link.routes.Routes`."""

    @property
    def is_behind(self) -> bool:
        """Whether datagrams wait in this process until the kernel takes them."""

    def send(self, listener: int, address: bytes, payload: bytes) -> None:
        """Send one datagram from a UDP listener to one address."""

    def send_many(self, listener: int, address: bytes, payloads: Sequence[bytes]) -> None:
        """Send datagrams from a UDP listener to one address, in order."""

    def new_recipients(self) -> Recipients:
        """Return an empty group of recipients."""

    def fan_out(self, listener: int, recipients: Recipients, payloads: Sequence[bytes], skips: Sequence[int]) -> None:
        """Send datagrams from a UDP listener to a group, in order, each except to one slot of `skips` (-1: to all).

        Several datagrams are of consecutive messages, up to the room's position.
        """

    def new_own_recipients(self) -> Recipients:
        """Return an empty group of recipients for `send_filled`."""

    def send_filled(
        self, listener: int, recipients: Recipients, slots: range, sizes: Sequence[int], fill: Fill
    ) -> None:
        """Send datagrams of these sizes, which `fill` returns, to each of some slots in order.

        The group is one of `new_own_recipients`.
        """

    def block_flooders(self, program: Sequence[bytes]) -> None:
        """Let the kernel drop datagrams by this BPF program (`flood_filter`); empty: none."""

    def log_datagram(self, source: bytes, why: Drop | None, now: float, data: bytes = b"") -> None:
        """Log that a datagram was dropped, or (None) what may be wrong with an accepted one, unless it was lately.

        `data` is explained.
        """

    def log_flood(self, member: Member, seconds: float) -> None:
        """Log that a member floods, and for how long its datagrams are ignored."""

    def subscribe(self, shard: int, topic: bytes) -> None:
        """Subscribe to the news of a topic, which the broker of a shard publishes."""

    def unsubscribe(self, shard: int, topic: bytes) -> None:
        """End the subscription to a topic."""


@dataclass(slots=True, eq=False)
class Component:
    """Base of the components: what all of them may use. `now` is monotonic seconds everywhere."""

    settings: Settings
    members: Members
    out: Outbound
    routes: Routes
    counters: Counters

    def send_to(self, member: Member, payload: bytes) -> None:
        """Send one datagram, or one payload over its stream, to a member that is reachable."""
        if member.address is not None:
            self.out.send(member.listener, member.address, payload)
        elif member.stream is not None:
            member.stream.send(payload)


def filled(fill: Fill, start: int, sizes: Sequence[int], slot: int) -> list[bytes]:
    """Return the datagrams of these sizes, whose indexes begin at `start`, that `fill` returns for one slot."""
    return segments.cut(fill(start, start + len(sizes), slot, slot + 1), sizes)
