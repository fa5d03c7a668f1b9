"""A gateway that is stopped with `--drain`: its members of version 2 go on at another one; docs/operations.md."""

import asyncio
import secrets
import signal
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import tsudoi
from scenarios.ports import steady_port
from tests.support.services import Broker, Gateway, at, hear_next
from tests.support.waiting import until
from tsudoi import Server, Settings
from tsudoi.net import enter
from tsudoi.net.sealed_chat import SealedChat
from tsudoi.net.sockets import Address, addresses_of

DRAIN_S = 4.0
LISTENERS = 12


@pytest.mark.parametrize("names", [pytest.param("one name", marks=pytest.mark.slow), "another place"])
def test_members_go_on_at_another_gateway_spread_over_the_time(
    names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = f"den {secrets.token_hex(4)}"
    shared = ("--session-secret", str(tmp_path / "secret"), "--notices", "off")

    async def story(first: Gateway, second: Gateway) -> None:
        a, b = at(first), at(second)

        async def both(server: Server) -> list[Address]:
            return [*await addresses_of(a), *await addresses_of(b)]

        if names == "one name":
            monkeypatch.setattr(enter, "addresses_of", both)
        about: dict[str, Any] = {"dialect": "tsudoi-2", "settings": Settings()}
        host = await tsudoi.create(room, name="host", server=b, **about)
        members = [await tsudoi.join(room, name=f"member {n}", server=a, **about) for n in range(LISTENERS)]
        assert len({id(member) for member in members}) == LISTENERS
        texts = [f"line {number}" for number in range(60)]
        heard = [asyncio.create_task(hear_next(member, len(texts))) for member in members]
        first.popen.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        moved: list[float] = []
        left = set(members)
        lines = []
        for text in texts:
            lines.append(host.post(text))
            await asyncio.sleep(DRAIN_S / len(texts))
            for member in list(left):
                assert isinstance(member, SealedChat)
                if member._core.is_resumed and member._sockets.addresses[member._core.way] in await addresses_of(b):
                    left.discard(member)
                    moved.append(time.monotonic() - begun)
        assert not left
        assert [await line.kept() for line in lines]
        for each in heard:
            assert await each == texts
        assert first.popen.wait(DRAIN_S + 10) == 0
        assert moved[-1] - moved[0] > DRAIN_S / 4
        said = [members[0].post("from elsewhere"), host.post("heard")]
        assert [await line.kept() for line in said]
        for member in members[1:]:
            assert await hear_next(member, 2) in (["from elsewhere", "heard"], ["heard", "from elsewhere"])
        for member in (*members, host):
            await member.leave()

    async def limited(first: Gateway, second: Gateway) -> None:
        async with asyncio.timeout(60):
            await story(first, second)

    with Broker(tmp_path / "rooms.sqlite") as broker, Gateway(*shared, broker=broker) as second:
        target = at(second)
        to = () if names == "one name" else ("--drain-to", str(target))
        with Gateway(*shared, "--drain", str(DRAIN_S), *to, broker=broker) as first:
            asyncio.run(limited(first, second))


async def test_a_gateway_with_nobody_to_drain_stops_at_once_and_a_second_signal_ends_a_drain(tmp_path: Path) -> None:
    with Gateway("--drain", "60", data=tmp_path / "a") as idle:
        begun = time.monotonic()
        idle.popen.send_signal(signal.SIGTERM)
        assert idle.popen.wait(10) == 0
        assert time.monotonic() - begun < 8
    port = steady_port(1)
    with Gateway("--drain", "60", "--http", f"127.0.0.1:{port}", data=tmp_path / "b") as gateway:
        async with await tsudoi.create("den", name="alice", server=at(gateway), dialect="tsudoi-2") as alice:
            await alice.say("hello")
            gateway.popen.send_signal(signal.SIGTERM)
            await asyncio.sleep(1.0)
            await alice.say("still here")
            with pytest.raises(HTTPError, match="503") as refused:
                await asyncio.to_thread(urlopen, f"http://127.0.0.1:{port}/healthz", timeout=5)
            refused.value.close()
            gateway.popen.send_signal(signal.SIGTERM)
            await until(lambda: gateway.popen.poll() is not None, patience_s=10.0)
            await alice.vanish()
