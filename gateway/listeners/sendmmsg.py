"""Send and receive many datagrams by one system call: Linux's recvmmsg(2) and sendmmsg(2).

Fan-out costs no more than the kernel's work only if nothing is built per recipient. So each group of recipients keeps
an array of prepared `mmsghdr` that all point at one shared payload: to send a message is one memmove and one system
call. Measured in benchmarks/RESULTS.md, "Parts".

    struct mmsghdr, 64-bit Linux: | name: 8 | name size: 4 | - 4 | iovec: 8 | count: 8 | control: 8 | size: 8 |
                                  | flags: 4 | - 4 | length: 4 | - 4 |                                          = 64
"""

import ctypes
import platform
import socket
import struct
import sys

from tsudoi.protocol.client.datagram import MAX_READ

from ..chat.members import Member
from . import pktinfo, sockaddr
from .portable_io import BATCH, RETRY, Leftover, PortableIo, SlotTable

ADDRESS_SIZE = 28
_HEADER_SIZE = 64
_NAME_SIZE_AT, _LENGTH_AT = 8 // 4, 56 // 4
_WORDS = _HEADER_SIZE // 4
_SLOT_SIZE = MAX_READ + 7
_DONTWAIT = int(getattr(socket, "MSG_DONTWAIT", 0))

#  | name: 8 | name size: 4 | - 4 | iovec: 8 | count: 8 | control: 8 | control size: 8 | (the rest is zero) |
_HEADER_START = struct.Struct("=QI4xQQQQ")
_CONTROL_SIZE_AT = 40 // 4

# The one payload that all prepared headers point at.
_payload = memoryview(bytearray(65_536))
_iovec = (ctypes.c_uint64 * 2)(ctypes.addressof(ctypes.c_char.from_buffer(_payload)), 0)
_IOVEC_ADDRESS = ctypes.addressof(_iovec)


class LinuxRecipients(SlotTable):
    """A group of recipients as one block: prepared headers, then the addresses and control messages they point at.

    Most rooms are small, so it grows by a quarter and has no room for longer addresses than it holds: for 10 IPv4
    addresses it has 800 bytes, and 280 more if the listener is bound to all addresses.
    """

    def __init__(self) -> None:
        super().__init__()
        self._capacity = self._record_size = 0
        self._block = bytearray()
        self.start = 0
        """The headers' address in memory. It is fixed: a block is replaced, never resized."""

    def add(self, member: Member, address: bytes) -> None:
        slot = self._append(member)
        self.put(slot, address)

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
        gap, last = self._take_out(member)
        if gap != last:
            self.put(gap, self.address_in(last))

    def address_in(self, slot: int) -> bytes:
        """Return the address in a slot."""
        _, size, _, _, _, control_size = _HEADER_START.unpack_from(self._block, slot * _HEADER_SIZE)
        at = self._record_at(slot)
        peer = bytes(self._block[at : at + size])
        if not control_size:
            return peer
        return peer + pktinfo.local_in(bytes(self._block[at + size : at + size + control_size]))

    def _reserve(self, capacity: int, record_size: int) -> None:
        self._capacity, self._record_size = capacity, record_size
        self._block = bytearray(capacity * (_HEADER_SIZE + record_size))
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self._block))

    def _record_at(self, slot: int) -> int:
        return self._capacity * _HEADER_SIZE + slot * self._record_size

    def _write(self, slot: int, peer: bytes, control: bytes) -> None:
        at = self._record_at(slot)
        self._block[at : at + len(peer) + len(control)] = peer + control
        name = self.start + at
        control_at = name + len(peer) if control else 0
        header = slot * _HEADER_SIZE
        _HEADER_START.pack_into(self._block, header, name, len(peer), _IOVEC_ADDRESS, 1, control_at, len(control))


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
        self.learns_local = pktinfo.enable(sock)
        self._is_ipv6 = sock.family == socket.AF_INET6
        self._control_space = pktinfo.SPACE if self.learns_local else 0
        self._controls = bytearray(BATCH * self._control_space or 1)
        controls = ctypes.addressof((ctypes.c_char * len(self._controls)).from_buffer(self._controls))
        self._headers = bytearray(BATCH * _HEADER_SIZE)
        self._headers_at = ctypes.addressof((ctypes.c_char * len(self._headers)).from_buffer(self._headers))
        for slot in range(BATCH):
            self._iovecs[2 * slot] = data + slot * _SLOT_SIZE
            self._iovecs[2 * slot + 1] = MAX_READ
            name, control = names + slot * ADDRESS_SIZE, controls + slot * self._control_space
            _HEADER_START.pack_into(
                self._headers,
                slot * _HEADER_SIZE,
                name,
                ADDRESS_SIZE,
                iovecs + 16 * slot,
                1,
                control if self.learns_local else 0,
                self._control_space,
            )
        self._fresh_headers = bytes(self._headers)
        self._headers_view = memoryview(self._headers)
        self._words = self._headers_view.cast("I")
        self._data_view = memoryview(self._data)
        self._names_view = memoryview(self._names)
        self._controls_view = memoryview(self._controls)
        self._single = LinuxRecipients()
        self._sent_to = b""
        """The address in `_single`."""

    def receive(self) -> list[tuple[bytes, bytes]]:
        count = _recvmmsg(self._fd, self._headers_at, BATCH, _DONTWAIT, None)
        if count <= 0:
            return []
        if self.learns_local:
            return self._with_locals(count)
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

    def _with_locals(self, count: int) -> list[tuple[bytes, bytes]]:
        """Return the datagrams of a batch, with its local address behind each source.

        Most datagrams of a batch have come to the same address, so that is compared first: this costs 0.2 µs each.
        """
        words, data, names, controls = self._words, self._data_view, self._names_view, self._controls_view
        name_size = sockaddr.IPV6_SIZE if self._is_ipv6 else sockaddr.IPV4_SIZE
        start, end = (pktinfo.IPV6_LOCAL, pktinfo.IPV6_SIZE) if self._is_ipv6 else (pktinfo.IPV4_LOCAL, 24)
        last = local = b""
        received = []
        at = name_at = word = 0
        for _ in range(count):
            if not words[word + _CONTROL_SIZE_AT]:
                last = local = b""
            elif controls[start:end] != last:
                last = bytes(controls[start:end])
                local = sockaddr.received_local(last)
            received.append(
                (bytes(data[at : at + words[word + _LENGTH_AT]]), bytes(names[name_at : name_at + name_size]) + local)
            )
            at += _SLOT_SIZE
            name_at += ADDRESS_SIZE
            word += _WORDS
            start += pktinfo.SPACE
            end += pktinfo.SPACE
        self._headers_view[:] = self._fresh_headers
        return received

    def send_to(self, payload: bytes, address: bytes) -> bool:
        if len(address) not in sockaddr.PEER_SIZES:
            _iovec[1] = size = len(payload)
            _payload[:size] = payload
            if address != self._sent_to:  # a member that catches up is sent many
                self._single.put(0, address)
                self._sent_to = address
            return not self._send_slots(payload, self._single, 0, 1)
        if _sendto(self._fd, payload, len(payload), _DONTWAIT, address, len(address)) < 0:
            if ctypes.get_errno() in RETRY:
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
            elif ctypes.get_errno() in RETRY or not self._send_refused(payload, recipients.address_in(slot)):
                return [(payload, recipients.address_in(left)) for left in range(slot, end)]
            else:
                slot += 1
        return []

    def _send_refused(self, payload: bytes, address: bytes) -> bool:
        """Send a datagram that the kernel refused; return False if there is no room for it now.

        The local address may be gone (EINVAL, EADDRNOTAVAIL): the kernel then chooses one. It is tried again with the
        next datagram, since it may come back.
        """
        peer = sockaddr.peer(address)
        if len(peer) < len(address):
            return self.send_to(payload, peer)
        self.failed += 1
        return True


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
