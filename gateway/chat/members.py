"""The members and rooms that this gateway serves: their state, and the tables that find them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol.backbone import Granted, shard_of
from tsudoi.protocol.client.dialect import Dialect, DownStyle
from tsudoi.protocol.client.own_name import own_names
from tsudoi.protocol.names import RoomName
from tsudoi.protocol.web.codes import Ending

from ..listeners import sockaddr
from .fair_share import FairShare
from .replay_limiter import ReplayLimiter
from .standstills import Standstills

if TYPE_CHECKING:
    from ..sealed.link import SealedLink
    from ..sealed.numbered import NumberedLines

NEVER = float("-inf")
DISPLACED = b""
"""`Member.source` of one whose address another member has been heard at since it was heard itself."""


class Recipients(Protocol):
    """Addresses that get the same datagrams, prepared for sending by the I/O layer; or streams (`stream_group`)."""

    def add(self, member: "Member", address: bytes) -> None:
        """Add a member at its address and set its `slot`."""

    def remove(self, member: "Member") -> None:
        """Remove a member; another one may get its slot."""

    def address_in(self, slot: int) -> bytes:
        """Return the address in a slot, from 0 to the group's size."""

    def __len__(self) -> int: ...


class Stream(Protocol):
    """The connection of a member that is served over a stream and not by datagrams."""

    @property
    def is_behind(self) -> bool:
        """Whether so much waits for the client that nothing more should be sent now."""

    @property
    def group_mark(self) -> int:
        """Bits beyond those of `MemberOptions`; streams with different ones are in different groups."""

    def send(self, payload: bytes) -> None:
        """Send one payload."""

    def send_entries(self, after: int, to: int, payloads: Sequence[bytes]) -> None:
        """Send what a member has missed of the entries after an offset, up to `to`."""

    def new_group(self) -> Recipients:
        """Return an empty group of streams of this kind."""

    def end(self, member: "Member", ending: Ending, why: str = "", last: int | None = None) -> None:
        """Tell the client that it is no longer in a member's room, and serve the member no more, if it did.

        `last` is the offset up to which it has been sent its entries; None: the log has no more what follows.
        """

    def interrupt(self, member: "Member") -> None:
        """Detach the member, so that its client comes back with its position and learns what is lost to it."""


@dataclass(slots=True, eq=False)
class SenderState:
    """State of a member that has sent something. Most members only listen, and do without."""

    wished: str
    """The name that it asked for: its client may still write it."""
    own_names: tuple[str, ...]
    """The names that its client may write before its texts (`own_name.own_names`)."""
    bucket: Bucket | None = None
    command_bucket: Bucket | None = None
    moves: Bucket | None = None
    moved_host: bool = False
    """Its datagrams come from another host than its handshake, so its address is unverified."""
    muted_until: float = NEVER
    """Until then its datagrams are ignored unread (`rate_limits`, `flooding`)."""
    warned_at: float = NEVER
    """When it was last warned that it sends too fast."""
    numbered: "NumberedLines | None" = None
    """Of version 2: the order of its lines."""
    held: list[str] | None = None
    """What it has sent after a command that is being prepared (`commands`): each line waits for its turn."""


@dataclass(slots=True, eq=False)
class CatchUpState:
    """State of a member that is not live yet."""

    joined_at: int = 0
    history: int = 0
    """Number of messages from before its join to send first."""
    replaying: bool = False
    """The log has been asked, and has not answered yet."""
    limiter: ReplayLimiter | None = None


@dataclass(slots=True, eq=False)
class Member:
    """One member that this gateway serves; state that only few members need is kept apart, to save memory."""

    id: int
    name: str
    options: int
    """`MemberOptions` that the listener of its handshake promised."""
    token: bytes
    """The token; its hash for an adopted member whose client has sent nothing here yet."""
    dialect: Dialect
    room: "Room"
    ip: bytes
    """The host of its handshake, or of its last accepted datagram."""
    rate_key: str
    """Its address for limits (`join/rate_keys.py`); empty: no limits by address."""
    seen: float
    """When its last accepted datagram came."""
    cursor: int
    """While it is not live: the offset up to which its room's entries were delivered to it."""
    sender: SenderState | None = None
    address: bytes | None = None
    """Where datagrams to it go; None: not known yet."""
    source: bytes | None = None
    """Where its last datagram came from; None: none has come here yet. See `DISPLACED`."""
    listener: int = 0
    """Index of the UDP listener that it sends to and that datagrams to it leave from."""
    recipients: Recipients | None = None
    """Its group of live members; None: it has no address yet, or catches up."""
    slot: int = -1
    """Its place in that group."""
    catch_up: CatchUpState | None = None
    leaving: bool = False
    """It leaves, or has been removed: its datagrams are ignored."""
    stream: Stream | None = None
    """Of a member by WebSocket: its connection, while there is one. Of version 2: its link, while it is served. Neither
    has an address here."""
    sealed: "SealedLink | None" = None
    """Of version 2: its session, once that is known here."""

    @property
    def is_reachable(self) -> bool:
        """Whether the member has an address or a stream to which entries can be sent."""
        return self.address is not None or self.stream is not None

    @property
    def reached(self) -> int:
        """The offset up to which its room's entries were delivered to it."""
        return self.cursor if self.recipients is None else self.room.position

    @property
    def is_displaced(self) -> bool:
        """Whether another member of its room has been heard at its address: it is sent nothing until it is heard."""
        return self.source == DISPLACED and self.recipients is None and self.id not in self.room.waiting

    @classmethod
    def from_grant(
        cls, granted: Granted, token: bytes, dialect: Dialect, ip: bytes, room: "Room", now: float, rate_key: str = ""
    ) -> "Member":
        """Return the member that the directory has granted; `room` is the grant's."""
        name = granted.user
        member = cls(granted.member, name, granted.options, token, dialect, room, ip, rate_key, now, granted.offset)
        if granted.wished not in ("", name):
            member.sender = SenderState(granted.wished, own_names(name, granted.wished))
        return member

    def sender_state(self) -> SenderState:
        """Return its sender state; create it on first use."""
        if self.sender is None:
            self.sender = SenderState(self.name, own_names(self.name))
        return self.sender

    def rename(self, name: str) -> None:
        """Change its name; its client may still write the one that it asked for."""
        sender = self.sender_state()
        sender.own_names = own_names(name, sender.wished)
        self.name = name


@dataclass(slots=True, eq=False)
class Room:
    """A room that has members at this gateway."""

    id: int
    name: str
    raw_name: bytes
    epoch: int
    position: int
    """The offset up to which its entries were delivered to live members."""
    known_last: int
    """The highest offset that is known to exist."""
    last_not_joined: int
    """The last offset of an entry that is not JOINED: after it there is nothing for members without notices."""
    size: int
    """Members at all gateways, by the latest news."""
    shard: int = 0
    """Which shard it belongs to, by its name."""
    at_ms: int = 0
    """When the entry at `position` was stamped; 0: it was not received here."""
    is_stale: bool = False
    """The broker's log may not be the one that was received here: it must be asked."""
    confirmed: bool = False
    """News have come: the subscription is live."""
    is_ended: bool = False
    """It is closed; members that are behind still catch up."""
    repairing: bool = False
    """A gap is being repaired; news only raise `known_last` meanwhile."""
    limiter: ReplayLimiter | None = None
    """For its gaps and bursts; made with the first one."""
    share: FairShare | None = None
    """Limits the room's messages; made with the first one."""
    spoke_at: float = NEVER
    """When a message was last delivered here."""
    members: dict[int, Member] = field(default_factory=dict)
    waiting: dict[int, Member] = field(default_factory=dict)
    """Members with an address that are not live yet."""
    groups: dict[tuple[int, DownStyle, int], Recipients] = field(default_factory=dict)
    """Live members by listener, form of datagram, and options (`groups`)."""

    @classmethod
    def from_grant(cls, granted: Granted, shards: int = 1) -> "Room":
        """Return the room of a grant; `shards` is how many shards all rooms are divided into."""
        name, offset, shard = granted.room_name, granted.offset, shard_of(RoomName(granted.room_name), shards)
        return cls(granted.room, name, name.encode(), granted.epoch, offset, offset, offset, granted.size, shard)

    def stop_waiting(self, member: Member) -> None:
        """Remove a member from `waiting`: it is live, or removed."""
        if self.waiting.pop(member.id, None) and not self.waiting:
            # An emptied dict keeps its table, 29 bytes for each former item; a cleared one does not.
            self.waiting.clear()


def slots_in(recipients: Recipients, senders: Iterable[Member | None]) -> list[int]:
    """Return the slot of each member that does not hear its own messages, -1 if it is not among the recipients."""
    return [
        sender.slot if sender is not None and sender.recipients is recipients and not sender.dialect.echo else -1
        for sender in senders
    ]


class Members:
    """All members and rooms that this gateway serves."""

    def __init__(self) -> None:
        self.by_token: dict[bytes, Member] = {}
        self.rooms: dict[int, Room] = {}
        self.by_shard: list[dict[int, Room]] = [self.rooms]
        """The rooms of each shard. Where there is one shard, these are all rooms, in one and the same table."""
        self.unsettled: dict[int, Room] = {}
        """Rooms in which a gap is repaired or a member catches up: a tick looks at these."""
        self.paced: dict[int, Room] = {}
        """Rooms with a replay that waits for its limiter, here or for one member: `Deliver.go_on` looks at these."""
        self.unproven: dict[int, int] = {}
        """Id of a member whose address may be wrong, as it was adopted or its address was guessed → its offset then,
        until a datagram from its address has come here."""
        self.rate_keys: dict[str, int] = {}
        """Rate-limit key → how many members share it."""
        self.standstills = Standstills()
        self.at_address: dict[bytes, Member] = {}
        """Address (`sockaddr.peer`) → the member that was located there last."""
        self.by_session: dict[bytes, Member] = {}
        """Members of version 2 by their sessions."""
        self._adopted: dict[bytes, Member] = {}
        """By the hash of the token, until a client has sent the token."""

    def __len__(self) -> int:
        return len(self.by_token) + len(self._adopted)

    def add(self, member: Member) -> None:
        """Add a member whose token is known."""
        self.by_token[member.token] = member
        self._add(member)

    def add_adopted(self, member: Member, token_hash: bytes) -> None:
        """Add a member of whose token only the hash is known."""
        member.token = token_hash
        self.unproven[member.id] = member.cursor
        self._adopted[token_hash] = member
        self._add(member)

    def claim_adopted(self, token_hash: bytes, token: bytes) -> bool:
        """Set the token of the adopted member with its hash; return whether there is one."""
        member = self._adopted.pop(token_hash, None)
        if member is None:
            return False
        member.token = token
        self.by_token[token] = member
        return True

    def add_room(self, granted: Granted) -> Room:
        """Add the room of a grant, which is not here yet, and return it."""
        room = Room.from_grant(granted, len(self.by_shard))
        self.rooms[room.id] = self.by_shard[room.shard][room.id] = room
        return room

    def remove_room(self, room: Room) -> bool:
        """Remove a room; return False if it is not here."""
        if self.rooms.get(room.id) is not room:
            return False
        del self.rooms[room.id]
        self.by_shard[room.shard].pop(room.id, None)
        return True

    def split(self, shards: int) -> None:
        """Divide the rooms between several shards, by their names."""
        self.by_shard = [{} for _ in range(shards)]
        for room in self.rooms.values():
            room.shard = shard_of(RoomName(room.name), shards)
            self.by_shard[room.shard][room.id] = room

    def change_rate_keys(self, key_of: Callable[[bytes], str]) -> None:
        """Count all members by other rate-limit keys: `--unlimited` has changed."""
        self.rate_keys.clear()
        for room in self.rooms.values():
            for member in room.members.values():
                member.rate_key = key_of(member.ip)
                if member.rate_key:
                    self.rate_keys[member.rate_key] = self.rate_keys.get(member.rate_key, 0) + 1

    def _add(self, member: Member) -> None:
        member.room.members[member.id] = member
        if member.rate_key:
            self.rate_keys[member.rate_key] = self.rate_keys.get(member.rate_key, 0) + 1

    def remove(self, member: Member) -> None:
        """Remove a member from all tables."""
        for table in (self.by_token, self._adopted):
            if table.get(member.token) is member:
                del table[member.token]
        self.unproven.pop(member.id, None)
        self.forget_address(member)
        if member.sealed is not None:
            self.by_session.pop(member.sealed.session, None)
            member.sealed = None  # breaks the cycle
        if member.room.members.pop(member.id, None) and member.rate_key:
            self.rate_keys[member.rate_key] -= 1
            if not self.rate_keys[member.rate_key]:
                del self.rate_keys[member.rate_key]
        member.room.stop_waiting(member)
        member.leaving = True

    def forget_address(self, member: Member) -> None:
        """Drop a member's address from the index: it moves or leaves."""
        if member.address is not None and self.at_address.get(peer := sockaddr.peer(member.address)) is member:
            del self.at_address[peer]
