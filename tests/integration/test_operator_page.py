"""The operator's page in a real browser, with real processes: what it shows, and what clients hear of its orders."""

import asyncio
import contextlib
import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import Browser, Page, Route, expect

import tsudoi
from scenarios.ports import steady_port
from tests.support import postgres
from tests.support.browser import PATIENCE_MS, Tab, chromium
from tests.support.patched_brokers import MissedBroker
from tests.support.services import Gateway, at, hear, operators_page
from tests.support.waiting import until
from tsudoi import Kicked, RoomClosed

AXE = Path(AXE_FILE_PATH).read_text(encoding="utf-8")
PATIENCE_S = 60.0
OPTIONS = ("--notices", "on", "--web", "off")


async def opened(browser: Browser, url: str, **options: object) -> tuple[Page, list[str]]:
    """Open an address in a new profile; return the page, and the list of what goes wrong in it."""
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    tab = Tab(await context.new_page())
    await tab.page.goto(url)
    return tab.page, tab.problems


async def heard(chat: tsudoi.ChatClient, kind: type, text: str = "") -> object:
    """Wait for an event of a kind whose text contains a text."""
    async with asyncio.timeout(PATIENCE_S):
        async for event in chat:
            if isinstance(event, kind) and text in str(event):
                return event
    raise AssertionError(f"no {kind.__name__} with {text!r} came")


async def order(page: Page, button: str, confirm: str, **fields: str) -> None:
    """Press a button, fill the dialog in, and confirm."""
    await page.click(button)
    for name, text in fields.items():
        await page.fill(f"dialog #field-{name}", text)
    await page.click(f"dialog button:has-text('{confirm}')")


async def test_an_operator_sees_a_room_and_keeps_order_in_it(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=document.title=1>"
    data = tmp_path / "data"
    with Gateway(*OPTIONS, data=data) as gateway, operators_page(data) as url:
        server = at(gateway)
        async with (
            chromium() as browser,
            await tsudoi.create("部屋", name="alice", server=server) as alice,
            await tsudoi.join("部屋", name=hostile, server=server) as mallory,
        ):
            page, problems = await opened(browser, url)
            assert "token" not in page.url
            await expect(page.locator(".summary")).to_have_text("Everything works")
            row = page.locator(".rooms tbody tr")
            await expect(row.locator("td.members")).to_have_text("2")
            await expect(row.locator("td.host")).to_have_text("alice")
            await page.click(".rooms tbody button")
            members = page.locator(".members tbody tr")
            await expect(members).to_have_count(2)
            await expect(members.nth(1).locator("td.name")).to_have_text(hostile)
            assert await page.locator("img").count() == 0
            result = page.locator(".result")

            await order(page, "header button", "Announce", text="We close at ten.")
            await expect(result).to_contain_text("Announced in 1 room.")
            await heard(alice, object, "We close at ten.")

            # Nothing happens before it is confirmed.
            await page.click(".members tbody tr:nth-child(2) button:has-text('Kick')")
            await page.keyboard.press("Escape")
            await expect(page.locator("dialog")).to_have_count(0)
            await alice.say("still here?")
            await hear(mallory, "still here?")

            await order(page, ".members tbody tr:nth-child(2) button:has-text('Kick')", "Kick", reason="spam")
            await expect(result).to_contain_text("is no longer in 部屋.")
            kicked = await heard(mallory, Kicked)
            assert isinstance(kicked, Kicked)
            assert "spam" in kicked.text
            await expect(members).to_have_count(1)

            await page.click("section[aria-labelledby=bans] button")
            await page.fill("dialog #field-who", "bob")
            await page.click("dialog button:has-text('Ban')")
            await expect(result).to_contain_text("bob is banned; members removed: 0.")
            with pytest.raises(tsudoi.BadRequest, match="banned"):
                await tsudoi.join("部屋", name="bob", server=server)
            await order(page, "section[aria-labelledby=bans] tbody button", "Lift")
            await expect(page.locator("section[aria-labelledby=bans]")).to_contain_text("Nothing is banned.")

            await order(page, ".members .buttons button:has-text('Close')", "Close")
            await expect(result).to_contain_text("部屋 is closed.")
            await heard(alice, RoomClosed)
            await expect(page.locator(".rooms .note")).to_have_text("There are no rooms.")
            await expect(page.locator(".members .note >> nth=1")).to_have_text("There is no such room any more.")
            assert [each for each in problems if "409" not in each] == []  # the room's members were asked for once more


@pytest.mark.slow
async def test_plots_show_what_happened_before_the_page_was_opened(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Gateway(*OPTIONS, data=data) as gateway, operators_page(data) as url:
        async with (
            chromium() as browser,
            await tsudoi.create("den", name="alice", server=at(gateway)) as alice,
            await tsudoi.join("den", name="bob", server=at(gateway)) as bob,
        ):
            for number in range(60):
                await alice.say(f"{number}")
                await asyncio.sleep(0.1)
            await hear(bob, "59")
            page, problems = await opened(browser, url)
            plot = page.locator(".plot")
            await expect(plot).to_have_count(6)
            for name in ("Messages", "Deliveries", "Probes", "Until it is kept", "Members"):
                await expect(plot.filter(has_text=name).locator("polyline").first).to_be_attached()
            await expect(plot.filter(has_text="Probes").locator(".now")).to_contain_text(re.compile(r"p50 [\d.]+ ms"))
            top = plot.filter(has_text="Messages").locator(".top")
            assert await top.inner_text() in ("10/s", "20/s")
            assert problems == []


@pytest.mark.slow
async def test_a_service_that_does_not_answer_is_told_and_one_that_is_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Gateway(*OPTIONS, data=data, steady=True) as gateway, operators_page(data) as url:
        async with chromium() as browser:
            page, _ = await opened(browser, url)
            summary = page.locator(".summary")
            await expect(summary).to_have_text("Everything works")
            gateway.kill()
            await expect(summary).to_contain_text("wrong")
            await expect(page.locator(".facts .bad")).to_contain_text("no broker answers at")
            await order(page, "header button", "Announce", text="hello?")
            await expect(page.locator(".result.bad")).to_contain_text("It is not known whether it was done")
            await asyncio.to_thread(gateway.start)
            await expect(summary).to_have_text("Everything works")


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_brokers_that_share_a_database_are_shown_as_one(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        primary, standby = stack.enter_context(postgres.pair())
        database, admins = primary.empty(), [f"tcp://127.0.0.1:{steady_port()}" for _ in range(2)]
        # On a busy machine the page may look less often than once in 3 s.
        brokers = [stack.enter_context(MissedBroker(database, "--admin", admin)) for admin in admins]
        gateway = stack.enter_context(Gateway(*OPTIONS, broker=brokers[0]))
        url = stack.enter_context(operators_page(admins[0]))
        async with chromium() as browser:
            page, _ = await opened(browser, url)
            facts = page.locator(".facts")
            await expect(facts).to_contain_text("2 brokers answer.")
            await expect(facts).to_contain_text("Probes come back from the broker to the gateway.")
            await expect(facts).to_contain_text("kept on two machines")
            rooms = [await tsudoi.create(f"room {number}", name="alice", server=at(gateway)) for number in range(12)]
            await expect(page.locator(".rooms tbody tr")).to_have_count(12)
            await expect(page.locator(".plot .now").last).to_have_text("12 in 12 rooms")
            shards = page.locator("section[aria-labelledby=brokers] td.shards")
            assert sum(int(text.split(" / ")[0]) for text in await shards.all_inner_texts()) == 64
            await order(page, "header button", "Announce", text="hello")
            await expect(page.locator(".result")).to_contain_text("Announced in 12 rooms.")
            brokers[1].freeze()
            await expect(facts.locator(".bad").first).to_contain_text(f"The broker at {brokers[1].endpoint}")
            brokers[1].kill()
            await expect(facts).to_contain_text("The broker answers.")
            await expect(page.locator(".rooms tbody tr")).to_have_count(12)
            await asyncio.to_thread(standby.stop)
            await expect(facts.locator(".bad").first).to_contain_text(re.compile("lease|second machine"))
            for room in rooms:
                await room.vanish()


@pytest.mark.slow
async def test_without_the_token_the_page_asks_for_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    token.chmod(0o600)
    data = tmp_path / "data"
    with (
        Gateway(*OPTIONS, data=data),
        operators_page(data, "--token-file", os.fspath(token)) as url,
    ):
        assert url.endswith("/")  # a log of what it prints has no token
        async with chromium() as browser:
            page, _ = await opened(browser, url)
            guessed: list[Route] = []

            async def hold_all_but_the_first_guess(route: Route) -> None:
                if "a guess" in route.request.headers["authorization"]:
                    guessed.append(route)
                if route not in guessed[1:]:
                    await route.continue_()

            await page.route("**/ask", hold_all_but_the_first_guess)
            await page.fill("#token", "a guess")
            await page.press("#token", "Enter")
            await expect(page.locator(".alert")).to_contain_text("not the right one")
            await until(lambda: len(guessed) > 1)
            await page.fill("#token", token.read_text().strip())
            await page.press("#token", "Enter")
            await expect(page.locator(".summary")).to_have_text("Everything works")
            async with page.expect_response(lambda response: response.status == 401):
                await guessed[1].continue_()  # it is refused late
            async with page.expect_request("**/ask"):
                pass  # a page that was locked again would ask no more
            await expect(page.locator(".summary")).to_have_text("Everything works")
            await page.reload()
            await expect(page.locator(".summary")).to_have_text("Everything works")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_checker_of_accessibility_finds_nothing_serious(tmp_path: Path, scheme: str) -> None:
    async def check(page: Page) -> None:
        found = await page.evaluate("axe.run()")
        bad = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in bad] == []

    data = tmp_path / "data"
    with Gateway(*OPTIONS, data=data) as gateway, operators_page(data) as url:
        async with chromium() as browser, await tsudoi.create("den", name="alice", server=at(gateway)) as alice:
            await alice.say("/topic tea")
            page, problems = await opened(browser, url, color_scheme=scheme, locale="ja-JP")
            await expect(page.locator(".summary")).to_have_text("正常に動いています")
            await page.click(".rooms tbody button")
            await expect(page.locator(".members tbody tr")).to_have_count(1)
            await page.evaluate(AXE)
            for width in (1920, 1280, 700, 320):
                await page.set_viewport_size({"width": width, "height": 800})
                await check(page)
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            await page.click(".members tbody button >> nth=1")
            await check(page)
            await page.keyboard.press("Escape")
            # The button that opened the dialog has the focus again, also after the table was shown anew.
            async with page.expect_response(lambda answer: '"members"' in (answer.request.post_data or "")):
                pass
            assert await page.evaluate("document.activeElement.closest('.members tbody') !== null")
            assert problems == []
