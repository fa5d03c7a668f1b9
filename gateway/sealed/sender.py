"""Send a turn's bodies to members of version 2, and repeat the last ones of bursts; PROTOCOL.md, "Version 2". No I/O.

`flush` is called when the event loop's turn ends, `repeat` every `REPEAT_S` while there is something to repeat.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tsudoi.protocol.sealed.lines import offset_of, serialize_range
from tsudoi.protocol.sealed.packets import Kind

from ..chat.outbound import Outbound
from ..counters import Counters
from .carried import Carried
from .cookies import Cookies
from .farewells import AT_TICKS, Farewells
from .group import SealedGroup
from .keys import MOST_KEPT, SessionKeys
from .link import SealedLink, check_packet
from .recalls import Place, Recalls
from .seals import Seals

if TYPE_CHECKING:
    from ..chat.streams import Streams

REPEAT_S = 0.03
"""Time between two calls of `repeat`."""
LATE_S = 1.5 * REPEAT_S
"""Time between two calls of `repeat` above which the event loop is behind. Then most bursts have not ended: their next
bodies wait in the gateway. Repeating bodies meanwhile took a tenth of all time (benchmarks, "sealed")."""
MOST_LATE = 3
"""Late calls in a row after which one counts all the same, so that lost last bodies are repeated in a busy gateway too.
"""


@dataclass(slots=True, eq=False)
class Sender:
    """What all links and groups share."""

    keys: SessionKeys
    out: Outbound
    counters: Counters
    cookies: Cookies = field(default_factory=Cookies)
    carried: Carried = field(default_factory=Carried)
    recalls: Recalls = field(default_factory=Recalls)
    farewells: Farewells = field(default_factory=Farewells)
    streams: "Streams" = field(init=False)
    schedule: Callable[[], object] = field(init=False)
    """Is called when there is something to flush, once until the next `flush`."""
    schedule_repeats: Callable[[], object] = field(init=False)
    """Is called when there is something to repeat, once until `repeat` returns False."""
    in_columns: int = 0
    """Ciphers that all groups together keep (`seals.py`)."""
    _groups: list[SealedGroup] = field(default_factory=list)
    _links: list[SealedLink] = field(default_factory=list)
    _is_scheduled: bool = False
    _is_repeating: bool = False
    """Not whether there is something to repeat: what there was may go while the timer runs."""
    _repeated: float | None = None
    """When `repeat` was last called; None: the timer does not run, or has begun since."""
    _late: int = 0
    """Late calls of `repeat` in a row."""
    _bursts: dict[SealedGroup, None] = field(default_factory=dict)
    _joined: dict[SealedLink, int] = field(default_factory=dict)
    """Members that have caught up → ticks since then."""
    _with_columns: dict[Seals, None] = field(default_factory=dict)
    """Groups that keep ciphers."""

    # --- the turn ----------------------------------------------------------------------------------------------------

    def begin(self, group: SealedGroup) -> None:
        """Send what a group has collected at the next `flush`."""
        self._groups.append(group)
        self._schedule()

    def send_line(self, link: SealedLink, line: bytes) -> None:
        """Send a line to one member: an entry in its place among those of its room, or an answer."""
        group, offset = link.member.recipients, offset_of(line)
        if offset and isinstance(group, SealedGroup):
            group.add_own(link.member, offset, line)
        elif link.add_loose(line):
            self._links.append(link)
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self.schedule()

    def flush(self) -> None:
        """Send all that was collected."""
        self._is_scheduled = False
        groups, self._groups = self._groups, []
        for group in groups:
            group.flush()
        links, self._links = self._links, []
        for link in links:
            link.flush()

    def send_packets(self, link: SealedLink, packets: Sequence[bytes]) -> None:
        """Send packets to one member."""
        self.out.send_many(link.listener, link.address, packets)

    # --- repeating ---------------------------------------------------------------------------------------------------

    def repeat_later(self, group: SealedGroup, link: SealedLink) -> None:
        """Send a group's last body twice more, when no other has followed it (`AT_TICKS`); TCP loses none.

        `link` is one of its members.
        """
        if not self._is_carried(link):
            self._schedule_repeats()
            self._bursts[group] = None

    def joined(self, link: SealedLink) -> None:
        """Send a member that has caught up two empty bodies later on, so that it notices if the last body was lost."""
        if not self._is_carried(link):
            self._schedule_repeats()
            self._joined[link] = 0

    def repeat_ending(self, link: SealedLink, count: int, body: bytes) -> None:
        """Send the body that tells of a link's end twice more, with the counts behind `count`."""
        if not self._is_carried(link):
            self._schedule_repeats()
            self.farewells.add(link, count, body)

    def _is_carried(self, link: SealedLink) -> bool:
        return link.listener == self.carried.listener

    def _schedule_repeats(self) -> None:
        if not self._is_repeating:
            self._is_repeating = True
            self.schedule_repeats()

    def repeat(self, now: float) -> bool:
        """Repeat the last bodies of bursts that have ended, and recall clients; return whether to call again."""
        for group in () if self._is_behind(now) else list(self._bursts):
            group.quiet += 1
            if group.quiet in AT_TICKS:
                group.repeat()
            if group.quiet >= AT_TICKS[-1]:
                group.forget_last()
                del self._bursts[group]
        for link in list(self._joined):
            self._joined[link] = ticks = self._joined[link] + 1
            its_group = link.member.recipients
            if not isinstance(its_group, SealedGroup):
                del self._joined[link]
                continue
            if ticks in AT_TICKS:
                after = its_group.after_of(link.member.id)
                link.send_bodies([serialize_range(after, after)])
            if ticks >= AT_TICKS[-1]:
                del self._joined[link]
        for link, places in self.recalls.due(now):
            for listener, address in places:
                self.counters.sealed_recalls += 1
                self.retry(link.session, listener, address, now)
        for listener, address, packet in self.farewells.due():
            self.out.send(listener, address, packet)
        self._is_repeating = bool(self._bursts or self._joined or self.recalls or self.farewells)
        self._repeated = now if self._is_repeating else None
        return self._is_repeating

    def _is_behind(self, now: float) -> bool:
        """Return whether this call of `repeat` is too late to tell that a burst has ended."""
        is_late = self._repeated is not None and now - self._repeated > LATE_S
        self._late = self._late + 1 if is_late and self._late < MOST_LATE else 0
        return self._late > 0

    def keep_column(self, seals: Seals, ciphers: int) -> None:
        """Let a group keep so many ciphers until the next tick; if all together are too many, the others go first."""
        if self.in_columns + ciphers > MOST_KEPT:
            self._forget_columns()
        self.in_columns += ciphers
        self._with_columns[seals] = None

    def _forget_columns(self) -> None:
        for seals in self._with_columns:
            seals.forget_columns()
        self._with_columns.clear()
        self.in_columns = 0

    def tick(self) -> None:
        """Drop ciphers that are not in use. Call it every `keys.TICK_S`."""
        self.keys.tick()
        self._forget_columns()

    def forget(self, group: SealedGroup) -> None:
        """Forget a group without members."""
        self._bursts.pop(group, None)

    # --- the ends of runs --------------------------------------------------------------------------------------------

    def detach(self, link: SealedLink) -> None:
        """Send a member nothing more until it resumes; it stays a member."""
        if link.member.stream is link:
            self.streams.detach(link.member)
        link.unbind()

    def detach_all(self, address: bytes) -> None:
        """Detach all members that were served over a TCP connection that has ended."""
        for link in self.carried.over(address):
            self.detach(link)

    def recall(self, link: SealedLink, also: Place | None = None) -> None:
        """End a run, if there is one, and let the client resume, which tells it what it has missed.

        It is told at the link's address, and `also` at another one where it may be.
        """
        self.detach(link)
        if link.address:
            own = link.listener, link.address
            self._schedule_repeats()
            self.recalls.add(link, (own,) if also in (None, own) else (own, also))

    def retry(self, session: bytes, listener: int, address: bytes, now: float) -> None:
        """Send a cookie for a session to an address."""
        self.counters.sealed_retries += 1
        cookie = self.cookies.new(session, address, now)
        self.out.send(listener, address, check_packet(self, session, Kind.RETRY, cookie))
