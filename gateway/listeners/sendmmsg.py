"""Send and receive many datagrams by one system call: Linux's recvmmsg(2) and sendmmsg(2), and a portable replacement.

Fan-out costs no more than the kernel's work only if nothing is built per recipient. So each group of recipients keeps
an array of prepared `mmsghdr` that all point at one shared payload: to send a message is one memmove and one system
call. Measured in benchmarks/RESULTS.md, "Parts".

    struct mmsghdr, 64-bit Linux: | name: 8 | name size: 4 | - 4 | iovec: 8 | count: 8 | control: 8 | size: 8 |
                                  | flags: 4 | - 4 | length: 4 | - 4 |                                          = 64
"""

import ctypes
import errno
import platform
import socket
import struct
import sys

from tsudoi.protocol.client.datagram import MAX_UP

from ..chat.members import Member
from . import sockaddr

BATCH = 64
"""Datagrams received by one call."""
ADDRESS_SIZE = 28
_HEADER_SIZE = 64
_NAME_SIZE_AT, _LENGTH_AT = 8 // 4, 56 // 4
_WORDS = _HEADER_SIZE // 4
_SLOT_SIZE = MAX_UP + 8
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))
_RETRY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR)

#  | name: 8 | name size: 4 | - 4 | iovec: 8 | count: 8 | (the rest is zero) |
_HEADER_START = struct.Struct("=QI4xQQ")

Leftover = list[tuple[bytes, bytes]]
"""(payload, address) that the kernel had no room for."""


class SlotTable:
    """Maps slots to members. There are no holes: the last member moves into a gap."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def __len__(self) -> int:
        return len(self._members)

    def _append(self, member: Member) -> int:
        member.slot = len(self._members)
        self._members.append(member)
        return member.slot

    def _take_out(self, member: Member) -> tuple[int, int]:
        """Remove a member; return (its slot, the slot whose content must move there)."""
        last = self._members.pop()
        gap = member.slot
        if last is not member:
            self._members[gap] = last
            last.slot = gap
        member.slot = -1
        return gap, len(self._members)


class PortableRecipients(SlotTable):
    """A group of recipients for systems without sendmmsg."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[bytes] = []

    def add(self, member: Member, address: bytes) -> None:
        self._append(member)
        self.addresses.append(address)

    def address_in(self, slot: int) -> bytes:
        return self.addresses[slot]

    def remove(self, member: Member) -> None:
        gap, last = self._take_out(member)
        self.addresses[gap] = self.addresses[last]
        self.addresses.pop()


class PortableIo:
    """recvfrom and sendto, one datagram a call."""

    name = "recvfrom/sendto"
    new_recipients = PortableRecipients

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.failed = 0
        """Datagrams that the kernel refused for good: no route, not permitted."""

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Return up to `BATCH` datagrams as (data, address); an empty list if none has come."""
        received = []
        try:
            for _ in range(BATCH):
                data, name = self._sock.recvfrom(MAX_UP)
                received.append((data, sockaddr.pack(name[0], name[1], name[3] if len(name) > 2 else 0)))
        except (BlockingIOError, InterruptedError, ConnectionError):
            pass
        return received

    def send_to(self, payload: bytes, address: bytes) -> bool:
        """Send one datagram; return False if the kernel has no room for it now."""
        ip, port = sockaddr.unpack(address)
        name = (ip, port, 0, sockaddr.scope(address)) if sockaddr.is_ipv6(address) else (ip, port)
        try:
            self._sock.sendto(payload, name)
        except OSError as exc:
            if exc.errno in _RETRY:
                return False
            self.failed += 1
        except TypeError:  # an IPv6 address, but an IPv4 socket
            self.failed += 1
        return True

    def send(self, payload: bytes, recipients: PortableRecipients, skip: int) -> Leftover:
        """Send a payload to all recipients except slot `skip`; return the datagrams that the kernel had no room for."""
        targets = [address for slot, address in enumerate(recipients.addresses) if slot != skip]
        for at, address in enumerate(targets):
            if not self.send_to(payload, address):
                return [(payload, left) for left in targets[at:]]
        return []


# The one payload that all prepared headers point at.
_payload = memoryview(bytearray(65_536))
_iovec = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.c_char.from_buffer(_payload)), 0)
_IOVEC_ADDRESS = ctypes.addressof(_iovec)


class LinuxRecipients(SlotTable):
    """A group of recipients as one block: prepared headers, then the addresses that they point at.

    Most rooms are small, so it grows by a quarter and has no room for longer addresses than it holds: for 10 IPv4
    addresses it has 800 bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._capacity = self._address_size = 0
        self._block = bytearray()
        self.start = 0
        """The headers' address in memory. It is fixed: a block is replaced, never resized."""

    def add(self, member: Member, address: bytes) -> None:
        slot = self._append(member)
        if slot == self._capacity or len(address) > self._address_size:
            old = [self.address_in(at) for at in range(slot)]
            self._reserve(max(self._capacity, slot + max(slot // 4, 2)), max(self._address_size, len(address)))
            for at, kept in enumerate(old):
                self._write(at, kept)
        self._write(slot, address)

    def remove(self, member: Member) -> None:
        gap, last = self._take_out(member)
        if gap != last:
            self._write(gap, self.address_in(last))

    def address_in(self, slot: int) -> bytes:
        """Return the address in a slot."""
        (size,) = struct.unpack_from("=I", self._block, slot * _HEADER_SIZE + 8)
        at = self._address_at(slot)
        return bytes(self._block[at : at + size])

    def _reserve(self, capacity: int, address_size: int) -> None:
        self._capacity, self._address_size = capacity, address_size
        self._block = bytearray(capacity * (_HEADER_SIZE + address_size))
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self._block))

    def _address_at(self, slot: int) -> int:
        return self._capacity * _HEADER_SIZE + slot * self._address_size

    def _write(self, slot: int, address: bytes) -> None:
        at = self._address_at(slot)
        self._block[at : at + len(address)] = address
        header = slot * _HEADER_SIZE
        _HEADER_START.pack_into(self._block, header, self.start + at, len(address), _IOVEC_ADDRESS, 1)


class LinuxIo:
    """recvmmsg and sendmmsg, many datagrams a call."""

    name = "recvmmsg/sendmmsg"
    new_recipients = LinuxRecipients

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self.failed = 0
        """Datagrams that the kernel refused for good: no route, not permitted."""
        self._data = bytearray(BATCH * _SLOT_SIZE)
        self._names = bytearray(BATCH * ADDRESS_SIZE)
        data = ctypes.addressof((ctypes.c_char * len(self._data)).from_buffer(self._data))
        names = ctypes.addressof((ctypes.c_char * len(self._names)).from_buffer(self._names))
        self._iovecs = (ctypes.c_uint64 * (2 * BATCH))()
        iovecs = ctypes.addressof(self._iovecs)
        self._headers = bytearray(BATCH * _HEADER_SIZE)
        self._headers_at = ctypes.addressof((ctypes.c_char * len(self._headers)).from_buffer(self._headers))
        for slot in range(BATCH):
            self._iovecs[2 * slot] = data + slot * _SLOT_SIZE
            self._iovecs[2 * slot + 1] = MAX_UP
            name = names + slot * ADDRESS_SIZE
            _HEADER_START.pack_into(self._headers, slot * _HEADER_SIZE, name, ADDRESS_SIZE, iovecs + 16 * slot, 1)
        self._words = memoryview(self._headers).cast("I")
        self._data_view = memoryview(self._data)
        self._names_view = memoryview(self._names)

    def receive(self) -> list[tuple[bytes, bytes]]:
        count = _recvmmsg(self._fd, self._headers_at, BATCH, _DONTWAIT, None)
        if count <= 0:
            return []
        words, data, names = self._words, self._data_view, self._names_view
        received = []
        for slot in range(count):
            word = slot * _WORDS
            at, name_at = slot * _SLOT_SIZE, slot * ADDRESS_SIZE
            name_size = words[word + _NAME_SIZE_AT]
            received.append(
                (bytes(data[at : at + words[word + _LENGTH_AT]]), bytes(names[name_at : name_at + name_size]))
            )
            words[word + _NAME_SIZE_AT] = ADDRESS_SIZE
        return received

    def send_to(self, payload: bytes, address: bytes) -> bool:
        if _sendto(self._fd, payload, len(payload), _DONTWAIT, address, len(address)) < 0:
            if ctypes.get_errno() in _RETRY:
                return False
            self.failed += 1
        return True

    def send(self, payload: bytes, recipients: LinuxRecipients, skip: int) -> Leftover:
        _iovec[1] = size = len(payload)
        _payload[:size] = payload
        count = len(recipients)
        if skip < 0:
            sent = _sendmmsg(self._fd, recipients.start, count, _DONTWAIT)
            return [] if sent == count else self._send_slots(payload, recipients, max(sent, 0), count)
        left = self._send_slots(payload, recipients, 0, skip)
        if left:
            return left + [(payload, recipients.address_in(slot)) for slot in range(skip + 1, count)]
        return self._send_slots(payload, recipients, skip + 1, count)

    def _send_slots(self, payload: bytes, recipients: LinuxRecipients, slot: int, end: int) -> Leftover:
        while slot < end:
            sent = _sendmmsg(self._fd, recipients.start + slot * _HEADER_SIZE, end - slot, _DONTWAIT)
            if sent > 0:
                slot += sent
            elif ctypes.get_errno() in _RETRY:
                return [(payload, recipients.address_in(left)) for left in range(slot, end)]
            else:
                self.failed += 1
                slot += 1
        return []


Io = LinuxIo | PortableIo


def is_supported() -> bool:
    """Return whether this system has these calls, and their structures in the layout drawn above."""
    return sys.platform == "linux" and platform.architecture()[0] == "64bit" and sys.byteorder == "little"


if is_supported():
    _libc = ctypes.CDLL(None, use_errno=True)
    _recvmmsg, _sendmmsg, _sendto = _libc.recvmmsg, _libc.sendmmsg, _libc.sendto
    _recvmmsg.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p
    _sendmmsg.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int
    _sendto.argtypes = ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint


def choose() -> type[LinuxIo] | type[PortableIo]:
    """Return the fastest kind that this system has."""
    return LinuxIo if is_supported() else PortableIo
