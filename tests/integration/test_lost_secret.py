"""The secret of sessions and the certificate, with real processes: kept by default; and what clients do if not."""

import asyncio
import re
import socket
import ssl
from hashlib import sha256
from pathlib import Path

import pytest

import tsudoi
from tests.support.services import Broker, Gateway, at, hear, steady_endpoint

QUICK = tsudoi.Settings(rate_per_s=0, flush_s=1.0)


def shown(gateway: Gateway) -> str:
    """Return the SHA-256 of the certificate that a gateway shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(gateway.listener("auto").tcp, 10) as plain, context.wrap_socket(plain) as sock:
        return sha256(sock.getpeercert(binary_form=True) or b"").hexdigest()


async def test_a_gateway_of_another_broker_keeps_both_and_its_members_go_on_after_it_was_killed(tmp_path: Path) -> None:
    with (
        Broker(tmp_path / "rooms.sqlite", bind=steady_endpoint()) as broker,
        Gateway("--name", "one", broker=broker, data=tmp_path / "data", steady=True) as gateway,
    ):
        before = shown(gateway)
        async with (
            await tsudoi.create("den", name="alice", server=at(gateway), settings=QUICK) as alice,
            await tsudoi.join("den", name="bob", server=at(gateway), settings=QUICK) as bob,
        ):
            await alice.say("before")
            gateway.kill()
            gateway.start()
            assert shown(gateway) == before
            async with asyncio.timeout(60):
                await alice.say("after")
                assert await hear(bob, "after") == ["before", "after"]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_where_nothing_can_be_kept_the_gateway_serves_and_warns(tmp_path: Path, workers: str) -> None:
    (tmp_path / "file").touch()
    with (
        Broker(tmp_path / "rooms.sqlite") as broker,
        Gateway("--workers", workers, broker=broker, data=tmp_path / "file" / "data") as gateway,
    ):
        # Each connection may reach another worker.
        assert len({shown(gateway) for _ in range(8)}) == 1
        async with (
            await tsudoi.create("den", name="alice", server=at(gateway), settings=QUICK) as alice,
            await tsudoi.join("den", name="bob", server=at(gateway), settings=QUICK) as bob,
        ):
            await alice.say("hello")
            assert await hear(bob, "hello") == ["hello"]
    assert re.search("no later run can serve the sessions made here", gateway.stderr.text)


@pytest.mark.slow
async def test_members_of_a_lost_secret_join_again_by_themselves_with_their_name(tmp_path: Path) -> None:
    """It takes the idle time-out, 40 s at least: until then the directory has the old member, with that name."""
    data = tmp_path / "data"
    patient = tsudoi.Settings(rate_per_s=0, rejoin_after_s=55.0)
    with (
        Broker(tmp_path / "rooms.sqlite", bind=steady_endpoint()) as broker,
        Gateway("--idle-timeout", "40", broker=broker, data=data, steady=True) as gateway,
    ):
        # A host of version 1 keeps the room open.
        async with await tsudoi.create("den", name="host", server=at(gateway), dialect="tsudoi") as host:
            bob = await tsudoi.join("den", name="bob", server=at(gateway), settings=patient)
            await bob.say("before")
            gateway.kill()
            for path in data.glob("session-secret*"):
                path.unlink()
            gateway.start()
            await host.say("meanwhile")
            texts, kinds = [], []
            async with asyncio.timeout(150):
                async for event in bob:
                    kinds.append(type(event))
                    if isinstance(event, tsudoi.Message):
                        texts.append(event.text)
                    if kinds[-1] is tsudoi.Message and tsudoi.Rejoined in kinds:
                        break
            assert texts == ["meanwhile"]
            assert tsudoi.Gap not in kinds
            assert tsudoi.Reset not in kinds
            assert bob.name == "bob"
            await bob.say("after")
            heard = await hear(host, "after")
            assert heard == ["before", "after"]
            await bob.leave()
