"""What the page does about lost connections, killed gateways and sleep, in a real browser with real processes.

How soon it tries again is tried in pure time: tests/gateway/web/page/wire.test.js and connection.test.js.
"""

import asyncio
import time
from pathlib import Path

import pytest
from playwright.async_api import expect
from websockets.asyncio.client import connect

import tsudoi
from scenarios.ports import steady_port
from tests.integration.test_page import HERE, WEB, until_ready, web_of
from tests.support.browser import Tab, Wire, chromium
from tests.support.patched_brokers import TrimmingBroker
from tests.support.services import HEAR_S as PATIENCE_S
from tests.support.services import Broker, Gateway, at, hear


async def test_a_page_that_was_cut_off_and_whose_gateway_was_killed_misses_nothing(tmp_path: Path) -> None:
    """All of this in little; the tests below do it at length."""
    web = ("--notices", "on", "--web", f"{HERE}:{steady_port()}")
    with Gateway(*web, data=tmp_path / "data", steady=True) as gateway:
        async with chromium() as browser, Wire(web_of(gateway)) as wire:
            alice = await (await Tab.open(browser, wire.address, "den")).enter("alice", create=True)
            async with await tsudoi.join("den", name="bob", server=at(gateway)) as bob:
                await wire.cut()
                await alice.tells("Connection lost")
                await alice.say("grey")
                await expect(alice.page.locator(".line.waiting")).to_contain_text("grey")
                for number in range(30):
                    await bob.say(f"{number}")
                await bob.who()
                await wire.mend()
                await alice.tells("30 messages came meanwhile; nothing was missed")
                assert await hear(bob, "grey") == ["grey"]
                gateway.kill()
                await alice.tells("Connection lost")
                await alice.say("to a gateway that is gone")
                await asyncio.to_thread(gateway.start)
                assert await hear(bob, "to a gateway that is gone") == ["to a gateway that is gone"]
                await bob.say("back")
                await alice.sees("back")
            texts = [*(f"{number}" for number in range(30)), "grey", "to a gateway that is gone", "back"]
            await until_ready(alice, texts)
            assert alice.problems == []


@pytest.mark.slow
async def test_a_reader_is_told_while_the_broker_is_away(tmp_path: Path) -> None:
    with (
        Broker(tmp_path / "rooms.sqlite") as broker,
        Gateway(*WEB, broker=broker) as gateway,
    ):
        async with chromium() as browser:
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice", create=True)
            async with await tsudoi.join("den", name="bob", server=at(gateway)) as bob:
                broker.freeze()
                await alice.tells("can not reach this room")
                bob.post("meanwhile")  # `say` would wait until it is kept
                await alice.say("grey")
                await expect(alice.page.locator(".line.waiting")).to_contain_text("grey")
                broker.resume()
                await alice.tells("reaches this room again")
                await alice.sees("grey")
                await alice.sees("meanwhile")
            assert alice.problems == []


@pytest.mark.slow
async def test_a_killed_gateway_loses_and_doubles_nothing(tmp_path: Path) -> None:
    flags = ("--notices", "on", "--web", f"{HERE}:{steady_port()}")
    with Gateway(*flags, data=tmp_path / "data", steady=True) as gateway:
        async with chromium() as browser:
            web = web_of(gateway)
            alice = await (await Tab.open(browser, web, "den")).enter("alice", create=True)
            bob = await (await Tab.open(browser, web, "den")).enter("bob")
            for number in range(10):
                await alice.say(f"a{number}")
                if number == 5:
                    gateway.kill()
            await alice.tells("Connection lost")
            await expect(alice.page.locator(".line.waiting").last).to_contain_text("a9")
            await bob.tells("Connection lost")
            await asyncio.to_thread(gateway.start)
            await bob.sees("a9")
            await alice.tells("Back.")
            assert "missed" in await alice.banner()
            for tab in (alice, bob):
                await until_ready(tab, [f"a{number}" for number in range(10)])
            await alice.page.reload()
            await until_ready(alice, [f"a{number}" for number in range(10)])
            await alice.say("after a reload")
            await bob.sees("after a reload")
            assert await bob.page.locator(".roster .member").count() == 2
            assert alice.problems == bob.problems == []


@pytest.mark.slow
@pytest.mark.timeout(300)  # one of them talks for more than a minute; on a busy machine for two
@pytest.mark.parametrize(
    ("kept", "minutes"),
    [(10_000, 0), (100, 0), (10_000, 1)],
    ids=["all is kept", "some is trimmed", "a minute offline"],
)
async def test_what_was_said_meanwhile_comes_or_the_gap_is_told(tmp_path: Path, kept: int, minutes: int) -> None:
    with (
        TrimmingBroker(tmp_path / "rooms.sqlite", "--log-entries", str(kept)) as broker,
        Gateway(*WEB, broker=broker) as gateway,
    ):
        async with chromium() as browser, Wire(web_of(gateway)) as wire:
            alice = await (await Tab.open(browser, wire.address, "den")).enter("alice", create=True)
            async with (
                await tsudoi.join("den", name="bob", server=at(gateway)) as bob,
                await tsudoi.join("den", name="carol", server=at(gateway)) as carol,
            ):
                await bob.say("before")
                await alice.sees("before")
                await alice.page.context.set_offline(True)
                await wire.cut()
                await alice.tells("You are offline")
                for number in range(500):
                    await bob.say(f"{number}")
                    await asyncio.sleep(0.002 + minutes * 60 / 500)
                await hear(carol, "499")
                if kept == 100:
                    epoch = await alice.page.evaluate("JSON.parse(sessionStorage.tsudoi).rooms[0].epoch")
                    await until_trimmed(web_of(gateway), epoch)
                await wire.mend()
                await alice.page.context.set_offline(False)
                await alice.sees("499")
                await expect(alice.page.locator(".line.said")).not_to_have_count(0)
                banner = await alice.banner()
                if kept == 10_000:
                    assert "500 messages came meanwhile; nothing was missed" in banner
                else:
                    assert "messages are gone" in banner
                assert await alice.page.locator(".log > *").count() <= 320
                found = await everything(alice)
                numbers = [int(text) for text in found if text.isdigit()]
                assert numbers == list(range(numbers[0], 500))
                if kept == 10_000:
                    assert numbers[0] == 0
                    await expect(alice.page.locator(".log .gap")).to_have_count(0)
            assert alice.problems == []


async def until_trimmed(web: tuple[str, int], epoch: str) -> None:
    """Wait until the log lacks some of what was said, by asking for all; it is trimmed now and then."""
    commands = (
        '{"id":1,"connect":{"data":{"name":"prober"}}}',
        f'{{"id":2,"subscribe":{{"channel":"den","recover":true,"epoch":"{epoch}","offset":1}}}}',
    )
    async with asyncio.timeout(PATIENCE_S):
        reply = ""
        while '"lost":' not in reply:
            async with connect(f"ws://{web[0]}:{web[1]}/connection/websocket", proxy=None) as prober:
                await prober.send("\n".join(commands))
                while '"id":2' not in reply:
                    reply = str(await prober.recv())
            assert '"subscribe"' in reply
            reply = reply if '"lost":' in reply else ""
            await asyncio.sleep(0.2)


async def everything(tab: Tab) -> list[str]:
    """Return all messages of the room, by scrolling up to its beginning, each once."""
    found: list[str] = await tab.texts()
    async with asyncio.timeout(PATIENCE_S):
        while "before" not in found and await tab.page.locator(".log .gap").count() == 0:
            await tab.page.evaluate("document.querySelector('.log').scrollTop = 0")
            await asyncio.sleep(0.1)
            shown = await tab.texts()
            if found[0] in shown:
                found = shown[: shown.index(found[0])] + found
    shown = await tab.texts()
    found = shown[: shown.index(found[0])] + found
    assert len(found) == len(set(found))
    return found


@pytest.mark.slow
async def test_a_page_that_wakes_finds_back_by_itself(tmp_path: Path) -> None:
    """The connection is dead, and no packet has told so: on waking it is tried, and made again."""
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser, Wire(web_of(gateway)) as wire:
            alice = await (await Tab.open(browser, wire.address, "den")).enter("alice", create=True)
            async with (
                await tsudoi.join("den", name="bob", server=at(gateway)) as bob,
                await tsudoi.join("den", name="carol", server=at(gateway)) as carol,
            ):
                for wakes in (
                    "window.dispatchEvent(new Event('online'))",
                    "document.dispatchEvent(new Event('visibilitychange'))",
                ):
                    wire.stall()
                    await bob.say(wakes)
                    await hear(carol, wakes)
                    await alice.page.evaluate(wakes)
                    began = time.monotonic()
                    await alice.sees(wakes)
                    assert time.monotonic() - began < 15.0  # by pings alone it would be 35 s
                    await alice.tells("nothing was missed")
