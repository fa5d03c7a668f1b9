"""Who is served here: members by token, their rooms, and who has been silent too long."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

from gateway.pace import Pace
from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.backbone import Granted, room_topic
from tsudoi.protocol.client.dialect import Dialect, DownStyle
from tsudoi.protocol.names import MAX_NAME_SIZE

_LONGEST_NAME = 2 * MAX_NAME_SIZE
"""Characters of a name in any form of Unicode."""
_TOLD_APART = re.compile(r"#\d+\Z")

NEVER = float("-inf")
WHEEL_SLACK = 1_000
"""Members that went, beyond as many as are there, before they are looked for and let go."""


class Recipients(Protocol):
    """Addresses that one datagram goes to, prepared for sending; made by the I/O layer."""

    def add(self, member: "Member", address: bytes) -> None:
        """Add a member at its address and set its `slot`."""

    def remove(self, member: "Member") -> None:
        """Take a member out; another may take over its slot."""

    def address_in(self, slot: int) -> bytes:
        """Return the address in a slot, from 0 to the group's size."""

    def __len__(self) -> int: ...


class Voice:
    """What only a member has that has said something. Most listen, and do without."""

    __slots__ = ("bucket", "elsewhere", "muted_until", "own_prefixes", "questions", "warned_at", "wished")

    def __init__(self, name: str, wished: str = "") -> None:
        self.wished = wished or name
        """The name that it came with: its client may go on to write it."""
        self.bucket: Bucket | None = None
        self.questions: Bucket | None = None
        self.elsewhere = False
        """It has shown itself at another host than that of its handshake: nothing has proven that it is there."""
        self.muted_until = NEVER
        """Until when what it says is not read; see `core.MUTE_S`."""
        self.warned_at = NEVER
        """When it was told last that it is too fast."""
        self.own_prefixes = own_prefixes(name, self.wished)
        """What its client may write before its texts, to be taken off."""


class Arrival:
    """What only a member has that catches up, or is to hear what was said before it came."""

    __slots__ = ("history", "joined_at", "pace", "replaying")

    def __init__(self, joined_at: int = 0, history: int = 0) -> None:
        self.joined_at = joined_at
        self.history = history
        """Messages of before it joined that it is to hear first."""
        self.replaying = False
        self.pace: Pace | None = None
        """How fast it is told."""


class Member:
    """One member that this gateway serves. There are many that only listen: what few have or need is apart."""

    __slots__ = (
        "address",
        "arrival",
        "cursor",
        "dialect",
        "door",
        "id",
        "idle_s",
        "ip",
        "leaving",
        "name",
        "options",
        "rate_key",
        "recipients",
        "room",
        "seen",
        "slot",
        "token",
        "voice",
    )

    def __init__(
        self,
        granted: Granted,
        token: bytes,
        dialect: Dialect,
        ip: bytes,
        room: "Room",
        now: float,
        rate_key: str = "",
    ) -> None:
        self.id = granted.member
        self.name = granted.user
        self.options = granted.options
        """A `MemberOptions`: how its listener promised to serve it."""
        self.token = token
        """Its hash instead, as long as the member was adopted and nothing else is known."""
        self.dialect = dialect
        self.room = room
        self.ip = ip
        """Where its handshake came from, or its last accepted datagram from elsewhere."""
        self.rate_key = rate_key
        """What it counts for with others of its address; empty: for nothing."""
        self.address: bytes | None = None
        self.door = 0
        """The UDP door that it talks to; answers leave from there."""
        self.seen = now
        self.idle_s = _seconds(granted.idle_ms)
        self.voice = Voice(granted.user, granted.wished) if granted.wished not in ("", granted.user) else None
        """Only of one that has said something, or has not the name that it came with."""
        self.cursor = granted.offset
        """Offset up to which it has heard its room, while it is not among the recipients; then the room's position."""
        self.recipients: Recipients | None = None
        """The group that it hears with; None: not live (no address yet, or catching up)."""
        self.slot = -1
        self.arrival: Arrival | None = None
        """Only of one that is not live, as long as it has to catch up."""
        self.leaving = False

    def rename(self, name: str) -> None:
        """It has another name; its client may go on to write the one that it came with."""
        self.voice = self.voice or Voice(self.name)
        self.voice.own_prefixes = own_prefixes(name, self.voice.wished)
        self.name = name


@lru_cache
def _seconds(idle_ms: int) -> float:
    """Return the one number that all members with this time-out share."""
    return idle_ms / 1000


def own_prefixes(name: str, wished: str = "") -> tuple[str, ...]:
    """Return what a client may write before its texts: its name as assigned or, told apart, as it was wished."""
    names = dict.fromkeys((name, _TOLD_APART.sub("", name), *([wished] if wished else [])))
    return tuple(f"{own}{separator}" for own in names for separator in (": ", " : "))


def without_own_name(text: str, own: tuple[str, ...]) -> str:
    """Return what a client said without its sender's name in front, in whatever form of Unicode it is written.

    Args:
        text: what came.
        own: of `own_prefixes`.
    """
    for prefix in own:
        if text.startswith(prefix):
            return text[len(prefix) :]
    name, separator, said = text.partition(": ")
    # To put thousands of combining marks in order takes milliseconds; no name has so many.
    if separator and len(name) <= _LONGEST_NAME and unicodedata.normalize("NFC", name).strip() + separator in own:
        return said
    return text


class Room:
    """One room with members here."""

    __slots__ = (
        "bucket",
        "confirmed",
        "epoch",
        "eventful",
        "groups",
        "id",
        "is_ended",
        "known_last",
        "members",
        "name",
        "pace",
        "position",
        "raw_name",
        "repairing",
        "size",
        "waiting",
    )

    def __init__(self, granted: Granted) -> None:
        self.id = granted.room
        self.name = granted.room_name
        self.raw_name = self.name.encode()
        self.epoch = granted.epoch
        self.position = granted.offset
        """Offset up to which the live members have heard it."""
        self.known_last = granted.offset
        """The highest offset that is known to exist."""
        self.eventful = granted.offset
        """After this offset nobody did anything but join, which is told to members with notices only."""
        self.confirmed = False
        """The subscription is proven live."""
        self.is_ended = False
        """It is closed; members that are here still catch up with its end."""
        self.repairing = False
        """What is missing has been asked for, or waits for its pace; news only move `known_last` meanwhile."""
        self.bucket: Bucket | None = None
        """What may be said in it; made with the first message."""
        self.pace: Pace | None = None
        """While something is missing: how fast it is told."""
        self.members: dict[int, Member] = {}
        self.waiting: dict[int, Member] = {}
        """Members with an address that are not live yet."""
        self.groups: dict[tuple[int, DownStyle, int], Recipients] = {}
        """Who hears the news together: by door, style and what their manners say of how they are told."""
        self.size = granted.size
        """Members everywhere, as far as the news have come."""

    @property
    def topic(self) -> bytes:
        """What its news come under."""
        return room_topic(self.id)

    def wait_no_more(self, member: Member) -> None:
        """A member is live, or is gone."""
        if self.waiting.pop(member.id, None) and not self.waiting:
            # A dict that becomes empty keeps its table, for each room 29 bytes a member; one that is cleared does not.
            self.waiting.clear()


class Members:
    """All members and rooms that this gateway serves."""

    def __init__(self) -> None:
        self.by_token: dict[bytes, Member] = {}
        self.rooms: dict[int, Room] = {}
        self._adopted: dict[bytes, Member] = {}
        """By the hash of a token that is not known yet."""
        self.unproven: dict[int, int] = {}
        """Id of one that was adopted → what it was told after this offset went to an address that may be none any more,
        as nothing has come from there."""
        self.rate_keys: dict[str, int] = {}
        """Household → how many of the members that are served count for it."""
        self._due: defaultdict[int, list[Member]] = defaultdict(list)
        """Second in which to look at a member again → those members."""
        self._removed = 0
        """Members that are among those and served no more."""
        self._looked_at: int | None = None

    def __len__(self) -> int:
        """Return how many are served."""
        return len(self.by_token) + len(self._adopted)

    def add(self, member: Member) -> None:
        """Serve a member from now on."""
        self.by_token[member.token] = member
        self._enrol(member)

    def add_adopted(self, member: Member, token_hash: bytes) -> None:
        """Serve a member from now on of whose token only the hash is known."""
        member.token = token_hash
        self.unproven[member.id] = member.cursor
        self._adopted[token_hash] = member
        self._enrol(member)

    def claim_adopted(self, token_hash: bytes, token: bytes) -> bool:
        """A token has come: if its hash is an adopted member's, the member is known by it from now on."""
        member = self._adopted.pop(token_hash, None)
        if member is None:
            return False
        member.token = token
        self.by_token[token] = member
        return True

    def _enrol(self, member: Member) -> None:
        member.room.members[member.id] = member
        if member.rate_key:
            self.rate_keys[member.rate_key] = self.rate_keys.get(member.rate_key, 0) + 1
        self._due[int(member.seen + member.idle_s) + 1].append(member)

    def remove(self, member: Member) -> None:
        """Serve it no more. It stays in the idle wheel until its turn comes, or until most there are such."""
        for table in (self.by_token, self._adopted):
            if table.get(member.token) is member:
                del table[member.token]
        self.unproven.pop(member.id, None)
        if member.room.members.pop(member.id, None) and member.rate_key:
            self.rate_keys[member.rate_key] -= 1
            if not self.rate_keys[member.rate_key]:
                del self.rate_keys[member.rate_key]
        member.room.wait_no_more(member)
        member.leaving = True
        self._removed += 1
        if self._removed > len(self) + WHEEL_SLACK:
            for due, members in self._due.items():
                self._due[due] = [each for each in members if not each.leaving]
            self._removed = 0

    def idle(self, now: float) -> Iterator[Member]:
        """Yield the members that have been silent too long.

        Nobody is walked over: a member is looked at when its time could be up, and again when it would be if it
        was heard since. So a member costs one look per time-out, whatever the number of others.
        """
        second = int(now)
        if self._looked_at is None:
            self._looked_at = min(self._due, default=second) - 1
        for due in range(self._looked_at + 1, second + 1):
            for member in self._due.pop(due, ()):
                if member.leaving:
                    self._removed = max(self._removed - 1, 0)
                    continue
                if now - member.seen >= member.idle_s:
                    yield member
                else:
                    self._due[max(int(member.seen + member.idle_s) + 1, second + 1)].append(member)
        self._looked_at = max(second, self._looked_at)
