"""Keep a broker registered in the PostgreSQL engine: its lease, its looks at the other brokers, and coming back.

This runs in the loop of `postgres_link.py`. A registration ends with the first failure of any of its connections, also
if only the outcome of a statement is not known. The next one has another id and takes its shards in new terms, with a
commit that waits for the standby: what is read after that is what is kept.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from time import time as wall_time
from typing import Final

from tsudoi.ops import logs
from tsudoi.protocol.errors import SettingError, StoreError

from .postgres_connections import ERRORS, Connections, place_of, standby_hint, standbys
from .postgres_hosts import why
from .postgres_logs import ShardLogs
from .postgres_rows import COMMIT, NOTHING
from .postgres_schema_brokers import CHANNEL
from .sharing import LEASE_S, LOOK_S, RENEW_S, STOP_S, Broker, View

logger = logs.get("broker.store")

CHECK_S = 10.0
"""Time between two looks at the standbys."""
CLOCKS_S = 5.0
"""Greatest difference between this machine's clock and the database's that is not logged."""
GAP_S = 0.01
"""The shortest time between two looks at the brokers."""
PAUSES_S: Final = 0.2, 1.0
"""The first and the longest pause between two attempts to come back."""
_LEASE: Final = timedelta(seconds=LEASE_S)
_FIELDS: Final = "id", "endpoint", "admin", "leaving", "gateways", "unreached"
_LOOK: Final = "SELECT shard, term, id, endpoint, admin, leaving, gateways, unreached, lease_s FROM shards_and_brokers"


@dataclass(slots=True)
class Registration:
    """What ends when a lease is lost."""

    id: str
    connections: Connections
    renewed_at: float
    """When the last renewal that succeeded was asked for."""
    terms: dict[int, int] = field(default_factory=dict)
    """Of the shards that were taken."""
    logs: dict[int, ShardLogs] = field(default_factory=dict)
    """Of those that were loaded, too."""


class Lease:
    """One broker's place among those that share a database."""

    def __init__(self, url: str, requires_synchronous: bool | None, clock: Callable[[], float]) -> None:
        """See `PostgresStore`."""
        self.place = place_of(url)
        self.current: Registration | None = None
        """None: not registered, or not any more."""
        self.unhealthy_reason = ""
        self.is_synchronous = False
        """As last looked at."""
        self.ahead_s = 0.0
        """How far this machine's clock is ahead of the database's, as last looked at; negative: behind."""
        self.needs_standby = requires_synchronous is True
        """Nothing may be accepted that no standby keeps. Once several brokers live, it stays so."""
        self._requires_synchronous = requires_synchronous
        self._url, self._clock = url, clock
        self._connections: Connections | None = None
        self._broker = Broker("", "", "", False)
        self._on_view: Callable[[View], None] = lambda view: None
        self._on_lost: Callable[[str], None] = lambda reason: None
        self._wake = asyncio.Event()
        self._checked_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and bring the tables up to date; raise SettingError, StoreError or one of `ERRORS`."""
        self._connections = None
        self._connections = await Connections.open(self._url, self._failed, needs_standby=self.needs_standby)
        await self._check(self._connections, is_first=self._task is None)
        await self._connections.commits.fetch_value(COMMIT, *NOTHING)  # the driver learns the types now

    async def register(self, broker: Broker, on_view: Callable[[View], None], on_lost: Callable[[str], None]) -> None:
        """Register for the first time, and stay registered; see `SharedStore.register`."""
        self._broker, self._on_view, self._on_lost = broker, on_view, on_lost
        if self._connections is None or self._connections.failure:
            await self.open()
        refused_at = self._clock() + LEASE_S + RENEW_S
        while self.current is None:
            try:
                self._task = asyncio.create_task(self._stay(await self._register("")))
            except StoreError:
                # The other broker may be this one before it was killed; then its lease ends.
                if self._clock() > refused_at:
                    raise
                await asyncio.sleep(PAUSES_S[0])

    async def leave(self) -> None:
        """Tell the other brokers that this one will end, also if it has to register again."""
        self._broker = replace(self._broker, is_leaving=True)
        if self.current is not None:
            connections = self.current.connections
            await connections.guard(connections.lease.fetch_value("SELECT leave_brokers($1)", self.current.id))

    async def note_reach(self, has_gateways: bool, is_unreached: bool) -> None:
        """Tell the other brokers whether gateways reach this one; the former also if it has to register again."""
        self._broker = replace(self._broker, has_gateways=has_gateways)
        if self.current is not None:
            connections, values = self.current.connections, (self.current.id, has_gateways, is_unreached)
            await connections.guard(connections.lease.fetch_value("SELECT note_reach($1, $2, $3)", *values))

    async def close(self) -> None:
        """Free all shards, and disconnect."""
        if self._task is not None:
            self._task.cancel()
        registration, self.current = self.current, None
        if registration is not None:
            with contextlib.suppress(*ERRORS):
                async with asyncio.timeout(STOP_S):
                    await registration.connections.lease.fetch_value("SELECT end_broker($1)", registration.id)
        if self._connections is not None:
            await self._connections.close()

    def is_over(self, registration: Registration) -> bool:
        """Whether it must not be served under a registration any more, by this machine's clock."""
        return bool(registration.connections.failure) or self._clock() - registration.renewed_at >= STOP_S

    # --- one registration after the other ---------------------------------------------------------------------------

    async def _stay(self, registration: Registration) -> None:
        """Keep the lease; after it is lost, register again, however long that takes."""
        pause_s = PAUSES_S[0]
        while True:
            registered_at = self._clock()
            try:
                await self._keep(registration)
            except Exception:
                logger.exception("the broker's own fault ended the lease")
                registration.connections.fail("a fault of the broker")
            if self._clock() - registered_at > CHECK_S:
                pause_s = PAUSES_S[0]
            former = registration.id
            while True:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 1.5, PAUSES_S[1])
                try:
                    await self.open()
                    registration = await self._register(former)
                    break
                except Exception as exc:
                    if not isinstance(exc, (*ERRORS, StoreError, SettingError, ValueError)):
                        logger.exception("the broker's own fault kept it from registering again")
                    await self._give_up_attempt(why(exc))
            logger.info("registered again", store=self.place)

    async def _give_up_attempt(self, reason: str) -> None:
        if reason != self.unhealthy_reason:
            logger.warning("the store can not be used yet", why=reason, store=self.place)
            self.unhealthy_reason = reason
        if self._connections is not None:
            await self._connections.close()

    async def _register(self, former: str) -> Registration:
        """Take a lease in place of a former one; raise StoreError or one of `ERRORS`."""
        assert self._connections is not None
        connections, broker, me = self._connections, self._broker, secrets.token_hex(8)
        may_join = self._requires_synchronous is False or self.is_synchronous
        asked_at = self._clock()
        async with asyncio.timeout(STOP_S):
            has_joined = await connections.lease.fetch_value(
                "SELECT register_broker($1, $2, $3, $4, $5, $6, $7, $8)",
                *(me, former, broker.endpoint, broker.admin, broker.is_leaving, broker.has_gateways, _LEASE, may_join),
            )
        if not has_joined:
            reason = await standby_hint(connections.lease)
            raise StoreError(f"another broker shares it, which needs a synchronous standby: {reason}")
        registration = Registration(me, connections, asked_at)
        await connections.lease.driver.add_listener(CHANNEL, lambda *_: self._wake.set())
        if connections.failure:
            raise StoreError(connections.failure)
        self.current, self.unhealthy_reason = registration, ""
        return registration

    def _failed(self, reason: str) -> None:
        """Report the loss of a registration; called once for each set of connections."""
        self._wake.set()
        if self.current is not None:
            self.current, self.unhealthy_reason = None, reason
            logger.warning("the lease in the database is lost, and with it all rooms", why=reason, store=self.place)
            self._on_lost(reason)

    # --- while registered -------------------------------------------------------------------------------------------

    async def _keep(self, registration: Registration) -> None:
        """Renew and look until the lease is lost."""
        connections = registration.connections
        try:
            while not connections.failure:
                left_s = registration.renewed_at + STOP_S - self._clock()
                if left_s <= 0:
                    connections.fail(f"the lease was not renewed for {STOP_S - left_s:.1f} s")
                    return
                async with asyncio.timeout(left_s):
                    await self._renew(registration)
                    if self._clock() - self._checked_at >= CHECK_S:
                        await self._check(connections)
                    ends_s = await self._look(registration)
                wait_s = min(registration.renewed_at + RENEW_S - self._clock(), LOOK_S, ends_s)
                await asyncio.sleep(GAP_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                self._wake.clear()
        except (*ERRORS, StoreError) as exc:
            connections.fail(f"the lease at {self.place} can not be renewed: {why(exc)}")

    async def _renew(self, registration: Registration) -> None:
        asked_at = self._clock()
        if asked_at < registration.renewed_at + RENEW_S:
            return
        query = "SELECT renew_lease($1, $2)"
        if not await registration.connections.lease.fetch_value(query, registration.id, _LEASE):
            raise StoreError("it was over")
        registration.renewed_at = asked_at

    async def _look(self, registration: Registration) -> float:
        """Show the view to the broker; return the seconds until another broker's lease ends, unless it is renewed."""
        rows = await registration.connections.lease.fetch(_LOOK)
        if registration.connections.failure:
            return 0.0
        brokers = {row["id"]: Broker(*(row[field] for field in _FIELDS)) for row in rows if row["id"]}
        owners = [(row["term"], row["id"] or "") for row in rows if row["shard"] is not None]
        if len(brokers) > 1 and self._requires_synchronous is None and not self.needs_standby:
            self.needs_standby = True
            await self._check(registration.connections)
        self._on_view(View(registration.id, [brokers[key] for key in sorted(brokers)], owners))
        return min((row["lease_s"] for row in rows if row["id"] not in (None, registration.id)), default=LOOK_S)

    async def _check(self, connections: Connections, *, is_first: bool = False) -> None:
        """See whether a standby is there, and whether the clocks agree; log when that has changed."""
        was, self.is_synchronous = self.is_synchronous, await standbys(connections.lease) > 0
        self._checked_at = self._clock()
        await self._compare_clocks(connections)
        if was == self.is_synchronous and not is_first:
            return
        if self.is_synchronous:
            logger.info("an accepted message survives the loss of a machine: yes", store=self.place)
        else:
            hint = await standby_hint(connections.lease)
            logger.warning("an accepted message survives the loss of a machine: no", why=hint, store=self.place)

    async def _compare_clocks(self, connections: Connections) -> None:
        """Brokers on one database stamp and delete by their own clocks, and the database's is a second opinion."""
        asked_at = wall_time()
        theirs = await connections.lease.fetch_value("SELECT extract(epoch FROM clock_timestamp())::float8")
        was, self.ahead_s = self.ahead_s, (asked_at + wall_time()) / 2 - theirs
        if abs(self.ahead_s) > CLOCKS_S >= abs(was):
            logger.warning("this machine's clock and the database's differ", ahead_s=round(self.ahead_s, 1))
        elif abs(was) > CLOCKS_S >= abs(self.ahead_s):
            logger.info("this machine's clock and the database's agree again")
