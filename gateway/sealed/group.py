"""Groups of live members of version 2: a turn's entries of a room are one body, sealed for each member.

`collect` only collects. `flush` sends, at the end of the event loop's turn and before the group changes. A body says
which offsets it covers. A member with an entry of its own in the turn (a whisper, an answer) gets a body of its own for
the same offsets, so that it sees no hole and misses nothing.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from tsudoi.protocol.sealed.lines import join, offset_of
from tsudoi.protocol.sealed.parts import MAX_WHOLE

from ..chat.collecting import Collecting
from ..chat.members import Member, Room
from .packing import Numbered, merge, pack
from .seals import Seals

if TYPE_CHECKING:
    from .link import SealedLink
    from .sender import Sender

MAX_COLLECTED = 65_536
"""Bytes above which what is collected is sent at once. Not within a run of messages: the room's position is at its end,
and a body says up to there that it has all."""
MOST_OWN = 20
"""Entries for single members without a common body between: a whisper should not cost a body for each member."""
TRAIL, TRAIL_SIZE = 3, 400
"""Bodies and bytes of lines that go again before the next ones: a member that has lost them needs no round trip."""
TRAIL_TICKS = 5
"""Ticks of the repeater since the last body, after which none do: it has been repeated. Neither do any before the first
tick: a room that talks so fast has the next body soon."""
TRAILS = 1_000
"""Bodies with such lines after a member has missed something: where the network loses nothing, there are none."""


class Sent(NamedTuple):
    """The lines of a body that was sent to all members."""

    after: int
    lines: list[Numbered]


class SealedGroup(Collecting):
    """Live members of one room that get the same entries in the same bodies."""

    __slots__ = (
        "_begun",
        "_last",
        "_lines",
        "_loose",
        "_newest_own",
        "_own",
        "_recipients",
        "_room",
        "_seals",
        "_sender",
        "_size",
        "_trail",
        "_trails",
        "after",
        "quiet",
    )

    def __init__(self, sender: "Sender", room: Room) -> None:
        """Begin without members."""
        self._sender, self._room = sender, room
        self._recipients = sender.out.new_own_recipients()
        self._seals = Seals(sender)
        self.after = room.position
        """The offset up to which its members were sent all entries."""
        self._lines: list[Numbered] = []
        self._own: dict[int, list[Numbered]] = {}
        """Entries for one member each since the last common body, by its id. Until then its bodies have all of them."""
        self._newest_own = 0
        """The offset of the last entry for one member."""
        self._begun: dict[int, int] = {}
        """Members that were added since the last common body, at a later offset than that: it begins there for each,
        since what the group leaves out before it is what is for none of the others."""
        self._loose: list[bytes] = []
        """Notices without an offset."""
        self._size = 0
        self._last: tuple[bytes | None, dict[int, bytes]] | None = None
        """The last body of the burst (None: only some got bodies), and those of members with their own; empty for those
        that were added since."""
        self._trail: tuple[Sent, ...] = ()
        """What may go again with the next body."""
        self._trails = 0
        """So many bodies more have such lines."""
        self.quiet = 0
        """Ticks of the repeater since the last body."""

    def __len__(self) -> int:
        return len(self._seals.links)

    def add(self, member: Member, address: bytes) -> None:
        """Add a member that has a link."""
        self.flush()
        # All that was sent here may lack entries that are for this member alone, which it has got from the log.
        self._trail = ()
        if self._last is not None:
            self._last[1][member.id] = b""
        if not len(self):
            self.after = self._room.position
        elif self.after < self._room.position:
            self._begun[member.id] = self._room.position
        link = member.sealed
        assert link is not None
        self._recipients.add(member, link.address)
        self._seals.add(link)
        if member.cursor < self._room.position:
            # There was nothing for it: it must not take that for a hole.
            link.send_entries(member.cursor, self._room.position, ())
        self._sender.joined(link)

    def remove(self, member: Member) -> None:
        """Remove a member."""
        self.flush()
        self._own.pop(member.id, None)
        self._begun.pop(member.id, None)
        self._seals.remove(member.slot)
        self._recipients.remove(member)
        if not len(self):
            self._sender.forget(self)

    def address_in(self, slot: int) -> bytes:
        """Return the address in a slot."""
        return self._recipients.address_in(slot)

    # --- collecting --------------------------------------------------------------------------------------------------

    def collect(self, payloads: Sequence[bytes]) -> None:
        """Send lines to all, with the next body."""
        if not self._size:
            self._sender.begin(self)
        if first := offset_of(payloads[0]):
            self._lines += enumerate(payloads, first)
        else:
            self._loose += payloads
        self._size += sum(map(len, payloads)) + len(payloads)
        if self._size > MAX_COLLECTED:
            self.flush()

    def add_own(self, member: Member, offset: int, line: bytes) -> None:
        """Send a line to one member, in its place among the others."""
        # Not behind it: the same entry may be for another member too, and a body says that it has all up to there.
        if self._size > MAX_COLLECTED and offset != self._newest_own:
            self.flush()
        self._newest_own = offset
        if not self._size:
            self._sender.begin(self)
        self._own.setdefault(member.id, []).append((offset, line))
        self._size += len(line) + 1

    # --- sending -----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what was collected."""
        if not self._size:
            return
        lines, own, loose = self._lines, self._own, self._loose
        self._lines, self._loose, self._size = [], [], 0
        to = max(self._room.position, *(each[-1][0] for each in (lines, *own.values()) if each), 0)
        is_common = bool(lines) or sum(map(len, own.values())) > MOST_OWN
        if is_common:
            contents = pack(self.after, to, lines)
            own_bodies = self._own_bodies(to, lines, {*own, *self._begun}) if own or self._begun else {}
            if own_bodies or not self._trails or len(contents) > 1:
                self._trail = ()
            else:
                contents = self._with_trail(to, lines) or contents
            self._send(contents, own_bodies)
            self._last = contents[-1], {member: contents[-1] for member, contents in own_bodies.items()}
            self.after = to
            self._own, self._begun = {}, {}
        elif own:
            own_bodies = self._own_bodies(to, [], own)
            self._last = None, {member: contents[-1] for member, contents in own_bodies.items()}
        else:
            own_bodies = {}
        for member, contents in own_bodies.items():
            if (link := self._link_of(member)) is not None:
                link.send_bodies(contents)
        if is_common or own_bodies:
            self.quiet = 0
            self._sender.repeat_later(self, self._seals.links[0])
        if loose:
            self._send([join(loose)], {})

    def note_missed(self) -> None:
        """Note that a member has missed something."""
        self._trails = TRAILS

    def _with_trail(self, to: int, lines: list[Numbered]) -> list[bytes]:
        """Return the body of some lines with those of the last bodies before them; none if that should not be."""
        trail = self._trail if self.quiet <= TRAIL_TICKS else ()
        self._trail = (*trail[1 - TRAIL :], Sent(self.after, lines))
        self._trails -= 1
        while trail and sum(len(line) for sent in trail for _, line in sent.lines) > TRAIL_SIZE:
            trail = trail[1:]
        if not self.quiet or not trail:
            return []
        bodies = pack(trail[0].after, to, [line for sent in (*trail, Sent(self.after, lines)) for line in sent.lines])
        return bodies if len(bodies) == 1 else []

    def _own_bodies(self, to: int, lines: list[Numbered], members: Iterable[int]) -> dict[int, list[bytes]]:
        """Return the bodies of members that do not get the common one, by their ids."""
        return {each: pack(self.after_of(each), to, merge(lines, self._own.get(each, ()))) for each in members}

    def after_of(self, member: int) -> int:
        """Return the offset behind which a member's next body begins."""
        return self._begun.get(member, self.after)

    def has_sent_all(self, member: int) -> bool:
        """Return whether a member was sent all that its room has for it, up to the room's position."""
        return not self._size and self._room.position <= self.after_of(member)

    def rest_of(self, member: int, to: int) -> list[bytes]:
        """Return the bodies with a member's own entries since the last common body, up to the offset `to`.

        Call `flush` first.
        """
        if to <= (after := self.after_of(member)):
            return []
        return pack(after, to, self._own.get(member, ()))

    def repeat(self) -> None:
        """Send the last body once more."""
        if self._last is None:
            return
        common, own = self._last
        if common is not None:
            self._send([common], own)
        for member, content in own.items():
            if content and (link := self._link_of(member)) is not None:
                link.send_bodies([content])

    def forget_last(self) -> None:
        """Forget the last body: it was repeated often enough."""
        self._last = None

    def _link_of(self, member_id: int) -> "SealedLink | None":
        member = self._room.members.get(member_id)
        return None if member is None or member.recipients is not self else member.sealed

    def _send(self, contents: list[bytes], but: "dict[int, Any]") -> None:
        """Send bodies to all but the members with these ids."""
        if not but:
            self._send_slots(contents, range(len(self)))
            return
        members = self._room.members
        slots = sorted(
            member.slot for each in but if (member := members.get(each)) is not None and member.recipients is self
        )
        for start, end in pairwise([-1, *slots, len(self)]):
            self._send_slots(contents, range(start + 1, end))

    def _send_slots(self, contents: list[bytes], slots: range) -> None:
        if not slots:
            return
        if max(map(len, contents)) > MAX_WHOLE:
            for link in self._seals.links[slots.start : slots.stop]:
                link.send_bodies(contents)
        else:
            self._seals.send(self._recipients, slots, contents)
