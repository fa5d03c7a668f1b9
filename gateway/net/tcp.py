"""TCPServer: the doors for handshakes. Accepts, bounds and closes; `connection.py` serves each connection."""

import asyncio
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from gateway.admission import Admission, Verdict
from gateway.config import Door, Settings
from gateway.core import Core
from gateway.listing import RoomList
from gateway.net.connection import Connection, Desk
from gateway.net.tls import Credentials, Handshakes
from gateway.net.tls_transport import TlsTransport
from gateway.net.waits import Waits
from gateway.steering import Steering
from gateway.trust import Gate
from tsudoi.ops import logs
from tsudoi.ops.net.descriptors import raise_descriptors
from tsudoi.protocol.errors import SettingError

LISTED_S = 60.0
LISTED_ADDRESSES = 10_000
BACKLOG = 1_024
EVICT_AFTER_S = 5.0
"""A connection that has been silent for so long makes place for another when there are too many."""
SPARE_DESCRIPTORS = 64
"""What a gateway needs besides clients' connections: sockets to the broker, logs, those who ask for its health."""
BUFFERED = 64 * 2**20
"""Bytes of requests that are not answered yet and of answers that are not taken yet, of all connections together."""
ROOM_AGAIN = BUFFERED // 2
"""When no more than that is held, it was enough for a while: what comes after that is told as another time."""

logger = logs.get("gateway.tcp")


class TCPServer(Desk):
    """All TCP doors of a gateway."""

    def __init__(
        self,
        core: Core,
        settings: Settings,
        settle: Callable[[], None],
        gate: Gate | None = None,
        credentials: Credentials | None = None,
        steering: Steering | None = None,
    ) -> None:
        """Serve nothing yet.

        Args:
            core: what decides about members.
            settings: see there.
            settle: carries out what the core has left to do.
            gate: checks signed tokens; None: names are free.
            credentials: what TLS doors show; they need it.
            steering: makes tokens; None: they lead to nobody in particular.
        """
        self.core = core
        self.settings = settings
        self.gate = gate
        self.rooms = RoomList(core.link)
        self.steering = steering or Steering(1)
        self.admission = Admission(settings, core.counters, connections_allowed(settings.connections))
        self.loop = asyncio.get_running_loop()
        self.silent = Waits(settings.first_byte_s)
        self.asking = Waits(settings.request_s)
        self._settle = settle
        self._handshakes = None if credentials is None else Handshakes(credentials, core.counters)
        self._holding: dict[Connection, int] = {}
        """Connection → bytes that are held for it, if there are any."""
        self._held = 0
        """All of these."""
        self._crowded = False
        """More than `BUFFERED` was to be held, and not much less since."""
        self._settling: asyncio.Handle | None = None
        self._servers: list[asyncio.Server] = []
        self._listening: int | None = None
        """The descriptor of a door."""
        self._open: set[Connection] = set()
        self._spare = True
        """When it was looked last, there was a descriptor to be had."""
        self._all_closed = asyncio.Event()
        self._listed: OrderedDict[str, float] = OrderedDict()
        """IP address → when it asked for the room list on a connection of its own."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def held(self) -> int:
        """Bytes that are held for all of them."""
        return self._held

    def look(self) -> None:
        """Say it once when no descriptor is left, and once when there is one again; the same of memory for what clients
        say. To be called often.

        libuv accepts and closes at once what comes meanwhile, and tells nobody. Who is in needs no descriptor.
        """
        if self._crowded and self._held <= ROOM_AGAIN:
            self._crowded = False
            logger.warning("there is room again for what TCP clients say and are told", held=self._held)
        if self._listening is None:
            return
        try:
            os.close(os.dup(self._listening))
        except OSError as exc:
            if self._spare:
                self.core.counters.descriptors_ran_out += 1
                logger.error(
                    "no descriptor is left: new clients are turned away", why=exc.strerror, open=len(self._open)
                )
            self._spare = False
        else:
            if not self._spare:
                logger.warning("there are descriptors again", open=len(self._open))
            self._spare = True

    def reload(self) -> None:
        """Take up times that have changed in the settings."""
        self.silent.wait_s = self.settings.first_byte_s
        self.asking.wait_s = self.settings.request_s

    async def open(self, door: Door, inherited: int | None = None) -> Door:
        """Bind a door and serve it, or serve the socket `inherited` that is bound to it; return where it really is.

        Raises:
            SettingError: the address can not be bound.
        """
        sock = bind_tcp(door) if inherited is None else socket.socket(fileno=inherited)
        self._listening = sock.fileno()
        place = replace(door, port=sock.getsockname()[1])
        new = self._over_tls if door.tls else Connection
        self._servers.append(await self.loop.create_server(lambda: new(self, door), sock=sock, backlog=BACKLOG))
        return place

    def _over_tls(self, desk: Desk, door: Door) -> TlsTransport:
        assert self._handshakes is not None
        return TlsTransport(self._handshakes, Connection(desk, door))

    async def close(self, grace_s: float) -> None:
        """Take no new connections, let those that asked get their answer, then end the rest."""
        self._listening = None
        for server in self._servers:
            server.close()
        if self._handshakes is not None:
            self._handshakes.end_all()
        if self._open:
            self._all_closed.clear()
            try:
                async with asyncio.timeout(grace_s):
                    await self._all_closed.wait()
            except TimeoutError:
                for connection in list(self._open):
                    connection.give_up("the gateway stops")
                await self._all_closed.wait()
        self.silent.close()
        self.asking.close()
        if self._handshakes is not None:
            self._handshakes.waits.close()

    # --- what connections need (Desk) -----------------------------------------------------------------------------

    def enter(self, connection: Connection, ip: str) -> Verdict:
        """See `Desk`."""
        place_made = False
        is_full = self.admission.is_full() and not self.admission.has_too_many(ip)
        if is_full and (silent := self.silent.longest(EVICT_AFTER_S)) is not None:
            self.core.counters.connections_evicted += 1
            silent.time_is_up()
            place_made = True
        verdict = self.admission.connect(ip, monotonic(), place_made)
        if verdict is not Verdict.CLOSE:
            self._open.add(connection)
        return verdict

    def leave(self, connection: Connection, ip: str) -> None:
        """See `Desk`."""
        self._open.discard(connection)
        self.admission.disconnect(ip)
        if not self._open:
            self._all_closed.set()

    def hold(self, connection: Connection, size: int) -> None:
        """See `Desk`."""
        self._held += size - self._holding.pop(connection, 0)
        if size:
            self._holding[connection] = size
        while self._held > BUFFERED:
            # Not who speaks just now: those who do so wait for an answer, and hold little.
            self._cut_off(max(self._holding, key=self._holding.__getitem__))

    def _cut_off(self, connection: Connection) -> None:
        self.core.counters.buffers_full += 1
        if not self._crowded:
            self._crowded = True
            logger.error(
                "too much is held for TCP clients: whoever holds most is cut off",
                held=self._held,
                open=len(self._open),
                ip=connection.ip,
            )
        connection.give_up("too much is held for all, and it holds most")

    def settle_soon(self) -> None:
        """See `Desk`."""
        if self._settling is None:
            self._settling = self.loop.call_soon(self._settle_now)

    def _settle_now(self) -> None:
        self._settling = None
        self._settle()

    def listed_lately(self, ip: str) -> bool:
        """See `Desk`."""
        return bool(self._listed) and monotonic() - self._listed.get(ip, float("-inf")) < LISTED_S

    def note_listed(self, ip: str) -> None:
        """See `Desk`."""
        self._listed.pop(ip, None)
        self._listed[ip] = monotonic()
        if len(self._listed) > LISTED_ADDRESSES:
            self._listed.popitem(last=False)


def connections_allowed(connections: int) -> int:
    """Let this process have descriptors for so many connections, if it may; return for how many it has.

    Says so if that is fewer.
    """
    descriptors = raise_descriptors(connections + SPARE_DESCRIPTORS)
    most = max(descriptors - SPARE_DESCRIPTORS, 1)
    if most < connections:
        logger.warning(
            "too few descriptors for --connections", connections=connections, descriptors=descriptors, most=most
        )
    return most


def bind_tcp(door: Door) -> socket.socket:
    """Return a socket that listens at a door and does not block; raises SettingError if it can not be bound."""
    family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
    try:
        sock = socket.create_server((door.host, door.port), family=family, backlog=BACKLOG)
    except OSError as exc:
        # Python adds where to the system's words.
        raise SettingError(f"can not listen on TCP {door}: {os.strerror(exc.errno) if exc.errno else exc}") from exc
    sock.setblocking(False)
    return sock
