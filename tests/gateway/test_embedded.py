"""gateway/net/embedded.py: real processes, as that is all there is to it."""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from broker.net.ask import ping
from gateway.net.child import Child
from gateway.net.embedded import EmbeddedBroker, _private_directory
from tsudoi.protocol.errors import SettingError

PATIENCE_S = 20.0


async def answers(broker: EmbeddedBroker) -> bool:
    return await asyncio.to_thread(ping, broker.endpoint, 1.0)


def socket_directory(broker: EmbeddedBroker) -> Path:
    return Path(broker.endpoint.removeprefix("unix://")).parent


def test_it_answers_when_it_is_started_and_leaves_only_its_store(tmp_path: Path) -> None:
    async def scenario() -> None:
        broker = EmbeddedBroker(tmp_path)
        await broker.start()
        assert await answers(broker)
        assert socket_directory(broker).stat().st_mode & 0o077 == 0
        await broker.stop()
        assert not socket_directory(broker).exists()
        assert (tmp_path / "tsudoi.sqlite").exists()

    asyncio.run(scenario())


def test_killed_it_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        broker = EmbeddedBroker(tmp_path)
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
        broker = EmbeddedBroker(tmp_path)
        process, why = await broker._launch()
        assert process is not None, why
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
    Path("some.toml").write_text('[broker]\nstore = "memory"\nbind = "unix://broker.socket"\n')
    Path("broker").mkdir()
    Path("broker/__main__.py").write_text("raise SystemExit('another program')")

    async def scenario() -> None:
        child = Child("it", (sys.executable, "-m", "broker", "--config", "some.toml", "--admin", "none"))
        await child.start()
        assert (tmp_path / "broker.socket").exists()
        await child.stop()

    asyncio.run(scenario())


def test_a_broker_that_does_not_start_is_a_setting_error() -> None:
    async def scenario() -> None:
        broker = EmbeddedBroker(Path("/dev/null/below"))
        with pytest.raises(SettingError, match=r"^the embedded broker did not start"):
            await broker.start()
        await broker.stop()

    asyncio.run(scenario())


def test_a_store_has_one_directory_for_its_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = _private_directory(tmp_path / "one"), _private_directory(tmp_path / "other")
    assert one != other
    assert _private_directory(tmp_path / "one") == one


@pytest.mark.parametrize("mode", [0o755, 0o701, 0o770])
def test_a_directory_that_others_may_enter_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken = _private_directory(tmp_path / "data")
    taken.chmod(mode)
    instead = _private_directory(tmp_path / "data")
    assert instead != taken
    assert instead.stat().st_mode & 0o777 == 0o700


def test_a_link_that_somebody_left_there_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    taken = _private_directory(tmp_path / "data")
    taken.rmdir()
    (tmp_path / "trap").mkdir(mode=0o700)
    taken.symlink_to(tmp_path / "trap")
    assert _private_directory(tmp_path / "data") != taken


def test_no_place_for_sockets_is_a_setting_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SettingError, match=r"^can not make .+: No such file or directory$"):
        _private_directory(tmp_path)
