"""Open the store, serve gateways and operators, reload the settings on SIGHUP, stop on a signal."""

import asyncio
import contextlib
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import click

from tsudoi.ops import logs
from tsudoi.ops.metrics import exposition
from tsudoi.ops.net.heap import give_back_often
from tsudoi.ops.net.http import HttpServer
from tsudoi.ops.reload import differing, reload, take_over
from tsudoi.protocol.backbone import is_loopback

from .config import Config
from .core import Core
from .keyring import Keyring
from .net import metrics
from .net.server import Server
from .office import Office
from .store import Store
from .store_memory import MemoryStore
from .store_sqlite import SqliteStore, StoreInUse

TAKE_OVER_S = 3.0
"""How long to wait for an earlier broker to let go of the store."""

logger = logs.get("broker")


async def run(config: Config, configure_again: Callable[[], Config]) -> int:
    """Serve until a signal (returns 0) or until nothing can be kept any more (returns 1).

    Args:
        config: the settings at the start.
        configure_again: reads them again; raises SettingError or click.ClickException.
    """
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(status: int) -> None:
        if not stopped.done():
            stopped.set_result(status)

    give_back_often()
    loop.add_signal_handler(signal.SIGUSR1, logs.toggle_debug, logger, config.log_level)
    loop.add_signal_handler(signal.SIGHUP, reload, logger, configure_again, lambda new: _apply(config, new))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, 0)
    store = await _open(config)
    try:
        instance = secrets.token_hex(8)
        snapshot = store.load()
        if snapshot.has_lost:
            logger.warning("a part of the store is or may be lost, as in a power cut: rooms begin a new epoch")
        core = Core(snapshot, instance, config.limits, time.monotonic())
        keyring = Keyring(config.keys) if config.keys else None
        server = Server(core, store, config.limits, config.bind, lambda: stop(1), keyring)
        core.begin(config.persistent, int(time.time() * 1000))
        if config.admin is not None:
            server.open_desk(config.admin, Office(core))
        elif config.store_path is not None:
            logger.warning("no operator can connect", why="--admin none, or the store's path is too long for a socket")
        server.start()
        http = None
        if config.http is not None:
            http = HttpServer(config.http, server.illness, exposition(metrics.rows(server)))
        if config.exit_with_parent:
            loop.add_reader(sys.stdin.fileno(), lambda: stop(0))
        _log_keys(config, keyring)
        rooms, members = len(core.directory.rooms), len(core.directory.members)
        logger.info("store opened", store=config.store_path or "memory", rooms=rooms, members=members)
        with contextlib.suppress(BrokenPipeError):
            click.echo(f"ready {server.endpoint}")
        logger.info("ready", endpoint=server.endpoint, http=config.http)
        status = await stopped
        logger.info("stopping", status=status, entries=core.counters.entries)
        if http is not None:
            http.close()
        server.stop()
        return status
    finally:
        store.close()


def _log_keys(config: Config, keyring: Keyring | None) -> None:
    if keyring is not None:
        logger.info("keys read", keys=len(keyring.owners) - 1, folder=config.keys)
        for path, why in keyring.unreadable.items():
            logger.warning("a key file is of no use", file=path, why=why)
    elif config.bind.startswith("tcp://"):
        who = "everybody on this machine" if is_loopback(config.bind) else "everybody who reaches it"
        logger.warning(f"no keys are used: {who} may read and write everything", endpoint=config.bind)


async def _open(config: Config) -> Store:
    if config.store_path is None:
        return MemoryStore()
    return await _open_file(config.store_path, config.durability)


async def _open_file(path: Path, durability: Literal["process", "full"]) -> SqliteStore:
    deadline = time.monotonic() + TAKE_OVER_S
    while True:
        try:
            return SqliteStore(path, durability)
        except StoreInUse:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


def _apply(config: Config, new: Config) -> tuple[list[str], list[str]]:
    """Change what can be changed while gateways are there; return the names of what changed, and of what can not."""
    changed, fixed = take_over(config.limits, new.limits, fixed=("news_high_water",))
    return changed, fixed + differing(config, new, but=("limits", "log_level"))
