"""The page in a real browser, with real processes: Debian's Chromium, driven by Playwright."""

import asyncio
import time
from pathlib import Path

import jwt
import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.async_api import expect

import tsudoi
from tests.support.browser import Tab, chromium
from tests.support.services import HEAR_S as PATIENCE_S
from tests.support.services import Gateway, at, hear

COUNT_TONES = """() => {
  window.tones = 0;
  const Real = OscillatorNode;
  window.OscillatorNode = class extends Real { constructor(...all) { super(...all); window.tones += 1; } };
}"""
AXE = Path(AXE_FILE_PATH).read_text(encoding="utf-8")
HERE = "127.0.0.1"
WEB = ("--notices", "on", "--web", f"{HERE}:0")


def web_of(gateway: Gateway) -> tuple[str, int]:
    (address,) = gateway.addresses("web")
    return address


async def until_ready(tab: Tab, texts: list[str]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await tab.texts() != texts:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_two_pages_and_a_member_by_datagrams_chat(tmp_path: Path) -> None:
    """What a member sends is text and nothing else; Enter of a composition sends nothing."""
    hostile = '<img src=x onerror="document.title=1"> javascript:alert(1) https://example.com/'
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            web = web_of(gateway)
            alice = await (await Tab.open(browser, web, "部屋")).enter("alice", create=True)
            bob = await (await Tab.open(browser, web, "部屋", locale="ja-JP")).enter("ボブ")
            async with await tsudoi.join("部屋", name="carol", server=at(gateway)) as carol:
                await alice.say("from a page")
                await bob.sees("from a page")
                await bob.say("こちらも")
                await hear(carol, "こちらも")
                await carol.say(hostile)
                await alice.sees(hostile)
                await alice.say("/msg carol psst")
                await alice.say("/me waves")
                await expect(bob.page.locator(".line.acted")).to_contain_text("alice waves")
                texts = ["from a page", "こちらも", hostile]
                await until_ready(alice, texts)
                await until_ready(bob, texts)
                await expect(alice.page.locator(".line.whisper")).to_contain_text("psst")
                await expect(bob.page.locator(".line.whisper")).to_have_count(0)
                assert await alice.page.locator(".log img").count() == 0
                links = alice.page.locator(".log a")
                assert await links.count() == 1
                assert await links.get_attribute("rel") == "noopener noreferrer nofollow"
                await expect(alice.page.locator(".roster .member")).to_have_count(3)
                await expect(bob.page.locator(".composer .primary")).to_have_text("送信")
                assert await bob.page.locator(".line.said.waiting").count() == 0
            await compositions(bob)
            await until_ready(alice, [*texts, "変換"])
            assert alice.problems == bob.problems == []


async def compositions(tab: Tab) -> None:
    """Compose in Chromium's and in Safari's order of events: nothing is sent; then Enter sends once."""
    await tab.page.fill(".composer textarea", "変換")
    await tab.page.evaluate(
        """() => {
          const field = document.querySelector('.composer textarea');
          const press = (init) => field.dispatchEvent(new KeyboardEvent('keydown', {
            key: 'Enter', code: 'Enter', bubbles: true, cancelable: true, ...init }));
          const composition = (kind) => field.dispatchEvent(
            new CompositionEvent(kind, { bubbles: true, data: '変換' }));
          composition('compositionstart');
          press({ keyCode: 229, isComposing: true });  // Chromium, Firefox: the key, then the end
          composition('compositionend');
          composition('compositionstart');
          composition('compositionend');  // Safari: the end, then the key
          press({ keyCode: 229, isComposing: false });
        }"""
    )
    assert await tab.page.input_value(".composer textarea") == "変換"
    await tab.page.press(".composer textarea", "Enter")
    assert await tab.page.input_value(".composer textarea") == ""
    await tab.sees("変換")


@pytest.mark.slow
async def test_several_rooms_with_unread_marks(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice", create=True)
            async with await tsudoi.create("tea", name="bob", server=at(gateway)) as bob:
                await alice.open_also("tea")
                await expect(alice.page.locator("header h1")).to_have_text("tea")
                assert alice.page.url.endswith("#tea")
                await alice.page.keyboard.press("Alt+ArrowUp")
                await expect(alice.page.locator("header h1")).to_have_text("den")
                await alice.page.evaluate(COUNT_TONES)
                await bob.say("anybody?")
                await bob.say("alice: there?")
                await expect(alice.page).to_have_title("(@1) den")
                await expect(alice.page.locator("#icon")).to_have_attribute("href", "icon-unread.svg")
                assert await alice.page.evaluate("tones") == 0
                await alice.page.click("header button:has-text('Play sounds')")
                await alice.until("tones === 2")
                await bob.say("alice!")
                await alice.until("tones === 4")
                await expect(alice.page.locator(".mark.unread")).to_contain_text("3")
                await alice.page.click(".rooms button.room:has-text('tea')")
                await expect(alice.page.locator(".log .new")).to_be_visible()
                await expect(alice.page).to_have_title("tea")
                await bob.say("/topic green tea")
                await expect(alice.page.locator(".topic")).to_have_text("green tea")
                await alice.page.fill(".composer textarea", "/wh")
                await alice.page.press(".composer textarea", "Tab")
                await alice.page.press(".composer textarea", "Enter")
                await expect(alice.page.locator(".line.answer")).to_contain_text("bob (host)")
                await alice.page.go_back()
                await expect(alice.page.locator("header h1")).to_have_text("den")
                await alice.page.go_forward()
                await expect(alice.page.locator("header h1")).to_have_text("tea")
                await alice.say("/leave")
                await expect(alice.page.locator("header h1")).to_have_text("den")
                assert alice.page.url.endswith("#den")
                await alice.page.click("header button:has-text('Leave')")
                await expect(alice.page.locator(".enter")).to_be_visible()
            assert alice.problems == []


@pytest.mark.slow
async def test_passwords_other_windows_and_removals(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            web = web_of(gateway)
            async with await tsudoi.create("den", name="bob", password="sesame", server=at(gateway)) as bob:
                alice = await Tab.open(browser, web, "den")
                await alice.page.fill("#name", "alice")
                await alice.page.press("#name", "Enter")
                await expect(alice.page.locator(".alert")).to_contain_text("You can not enter")
                await alice.page.fill("#password", "sesame")
                await alice.page.press("#password", "Enter")
                await alice.say("in")
                await hear(bob, "in")
                # Another window with the same session takes the place; it can be taken back.
                await alice.until("JSON.parse(sessionStorage.tsudoi).rooms.length === 1")
                stored = await alice.page.evaluate("sessionStorage.tsudoi")
                page = await alice.page.context.new_page()
                await page.add_init_script(f"sessionStorage.tsudoi ||= {stored!r}")
                await page.goto(alice.page.url)
                other = Tab(page)
                await other.sees("in")
                await alice.tells("open in another window")
                assert await alice.page.locator(".composer textarea").is_disabled()
                await alice.page.click(".banner button")
                await other.tells("open in another window")
                await alice.say("back")
                await hear(bob, "back")
                await page.close()
                # A tab that was closed leaves its session to the next.
                context = alice.page.context
                await alice.page.close()
                alice = Tab(await context.new_page())
                await alice.page.goto(f"http://{web[0]}:{web[1]}/")
                await alice.sees("back")
                await alice.say("the same")
                assert await hear(bob, "the same") == ["the same"]
                assert [person.name for person in await bob.who()] == ["bob", "alice"]
                await bob.say("/kick alice enough")
                await alice.tells("bob has removed you from den: enough")
                over = alice.page.get_by_role("button", name="den bob has removed you from den: enough")
                await expect(over).to_be_visible()  # the list strikes the name through, which is not heard
                await alice.page.click(".banner button")
                await expect(alice.page.locator(".alert")).to_contain_text("You can not enter")
            assert alice.problems == []


@pytest.mark.slow
async def test_a_link_with_a_signed_token_needs_no_name(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 4)
    secret.chmod(0o600)
    claims = {"aud": "tsudoi", "name": "眞子", "rooms": ["den"], "create": True, "exp": int(time.time()) + 300}
    token = jwt.encode(claims, secret.read_bytes(), algorithm="HS256")
    flags = ("--auth", "required", "--auth-secret", str(secret))
    with Gateway(*WEB, *flags, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            tab = await Tab.open(browser, web_of(gateway), f"den&token={token}")
            await tab.page.click(".enter .buttons button:not(.primary)")  # create the room
            await expect(tab.page.locator(".roster .member")).to_contain_text("眞子")
            assert tab.page.url.endswith("#den")
            await tab.say("hello")
            await tab.sees("hello")
            other = await Tab.open(browser, web_of(gateway), "den")
            await other.page.fill("#name", "mallory")
            await other.page.press("#name", "Enter")
            await expect(other.page.locator(".alert")).to_contain_text("You can not enter")


@pytest.mark.slow
async def test_a_screen_reader_hears_new_lines_once_and_history_not_at_all(tmp_path: Path) -> None:
    """What is added to a log while it is live is read out: that must be each new line, and no other."""
    observe = """() => {
      window.heard = [];
      new MutationObserver((changes) => {
        for (const { addedNodes } of changes) for (const node of addedNodes) {
          const log = node.parentElement?.closest('[role=log]');
          if (log?.getAttribute('aria-live') === 'polite') window.heard.push(node.querySelector?.('.text')?.innerText);
        }
      }).observe(document, { childList: true, subtree: true });
    }"""
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser, await tsudoi.create("den", name="bob", server=at(gateway)) as bob:
            for number in range(150):
                await bob.say(f"{number}")
            await bob.who()
            alice = await Tab.open(browser, web_of(gateway), "den")
            await alice.page.evaluate(observe)
            await alice.enter("alice")
            await alice.sees("149")
            await expect(alice.page.locator("[role=log]")).to_have_attribute("aria-live", "polite")
            await alice.page.evaluate("document.querySelector('.log').scrollTop = 0")
            await alice.sees("50")
            await alice.page.keyboard.press("Escape")
            await expect(alice.page.locator("[role=log]")).to_have_attribute("aria-live", "polite")
            await alice.page.wait_for_timeout(700)
            await bob.say("new")
            await alice.sees("new")
            await alice.say("mine")
            await alice.sees("mine")
            await alice.page.wait_for_timeout(300)
            assert [text for text in await alice.page.evaluate("heard") if text] == ["new", "mine"]


@pytest.mark.slow
async def test_ten_thousand_messages_stay_smooth(tmp_path: Path) -> None:
    """The timeline alone, in the browser: the last 1,000 of 10,000 one by one, as state.js takes them.

    Judged by the browser's processor time, which a busy machine hardly changes.
    """
    script = """async () => {
      const { Timeline } = await import('/view-timeline.js');
      const rooms = await import('/room.js');
      const timeline = new Timeline({ onOlder() {}, onEdit() {}, onDiscard() {} });
      document.body.replaceChildren(timeline.element);
      timeline.element.style.cssText = 'position: fixed; inset: 0';
      let room = rooms.entered(rooms.newRoom('den'), { epoch: '1', offset: 0, data: { name: 'alice' } }, true, 0);
      window.hear = (first, last, isShown) => {
        for (let offset = first; offset <= last; offset++) {
          const data = { from: 'bob', text: `${offset}` };
          room = rooms.received(room, { data, offset, time: offset * 1000 }, true, 0);
          if (isShown) timeline.show(room);
        }
        return [timeline.log.children.length, room.lines.length];
      };
      hear(1, 9000, false);
    }"""
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            tab = await Tab.open(browser, web_of(gateway))
            browser_side = await tab.page.context.new_cdp_session(tab.page)
            await browser_side.send("Performance.enable", {"timeDomain": "threadTicks"})

            async def metrics() -> dict[str, float]:
                told = await browser_side.send("Performance.getMetrics")
                return {each["name"]: each["value"] for each in told["metrics"]}

            await tab.page.evaluate(script)
            before = await metrics()
            elements, lines = await tab.page.evaluate("hear(9001, 10000, true)")
            after = await metrics()
            assert elements <= 320
            assert lines == 5_000
            assert after["LayoutCount"] - before["LayoutCount"] <= 1_010  # one for each line
            assert after["TaskDuration"] - before["TaskDuration"] < 5.0  # of 1,000 lines; it is 1.6


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_checker_of_accessibility_finds_nothing_serious(tmp_path: Path, scheme: str) -> None:
    async def check(tab: Tab) -> None:
        await tab.page.evaluate(AXE)
        found = await tab.page.evaluate("axe.run()")
        bad = [rule for rule in found["violations"] if rule["impact"] in ("serious", "critical")]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in bad] == []

    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await Tab.open(browser, web_of(gateway), "den", color_scheme=scheme)
            await check(alice)
            await alice.enter("alice", create=True)
            async with await tsudoi.join("den", name="bob", server=at(gateway)) as bob:
                for name in ("bob", "carol", "dave", "エリ", "františek", "gül"):
                    await bob.say(f"/nick {name}")
                    await bob.say(f"{name}: see https://example.com/")
                await bob.say("/msg alice psst")
                await bob.say("alice?")
                await alice.say("/who")
                await alice.sees("alice?")
                for width in (1280, 700, 320):
                    await alice.page.set_viewport_size({"width": width, "height": 700})
                    await check(alice)
                    over = "document.documentElement.scrollWidth <= innerWidth"
                    assert await alice.page.evaluate(over)
                await alice.page.click("header button[aria-controls=rooms]")
                await check(alice)
                await alice.page.keyboard.press("Escape")
                await alice.page.fill(".composer textarea", "/")
                await check(alice)
