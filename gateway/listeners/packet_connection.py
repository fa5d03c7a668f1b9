"""Carry packets of version 2 on TCP connections; PROTOCOL.md, "Over TCP". Sockets only: `sealed/` decides.

Each connection has an address of its own, and `PacketConnections` sends to it as a UDP listener does. No address is
used twice, so a cookie is valid on one connection only.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from time import monotonic

from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed.tcp_framing import PacketReader, framed

from ..chat.members import Recipients
from ..chat.outbound import Fill, filled
from ..counters import Counters
from ..sealed.carried import Carried
from . import sockaddr
from .deadlines import Deadlines

SLICE = 64
"""Packets of one connection that are taken in one turn of the event loop, as many as a UDP listener takes at once."""
UNSENT = 256 * 1024
"""Bytes that wait for a client that does not read; beyond it the connection ends, and its client resumes. Half a second
of the fastest room."""
BEHIND = 64 * 1024
"""Bytes beyond which a member that catches up has to wait."""
UNUSED_S = 10.0
"""How long a connection may serve no member: before its first valid `resume`, and after its last member has gone."""
_SERIALS = 2**32


class PacketConnection:
    """One connection that carries packets."""

    def __init__(
        self,
        connections: "PacketConnections",
        address: bytes,
        transport: asyncio.Transport,
        give_up: Callable[[str], object],
        count_held: Callable[[], object],
    ) -> None:
        """Begin; `give_up` ends the connection, and is told why. `count_held` is called when bytes wait in it."""
        self._connections, self._transport = connections, transport
        self.address = address
        self.give_up, self._count_held = give_up, count_held
        self.is_used = False
        """It serves a member."""
        self._reader = PacketReader()
        self._going_on: asyncio.Handle | None = None
        """There is more to take."""

    @property
    def unsent(self) -> int:
        """How many bytes the client has not taken."""
        return self._transport.get_write_buffer_size()

    def time_is_up(self) -> None:
        """End it: it serves no member."""
        self.give_up("it serves no member")

    def receive(self, data: bytes) -> None:
        """Take received bytes."""
        self._reader.feed(data)
        if self._going_on is None:
            self._go_on()

    def _go_on(self) -> None:
        self._going_on = None
        if self._transport.is_closing():
            return
        try:
            for _ in range(SLICE):
                if (packet := self._reader.next_untrusted()) is None:
                    self._transport.resume_reading()
                    break
                self._connections.handle(packet, self.address)
            else:
                # Others first.
                self._transport.pause_reading()
                self._going_on = self._connections.loop.call_soon(self._go_on)
        except MalformedMessage as exc:
            self._connections.counters.sealed_dropped["malformed"] += 1
            self.give_up(str(exc))
        self._connections.settle()

    def send(self, packets: Sequence[bytes]) -> None:
        """Send packets; end the connection if too much waits."""
        if self._transport.is_closing():
            return
        self._transport.write(b"".join(map(framed, packets)))
        if self.unsent > UNSENT:
            self._connections.counters.sealed_slow += 1
            self.give_up("its client does not read")
        elif self.unsent:
            self._count_held()

    def lose(self) -> None:
        """Note that it has ended."""
        if self._going_on is not None:
            self._going_on.cancel()
        self._connections.remove(self)


class PacketConnections:
    """All of a gateway's; `send_to` and the like are those of `UDPServer`."""

    def __init__(
        self,
        carried: Carried,
        counters: Counters,
        handle: Callable[[int, bytes, bytes, float], None],
        settle: Callable[[], None],
        detach: Callable[[bytes], None],
    ) -> None:
        """Begin without any.

        Args:
            carried: knows which of them are in use.
            counters: the gateway's.
            handle: takes a packet, as a datagram of the listener with the number of `carried`.
            settle: sends the broker pending frames.
            detach: lets no member be served any more over a connection that has ended.
        """
        self.loop = asyncio.get_running_loop()
        self.counters, self.settle = counters, settle
        self._index, self._handle, self._detach = carried.listener, handle, detach
        self._by_address: dict[bytes, PacketConnection] = {}
        self._serials = count(1)
        self._unused = Deadlines(UNUSED_S)
        carried.on_change, carried.is_behind = self._note_use, self._is_behind

    def __len__(self) -> int:
        return len(self._by_address)

    def add(
        self, transport: asyncio.Transport, give_up: Callable[[str], object], count_held: Callable[[], object]
    ) -> PacketConnection | None:
        """Serve a connection, see `PacketConnection`; None: it is lost already."""
        if (peer := transport.get_extra_info("peername")) is None:
            return None
        # As a link-local address has a scope, so this has a number.
        ip = sockaddr.mapped(sockaddr.parse_ip(peer[0].partition("%")[0]))
        address = sockaddr.pack_bytes(ip, peer[1], next(self._serials) % _SERIALS)
        connection = self._by_address[address] = PacketConnection(self, address, transport, give_up, count_held)
        self._unused.begin(connection)
        return connection

    def remove(self, connection: PacketConnection) -> None:
        """Forget a connection that has ended."""
        self._unused.end(connection)
        if self._by_address.pop(connection.address, None) is not None:
            self._detach(connection.address)

    def handle(self, packet: bytes, address: bytes) -> None:
        """Handle a packet that has come."""
        self._handle(self._index, packet, address, monotonic())

    def end_all(self) -> None:
        """End all: the gateway stops, and their clients resume elsewhere."""
        for connection in list(self._by_address.values()):
            connection.give_up("the gateway stops")
        self._unused.close()

    def _note_use(self, address: bytes, is_used: bool) -> None:
        if (connection := self._by_address.get(address)) is None:
            return
        connection.is_used = is_used
        if is_used:
            self._unused.end(connection)
        else:
            self._unused.begin(connection)

    def _is_behind(self, address: bytes) -> bool:
        connection = self._by_address.get(address)
        return connection is not None and connection.unsent > BEHIND

    # --- sending, as `UDPServer` does -----------------------------------------------------------------------------

    def send_to(self, address: bytes, packet: bytes) -> None:
        self.send_many_to(address, (packet,))

    def send_many_to(self, address: bytes, packets: Sequence[bytes]) -> None:
        if (connection := self._by_address.get(address)) is not None:
            connection.send(packets)

    def send_filled(self, recipients: Recipients, slots: range, sizes: Sequence[int], fill: Fill) -> None:
        # A connection that ends here leaves the group, so all are sealed before the first is sent.
        packets = [(recipients.address_in(slot), filled(fill, 0, sizes, slot)) for slot in slots]
        for address, own in packets:
            self.send_many_to(address, own)
