"""gateway/process/single.py: gateway and broker in one process, as real ones."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import tsudoi
from broker.store.interface import Batch
from broker.store.sqlite import SqliteStore
from gateway.chat.delivery_reports import DeliveryReports
from gateway.config import Config
from gateway.listeners.options import Listener
from gateway.process.service import Service as GatewayService
from gateway.process.single import LocalBroker
from tests.support import forked
from tests.support.fakes import own_sessions
from tests.support.services import Gateway, at, hear
from tsudoi.protocol.errors import StoreError

PATIENCE_S = 60.0
ROOT = Path(__file__).resolve().parents[3]
SETTINGS = tsudoi.Settings(rate_per_s=0)
ANY = Listener("127.0.0.1", 0)


def admin(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "broker", "--store", f"sqlite:{data}/tsudoi.sqlite", "admin", *arguments)
    return forked.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


@asynccontextmanager
async def embedded(
    data: Path, on_failure: Callable[[], None] = lambda: None
) -> AsyncIterator[tuple[LocalBroker, GatewayService, tsudoi.Server]]:
    """A broker and a gateway in this process, joined, and where clients go."""
    broker = LocalBroker(data, None, "human", on_failure)
    await broker.start()
    config = Config(tcp=(ANY,), udp=(ANY,), data=data, name="embedded")
    service = GatewayService(config, [broker.endpoint], own_sessions(), broker.context)
    broker.join(service)
    (listener,) = await service.start()
    try:
        yield broker, service, tsudoi.Server("127.0.0.1", listener.port, service.udp[0].listener.port)
    finally:
        if not service._is_stopped:
            await service.stop()
        await broker.stop()


@asynccontextmanager
async def two_in(server: tsudoi.Server, dialect: str = "tsudoi") -> AsyncIterator[tuple[tsudoi.ChatClient, ...]]:
    """Alice, who opens the room `den`, and bob."""
    about: dict[str, Any] = {"server": server, "settings": SETTINGS, "dialect": dialect}
    async with (
        await tsudoi.create("den", name="alice", **about) as alice,
        await tsudoi.join("den", name="bob", **about) as bob,
    ):
        yield alice, bob


async def test_it_is_one_process_to_which_operators_connect(tmp_path: Path) -> None:
    with Gateway(data=tmp_path) as gateway:
        assert children(gateway.pid) == ""
        async with await tsudoi.create(
            "den", name="alice", server=at(gateway), settings=SETTINGS, dialect="tsudoi"
        ) as alice:
            done = await asyncio.to_thread(admin, tmp_path, "announce", "from above")
            assert done.returncode == 0, done.stderr
            async with asyncio.timeout(PATIENCE_S):
                async for event in alice:
                    if isinstance(event, tsudoi.Announced):
                        break


async def test_killed_and_started_again_it_is_whole(tmp_path: Path) -> None:
    with Gateway("--history", "200", data=tmp_path, steady=True) as gateway:
        server = at(gateway)
        async with two_in(server) as (alice, bob):
            before = [f"before {number}" for number in range(50)]
            for text in before:
                await alice.say(text)
            assert await hear(bob, before[-1]) == before
            gateway.kill()
            gateway.start()
            # They go on with the tokens that they have.
            await alice.say("after it")
            assert await hear(bob, "after it") == ["after it"]
            carol = await tsudoi.join("den", name="carol", server=server, settings=SETTINGS, dialect="tsudoi")
            async with carol:
                await alice.say("hello carol")
                assert await hear(carol, "hello carol") == [*before, "after it", "hello carol"]


async def test_a_second_start_on_the_same_data_tells_that_it_waits_and_does_not_hurt_the_first(tmp_path: Path) -> None:
    with Gateway(data=tmp_path) as gateway:
        command = (sys.executable, "-m", "gateway", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0")
        done = await asyncio.to_thread(
            forked.run,
            (*command, "--data", str(tmp_path)),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert (done.returncode, done.stdout) == (2, "")
        why = f"another broker has the store {tmp_path}/tsudoi.sqlite open: is the service running?"
        *logged, last = done.stderr.splitlines()
        assert last == f"gateway: {why}"
        assert sum("waiting for its end" in line for line in logged) == 1
        async with await tsudoi.create("den", name="alice", server=at(gateway), settings=SETTINGS, dialect="tsudoi"):
            assert (await asyncio.to_thread(admin, tmp_path, "rooms")).stdout.count("den") == 1


@pytest.mark.parametrize("setting", ['log-entries = "many"', 'store = "postgresql://me@db/rooms"'])
def test_a_mistake_in_the_brokers_table_is_one_line(tmp_path: Path, setting: str) -> None:
    (tmp_path / "tsudoi.toml").write_text(f"[broker]\n{setting}\n")
    command = (sys.executable, "-m", "gateway", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data", str(tmp_path))
    done = forked.run(
        (*command, "--config", str(tmp_path / "tsudoi.toml"), "--log-level", "warning"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert setting.split()[0] in done.stderr


async def test_what_was_taken_before_it_stops_is_in_the_store(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(100)]
    with Gateway(data=tmp_path) as gateway:
        async with two_in(at(gateway)) as (alice, bob):
            for text in texts:
                await alice.say(text)
            assert await hear(bob, texts[-1]) == texts
    store = SqliteStore(tmp_path / "tsudoi.sqlite")
    ends = store.load().ends
    store.close()
    (last,) = (last for _, last in ends.values())
    assert last >= len(texts) + 2


async def test_deliveries_are_reported_at_ticks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next message it would be stored once more; the tick is soon enough, as both ends stop at once."""
    tick, report = GatewayService.tick, DeliveryReports.report
    ticking, reported = [False], list[bool]()

    def noted_tick(service: GatewayService) -> None:
        ticking[0] = True
        tick(service)
        ticking[0] = False

    def noted_report(reports: DeliveryReports) -> None:
        if reports._moved:
            reported.append(ticking[0])
        report(reports)

    monkeypatch.setattr(GatewayService, "tick", noted_tick)
    monkeypatch.setattr(DeliveryReports, "report", noted_report)
    async with embedded(tmp_path) as (_, _, server), two_in(server) as (alice, bob):
        while len(reported) < 4:
            await alice.say("hello")
            await hear(bob, "hello")
        assert all(reported)


def test_the_store_is_free_only_when_the_operators_socket_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start takes an open one for another program's, and ends."""
    close, found = SqliteStore.close, list[int]()

    def look(store: SqliteStore) -> None:
        with socket.socket(socket.AF_UNIX) as knock:
            found.append(knock.connect_ex("tsudoi.sqlite.admin"))  # the whole path may be too long
        close(store)

    async def scenario() -> None:
        monkeypatch.setattr(SqliteStore, "close", look)
        monkeypatch.chdir(tmp_path)
        for _ in range(2):
            broker = LocalBroker(tmp_path, None, "human", lambda: None)
            await broker.start()
            await broker.stop()

    asyncio.run(scenario())
    assert found == [errno.ECONNREFUSED] * 2


async def test_gateway_and_broker_call_each_other_and_need_no_descriptors(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (broker, service, server), asyncio.timeout(PATIENCE_S):
        assert broker._service is not None
        ends = service.sockets._sockets[broker.endpoint], broker._service.server.sockets
        for each in (ends[0]._dealer, ends[0]._sub, ends[1]._router, ends[1]._xpub):
            asyncio.get_running_loop().remove_reader(each)
        async with two_in(server) as (alice, bob):
            texts = [f"text {number}" for number in range(20)]
            for text in texts:
                await alice.say(text)
            assert await hear(bob, texts[-1]) == texts
        assert not service.unhealthy_reason(time.monotonic())


async def test_one_turn_of_the_broker_has_the_tick_of_both(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (broker, service, _):
        assert broker._service is not None
        canary = service.routes.links[0].canary
        before = canary.back_at
        broker._service.server._tick()
        assert canary.back_at > before
        assert service._tick_timer is None
        await service.stop()
        broker._service.server._tick()


async def test_what_was_delivered_is_stored_at_a_tick_without_a_wake_up_of_its_own(tmp_path: Path) -> None:
    async with embedded(tmp_path) as (broker, service, server), asyncio.timeout(PATIENCE_S):
        assert broker._service is not None
        store = broker._service.server.store
        async with two_in(server, "classic") as (alice, bob):
            await alice.say("hello")
            assert await hear(bob, "hello") == ["hello"]
            (room,) = service.core.members.rooms.values()
            while room.position not in store.load().delivered.values():
                assert service._report_timer is None
                await asyncio.sleep(0.01)


async def test_a_store_that_fails_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(store: SqliteStore, batch: Batch) -> None:
        raise StoreError("no room")

    failed = asyncio.Event()
    async with embedded(tmp_path, failed.set) as (_, _, server), asyncio.timeout(PATIENCE_S):
        monkeypatch.setattr(SqliteStore, "commit", fail)
        joining = asyncio.create_task(tsudoi.create("den", name="alice", server=server, dialect="tsudoi"))
        await failed.wait()
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)


def test_a_signal_to_read_the_settings_again_is_for_the_broker_too(tmp_path: Path) -> None:
    file = tmp_path / "tsudoi.toml"
    file.write_text("[broker]\nlog-entries = 1000\n")
    with Gateway("--config", str(file), data=tmp_path / "data") as gateway:
        file.write_text("[broker]\nlog-entries = 7\npersistent = ['lobby']\ndurability = 'full'\n")
        os.kill(gateway.pid, signal.SIGHUP)
        line = gateway.stderr.wait_for(lambda line: "the broker's settings reloaded" in line, PATIENCE_S)
        assert line is not None
        assert "changed='log-entries, persistent'" in line or 'changed="log-entries, persistent"' in line
        assert "needs_restart=durability" in line
        assert "lobby" in admin(tmp_path / "data", "--json", "rooms").stdout


def test_a_mistake_in_one_table_leaves_both_programs_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "tsudoi.toml"
    file.write_text("[gateway]\nrate = 5\n")
    with Gateway("--config", str(file), data=tmp_path / "data") as gateway:
        file.write_text("[gateway]\nrate = 6\n[broker]\nlog-entries = 'many'\nlog-agge = 3\n")
        os.kill(gateway.pid, signal.SIGHUP)
        line = gateway.stderr.wait_for(lambda line: "not reloaded" in line, PATIENCE_S)
        assert line is not None
        assert f"{file}:4: log-entries: " in line
        assert f"{file}:5: log-agge: there is no such setting; log-age?" in line
        file.write_text("[gateway]\nrate = 6\n")
        os.kill(gateway.pid, signal.SIGHUP)
        line = gateway.stderr.wait_for(lambda line: "settings reloaded" in line, PATIENCE_S)
        assert line is not None
        assert "changed=rate" in line
