"""gateway/process/broker_process.py and supervisor.py: real processes, as that is all there is to it."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.net.ping import ping
from gateway.process.broker_process import LEFT_S, BrokerProcess, make_directory
from gateway.process.supervisor import Supervisor
from tests.support.waiting import until
from tsudoi.protocol.errors import SettingError

PATIENCE_S = 60.0


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for sockets; pytest's may be too long."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as made:
        yield Path(made)


async def answers(broker: BrokerProcess) -> bool:
    return await asyncio.to_thread(ping, broker.endpoint, 1.0)


def socket_directory(broker: BrokerProcess) -> Path:
    return Path(broker.endpoint.removeprefix("ipc://")).parent


async def test_it_answers_when_it_is_started_and_leaves_only_its_store(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    await broker.start()
    assert await answers(broker)
    assert socket_directory(broker).stat().st_mode & 0o077 == 0
    await broker.stop()
    assert not socket_directory(broker).exists()
    assert (tmp_path / "tsudoi.sqlite").exists()


async def test_killed_it_is_started_again(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    await broker.start()
    first = broker._process
    assert first is not None
    with capture_logs() as lines:
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: len(lines) == 2)  # the last one comes when it is ready, so not before it answers
    assert broker._process is not first
    assert await answers(broker)
    assert [(line["event"], line.get("status")) for line in lines] == [
        ("the embedded broker ended; starting it again", -9),
        ("the embedded broker runs again", None),
    ]
    await broker.stop()


async def test_it_ends_when_its_gateway_does_however_that_ends(tmp_path: Path) -> None:
    broker = BrokerProcess(tmp_path)
    process = await broker._launch()
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(PATIENCE_S):
        assert await process.wait() == 0
    await broker.stop()


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


async def test_a_broker_that_does_not_start_is_a_setting_error() -> None:
    broker = BrokerProcess(Path("/dev/null/below"))
    with pytest.raises(SettingError, match=r"^the embedded broker did not start"):
        await broker.start()
    await broker.stop()


async def test_a_child_that_is_not_ready_in_time_again_and_again_is_told_of(tmp_path: Path) -> None:
    """As on a machine with too little of a processor: it says nothing itself."""
    mark = tmp_path / "once"
    once = f"import pathlib, time; first = not (m := pathlib.Path({str(mark)!r})).exists(); m.touch()"
    command = (sys.executable, "-c", f"{once}; first and print('ready now', flush=True); first or time.sleep(60)")
    child = Supervisor("a child", command, start_s=3.0)
    with capture_logs() as lines:
        await child.start()
        child._start_s = 0.1
        await until(lambda: "a child did not start: it was not ready within 0.1 s" in [each["event"] for each in lines])
        await child.stop()


async def test_each_launch_has_a_directory_of_its_own_and_removes_no_other(tmp_path: Path) -> None:
    first, second = BrokerProcess(tmp_path), BrokerProcess(tmp_path)
    await first.start()
    with pytest.raises(SettingError, match="did not start"):
        await second.start()
    await second.stop()
    assert not socket_directory(second).exists()
    assert socket_directory(first).exists()
    assert await answers(first)
    await first.stop()


def test_no_place_for_sockets_is_a_setting_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SettingError, match=r"^can not make a directory for the broker's socket in /dev/null/below or "):
        BrokerProcess(Path("/dev/null/below"))


def test_sockets_are_in_the_folder_of_data_where_no_cleaner_comes(short: Path) -> None:
    assert socket_directory(BrokerProcess(short / "data")).parent == short / "data"
    assert (short / "data").stat().st_mode & 0o077 == 0


def test_a_path_that_is_too_long_for_sockets_is_shortened_or_another_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("a" * 60) / ("b" * 40)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    elsewhere = make_directory(long)
    assert elsewhere.parent == Path("/tmp")
    elsewhere.rmdir()
    monkeypatch.chdir(long)
    assert make_directory(long).parent == Path()
    assert len(list(long.iterdir())) == 1


def test_what_a_killed_gateway_left_is_removed_and_nothing_else(short: Path) -> None:
    left, fresh, served = (make_directory(short) for _ in range(3))
    long_ago = time.time() - 2 * LEFT_S
    with closing(socket.socket(socket.AF_UNIX)) as listener, closing(socket.socket(socket.AF_UNIX)) as gone:
        listener.bind(str(served / "broker"))
        listener.listen()
        gone.bind(str(left / "broker"))
        gone.close()
        for directory in (left, served):
            os.utime(directory, (long_ago, long_ago))
        made = make_directory(short)
    assert set(short.iterdir()) == {fresh, served, made}


async def test_a_restart_finds_its_place_although_the_directory_was_removed(short: Path) -> None:
    broker = BrokerProcess(short)
    await broker.start()
    directory = socket_directory(broker)
    shutil.rmtree(directory)
    assert broker._process is not None
    os.kill(broker._process.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        while not await answers(broker):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    assert {file.name for file in directory.iterdir()} == {"broker", "broker.pub"}
    assert directory.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in directory.iterdir())
    await broker.stop()
    assert not directory.exists()
