"""gateway/process/broker_process.py and supervisor.py: real processes, as that is all there is to it."""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from broker.net.ping import ping
from gateway.process.broker_process import BrokerProcess
from gateway.process.supervisor import Supervisor
from tsudoi.protocol.errors import SettingError

PATIENCE_S = 20.0


async def answers(broker: BrokerProcess) -> bool:
    return await asyncio.to_thread(ping, broker.endpoint, 1.0)


def socket_directory(broker: BrokerProcess) -> Path:
    return Path(broker.endpoint.removeprefix("ipc://")).parent


def test_it_answers_when_it_is_started_and_leaves_only_its_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        broker = BrokerProcess(tmp_path)
        await broker.start()
        assert await answers(broker)
        assert socket_directory(broker).stat().st_mode & 0o077 == 0
        await broker.stop()
        assert not socket_directory(broker).exists()
        assert (tmp_path / "tsudoi.sqlite").exists()

    asyncio.run(scenario())


def test_killed_it_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        broker = BrokerProcess(tmp_path)
        await broker.start()
        first = broker._process
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while broker._process is first or not await answers(broker):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        await broker.stop()

    asyncio.run(scenario())


def test_it_ends_when_its_gateway_does_however_that_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        broker = BrokerProcess(tmp_path)
        process = await broker._launch()
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
        await broker.stop()

    asyncio.run(scenario())


def test_a_child_finds_files_where_we_do_and_our_programs_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some.toml").write_text('[broker]\nstore = "memory"\nbind = "ipc://broker.socket"\n')
    Path("broker").mkdir()
    Path("broker/__main__.py").write_text("raise SystemExit('another program')")

    async def scenario() -> None:
        child = Supervisor("it", (sys.executable, "-m", "broker", "--config", "some.toml", "--admin", "none"))
        await child.start()
        assert (tmp_path / "broker.socket").exists()
        await child.stop()

    asyncio.run(scenario())


def test_a_broker_that_does_not_start_is_a_setting_error() -> None:
    async def scenario() -> None:
        broker = BrokerProcess(Path("/dev/null/below"))
        with pytest.raises(SettingError, match=r"^the embedded broker did not start"):
            await broker.start()
        await broker.stop()

    asyncio.run(scenario())


def test_each_launch_has_a_directory_of_its_own_and_removes_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = BrokerProcess(tmp_path), BrokerProcess(tmp_path)
        await first.start()
        with pytest.raises(SettingError, match="did not start"):
            await second.start()
        await second.stop()
        assert not socket_directory(second).exists()
        assert socket_directory(first).exists()
        assert await answers(first)
        await first.stop()

    asyncio.run(scenario())


def test_no_place_for_sockets_is_a_setting_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SettingError, match=r"^can not make a directory for .+: No such file or directory$"):
        BrokerProcess(tmp_path)
