"""Serve one UDP listener: drain its socket, hand the datagrams over, and send; decide nothing."""

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from tsudoi.ops import logs
from tsudoi.ops.net.fragmenting import let_routers_fragment
from tsudoi.protocol.errors import SettingError

from ..chat.members import Recipients
from ..chat.outbound import Fill, filled
from . import bpf
from .bound import Bound
from .options import Listener
from .ping_lane import PingLane, open_beside
from .segments import burst_ends
from .sendmmsg import BATCH, DatagramIo, all_of

DRAIN_BATCHES = 16
"""Batches taken in one turn of the event loop."""
DRAIN = DRAIN_BATCHES * BATCH
"""Datagrams in these."""
RECEIVE_BUFFER = 8 * 2**20
SEND_BUFFER = 4 * 2**20
OUTBOX = 50_000
"""Datagrams that wait while the kernel's send buffer is full; beyond that the newest are dropped and counted."""
BURSTS_AGAIN_S = 300.0
"""After so long bursts (`segments.py`) that the kernel refused are tried again: the cause may be gone."""

# Not in Python's socket module: with CAP_NET_ADMIN they set a buffer beyond the system's limit.
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32

# The number of dropped datagrams, which SO_RXQ_OVFL would attach to each datagram: linux/sock_diag.h, the last of these
# numbers is SK_MEMINFO_DROPS. Since Linux 4.12.
_SO_MEMINFO, _MEMINFO_NUMBERS = 55, 9
_MEMINFO = struct.Struct(f"={_MEMINFO_NUMBERS}I")
_WRAP = 2**32
"""The kernel counts drops to here, and from 0 again."""

logger = logs.get("gateway.udp")

OnDatagrams = Callable[[int, list[tuple[bytes, bytes]], float], None]
"""Called with the index of the listener, and what `sendmmsg.OnBatch` gets."""


class UDPServer:
    """A UDP socket, and the datagrams that wait to be sent."""

    def __init__(
        self,
        index: int,
        listener: Listener,
        on_datagrams: OnDatagrams,
        on_drained: Callable[[], None],
        inherited: int | None = None,
        pings: int | None = None,
    ) -> None:
        """Bind the socket, or use the descriptors of an `inherited` one and of that for its `pings`.

        Raise SettingError if it can not be bound.

        `on_datagrams` is called with each batch; `on_drained` after the batches of one turn of the event loop, but not
        by `receive`.
        """
        self._on_batch = partial(on_datagrams, index)
        self._on_drained = on_drained
        self._sock = bind_udp(listener) if inherited is None else socket.socket(fileno=inherited)
        self.listener = Listener(listener.host, self._sock.getsockname()[1])
        self._io = DatagramIo(self._sock, self._on_refused_burst)
        self._bursts_again: asyncio.TimerHandle | None = None
        self._logged_refusals: set[int] = set()
        is_ipv6 = self._sock.family == socket.AF_INET6
        takes_both = is_ipv6 and not self._sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        self.bound = Bound(is_ipv6, takes_both, self._io.learns_local)
        self._outbox: deque[tuple[bytes, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        lane = None if pings is None else socket.socket(fileno=pings)
        if inherited is None and (lane := open_beside(self._sock)) is not None:
            _enlarge(lane, socket.SO_RCVBUF, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        self._lane = None if lane is None else PingLane(lane, self._on_pings)
        self._socks = [self._sock] if lane is None else [self._sock, lane]
        for sock in self._socks:
            sock.setblocking(False)
            # An earlier worker with this socket may have left a filter.
            bpf.attach_filter(sock, ())
        self._filtered: tuple[int, int | None] = 0, None
        """(drops by earlier filters; all drops when the present filter came, or None). One tuple, since the thread that
        serves metrics reads it."""
        self.dropped = 0
        """Datagrams dropped because the outbox was full."""

    @property
    def failed(self) -> int:
        """Return how many datagrams the kernel refused for good."""
        return self._io.failed

    @property
    def waiting(self) -> int:
        """Return how many datagrams are in the outbox."""
        return len(self._outbox)

    @property
    def overflowed(self) -> int:
        """Return how many datagrams found the receive buffer full; 0 where the kernel does not count."""
        dropped = self._dropped_by_kernel()
        return (dropped - self._filtered_of(dropped)) % _WRAP

    @property
    def filtered(self) -> int:
        """Return how many datagrams the kernel dropped while there was a filter (`flood_filter.py`)."""
        return self._filtered_of(self._dropped_by_kernel())

    def _filtered_of(self, dropped: int) -> int:
        before, since = self._filtered
        return before + (0 if since is None else (dropped - since) % _WRAP)

    def filter(self, program: Sequence[bytes]) -> None:
        """Attach a BPF program (`flood_filter.py`), which runs on each datagram; empty: none."""
        # Read before a filter comes and after it is gone, so that all its drops are counted.
        dropped = self._dropped_by_kernel()
        attached = [bpf.attach_filter(sock, program) for sock in self._socks]
        is_there = all(attached) and bool(program)
        if not is_there:
            dropped = self._dropped_by_kernel()
        self._filtered = self._filtered_of(dropped), dropped if is_there else None

    def _dropped_by_kernel(self) -> int:
        dropped = 0
        for sock in self._socks:
            try:
                told = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_NUMBERS)
            except OSError:
                return 0
            dropped += _MEMINFO.unpack(told)[-1] if len(told) == _MEMINFO.size else 0
        return dropped % _WRAP

    def start(self) -> None:
        """Receive datagrams whenever they come."""
        if not self._stopped:
            self._loop.add_reader(self._sock, self._readable)
            if self._lane is not None:
                self._lane.start()

    def rest(self) -> None:
        """Leave datagrams in the kernel until `receive` or the next `start`."""
        self._loop.remove_reader(self._sock)

    def stop_receiving(self) -> None:
        """Stop receiving datagrams; sending continues."""
        self._stopped = True
        self.rest()
        if self._lane is not None:
            self._lane.stop()

    def close(self) -> None:
        """Send the outbox as far as the kernel takes it, and close."""
        self._loop.remove_reader(self._sock)
        self._writable()
        self._loop.remove_writer(self._sock)
        if self._bursts_again is not None:
            self._bursts_again.cancel()
        if self._lane is not None:
            self._lane.close()
        self._sock.close()

    def fan_out(self, recipients: Recipients, payloads: Sequence[bytes], skips: Sequence[int]) -> None:
        """Send payloads to a group, in order, each except to the member in the slot at the same place in `skips`."""
        if self._outbox:
            # The outbox goes first, so that each member gets its datagrams in order.
            self._queue(all_of(payloads, skips, recipients, range(len(recipients))))
        elif left := self._io.send_many(payloads, skips, recipients):  # type: ignore[arg-type]
            self._queue(left)

    def send_filled(self, recipients: Recipients, slots: range, sizes: Sequence[int], fill: Fill) -> None:
        """Send payloads of these sizes to slots of a group of `new_own_recipients`; see `chat.outbound.Fill`."""
        start = 0
        for end in burst_ends(sizes, self._io.largest_segment):
            done, left, burst = slots.start, list[tuple[bytes, bytes]](), sizes[start:end]
            if not self._outbox:
                done, left = self._io.send_filled(recipients, slots, burst, start, fill)  # type: ignore[arg-type]
            if left:
                self._queue(left)
            for slot in range(done, slots.stop):
                self.send_many_to(recipients.address_in(slot), filled(fill, start, burst, slot))
            start = end

    def send_many_to(self, address: bytes, payloads: Sequence[bytes]) -> None:
        """Send datagrams to one address, in order."""
        sent = 0 if self._outbox else self._io.send_many_to(payloads, address)
        if sent < len(payloads):
            self._queue([(payload, address) for payload in payloads[sent:]])

    def send_to(self, address: bytes, payload: bytes) -> None:
        """Send one datagram."""
        if self._outbox or not self._io.send_to(payload, address):
            self._queue([(payload, address)])

    def receive(self) -> int:
        """Receive up to `DRAIN_BATCHES` batches; return how many datagrams these were."""
        return 0 if self._stopped else self._io.drain(DRAIN_BATCHES, self._on_batch)

    def _readable(self) -> None:
        self.receive()
        self._on_drained()

    def _on_pings(self, datagrams: list[tuple[bytes, bytes]], waited_s: float) -> None:
        self._on_batch(datagrams, waited_s)
        self._on_drained()

    def _on_refused_burst(self, refusal: int) -> None:
        """Try such bursts again later, and log the refusal, once for each error."""
        if self._bursts_again is None:
            self._bursts_again = self._loop.call_later(BURSTS_AGAIN_S, self._allow_bursts)
        if refusal not in self._logged_refusals:
            self._logged_refusals.add(refusal)
            logger.warning(
                "the kernel does not send several datagrams at once: they are sent one by one, at more CPU time",
                listener=str(self.listener),
                why=os.strerror(refusal),
                largest=self._io.largest_segment,
                tried_again_s=BURSTS_AGAIN_S,
            )

    def _allow_bursts(self) -> None:
        self._bursts_again = None
        self._io.forget_refusals()

    def _queue(self, left: list[tuple[bytes, bytes]]) -> None:
        if not self._outbox:
            self._loop.add_writer(self._sock, self._writable)
        room = OUTBOX - len(self._outbox)
        self.dropped += max(len(left) - room, 0)
        self._outbox.extend(left[:room])

    def _writable(self) -> None:
        while self._outbox:
            payload, address = self._outbox[0]
            if not self._io.send_to(payload, address):
                return
            self._outbox.popleft()
        self._loop.remove_writer(self._sock)


def bind_udp(listener: Listener, *, is_shared: bool = False) -> socket.socket:
    """Return a socket at an address; raise SettingError if that fails.

    If it `is_shared`, it is in the address's SO_REUSEPORT group, and gets nothing before `route_by_token`.
    """
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not listener.takes_both)
    let_routers_fragment(sock)  # else a member whose way is narrow would also end the bursts (`segments.py`) of all
    try:
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bpf.attach_filter(sock, bpf.DROP)
        sock.bind((listener.host, listener.port))
    except OSError as exc:
        sock.close()
        raise SettingError(f"can not listen on UDP {listener}: {exc.strerror}") from exc
    _enlarge(sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    _enlarge(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE, SEND_BUFFER)
    return sock


def _enlarge(sock: socket.socket, option: int, force: int, size: int) -> None:
    """Raise a buffer beyond the system's limit with the privilege, else up to the limit."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOPROTOOPT, errno.EINVAL):
            raise
        sock.setsockopt(socket.SOL_SOCKET, option, size)
