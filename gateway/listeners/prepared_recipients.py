"""Keep a group's addresses as prepared `mmsghdr`, so that nothing is built per recipient when a message is sent.

struct mmsghdr, 64-bit Linux: | name: 8 | name size: 4 | - 4 | iovec: 8 | count: 8 | control: 8 | size: 8 |
                              | flags: 4 | - 4 | length: 4 | - 4 |                                          = 64
"""

import ctypes
import struct
from array import array

from ..chat.members import Member
from . import pktinfo, sockaddr

HEADER_SIZE = 64
#  | name: 8 | name size: 4 | - 4 | iovec: 8 | count: 8 | control: 8 | control size: 8 | (the rest is zero) |
HEADER_START = struct.Struct("=QI4xQQQQ")

# The one payload that all prepared headers point at.
_payload = memoryview(bytearray(65_536))
_iovec = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.c_char.from_buffer(_payload)), 0)
_IOVEC_ADDRESS = ctypes.addressof(_iovec)


def load(payload: bytes) -> None:
    """Put a payload where all prepared headers point at."""
    _iovec[1] = size = len(payload)
    _payload[:size] = payload


class PreparedRecipients:
    """A group of recipients as one block: prepared headers, then the addresses and control messages they point at.

    There are no holes: when a member goes, the last one moves into its slot.

    Most rooms are small, so it grows by a quarter and has no room for longer addresses than it holds: for 10 IPv4
    addresses it has 800 bytes, and 280 more if the listener is bound to all addresses.
    """

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._capacity = self._record_size = 0
        self._block = bytearray()
        self.count = 0
        """Members: `len` without a call."""
        self.start = 0
        """The headers' address in memory. It is fixed: a block is replaced, never resized."""

    def __len__(self) -> int:
        return self.count

    def add(self, member: Member, address: bytes) -> None:
        member.slot = self.count
        self.count += 1
        self._members.append(member)
        self.put(member.slot, address)

    def put(self, slot: int, address: bytes) -> None:
        """Write the address of a slot, which is used already or the next."""
        peer, control = sockaddr.peer(address), pktinfo.control(sockaddr.local(address))
        size = len(peer) + len(control)
        if slot >= self._capacity or size > self._record_size:
            old = [self.address_in(at) for at in range(slot)]
            self._reserve(max(self._capacity, slot + max(slot // 4, 2)), max(self._record_size, size))
            for at, kept in enumerate(old):
                self.put(at, kept)
        self._write(slot, peer, control)

    def remove(self, member: Member) -> None:
        last, gap = self._members.pop(), member.slot
        self.count -= 1
        if last is not member:
            self.put(gap, self.address_in(last.slot))
            self._members[gap], last.slot = last, gap
        member.slot = -1

    def address_in(self, slot: int) -> bytes:
        """Return the address in a slot."""
        _, size, _, _, _, control_size = HEADER_START.unpack_from(self._block, slot * HEADER_SIZE)
        at = self._record_at(slot)
        peer = bytes(self._block[at : at + size])
        if not control_size:
            return peer
        return peer + pktinfo.local_in(bytes(self._block[at + size : at + size + control_size]))

    def _reserve(self, capacity: int, record_size: int) -> None:
        self._capacity, self._record_size = capacity, record_size
        self._block = bytearray(capacity * (HEADER_SIZE + record_size))
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self._block))

    def _record_at(self, slot: int) -> int:
        return self._capacity * HEADER_SIZE + slot * self._record_size

    def _write(self, slot: int, peer: bytes, control: bytes) -> None:
        at = self._record_at(slot)
        self._block[at : at + len(peer) + len(control)] = peer + control
        name = self.start + at
        control_at = name + len(peer) if control else 0
        header = slot * HEADER_SIZE
        iovec = self._iovec_of(slot)
        HEADER_START.pack_into(self._block, header, name, len(peer), iovec, 1, control_at, len(control))

    def _iovec_of(self, slot: int) -> int:
        """Return the address of the structure that says where a slot's payload is, and how long."""
        return _IOVEC_ADDRESS


OWN = 64
"""Slots that are sent at once with payloads of their own, at most."""
_AT_ONCE = 48 * 1_024
"""Bytes that are sent at once, except for one slot: with more, `malloc` would give memory back after each send."""
_own = memoryview(bytearray(64 * 1_024))
"""These payloads, one behind the other: more than a burst has for one slot (`segments.BYTES`)."""
_own_iovecs = memoryview(bytearray(16 * OWN)).cast("Q")
_OWN_IOVECS_ADDRESS = ctypes.addressof(ctypes.c_char.from_buffer(_own_iovecs.obj))
_own_start = ctypes.addressof(ctypes.c_char.from_buffer(_own))
_own_places, _own_sizes = _own_iovecs[::2], _own_iovecs[1::2]


def point_own(size: int, end: int) -> int:
    """Let the headers of slots up to `end` point at payloads of this size; return how many slots there is room for.

    It is a power of two. `load_own` takes the payloads of slots between two multiples of it.
    """
    slots = min(OWN, 1 << max(_AT_ONCE // size, 1).bit_length() - 1)
    used = min(OWN, end)
    places = array("Q", range(_own_start, _own_start + min(slots, used) * size, size))
    if used > slots:
        places *= OWN // slots
    _own_places[:used] = places[:used]
    _own_sizes[:used] = array("Q", (size,)) * used
    return slots


def load_own(at: int, payloads: bytes) -> None:
    """Put the payloads of consecutive slots where their headers point at; `at` is where the first one's is."""
    _own[at : at + len(payloads)] = payloads


def own_payload(slot: int) -> bytes:
    """Return the payload that a slot's header points at."""
    at = _own_places[slot % OWN] - _own_start
    return bytes(_own[at : at + _own_sizes[slot % OWN]])


class OwnRecipients(PreparedRecipients):
    """A group whose members get payloads of their own."""

    def _iovec_of(self, slot: int) -> int:
        return _OWN_IOVECS_ADDRESS + 16 * (slot % OWN)
