"""A whole broker without signal handling: store, core, sockets, operators' socket, metrics.

`python -m broker` runs one; so does the service of one command (`gateway/process/single.py`).
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

import zmq

from tsudoi.ops import logs
from tsudoi.ops.metrics import exposition
from tsudoi.ops.net.http import HttpServer
from tsudoi.ops.reload import Report, differing, flags, take_over
from tsudoi.protocol.backbone import is_loopback, is_tcp
from tsudoi.protocol.names import RoomName

from ..admin.service import AdminService
from ..config import Config, Limits
from ..core import Core
from ..keys.allow_list import AllowList
from ..shards.cores import Cores
from ..store.interface import Store, StoreInUse
from ..store.place import Database, open_store
from . import metrics
from .server import Server

logger = logs.get("broker")

TAKE_OVER_S, LEASE_OVER_S = 3.0, 5.0
"""How long to wait for an earlier broker to close a store in a file, or for its lease in a database to end."""


class BrokerService:
    """Serves from `open` to `stop`."""

    def __init__(self, config: Config, server: Server, closing: ExitStack) -> None:
        self.server = server
        self._config = config
        self._closing = closing

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
        with ExitStack() as closing:
            store = await _open_store(config)
            closing.callback(store.close)
            if context is not None:
                # Sockets are closed before the store is free for the next broker, which listens at the same paths.
                closing.callback(context.term)
            snapshot = store.load()
            if snapshot.has_lost:
                logger.warning("commits are or may be missing, as after a power cut: rooms begin a new epoch")
            elif snapshot.is_copy:
                logger.warning("the store is a copy, and what came after it is missing: rooms begin a new epoch")
            core = Core(snapshot, secrets.token_hex(8), config.limits, time.monotonic(), secrets.randbits(16))
            for name in config.persistent:
                core.directory.persist(RoomName(name), int(time.time() * 1000))
            allow_list = AllowList(config.keys) if config.keys else None
            limits, newest_ms = config.limits, snapshot.newest_ms
            server = Server(Cores([core]), store, limits, config.bind, on_failure, allow_list, context, newest_ms)
            closing.callback(server.stop)
            if config.admin is not None:
                server.open_admin(config.admin, AdminService(core))
            elif config.store is not None:
                why = "--admin none, or the store has no path for a socket beside it: give --admin"
                logger.warning("no operator can connect", why=why)
            server.start()
            _log_keys(config, allow_list)
            rooms, members = len(core.directory.rooms), len(core.directory.members)
            logger.info("store opened", store=str(config.store or "memory"), rooms=rooms, members=members)
            if config.http is not None:
                closing.callback(HttpServer(config.http, server.illness, exposition(metrics.rows(server))).close)
            return cls(config, server, closing.pop_all())

    def reload(self, new: Config) -> Report:
        """Apply the settings that can change at run time."""
        old, report = self._config, Report(overridden=list(new.overridden))
        changed, fixed = take_over(old.limits, new.limits, fixed=("news_high_water",))
        report.changed = flags(Limits, changed)
        if added := [name for name in new.persistent if name not in old.persistent]:
            for name in added:
                self.server.core.directory.persist(RoomName(name), int(time.time() * 1000))
            self._config = replace(old, persistent=(*old.persistent, *added))
            report.changed.append("persistent")
        if gone := [name for name in self._config.persistent if name not in new.persistent]:
            # A restart would not change that either: the store has it.
            logger.warning("rooms stay persistent until python -m broker admin unpersist", rooms=", ".join(gone))
        differ = differing(old, new, but=("limits", "log_level", "persistent", "keys", "overridden"))
        if old.keys != new.keys and not {"keys_folder", "insecure", "bind"} & set(differ):
            differ.append("keys_folder")
        report.needs_restart = flags(Limits, fixed) + flags(Config, differ)
        return report

    def stop(self) -> None:
        """Run a last turn with all frames from gateways, and close."""
        self._closing.close()


def _log_keys(config: Config, allow_list: AllowList | None) -> None:
    if allow_list is not None:
        logger.info("keys read", keys=len(allow_list.owners) - 1, folder=config.keys)
        for path, why in allow_list.unreadable.items():
            logger.warning("a key file can not be used", file=path, why=why)
    elif is_tcp(config.bind):
        reach = "everybody on this machine" if is_loopback(config.bind) else "everybody who reaches it"
        logger.warning(f"no keys are used: {reach} may read and write everything", endpoint=config.bind)


async def _open_store(config: Config) -> Store:
    deadline = time.monotonic() + (LEASE_OVER_S if isinstance(config.store, Database) else TAKE_OVER_S)
    while True:
        try:
            return open_store(config.store, config.durability, config.requires_standby)
        except StoreInUse:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
