"""The broker's server: its sockets for gateways and operators, and what it does several times a second."""

import asyncio
import time
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

import zmq

from tsudoi.ops import logs
from tsudoi.ops.keyfiles import Role
from tsudoi.ops.net.descriptors import raise_descriptors
from tsudoi.protocol import backbone
from tsudoi.protocol.errors import SettingError

from ..admin.server import AdminServer
from ..admin.service import AdminService
from ..config import Limits
from ..core import Core
from ..counters import Counters
from ..keys.allow_list import AllowList
from ..shards.cores import Cores
from ..store.interface import Store
from ..store.sharing import TRIMS
from ..turn import Moment
from .clock import Clock
from .gateway_log import log_changes
from .timers import Timers
from .turns import Turns
from .zap import ZapHandler
from .zeromq import GatewaySockets, is_readable

if TYPE_CHECKING:
    from .membership import Membership

logger = logs.get("broker.server")

TICK_S = 0.25
DESCRIPTORS = 65_536
"""Wanted: each connection without a valid key holds one during its handshake of two seconds."""
HEALTHY_S = 2.0
"""Health is red when the event loop has not run for this time."""
TRIM_S = 10.0


class Server:
    """The broker's sockets, and the turns around its cores."""

    def __init__(
        self,
        cores: Cores,
        store: Store,
        limits: Limits,
        bind: str,
        on_failure: Callable[[], None],
        allow_list: AllowList | None = None,
        context: "zmq.Context[zmq.Socket[bytes]] | None" = None,
        newest_ms: int = 0,
        counters: Counters | None = None,
    ) -> None:
        """Bind the sockets for gateways, or raise SettingError.

        Args:
            cores: decide on frames.
            store: keeps each turn.
            limits: bounds that may change meanwhile.
            bind: see `GatewaySockets`.
            on_failure: called once if the store fails; the broker must then end.
            allow_list: the keys that may connect to tcp ports; None: every client may.
            context: of the gateway in the same process, for inproc://; None: one of our own.
            newest_ms: see `SteadyClock`.
            counters: those of all cores; None: those of the only one.
        """
        self.store = store
        self.cores = cores
        self._loop = asyncio.get_running_loop()
        self._owns_context = context is None
        self._context = zmq.Context() if context is None else context
        allow_list = allow_list if backbone.is_tcp(bind) else None
        self._zap = ZapHandler(self._context, allow_list) if allow_list else None
        raise_descriptors(DESCRIPTORS)
        try:
            self.sockets = GatewaySockets(self._context, bind, limits.news_high_water, self._zap)
        except SettingError:
            if self._owns_context:
                self._context.destroy(linger=0)
            raise
        self._clock = Clock(newest_ms)
        self.counters = counters or self.core.counters
        self.turns = Turns(cores, store, limits, self.sockets, self._clock, self.counters, on_failure)
        self._connected: Set[str] = set()
        """The gateways that were connected, as last logged."""
        self.timers = Timers()
        self.before_tick: Callable[[], None] = lambda: None
        """Of the gateway in this process: its canary and its report are then in the same turn."""
        self.checked_at = time.monotonic()
        """When `_tick` last ran."""

    @property
    def endpoint(self) -> str:
        """Where gateways connect."""
        return self.sockets.endpoint

    @property
    def denied(self) -> int:
        """Connections that were denied: their key is not on the list."""
        return self._zap.denied if self._zap else 0

    @property
    def core(self) -> Core:
        """The only core of a store on one machine."""
        assert self.cores.alone is not None
        return self.cores.alone

    @property
    def membership(self) -> "Membership | None":
        """See `Incoming`."""
        return self.turns.incoming.membership

    @property
    def admin(self) -> AdminServer | None:
        """The operators' socket; None: there is none."""
        return self.turns.admin

    def unhealthy_reason(self) -> str:
        """Return why the broker is unhealthy, empty if it is healthy. Another thread may call this."""
        silent_s = time.monotonic() - self.checked_at
        if silent_s > HEALTHY_S:
            return f"the event loop has not moved for {silent_s:.1f} s"
        return (self.membership.unhealthy_reason() if self.membership else "") or self.store.unhealthy_reason()

    def open_admin(self, endpoint: str, service: AdminService) -> AdminServer:
        """Listen for operators too.

        Raises:
            SettingError: the address can not be bound, or other machines could give orders without a key.
        """
        zap = self._zap if backbone.is_tcp(endpoint) else None
        if zap is None and not backbone.is_loopback(endpoint):
            raise SettingError(f"{endpoint} is open to other machines: operators come there with keys only (--keys)")
        self.turns.admin = AdminServer(self._context, endpoint, service, zap)
        return self.turns.admin

    def start(self) -> None:
        self.sockets.start(self.turns.pump, self.turns.give_up)
        if self.admin is not None:
            self._loop.add_reader(self.admin.socket, self._note_operators)
        if self._zap is not None:
            for core in self.cores:
                self._expel_removed(core, self._zap.names())
            self._loop.add_reader(self._zap.socket, self._admit)
            self._admit()
        self.timers.every(TICK_S, self._tick)
        self.timers.every(TRIM_S / TRIMS if self.store.shards > 1 else TRIM_S, self.turns.note_trim)
        self.turns.pump()

    def begin_core(self, core: Core) -> None:
        """Serve a shard from the next turn on."""
        if self._zap is not None:
            self._expel_removed(core, self._zap.names())
        core.announce_positions()
        self.cores.add(core)

    def moment(self) -> Moment:
        return self._clock.read()

    def stop(self) -> None:
        """Run a last turn with all received frames, and close the sockets; answers go out for half a second more."""
        self.timers.cancel()
        self.turns.finish()
        self.sockets.close(linger_ms=500)
        if self.admin is not None:
            self._loop.remove_reader(self.admin.socket)
            self.admin.socket.close(500)
        if self._zap is not None:
            self._loop.remove_reader(self._zap.socket)
            self._zap.close()
        self.turns.close()
        if self._owns_context:
            self._context.term()

    # --- operators and new connections ------------------------------------------------------------------------------

    def _note_operators(self) -> None:
        # Not in each turn: a check costs a system call.
        self.turns.operators_wait = True
        self.turns.pump()

    def _admit(self) -> None:
        """Answer libzmq's questions about connections that are being made."""
        if self._zap is not None and not self.turns.stopped and self._zap.answer():
            self._loop.call_soon(self._admit)

    def _expel_removed(self, core: Core, names: set[str]) -> None:
        """Expel gateways whose keys were revoked while no broker ran: of these the store knows the names only."""
        for instance in core.gateways.known:
            name = backbone.gateway_name(instance)
            if name and name not in names:
                core.expel(name, f"{Role.GATEWAY} {name}", self.moment())

    # --- time -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        try:
            self.before_tick()
        finally:
            self._look_around()

    def _look_around(self) -> None:
        self.checked_at = time.monotonic()
        self._clock.look()
        moment = self._clock.read()
        self.cores.tick(moment)
        if self.admin is not None:
            # An edge of the descriptor may have been missed.
            self.turns.operators_wait |= is_readable(self.admin.socket)
            self.admin.service.tick(moment)
        if self.cores:  # without a shard the gateways are unknown, and not gone
            self._connected = log_changes(self._connected, self.cores.gateways())
        for owner in self.sockets.expel_revoked():
            account = str(owner)
            self.turns.incoming.queue.forget(account)
            self.turns.replays.forget(account)
            self.cores.expel(owner.name, account, moment)
        self.turns.pump()
