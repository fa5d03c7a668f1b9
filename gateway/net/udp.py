"""UDPServer: the doors for datagrams. Drains, hands over, sends; decides nothing."""

import asyncio
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence

from gateway.config import Door
from gateway.members import Recipients
from gateway.net import bpf, mmsg
from tsudoi.protocol.errors import SettingError

DRAIN_BATCHES = 16
"""Batches taken before others get their turn."""
RECEIVE_BUFFER = 8 * 2**20
SEND_BUFFER = 4 * 2**20
OUTBOX = 50_000
"""Datagrams that wait because the kernel's buffer is full; beyond that the newest are dropped and counted."""

# Not in Python's socket module: sets a buffer beyond the system's limit, with CAP_NET_ADMIN.
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32

# The same drops as SO_RXQ_OVFL tells with each datagram, but read only when somebody asks: linux/sock_diag.h, the last
# number is SK_MEMINFO_DROPS. Since Linux 4.12.
_SO_MEMINFO, _MEMINFO_NUMBERS = 55, 9
_MEMINFO = struct.Struct(f"={_MEMINFO_NUMBERS}I")
_WRAP = 2**32
"""The kernel counts drops to here, and from 0 again."""

OnDatagrams = Callable[[int, list[tuple[bytes, bytes]]], None]
"""(door's index, [(data, address), …])"""


class UDPServer:
    """One UDP door."""

    def __init__(
        self,
        index: int,
        door: Door,
        on_datagrams: OnDatagrams,
        on_drained: Callable[[], None],
        kind: type[mmsg.Io],
        inherited: int | None = None,
    ) -> None:
        """Bind the door.

        Args:
            index: its number among the doors.
            door: where; port 0 takes a free one.
            on_datagrams: called with each batch.
            on_drained: called when all batches of a moment were handed over, but not by `receive`.
            kind: how datagrams are received and sent.
            inherited: descriptor of a socket that is bound to it already.

        Raises:
            SettingError: the address can not be bound.
        """
        self._index = index
        self._on_datagrams = on_datagrams
        self._on_drained = on_drained
        family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
        self._sock = bind_udp(door) if inherited is None else socket.socket(fileno=inherited)
        self._sock.setblocking(False)
        self.door = Door(door.host, self._sock.getsockname()[1])
        self.is_ipv6 = family == socket.AF_INET6
        self._io = kind(self._sock)
        self._outbox: deque[tuple[bytes, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        # Another before us may have left one.
        bpf.attach_filter(self._sock, ())
        self._filtered: tuple[int, int | None] = 0, None
        """What filters before the present one have dropped, and what the kernel had dropped in all when it came (None:
        there is none). In one piece, as it is read in another thread."""
        self.dropped = 0
        """Datagrams that found the outbox full."""

    @property
    def failed(self) -> int:
        """Datagrams that the kernel refused for good."""
        return self._io.failed

    @property
    def waiting(self) -> int:
        """Datagrams in the outbox."""
        return len(self._outbox)

    @property
    def overflowed(self) -> int:
        """Datagrams that the kernel dropped because we did not read fast enough; 0 where it does not tell."""
        dropped = self._dropped_by_kernel()
        return (dropped - self._unread_of(dropped)) % _WRAP

    @property
    def unread(self) -> int:
        """Datagrams that the kernel dropped as the filter says; what it dropped otherwise meanwhile counts as that."""
        return self._unread_of(self._dropped_by_kernel())

    def _unread_of(self, dropped: int) -> int:
        before, since = self._filtered
        return before + (0 if since is None else (dropped - since) % _WRAP)

    def filter(self, program: Sequence[bytes]) -> None:
        """Let the kernel run a program (`gateway/silence.py`) on each datagram from now on, or none if it is empty.

        Where it can not, all datagrams come to us as before.
        """
        # Counted before a filter comes, and after it is gone, so that all is counted that it drops.
        dropped = self._dropped_by_kernel()
        is_there = bpf.attach_filter(self._sock, program) and bool(program)
        if not is_there:
            dropped = self._dropped_by_kernel()
        self._filtered = self._unread_of(dropped), dropped if is_there else None

    def _dropped_by_kernel(self) -> int:
        try:
            told = self._sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_NUMBERS)
        except OSError:
            return 0
        return _MEMINFO.unpack(told)[-1] if len(told) == _MEMINFO.size else 0

    def start(self) -> None:
        """Receive from now on, whenever something comes."""
        if not self._stopped:
            self._loop.add_reader(self._sock, self._readable)

    def rest(self) -> None:
        """Receive nothing by itself until the next `start`: what comes waits in the kernel for a `receive`."""
        self._loop.remove_reader(self._sock)

    def stop_receiving(self) -> None:
        """Take no more datagrams; sending goes on."""
        self._stopped = True
        self.rest()

    def close(self) -> None:
        """Send what still waits, as far as the kernel takes it, and close."""
        self._loop.remove_reader(self._sock)
        self._writable()
        self._loop.remove_writer(self._sock)
        self._sock.close()

    def fan_out(self, recipients: Recipients, payload: bytes, skip: int) -> None:
        """Send a payload to a group, but for the member in slot `skip`."""
        if self._outbox:
            # What waits goes first, so that each member hears in order.
            left = [(payload, recipients.address_in(slot)) for slot in range(len(recipients)) if slot != skip]
        else:
            left = self._io.send(payload, recipients, skip)  # type: ignore[arg-type]
        if left:
            self._put_out(left)

    def send_to(self, address: bytes, payload: bytes) -> None:
        """Send one datagram."""
        if self._outbox or not self._io.send_to(payload, address):
            self._put_out([(payload, address)])

    def receive(self) -> int:
        """Take what has come, up to `DRAIN_BATCHES`, and return how many datagrams that were."""
        taken = 0
        for _ in range(0 if self._stopped else DRAIN_BATCHES):
            datagrams = self._io.receive()
            if not datagrams:
                break
            taken += len(datagrams)
            self._on_datagrams(self._index, datagrams)
            if len(datagrams) < mmsg.BATCH:
                break
        return taken

    def _readable(self) -> None:
        self.receive()
        self._on_drained()

    def _put_out(self, left: list[tuple[bytes, bytes]]) -> None:
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


def bind_udp(door: Door, *, is_shared: bool = False) -> socket.socket:
    """Return a socket at a door; if it `is_shared`, others may be bound there too, and each has clients of its own.

    Raises:
        SettingError: the address can not be bound.
    """
    family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((door.host, door.port))
    except OSError as exc:
        sock.close()
        raise SettingError(f"can not listen on UDP {door}: {exc.strerror}") from exc
    _enlarge(sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    _enlarge(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE, SEND_BUFFER)
    return sock


def _enlarge(sock: socket.socket, option: int, force: int, size: int) -> None:
    """Raise a buffer as far as we may: beyond the system's limit with the privilege, else up to it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, size)
    except OSError as exc:
        if exc.errno not in (errno.EPERM, errno.ENOPROTOOPT, errno.EINVAL):
            raise
        sock.setsockopt(socket.SOL_SOCKET, option, size)
