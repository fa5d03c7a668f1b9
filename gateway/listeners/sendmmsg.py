"""Send and receive many datagrams by one system call: Linux's recvmmsg(2) and sendmmsg(2).

Fan-out costs no more than the kernel's work only if nothing is built per recipient. So each group of recipients keeps
prepared headers that all point at one shared payload (`prepared_recipients.py`): to send a message is one memmove and
one system call. Messages that go together are sent as one payload, which the kernel cuts (`segments.py`). Measured in
benchmarks/RESULTS.md, rows "fan-out".
"""

import ctypes
import errno
import fcntl
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from time import time

from tsudoi.protocol.client.datagram import MAX_READ
from tsudoi.protocol.errors import SettingError

from ..chat.members import Recipients
from ..chat.outbound import Fill
from . import pktinfo, segments, sockaddr
from .prepared_recipients import (
    HEADER_SIZE,
    HEADER_START,
    OwnRecipients,
    PreparedRecipients,
    load,
    load_own,
    own_payload,
    point_own,
)

BATCH = 64
"""Datagrams received by one call."""
RETRY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR)
"""The kernel has no room for a datagram now."""

OnBatch = Callable[[list[tuple[bytes, bytes]], float], object]
"""Called with [(data, address), …], and for how many seconds the last one has waited in the kernel: 0.0 unless the
drain before left some there."""
Leftover = list[tuple[bytes, bytes]]
"""(payload, address) that the kernel had no room for."""

_LENGTH_AT, _WORDS = 56 // 4, HEADER_SIZE // 4
_SLOT_SIZE = MAX_READ + 7
_DONTWAIT = int(socket.MSG_DONTWAIT)
# Not in Python's socket module: linux/udp.h. Since Linux 4.18.
_UDP_SEGMENT = 103
# linux/sockios.h, on 64-bit systems: `struct timespec`, when the last datagram that was read has come.
_SIOCGSTAMPNS, _TIMESPEC = 0x8907, struct.Struct("@ll")

_CONTROL_SIZE_AT = 40 // 4


class DatagramIo:
    """Receives at a socket, and sends from it."""

    def __init__(self, sock: socket.socket, on_refused_burst: Callable[[int], object] = lambda refusal: None) -> None:
        """`on_refused_burst` is called with the kernel's error when bursts of a size are not sent any more."""
        self._sock, self._on_refused_burst = sock, on_refused_burst
        self._fd = sock.fileno()
        self._is_behind = False
        """The last drain left datagrams in the kernel."""
        self.failed = 0
        """Datagrams that the kernel refused for good: no route, not permitted."""
        self._data = bytearray(BATCH * _SLOT_SIZE)
        self._is_ipv6 = sock.family == socket.AF_INET6
        self._name_size = sockaddr.IPV6_SIZE if self._is_ipv6 else sockaddr.IPV4_SIZE
        self._names = bytearray(BATCH * self._name_size)
        data = ctypes.addressof((ctypes.c_char * len(self._data)).from_buffer(self._data))
        names = ctypes.addressof((ctypes.c_char * len(self._names)).from_buffer(self._names))
        self._iovecs = (ctypes.c_uint64 * (2 * BATCH))()
        iovecs = ctypes.addressof(self._iovecs)
        self.learns_local = pktinfo.enable(sock)
        self._control_space = pktinfo.SPACE if self.learns_local else 0
        self._controls = bytearray(BATCH * self._control_space or 1)
        controls = ctypes.addressof((ctypes.c_char * len(self._controls)).from_buffer(self._controls))
        self._headers = bytearray(BATCH * HEADER_SIZE)
        self._headers_at = ctypes.addressof((ctypes.c_char * len(self._headers)).from_buffer(self._headers))
        for slot in range(BATCH):
            self._iovecs[2 * slot] = data + slot * _SLOT_SIZE
            self._iovecs[2 * slot + 1] = MAX_READ
            name, control = names + slot * self._name_size, controls + slot * self._control_space
            HEADER_START.pack_into(
                self._headers,
                slot * HEADER_SIZE,
                name,
                self._name_size,
                iovecs + 16 * slot,
                1,
                control if self.learns_local else 0,
                self._control_space,
            )
        self._fresh_headers = bytes(self._headers)
        self._headers_view = memoryview(self._headers)
        words = self._headers_view.cast("I")
        self._lengths = words[_LENGTH_AT::_WORDS]
        self._slots, self._name_slots = _slots(self._data, _SLOT_SIZE), _slots(self._names, self._name_size)
        self._control_sizes = words[_CONTROL_SIZE_AT::_WORDS]
        where = slice(pktinfo.IPV6_LOCAL, pktinfo.IPV6_SIZE) if self._is_ipv6 else slice(pktinfo.IPV4_LOCAL, 24)
        self._locals = [slot[where] for slot in _slots(self._controls, pktinfo.SPACE)]
        """Where the local addresses of a batch are, if they are learnt."""
        self.largest_segment = 0
        """Bytes of the largest datagram that is sent in segments: less than what the kernel has refused."""
        self.forget_refusals()
        self._single = PreparedRecipients()
        self._sent_to = b""
        """The address in `_single`."""

    def forget_refusals(self) -> None:
        """Send bursts of all sizes again, if the kernel can cut them."""
        self.largest_segment = segments.LARGEST if self._set_segment_size(0) else 0

    def drain(self, batches: int, on_batch: OnBatch) -> int:
        """Receive up to so many batches, and hand each of them over; return how many datagrams these were."""
        taken, was_behind = 0, self._is_behind
        for _ in range(batches):
            datagrams = self.receive()
            if not datagrams:
                break
            taken += len(datagrams)
            on_batch(datagrams, self._waited_s() if was_behind else 0.0)
            if len(datagrams) < BATCH:
                break
        self._is_behind = taken == batches * BATCH
        return taken

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Return up to `BATCH` datagrams as (data, address); an empty list if none has come."""
        count = _recvmmsg(self._fd, self._headers_at, BATCH, _DONTWAIT, None)
        if count <= 0:
            return []
        # The kernel writes names of the size that it was given, so the headers stay as they are.
        received = [
            (bytes(slot[:length]), bytes(name))
            for slot, name, length in zip(self._slots, self._name_slots, self._lengths[:count].tolist(), strict=False)
        ]
        return self._with_locals(received) if self.learns_local else received

    def _waited_s(self) -> float:
        """Return how long the last datagram that was received had waited in the kernel, in seconds.

        0.0 if that is not known: the kernel notes when datagrams come from the first call on, as that costs time.
        """
        try:
            stamp = fcntl.ioctl(self._fd, _SIOCGSTAMPNS, bytes(_TIMESPEC.size))
        except OSError:
            return 0.0
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        waited: float = time() - seconds - nanoseconds / 1e9
        return max(0.0, waited)

    def _with_locals(self, batch: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the datagrams of a batch with the local address, which each has come to, behind its source.

        Most datagrams of a batch have come to the same address, so that is compared first: this costs 0.2 µs each.
        """
        last = local = b""
        received = []
        sizes = self._control_sizes[: len(batch)].tolist()
        for (data, name), size, control in zip(batch, sizes, self._locals, strict=False):
            if not size:
                last = local = b""
            elif control != last:
                last = bytes(control)
                local = sockaddr.received_local(last)
            received.append((data, name + local))
        self._headers_view[:] = self._fresh_headers
        return received

    def send_to(self, payload: bytes, address: bytes) -> bool:
        """Send one datagram; return False if the kernel has no room for it now."""
        if len(address) not in sockaddr.PEER_SIZES:
            return self.send_many_to((payload,), address) == 1
        if _sendto(self._fd, payload, len(payload), _DONTWAIT, address, len(address)) < 0:
            if ctypes.get_errno() in RETRY:
                return False
            self.failed += 1
        return True

    def send(self, payload: bytes, recipients: PreparedRecipients, skip: int) -> Leftover:
        """Send a payload to all recipients except slot `skip`; return the datagrams that the kernel had no room for."""
        count = recipients.count
        load(payload)
        if skip < 0:
            sent = _sendmmsg(self._fd, recipients.start, count, _DONTWAIT)
            return [] if sent == count else self._send_slots(recipients, max(sent, 0), count, (len(payload),), payload)
        sizes = (len(payload),)
        if left := self._send_slots(recipients, 0, skip, sizes, payload):
            return left + all_of((payload,), (-1,), recipients, range(skip + 1, count))
        return self._send_slots(recipients, skip + 1, count, sizes, payload)

    def send_many(self, payloads: Sequence[bytes], skips: Sequence[int], recipients: PreparedRecipients) -> Leftover:
        """Send several payloads as `send` does, each except to the slot at the same place in `skips`."""
        if len(payloads) == 1:  # as usual without load
            return self.send(payloads[0], recipients, skips[0])
        left: Leftover = []
        start, slots = 0, range(recipients.count)
        for end in segments.burst_ends([len(payload) for payload in payloads], self.largest_segment):
            if left:
                left += all_of(payloads[start:end], skips[start:end], recipients, slots)
            elif end - start == 1:
                left = self.send(payloads[start], recipients, skips[start])
            else:
                left = self._send_burst(payloads[start:end], skips[start:end], recipients)
            start = end
        return left

    def send_filled(
        self, recipients: OwnRecipients, slots: range, sizes: Sequence[int], start: int, fill: Fill
    ) -> tuple[int, Leftover]:
        """Send a burst (`segments.py`) of payloads of these sizes, whose indexes begin at `start`, to slots.

        Return the slot behind the last one that was filled, and the payloads for which the kernel had no room.
        """
        slot, end, count, left = slots.start, slots.stop, len(sizes), Leftover()
        total = sum(sizes) if count > 1 else sizes[0]
        at_once = point_own(total, end)
        if count > 1:
            self._set_segment_size(sizes[0])
        while slot < end and not left and (count == 1 or sizes[0] <= self.largest_segment):
            at, first = slot % at_once, slot
            slot = min(slot - at + at_once, end)
            load_own(at * total, fill(start, start + count, first, slot))
            left = self._send_slots(recipients, first, slot, sizes)
        if count > 1:
            self._set_segment_size(0)
        return slot, left

    def send_many_to(self, payloads: Sequence[bytes], address: bytes) -> int:
        """Send datagrams to one address, in order; return how many the kernel had room for."""
        if address != self._sent_to:
            self._single.put(0, address)
            self._sent_to = address
        start = 0
        for end in segments.burst_ends([len(payload) for payload in payloads], self.largest_segment):
            if left := self._send_part(payloads[start:end], self._single, 0, 1):
                return end - len(left)
            start = end
        return start

    def _send_burst(self, burst: Sequence[bytes], skips: Sequence[int], recipients: PreparedRecipients) -> Leftover:
        """Send a burst to all recipients; each of `skips` gets it without the payloads that have its slot there."""
        skipping = sorted({*skips} - {-1})
        if not skipping:
            return self._send_part(burst, recipients, 0, recipients.count)
        parts = [(burst, start + 1, end) for start, end in pairwise([-1, *skipping, recipients.count])]
        parts += [
            ([payload for payload, skip in zip(burst, skips, strict=True) if skip != slot], slot, slot + 1)
            for slot in skipping
        ]
        left: Leftover = []
        for part, start, end in parts:
            if left:
                left += all_of(part, [-1] * len(part), recipients, range(start, end))
            elif part and start < end:
                left = self._send_part(part, recipients, start, end)
        return left

    def _send_part(self, burst: Sequence[bytes], recipients: PreparedRecipients, slot: int, end: int) -> Leftover:
        """Send a burst to a part of the slots, to each of them in one pass."""
        sizes, payload = [len(each) for each in burst], b"".join(burst)
        load(payload)
        if len(sizes) > 1:
            self._set_segment_size(sizes[0])
        left = self._send_slots(recipients, slot, end, sizes, payload)
        if len(sizes) > 1:
            self._set_segment_size(0)
        return left

    def _send_slots(
        self, recipients: PreparedRecipients, slot: int, end: int, sizes: Sequence[int], payload: bytes | None = None
    ) -> Leftover:
        """Send to slots what their headers point at, one `payload` or (None) each its own; return what had no room."""
        while slot < end:
            sent = _sendmmsg(self._fd, recipients.start + slot * HEADER_SIZE, end - slot, _DONTWAIT)
            if sent > 0:
                slot += sent
            elif left := self._send_apart(recipients, slot, end, sizes, payload):
                return left
            else:
                slot += 1
        return []

    def _send_apart(
        self, recipients: PreparedRecipients, slot: int, end: int, sizes: Sequence[int], payload: bytes | None
    ) -> Leftover:
        """Send what the kernel has just refused for a slot; without room return it, and all up to the slot `end`."""
        refusal, address = ctypes.get_errno(), recipients.address_in(slot)
        burst = segments.cut(own_payload(slot) if payload is None else payload, sizes)
        taken = 0 if refusal in RETRY else self._send_refused(burst, address, refusal)
        if payload is not None:
            load(payload)  # what was sent alone may have taken its place
        left = [(each, address) for each in burst[taken:]]
        return left and left + [
            (each, recipients.address_in(at))
            for at in range(slot + 1, end)
            for each in segments.cut(own_payload(at) if payload is None else payload, sizes)
        ]

    def _send_refused(self, burst: Sequence[bytes], address: bytes, refusal: int) -> int:
        """Send one by one the datagrams that the kernel refused; return for how many it had room.

        If it takes the first one of several alone, the burst was the cause: the network device does not cut (EIO), or
        the datagrams do not fit the way's MTU (EINVAL, EMSGSIZE). Then no more such bursts are sent from this socket
        until `forget_refusals`. Else it is the address: no route, no permission, a port 0. Bursts to others stay. Or
        the local address is gone (EINVAL, EADDRNOTAVAIL): the kernel then chooses one. It is tried again with the next
        datagram, since it may come back.
        """
        if len(burst) == 1:
            peer = sockaddr.peer(address)
            if len(peer) < len(address):
                return int(self.send_to(burst[0], peer))
            self.failed += 1
            return 1
        self._set_segment_size(0)
        self._single.put(0, address)
        self._sent_to = address
        load(burst[0])
        taken = int(_sendmmsg(self._fd, self._single.start, 1, _DONTWAIT) == 1)
        if taken:
            self.largest_segment = 0 if refusal == errno.EIO else len(burst[0]) - 1
            self._on_refused_burst(refusal)
        while taken < len(burst) and self.send_to(burst[taken], address):
            taken += 1
        self._set_segment_size(len(burst[0]))
        return taken

    def _set_segment_size(self, size: int) -> bool:
        """Let the kernel cut larger payloads into datagrams of this size, 0: no more; return False if it can not.

        A control message in each prepared header would cost more than these two calls.
        """
        try:
            self._sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, size)
        except OSError:
            return False
        return True


def _slots(block: bytearray, size: int) -> list[memoryview]:
    """Return the slots of this size that a block has."""
    view = memoryview(block)
    return [view[at : at + size] for at in range(0, len(block), size)]


def all_of(payloads: Sequence[bytes], skips: Sequence[int], recipients: Recipients, slots: range) -> Leftover:
    """Return all datagrams of payloads that were not sent, in each recipient's order."""
    return [
        (payload, recipients.address_in(slot))
        for payload, skip in zip(payloads, skips, strict=True)
        for slot in slots
        if slot != skip
    ]


if sys.maxsize < 2**32 or sys.byteorder != "little":
    raise SettingError("a gateway needs 64-bit little-endian Linux: elsewhere these structures have another layout")
_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg, _sendmmsg, _sendto = _libc.recvmmsg, _libc.sendmmsg, _libc.sendto
_recvmmsg.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p
_sendmmsg.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int
_sendto.argtypes = ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
