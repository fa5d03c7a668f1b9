"""A whole broker without signal handling: store, core, sockets, operators' socket, metrics.

`python -m broker` runs one; so does the service of one command (`gateway/process/single.py`).
"""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self, cast

import zmq

from tsudoi.ops import logs
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.reload import Report, differing, flags, take_over
from tsudoi.protocol.backbone import is_loopback, is_tcp
from tsudoi.protocol.backbone.admin_frames import Standing
from tsudoi.protocol.names import RoomName

from ..admin.service import AdminService
from ..config import Config, Limits
from ..core import Core
from ..counters import Counters
from ..keys.allow_list import AllowList
from ..rooms.ids import Ids
from ..shards.advertised import advertised, advertised_admin
from ..shards.cores import Cores
from ..store.interface import Snapshot, Store, StoreInUse
from ..store.place import open_store
from ..store.sharing import SharedStore
from . import metrics
from .membership import Membership
from .server import Server

logger = logs.get("broker")

TAKE_OVER_S = 3.0
"""How long to wait for an earlier broker to close a store in a file."""
NOT_KNOWN_MS = 1
"""For `SteadyClock`: the newest entries of shards are not known before they are loaded, so nothing is deleted by age in
the first two minutes."""


class BrokerService:
    """A broker that serves from `open` to `stop`."""

    def __init__(self, config: Config, server: Server) -> None:
        self.server = server
        self.http: HostPort | None = None
        """Where it serves `--http`, with the real port."""
        self._config = config
        self._closing = ExitStack()

    @classmethod
    async def open(
        cls,
        config: Config,
        on_failure: Callable[[], None],
        context: "zmq.Context[zmq.Socket[bytes]] | None" = None,
    ) -> Self:
        """Open the store, and serve gateways and operators.

        Args:
            config: the settings.
            on_failure: called once when the store has failed or no gateway can connect; the broker must end.
            context: of the gateway in the same process, for an inproc:// endpoint; None: one of our own. It is
                terminated by `stop`, which waits until all its sockets are closed.

        Raises:
            SettingError: the store is in use, or an address can not be bound.
            StoreError: the store can not be read.
        """
        for setting, instead in config.unused:
            logger.warning("a service of one command does not use a setting", setting=setting, instead=instead)
        with ExitStack() as closing:
            store = await _open_store(config)
            closing.callback(store.close)
            if context is not None:
                # Sockets are closed before the store is free for the next broker, which listens at the same paths.
                closing.callback(context.term)
            allow_list = AllowList(config.keys) if config.keys else None
            counters = Counters()
            if store.shards > 1:
                cores, newest_ms = Cores((), store.shards), NOT_KNOWN_MS
            else:
                snapshot = store.load()
                if snapshot.has_lost:
                    logger.warning("commits are or may be missing, as after a power cut: rooms begin a new epoch")
                elif snapshot.is_copy:
                    logger.warning("the store is a copy, and what came after it is missing: rooms begin a new epoch")
                core = new_core(config, counters, 1, snapshot, 0)
                cores, newest_ms = Cores([core]), snapshot.newest_ms
            server = Server(
                cores, store, config.limits, config.bind, on_failure, allow_list, context, newest_ms, counters
            )
            closing.callback(server.stop)
            if config.admin is not None:
                admin = server.open_admin(config.admin, AdminService(cores))
                admin.service.standing = _standing(server, config)
            elif config.store is not None:
                why = "--admin none, or the store has no path for a socket beside it: give --admin"
                logger.warning("no operator can connect", why=why)
            server.start()
            _log_keys(config, allow_list)
            rooms = sum(len(core.directory.rooms) for core in cores)
            members = sum(core.directory.present for core in cores)
            logger.info("store opened", store=str(config.store or "memory"), rooms=rooms, members=members)
            service = cls(config, server)
            if store.shards > 1:
                await service._join(cast(SharedStore, store), closing)
            if config.http is not None:
                from tsudoi.ops.exposition import exposition
                from tsudoi.ops.net.http import MonitoringServer

                http = MonitoringServer(config.http, server.unhealthy_reason, exposition(metrics.rows(server)))
                closing.callback(http.close)
                service.http = http.place
            service._closing = closing.pop_all()
            return service

    def reload(self, new: Config) -> Report:
        """Apply the settings that can change at run time."""
        old, report = self._config, Report(overridden=list(new.overridden))
        changed, fixed = take_over(old.limits, new.limits, fixed=("news_high_water",))
        report.changed = flags(Limits, changed)
        if added := [name for name in new.persistent if name not in old.persistent]:
            for core in self.server.cores:
                _persist(core, added)
            self.server.cores.touch_all()
            self._config = replace(old, persistent=(*old.persistent, *added))
            report.changed.append("persistent")
        if gone := [name for name in self._config.persistent if name not in new.persistent]:
            # A restart would not change that either: the store has it.
            logger.warning("rooms stay persistent until python -m broker admin unpersist", rooms=", ".join(gone))
        differ = differing(old, new, but=("limits", "log_level", "persistent", "keys", "overridden", "unused"))
        if old.keys != new.keys and not {"keys_folder", "insecure", "bind"} & set(differ):
            differ.append("keys_folder")
        report.needs_restart = flags(Limits, fixed) + flags(Config, differ)
        return report

    async def _join(self, store: SharedStore, closing: ExitStack) -> None:
        """Serve shards with the other brokers that share the store."""
        server, config, host = self.server, self._config, socket.gethostname()

        def core_of(snapshot: Snapshot, shard: int, term: int) -> Core:
            return new_core(self._config, server.counters, store.shards, snapshot, shard, term)

        endpoint = advertised(server.endpoint, config.advertise, host)
        admin = advertised_admin(server.admin.endpoint if server.admin else None, config.advertise, host)
        membership = Membership(store, server, core_of, endpoint, admin)
        closing.callback(membership.close)
        if server.admin is not None:
            server.admin.service.shards = membership.shards
        await membership.start()

    async def leave(self) -> None:
        """Hand the shards over to the other brokers that share the store, if there are any; `stop` is next."""
        if self.server.membership is not None:
            await self.server.membership.leave()

    def stop(self) -> None:
        """Run a last turn with all frames from gateways, and close."""
        self._closing.close()


def new_core(config: Config, counters: Counters, shards: int, snapshot: Snapshot, shard: int, term: int = 0) -> Core:
    """Return the core of a shard, with its persistent rooms."""
    ids = Ids(secrets.randbits(16), shard, shards)
    core = Core(snapshot, secrets.token_hex(8), config.limits, time.monotonic(), ids, counters, term)
    _persist(core, config.persistent)
    return core


def _standing(server: Server, config: Config) -> Callable[[], Standing]:
    """Return what tells operators how this broker is."""
    since_ms = int(time.time() * 1000)
    kind = "memory" if config.store is None else "file" if isinstance(config.store, Path) else "database"

    def standing() -> Standing:
        endpoint, store = server.membership.endpoint if server.membership else server.endpoint, server.store
        shards = len(server.cores)
        return Standing(
            endpoint, since_ms, server.unhealthy_reason(), kind, store.survives_a_machine, shards, store.shards
        )

    return standing


def _persist(core: Core, rooms: Iterable[str]) -> None:
    """Create those of the persistent rooms that belong to a core's shard."""
    for name in map(RoomName, rooms):
        if core.directory.belongs(name):
            core.directory.persist(name, int(time.time() * 1000))


def _log_keys(config: Config, allow_list: AllowList | None) -> None:
    if allow_list is not None:
        logger.info("keys read", keys=len(allow_list.owners) - 1, folder=config.keys)
        for path, why in allow_list.unreadable.items():
            logger.warning("a key file can not be used", file=path, why=why)
    elif is_tcp(config.bind):
        reach = "everybody on this machine" if is_loopback(config.bind) else "everybody who reaches it"
        logger.warning(f"no keys are used: {reach} may read and write everything", endpoint=config.bind)


async def _open_store(config: Config) -> Store:
    deadline = None
    while True:
        try:
            return open_store(config.store, config.durability, config.requires_standby)
        except StoreInUse:
            if deadline is None:
                deadline = time.monotonic() + TAKE_OVER_S
                logger.warning("another broker has the store open: waiting for its end", at_most_s=TAKE_OVER_S)
            elif time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
