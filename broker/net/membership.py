"""This broker's part among those that share a store: take shards and load them, serve them, give them up.

`../shards/moves.py` decides. What waits for the store runs in threads, so the event loop serves the other shards
meanwhile. When the lease is lost, all shards are dropped at once, and what was not published by then is never
published.
"""

import asyncio
import contextlib
import gc
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tsudoi.ops import logs
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.errors import MalformedMessage, StoreError

from ..admin.shard_list import list_shards
from ..core import Core
from ..shards.moves import cluster, decide
from ..shards.reach import Reach
from ..store.interface import Snapshot
from ..store.sharing import Broker, SharedStore, View
from .server import Server

logger = logs.get("broker.shards")

CLUSTER_S = 1.0
"""Time between two Cluster frames to all gateways; each change is published at once, too."""
LEAVE_S = 3.0
"""How long a broker that stops hands its shards over; then the rest becomes free at once."""
DAMAGED_S = 10.0
"""A shard that can not be loaded is tried again after this time; the others are served meanwhile."""
REACH_S = 0.1
"""Time between two looks whether gateways are connected."""
EARLY = 10_000
"""Hellos that wait for shards which are being loaded."""

NewCore = Callable[[Snapshot, int, int], Core]
"""Called in a thread: makes the core of a shard, in a term, from what the store has of it."""


class Membership:
    """Takes and gives shards; tells gateways who owns which."""

    def __init__(self, store: SharedStore, server: Server, new_core: NewCore, endpoint: str, admin: str) -> None:
        """Begin without a shard.

        Args:
            store: shared with the other brokers.
            server: serves the shards.
            new_core: makes a core; it may take long.
            endpoint: where gateways of other machines reach this broker.
            admin: where operators of other machines reach it; empty: nowhere.
        """
        self.name = secrets.token_hex(8)
        self.endpoint = endpoint
        self._admin = admin
        self._store = store
        self._server = server
        self._new_core = new_core
        self._loop = asyncio.get_running_loop()
        # A shard that is given must not wait until others are loaded.
        self._taking, self._giving = ThreadPoolExecutor(1, "take"), ThreadPoolExecutor(1, "give")
        self.view = View("", [], [(0, "")] * store.shards)
        """What the store had at the last look."""
        self.served: dict[int, int] = {}
        """Shard → its term."""
        self._ended: dict[int, int] = {}
        """Shard → its last term, of those that were served and are not any more."""
        self._loading: set[int] = set()
        self._leaving: set[int] = set()
        """Shards that are being given."""
        self._early: dict[int, dict[str, tuple[bytes, str]]] = {}
        """Shard that is being loaded → gateway instance → its Hello, and its account."""
        self._damaged: dict[int, str] = {}
        """Shard that this broker owns and can not load → why."""
        self._era = 0
        """Changes when all shards are dropped: what the threads do for an earlier one counts no more."""
        self._is_lost = False
        """The lease was lost, and the loop does not know yet."""
        self._unregistered = "the broker has not registered yet"
        """Why it has no lease; empty: it has one."""
        self._equal = ""
        """What is wrong about another broker at the same endpoint."""
        self._reach = Reach()
        self._is_noting = False
        """The other brokers are being told about that."""
        self._unreached = ""
        """What is wrong about that, if it lasts."""
        self._is_stopping = self._is_closed = False
        self._published = b""
        self._logged = -1
        """How many shards were served, as last logged."""
        self._moved = asyncio.Event()
        """Set at each look and each shard that is taken or given."""
        server.turns.incoming.membership = self

    async def start(self) -> None:
        """Register, and serve shards as soon as there are some; raise SettingError if the store refuses this broker."""
        about = Broker("", self.endpoint, self._admin, False)
        await self._loop.run_in_executor(self._taking, self._store.register, about, self._on_view, self._on_lost)
        self._server.timers.every(CLUSTER_S, self._tick)
        self._server.timers.every(REACH_S, self._look_for_gateways)

    def may_serve(self) -> bool:
        """Return whether the lease holds, so that no other broker can own the shards."""
        return not self._is_lost and self._store.may_serve()

    def shards(self) -> admin_frames.Shards:
        """Return the shards and their brokers, for operators."""
        return list_shards(self._server.cores, self.view, self.endpoint, self._admin)

    def unhealthy_reason(self) -> str:
        """Return why shards can not be served, empty if all is well. Another thread may call this."""
        damaged = next(iter(list(self._damaged.items())), None)
        return (
            self._unregistered
            or self._equal
            or self._unreached
            or (f"shard {damaged[0]} can not be loaded: {damaged[1]}" if damaged else "")
        )

    async def leave(self) -> None:
        """Give all shards to the other brokers, a few at a time; return when that is done, or has taken too long."""
        self._is_stopping = True
        if not self._has_successors():
            return
        logger.info("handing the shards over", shards=len(self.served))
        self._giving.submit(self._in_thread, self._store.leave)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                while (self.served or self._leaving) and self._has_successors():
                    self._moved.clear()
                    await self._moved.wait()

    def close(self) -> None:
        self._is_stopping = self._is_closed = True
        self._era += 1
        for thread in (self._taking, self._giving):
            thread.shutdown(wait=True, cancel_futures=True)

    def _has_successors(self) -> bool:
        """Return whether other brokers can take the shards of this one."""
        return not self._unregistered and any(
            broker.id != self.view.me and not broker.is_leaving for broker in self.view.brokers
        )

    # --- what gateways are told -------------------------------------------------------------------------------------

    def frame(self) -> bytes:
        """Return the Cluster frame."""
        return backbone.encode(cluster(self.view, self.endpoint, self.served, self._loading, self._ended))

    def missed(self, shard: int, peer: str, frame: bytes, account: str) -> None:
        """Keep a Hello for a shard that is being loaded: it is answered as soon as the shard is served."""
        if shard not in self._loading or sum(map(len, self._early.values())) >= EARLY:
            return
        try:
            message = backbone.parse_upward_untrusted(frame)
        except MalformedMessage:
            return
        if isinstance(message, backbone.Hello):
            self._early.setdefault(shard, {})[peer] = frame, account

    def _tick(self) -> None:
        self._publish()
        if len(self.served) != self._logged:
            self._logged = len(self.served)
            directories = [core.directory for core in self._server.cores]
            rooms, members = sum(len(each.rooms) for each in directories), sum(each.present for each in directories)
            of = len(self.view.owners)
            logger.info("serving shards", shards=self._logged, of=of, rooms=rooms, members=members)

    def _publish(self) -> None:
        if self._server.sockets.is_open and not self._server.turns.stopped:
            self._published = self.frame()
            self._server.sockets.publish(backbone.CLUSTER_TOPIC, self._published)
            self._loop.call_soon(self._server.turns.pump)  # it may have consumed an edge of the socket's descriptor

    def _publish_change(self) -> None:
        if self.frame() != self._published:
            self._publish()

    # --- what the store tells ---------------------------------------------------------------------------------------

    def _on_view(self, view: View) -> None:
        self._soon(self._look, view)

    def _on_lost(self, why: str) -> None:
        self._is_lost = True
        self._unregistered = why
        self._soon(self._lost, why)

    def _soon(self, action: Callable[..., object], *arguments: object) -> None:
        """Call something in the event loop, from another thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(action, *arguments)

    def _soon_in(self, era: int, action: Callable[..., object], *arguments: object) -> None:
        """The same, unless all shards are dropped before."""
        self._soon(lambda: action(*arguments) if era == self._era else None)

    def _lost(self, why: str) -> None:
        self._unregistered = why  # a look of before may have come since
        self.lose(why)
        self._is_lost = False

    def _look(self, view: View) -> None:
        if self._is_closed:
            return
        if view.me != self.view.me:
            logger.info("registered", broker=view.me, endpoint=self.endpoint, brokers=len(view.brokers))
        self._look_for_equals(view)
        self.view, self._unregistered = view, ""
        moves = decide(view, self.served, self._loading | self._leaving | self._damaged.keys())
        if moves.lost:
            self.lose(f"the store has shard {moves.lost[0]} as another broker's")
        else:
            # A commit of before all shards were dropped must not reach the store in a new term.
            may_take = self.served or not self._server.turns.committer.is_busy
            if moves.take and may_take and not self._is_stopping:
                self._loading.update(moves.take)
                self._taking.submit(self._in_thread, self._take, self._era, moves.take)
            for shard in moves.give:
                self._give_away(shard)
            if moves.free:
                self._leaving.update(moves.free)
                self._giving.submit(self._in_thread, self._free, self._era, moves.free)
        self._moved.set()
        self._publish_change()

    def _look_for_equals(self, view: View) -> None:
        """Notice whether another broker is reached where this one is."""
        self._reach.look_for_equals(self.endpoint, view, self._loop.time())
        if not self._reach.is_equal:
            self._equal = ""
        elif not self._equal:
            self._equal = f"another broker is reached at {self.endpoint}, too: give each an --advertise of its own"
            logger.error(self._equal)

    def _look_for_gateways(self) -> None:
        """Notice whether gateways reach this broker, and let the others know."""
        now, reach = self._loop.time(), self._reach
        reach.look(self._server.sockets.has_gateways, self.view, now)
        if bool(self._unreached) != (reach.is_unreached and reach.lasts(now)):
            if self._unreached:
                logger.info("gateways reach this broker", endpoint=self.endpoint)
                self._unreached = ""
            else:
                self._unreached = (
                    f"no gateway reaches this broker at {self.endpoint}, and others have some: --advertise"
                )
                logger.error(f"{self._unreached}; its rooms go to the others")
        if not (reach.is_known(self.view) or self._is_noting or self._unregistered or self._is_closed):
            self._is_noting = True
            self._giving.submit(self._note_reach, reach.has_gateways, reach.is_unreached)

    def _note_reach(self, has_gateways: bool, is_unreached: bool) -> None:
        self._in_thread(self._store.note_reach, has_gateways, is_unreached)
        self._soon(setattr, self, "_is_noting", False)

    # --- shards come ------------------------------------------------------------------------------------------------

    def _in_thread(self, work: Callable[..., object], *arguments: object) -> None:
        """Do work that waits for the store. If it fails, the lease is as good as lost."""
        era = self._era
        try:
            work(*arguments)
        except StoreError as exc:
            self._soon_in(era, self.lose, str(exc))
        except Exception:
            logger.exception("a shard could not be moved")
            self._soon_in(era, self.lose, "a fault of the broker")

    def _take(self, era: int, shards: list[int]) -> None:
        if era != self._era:
            return
        terms = self._store.take(shards)
        self._soon_in(era, self._not_loaded, [shard for shard in shards if shard not in terms])
        for shard, term in sorted(terms.items()):
            if era != self._era:
                return
            if self._is_stopping:
                self._soon_in(era, self._not_loaded, [shard])
                continue
            try:
                with _without_collections():
                    core = self._new_core(self._store.load(shard), shard, term)
            except Exception as exc:
                if not self.may_serve():
                    raise
                if not isinstance(exc, StoreError):
                    logger.exception("a fault while a shard was loaded")
                self._soon_in(era, self._note_damaged, shard, str(exc) or type(exc).__name__)
            else:
                self._soon_in(era, self._serve, shard, term, core)

    def _not_loaded(self, shards: Iterable[int]) -> None:
        """Forget shards that were not taken, or that are given back as this broker ends."""
        for shard in shards:
            self._loading.discard(shard)
            self._early.pop(shard, None)

    def _note_damaged(self, shard: int, why: str) -> None:
        """Leave a shard alone for a while: what the store has of it can not be used."""
        logger.error("a shard can not be loaded", shard=shard, why=why)
        self._damaged[shard] = why
        self._not_loaded([shard])
        self._loop.call_later(DAMAGED_S, self._damaged.pop, shard, None)

    def _serve(self, shard: int, term: int, core: Core) -> None:
        self._loading.discard(shard)
        self.served[shard] = term
        self._server.begin_core(core)
        for peer, (frame, account) in self._early.pop(shard, {}).items():
            core.handle_untrusted(peer, frame, self._server.moment(), account)
        logger.debug("serving a shard", shard=shard, term=term, rooms=len(core.directory.rooms))
        self._publish_change()
        self._moved.set()
        self._server.turns.pump()

    # --- shards go --------------------------------------------------------------------------------------------------

    def _give_away(self, shard: int) -> None:
        """Let a shard's last turn be committed and published, and then make it free."""
        era = self._era
        self._ended[shard] = self.served.pop(shard)
        self._leaving.add(shard)

        def ended() -> None:
            self._publish_change()
            if not self._is_closed:  # else it is free when the store is closed
                self._giving.submit(self._in_thread, self._free, era, [shard])

        self._server.turns.end_shard(shard, ended)

    def _free(self, era: int, shards: list[int]) -> None:
        if era == self._era:
            self._store.give(shards)
            self._soon_in(era, self._given, shards)

    def _given(self, shards: list[int]) -> None:
        self._leaving.difference_update(shards)
        logger.debug("shards were given away", shards=", ".join(map(str, shards)))
        self._moved.set()

    def lose(self, why: str) -> None:
        """Drop all shards: another broker may own them, or what the store has of them is not known."""
        if not (self.served or self._loading or self._leaving):
            return
        logger.error("all shards are dropped", why=why, shards=len(self.served))
        self._era += 1
        self._server.turns.drop_shards()
        self._ended |= self.served
        for shards in (self.served, self._loading, self._leaving, self._early, self._damaged):
            shards.clear()
        self._moved.set()
        self._publish_change()


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Make many objects that stay: looking for cycles among them takes a third of the time of a load."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
