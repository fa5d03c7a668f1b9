"""The members and rooms that this gateway serves: their state, and the tables that find them."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.backbone import Granted, room_topic
from tsudoi.protocol.client.dialect import Dialect, DownStyle

from .own_name import own_prefixes
from .replay_limiter import ReplayLimiter

NEVER = float("-inf")


class Recipients(Protocol):
    """Addresses that one datagram goes to, prepared for sending; made by the I/O layer."""

    def add(self, member: "Member", address: bytes) -> None:
        """Add a member at its address and set its `slot`."""

    def remove(self, member: "Member") -> None:
        """Take a member out; another may take over its slot."""

    def address_in(self, slot: int) -> bytes:
        """Return the address in a slot, from 0 to the group's size."""

    def __len__(self) -> int: ...


@dataclass(slots=True, eq=False)
class SenderState:
    """What only a member needs that has sent something. Most only listen, and do without."""

    wished: str
    """The name that it asked for: its client may go on writing it."""
    prefixes: tuple[str, ...]
    """What its client may write before its texts; stripped."""
    bucket: Bucket | None = None
    command_bucket: Bucket | None = None
    moves: Bucket | None = None
    moved_host: bool = False
    """It has come from another host than its handshake did: nothing proves that this host is the member's."""
    muted_until: float = NEVER
    """Until then its datagrams are ignored unread (`rate_limits`, `flooding`)."""
    warned_at: float = NEVER
    """When it was last told that it sends too fast."""


@dataclass(slots=True, eq=False)
class CatchUpState:
    """What only a member needs that does not hear its room live yet."""

    joined_at: int = 0
    history: int = 0
    """How many messages from before it joined it hears first."""
    replaying: bool = False
    """The log has been asked, and has not answered yet."""
    limiter: ReplayLimiter | None = None


@dataclass(slots=True, eq=False)
class Member:
    """One member that this gateway serves. State that only few members need is kept apart."""

    id: int
    name: str
    options: int
    """`MemberOptions` that the listener of its handshake promised."""
    token: bytes
    """The token's hash instead, as long as the member was adopted and its client has shown no token here."""
    dialect: Dialect
    room: "Room"
    ip: bytes
    """The host of its handshake, or of its last accepted datagram."""
    rate_key: str
    """What it shares limits with (an IPv4 address or an IPv6 /64); empty: no limits by address."""
    seen: float
    """When something last came from it."""
    idle_s: float
    """For how long nothing may come from it."""
    cursor: int
    """While it is not live: the offset up to which it has heard its room."""
    sender: SenderState | None = None
    address: bytes | None = None
    """Where datagrams to it go; None: not known yet."""
    listener: int = 0
    """Index of the UDP listener that it sends to; datagrams to it leave from there."""
    recipients: Recipients | None = None
    """The group with which it hears its room live; None: it has no address yet, or catches up."""
    slot: int = -1
    """Its place in that group."""
    catch_up: CatchUpState | None = None
    leaving: bool = False
    """It leaves, or has been removed: its datagrams are ignored."""

    @classmethod
    def from_grant(
        cls, granted: Granted, token: bytes, dialect: Dialect, ip: bytes, room: "Room", now: float, rate_key: str = ""
    ) -> "Member":
        """Return the member that the directory has granted; the room is that of the same grant."""
        name, idle_s = granted.user, _seconds(granted.idle_ms)
        member = cls(
            granted.member, name, granted.options, token, dialect, room, ip, rate_key, now, idle_s, granted.offset
        )
        if granted.wished not in ("", name):
            member.sender = SenderState(granted.wished, own_prefixes(name, granted.wished))
        return member

    def sender_state(self) -> SenderState:
        """Return the state of a sender, made when it is first needed."""
        if self.sender is None:
            self.sender = SenderState(self.name, own_prefixes(self.name))
        return self.sender

    def rename(self, name: str) -> None:
        """Give it another name; its client may go on writing the name that it asked for."""
        sender = self.sender_state()
        sender.prefixes = own_prefixes(name, sender.wished)
        self.name = name


@lru_cache
def _seconds(idle_ms: int) -> float:
    """Return the one float object that all members with this time-out share."""
    return idle_ms / 1000


@dataclass(slots=True, eq=False)
class Room:
    """One room with members here."""

    id: int
    name: str
    raw_name: bytes
    epoch: int
    position: int
    """The offset up to which live members have heard the room."""
    known_last: int
    """The highest offset that is known to exist."""
    last_not_joined: int
    """The last offset of an entry that is not a joining: after it there is nothing for members without notices."""
    size: int
    """Members at all gateways, as far as the news tell."""
    confirmed: bool = False
    """News have come: the subscription is live."""
    is_ended: bool = False
    """It is closed; members that are behind still catch up with its end."""
    repairing: bool = False
    """Missing entries have been asked for, or wait for the limiter; news only raise `known_last` meanwhile."""
    limiter: ReplayLimiter | None = None
    """Of the gap that is being repaired."""
    bucket: Bucket | None = None
    """Limits what is said in the room; made with the first message."""
    members: dict[int, Member] = field(default_factory=dict)
    waiting: dict[int, Member] = field(default_factory=dict)
    """Members with an address that are not live yet."""
    groups: dict[tuple[int, DownStyle, int], Recipients] = field(default_factory=dict)
    """Live members by listener, form of datagram, and the options that change what they are sent."""

    @classmethod
    def from_grant(cls, granted: Granted) -> "Room":
        """Return the room of a member that the directory has granted."""
        name, offset = granted.room_name, granted.offset
        return cls(granted.room, name, name.encode(), granted.epoch, offset, offset, offset, granted.size)

    @property
    def topic(self) -> bytes:
        """Topic of its news."""
        return room_topic(self.id)

    def stop_waiting(self, member: Member) -> None:
        """Take a member out of `waiting`: it is live, or removed."""
        if self.waiting.pop(member.id, None) and not self.waiting:
            # An emptied dict keeps its table, 29 bytes for each member that was in it; a cleared one does not.
            self.waiting.clear()


class Members:
    """All members and rooms that this gateway serves."""

    def __init__(self) -> None:
        self.by_token: dict[bytes, Member] = {}
        self.rooms: dict[int, Room] = {}
        self.unsettled: dict[int, Room] = {}
        """Rooms in which a gap is repaired or a member catches up: a tick looks at these."""
        self.unproven: dict[int, int] = {}
        """Id of an adopted member → the offset after which it was sent entries at an address from which nothing has
        come to this gateway yet."""
        self.rate_keys: dict[str, int] = {}
        """Rate-limit key → how many members share it."""
        self._adopted: dict[bytes, Member] = {}
        """By the hash of a token that no client has shown here yet."""

    def __len__(self) -> int:
        return len(self.by_token) + len(self._adopted)

    def add(self, member: Member) -> None:
        """Add a member whose token is known."""
        self.by_token[member.token] = member
        self._enrol(member)

    def add_adopted(self, member: Member, token_hash: bytes) -> None:
        """Add a member of whose token only the hash is known."""
        member.token = token_hash
        self.unproven[member.id] = member.cursor
        self._adopted[token_hash] = member
        self._enrol(member)

    def claim_adopted(self, token_hash: bytes, token: bytes) -> bool:
        """Note the token of an adopted member, if its hash is one's; say whether it was."""
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

    def remove(self, member: Member) -> None:
        """Take a member out of all tables."""
        for table in (self.by_token, self._adopted):
            if table.get(member.token) is member:
                del table[member.token]
        self.unproven.pop(member.id, None)
        if member.room.members.pop(member.id, None) and member.rate_key:
            self.rate_keys[member.rate_key] -= 1
            if not self.rate_keys[member.rate_key]:
                del self.rate_keys[member.rate_key]
        member.room.stop_waiting(member)
        member.leaving = True
