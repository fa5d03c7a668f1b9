"""Run all TCP listeners of a gateway: accept, bound and close connections; `connection.py` serves each."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import monotonic

from tsudoi.ops import logs
from tsudoi.ops.log_throttle import LogThrottle
from tsudoi.ops.net.descriptors import raise_descriptors
from tsudoi.ops.rate_key import rate_key

from ..join.account import Account
from ..join.admission import AdmissionRules
from ..join.quotas import Verdict
from ..settings import Settings
from .connection import Connection
from .deadlines import Deadlines, Waiting
from .handshake_log import HandshakeLog
from .options import Listener
from .packet_connection import PacketConnections
from .stream_server import REFUSED_AGAIN_S, StreamServer, bind_tcp
from .tls import Certificate
from .webhook import CONNECTIONS as WEBHOOKS

ACCEPTS_A_ROUND = 4
"""Copies of a listening socket: libuv accepts one connection of each in a round of the event loop. Each copy makes
joins at once cheaper and a single join dearer; benchmarks/RESULTS.md, rows "joins"."""
EVICT_AFTER_S = 5.0
"""When there are too many connections, one that has been silent for this time is closed to make room."""
PORT_S = 5.0
"""How long a client that has its token may take to announce its port."""
SPARE_DESCRIPTORS = 64
"""Descriptors besides those of clients' connections: sockets to the broker, logs, health checks."""
HELD = 64 * 2**20
"""Bytes of unanswered requests and of answers that clients have not taken, of all connections together."""

logger = logs.get("gateway.tcp")


class TCPServer(StreamServer[Connection]):
    """Opens TCP listeners, with and without TLS, and keeps the limits on their connections."""

    def __init__(
        self,
        rules: AdmissionRules,
        settle: Callable[[], None],
        certificate: Certificate | None = None,
        shown: Certificate | None = None,
        has_web: bool = False,
    ) -> None:
        """Open nothing yet.

        `settle` sends the broker the core's pending frames; TLS listeners need a `certificate`. `shown`: the one that
        clients of ordinary listeners are shown if they speak TLS. `has_web`: web listeners need descriptors, too.
        """
        super().__init__(rules.counters, settle, certificate)
        self.rules, self.routes = rules, rules.core.routes
        self._settings = settings = rules.settings
        self._has_web = has_web
        self.reload()
        self.silent = Deadlines(settings.first_byte_s)
        """Of connections whose client has sent nothing, awaits an answer, or reads the room list."""
        self.asking = Deadlines(settings.request_s)
        """Of connections in the midst of a request, and of those whose client does not read its answer."""
        self.announcing = Deadlines(PORT_S)
        """Of connections whose client has its token and is to announce its port."""
        self.shown = shown
        """The certificate for clients that speak TLS at ordinary listeners; None: they can not."""
        self.connect: Callable[[TCPServer, Listener], Connection] = Connection
        """Makes the object that serves a connection."""
        self.packets: PacketConnections | None = None
        """Serves the connections that carry packets of version 2; None: there are none."""
        self._handshake_log = HandshakeLog()
        self._listening: int | None = None
        """The descriptor of a listener."""
        self._held_by: dict[Connection, int] = {}
        """Connection → bytes held for it, if there are any."""
        self.held = 0
        """Bytes held for all connections."""
        self._held_log = LogThrottle[None](1, REFUSED_AGAIN_S)
        self._has_descriptors = True

    def reload(self) -> None:
        """Apply the settings that are not read when they are used."""
        self.rules.quotas.most = connections_allowed(self._settings, self._has_web)

    async def open(self, listener: Listener, inherited: int | None = None) -> Listener:
        """Bind a listener, or use the descriptor of a socket that is bound to it; return it with its real port.

        Raises:
            SettingError: the address can not be bound.
        """
        sock = bind_tcp(listener, inherited)
        self._listening = sock.fileno()
        bound = replace(listener, port=sock.getsockname()[1])
        await self._accept(sock, lambda: self.connect(self, bound), tls=listener.tls, copies=ACCEPTS_A_ROUND)
        return bound

    async def close(self, grace_s: float) -> None:
        """Stop accepting, let pending requests get their answers, then end the remaining connections."""
        self._listening = None
        await self._stop_accepting()
        if self.packets is not None:
            self.packets.end_all()
        await self._end_all(grace_s, lambda connection: connection.give_up("the gateway stops"))
        for deadlines in (self.silent, self.asking, self.announcing):
            deadlines.close()

    def look(self) -> None:
        """Log once when descriptors for clients run out, and once when they are available again.

        Call it often: without a free descriptor, libuv accepts and closes new connections silently.
        """
        if self._listening is None:
            return
        try:
            os.close(os.dup(self._listening))
        except OSError as exc:
            if self._has_descriptors:
                self._counters.descriptors_ran_out += 1
                logger.error(
                    "no descriptor is left: new clients are turned away", why=exc.strerror, open=len(self._open)
                )
            self._has_descriptors = False
        else:
            if not self._has_descriptors:
                logger.warning("there are descriptors again", open=len(self._open))
            self._has_descriptors = True

    # --- what connections need -------------------------------------------------------------------------------------

    def enter(self, connection: Connection, ip: str) -> Verdict:
        """Count a new connection, and return whether to serve it; may close one that is silent to make room."""
        verdict = self.rules.quotas.request(ip, monotonic())
        if verdict is Verdict.CLOSE or not self._has_place(ip):
            return Verdict.CLOSE
        self._count(connection)
        return verdict

    def _has_place(self, ip: str) -> bool:
        """Return whether there is a place for one more connection, perhaps that of one which is silent.

        Of a full address the one is closed that has waited longest for its client to send, so idle connections of one
        classmate do not shut out the others. A client that means to join is safe: it sends its request at once, and
        `--address-connections` others would go before it.
        """
        of_address = self._by_address.get(rate_key(ip), set())
        if not (limit := self.rules.quotas.limit_reached(ip, len(of_address), len(self._open))):
            return True
        if limit == "--address-connections":
            return self._make_room(_longest_waiting(of_address), limit, ip)
        return self._make_room(self.silent.longest(EVICT_AFTER_S), limit, ip)

    def may_carry(self, connection: Connection) -> bool:
        """Return whether a connection may carry packets, perhaps in place of one that serves no member."""
        carrying = [each for each in self._by_address[rate_key(connection.ip)] if each.carries_packets]
        if self.rules.quotas.may_carry(connection.ip, len(carrying)):
            return True
        return self._make_room(_longest_waiting(carrying), "--address-connections", connection.ip)

    def _make_room(self, spare: Waiting | None, limit: str, ip: str) -> bool:
        """Close a connection for another one, if there is one to spare; else return False, and count the other one."""
        if spare is None:
            self._counters.connections_refused += 1
            self.log_refused(limit, ip)
            return False
        self._counters.connections_evicted += 1
        spare.time_is_up()
        return True

    def log_handshake(self, listener: Listener, ip: str, port: int, account: Account) -> None:
        """Log how a request ended, unless there are too many."""
        if (line := self._handshake_log.line(listener, ip, port, account, monotonic())) is not None:
            logger.info("handshake", **line)

    def hold(self, connection: Connection, size: int) -> None:
        """Note how many bytes are held for a connection; may end the connection that holds most."""
        self.held += size - self._held_by.pop(connection, 0)
        if size:
            self._held_by[connection] = size
        while self.held > HELD:
            self._cut_off(max(self._held_by, key=self._held_by.__getitem__))

    def _cut_off(self, connection: Connection) -> None:
        self._counters.buffers_full += 1
        if self._held_log.touch(None, monotonic(), 1.0, 1.0):
            logger.error(
                "too many bytes are held for TCP clients: the one with the most is cut off",
                held=self.held,
                open=len(self._open),
                ip=connection.ip,
            )
        connection.give_up("too much is held for all, and it holds most")


def _longest_waiting(connections: Iterable[Connection]) -> Connection | None:
    """Return the one that has waited longest for its client."""
    waiting = [each for each in connections if each.awaits_client]
    return min(waiting, key=lambda each: each.waiting_since, default=None)


def connections_allowed(settings: Settings, has_web: bool) -> int:
    """Raise the limit of descriptors for all clients' connections, if allowed; return how many by TCP fit.

    Logs a warning if not all fit together.
    """
    wanted = settings.connections + settings.web_connections * has_web + WEBHOOKS + SPARE_DESCRIPTORS
    descriptors = raise_descriptors(wanted)
    if descriptors < wanted:
        logger.warning(
            "the limit of open files (ulimit -n, LimitNOFILE) is too low for --connections"
            + " and --web-connections together" * has_web,
            limit=descriptors,
            needed=wanted,
        )
    return max(descriptors - SPARE_DESCRIPTORS, 1)
