"""The page under the hands of a person: clicks while much is said, reloads, odd browsers; in a real Chromium."""

import asyncio
import contextlib
import time
from datetime import datetime, timedelta
from pathlib import Path

import jwt
import pytest
from playwright.async_api import WebSocketRoute, expect

import tsudoi
from tests.integration.test_page import WEB, until_ready, web_of
from tests.support.browser import Tab, chromium
from tests.support.services import Gateway, at

pytestmark = pytest.mark.slow

OLD_ANDROID = """() => {
  window.Notification = class { constructor() { throw new TypeError('Illegal constructor'); } };
  Notification.permission = 'granted';
  localStorage['tsudoi.notify'] = '"yes"';
}"""
KEPT = "() => JSON.parse(sessionStorage.tsudoi).rooms[0]?.pending.length === 1"
NEW_LINES_OF_A_LONG_ROOM = """async () => {
  const { Timeline } = await import('/view-timeline.js');
  const rooms = await import('/room.js');
  const timeline = new Timeline({ onOlder() {}, onEdit() {}, onDiscard() {} });
  document.body.replaceChildren(timeline.element);
  timeline.element.style.cssText = 'position: fixed; inset: 0';
  let room = rooms.entered(rooms.newRoom('den'), { epoch: '1', offset: 0, data: { name: 'alice' } }, true, 0);
  const say = (offset) => {
    room = rooms.received(room, { data: { from: 'bob', text: `${offset}` }, offset, time: offset * 1000 }, true, 0);
  };
  const live = [];
  const show = async () => {
    timeline.show(room);
    live.push(timeline.log.getAttribute('aria-live'));
    await new Promise((resolve) => { setTimeout(resolve, 700); });
  };
  for (let offset = 1; offset <= rooms.MAX_LINES; offset++) say(offset);
  await show();  // the room is opened
  say(rooms.MAX_LINES + 1);
  await show();  // one line more, so the oldest one goes
  for (let offset = 2; offset <= 100; offset++) say(rooms.MAX_LINES + offset);
  await show();  // a hundred at once
  return live;
}"""


async def test_a_click_that_takes_its_time_finds_its_room_while_much_is_said_there(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice", create=True)
            async with await tsudoi.create("tea", name="bob", server=at(gateway)) as bob:
                await alice.open_also("tea")
                await alice.page.keyboard.press("Alt+ArrowUp")
                await expect(alice.page.locator("header h1")).to_have_text("den")
                await alice.page.hover(".rooms button.room:has-text('tea')")
                await alice.page.mouse.down()
                for number in range(3):
                    await bob.say(f"{number}")
                    await expect(alice.page.locator(".mark.unread")).to_contain_text(f"{number + 1}")
                await alice.page.mouse.up()
                await expect(alice.page.locator("header h1")).to_have_text("tea")
                # So does one on a person while others come and go.
                await alice.page.hover(".roster .member:has-text('bob')")
                await alice.page.mouse.down()
                async with await tsudoi.join("tea", name="carol", server=at(gateway)):
                    await expect(alice.page.locator(".roster .member")).to_have_count(3)
                    await alice.page.mouse.up()
                    await expect(alice.page.locator(".composer textarea")).to_have_value("/msg bob ")
            assert alice.problems == []


def test_rooms_and_lines_outlive_several_reloads_while_no_connection_can_be_made(tmp_path: Path) -> None:
    is_blocked = True

    async def scenario(gateway: Gateway) -> None:
        nonlocal is_blocked
        async with chromium() as browser:
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice", create=True)
            bob = await (await Tab.open(browser, web_of(gateway), "den")).enter("bob")
            await alice.say("before")
            await bob.sees("before")
            await alice.page.fill(".composer textarea", "half a thought")
            await alice.page.reload()
            await expect(alice.page.locator(".composer textarea")).to_have_value("half a thought")
            await alice.page.route_web_socket("**", relay)
            await alice.page.reload()
            await alice.tells("Connection lost")
            await alice.say("unsent")
            for _ in range(2):
                # What outlives a reload is kept a moment after each change.
                await alice.until(KEPT)
                await alice.page.reload()
                await expect(alice.page.locator(".line.waiting")).to_contain_text("unsent")
                await alice.tells("Connection lost")
            await alice.say("and more")
            is_blocked = False
            await bob.sees("and more")
            for tab in (alice, bob):
                await until_ready(tab, ["before", "unsent", "and more"])
            await expect(bob.page.locator(".roster .member")).to_have_count(2)
            assert alice.problems == bob.problems == []

    async def relay(socket: WebSocketRoute) -> None:
        if is_blocked:
            await socket.close()
        else:
            socket.connect_to_server()

    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        asyncio.run(scenario(gateway))


async def test_a_host_is_asked_before_a_room_closes_for_others(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice", create=True)
            bob = await (await Tab.open(browser, web_of(gateway), "den")).enter("bob")
            await expect(alice.page.locator(".roster .member")).to_have_count(2)
            await alice.page.click("header button:has-text('Leave')")
            await expect(alice.page.locator("dialog")).to_contain_text("The room closes")
            await alice.page.keyboard.press("Enter")  # the button that does nothing has the focus
            await expect(alice.page.locator("dialog")).to_have_count(0)
            await alice.say("still here")
            await bob.sees("still here")
            await bob.page.click("header button:has-text('Leave')")
            await expect(bob.page.locator(".enter")).to_be_visible()
            await expect(alice.page.locator(".roster .member")).to_have_count(1)
            carol = await (await Tab.open(browser, web_of(gateway), "den")).enter("carol")
            await expect(alice.page.locator(".roster .member")).to_have_count(2)
            await alice.page.click("header button:has-text('Leave')")
            await alice.page.click("dialog button:has-text('Leave')")
            await expect(alice.page.locator(".enter")).to_be_visible()
            await carol.tells("the room is closed")


async def test_a_token_that_comes_to_an_open_page_is_used_and_leaves_the_address(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef" * 4)
    secret.chmod(0o600)

    def token(name: str, room: str) -> str:
        claims = {"aud": "tsudoi", "name": name, "rooms": [room], "create": True, "exp": int(time.time()) + 300}
        return jwt.encode(claims, secret.read_bytes(), algorithm="HS256")

    flags = ("--auth", "required", "--auth-secret", str(secret))
    with Gateway(*WEB, *flags, data=tmp_path / "data") as gateway:
        password = token("bob", "den")
        async with (
            chromium() as browser,
            await tsudoi.create("den", name="bob", server=at(gateway), password=password),
        ):
            tab = await Tab.open(browser, web_of(gateway), f"den&token={token('眞子', 'den')}")
            await expect(tab.page.locator(".roster .member")).to_have_count(2)
            await tab.page.evaluate(f"location.hash = 'tea&token={token('眞子', 'tea')}'")
            await tab.page.click(".enter .buttons button:not(.primary)")  # create the room
            await expect(tab.page.locator("header h1")).to_have_text("tea")
            assert tab.page.url.endswith("#tea")
            await tab.page.go_back()
            assert "token" not in tab.page.url
            assert tab.problems == []


async def test_a_browser_whose_notifications_can_not_be_made_shows_the_line_all_the_same(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice", create=True)
            async with await tsudoi.create("tea", name="bob", server=at(gateway)) as bob:
                await alice.open_also("tea")
                await alice.page.keyboard.press("Alt+ArrowUp")
                await alice.page.evaluate(OLD_ANDROID)
                await bob.say("alice?")
                await expect(alice.page.locator(".mark.for-me")).to_contain_text("1")
                await expect(alice.page.locator("header button:has-text('Notif')")).to_be_hidden()
            assert alice.problems == []


async def test_new_lines_are_read_out_in_a_room_of_which_no_more_is_kept_and_a_burst_is_not(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            tab = await Tab.open(browser, web_of(gateway))
            assert await tab.page.evaluate(NEW_LINES_OF_A_LONG_ROOM) == ["off", "polite", "off"]


async def test_older_lines_are_not_counted_as_new_ones(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser, await tsudoi.create("den", name="bob", server=at(gateway)) as bob:
            for number in range(150):
                await bob.say(f"{number}")
            await bob.who()
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice")
            await alice.sees("149")
            await alice.page.evaluate("document.querySelector('.log').scrollTop = 0")
            await alice.sees("60")
            newest = alice.page.locator(".newest")
            await expect(newest).to_have_text("Jump to newest")
            await bob.say("new")
            await expect(newest).to_have_text("Jump to newest (1)")
            await newest.click()
            await alice.sees("new")
            await expect(newest).to_be_hidden()


async def test_a_room_with_many_unread_lines_leads_to_the_first_of_them_and_back(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser, await tsudoi.create("tea", name="bob", server=at(gateway)) as bob:
            alice = await (await Tab.open(browser, web_of(gateway), "tea")).enter("alice")
            first_new = alice.page.locator(".first-new")
            await alice.page.click("text=Enter or create a room")
            await alice.page.fill("#room", "den")
            await alice.page.press("#room", "Enter")
            await alice.page.click(".enter .buttons button:not(.primary)")
            for number in range(250):  # more than the page has elements for at first
                bob.post(f"{number}")
            await bob.say("the last")
            await expect(alice.page.locator(".mark.unread")).to_contain_text("251")
            await expect(first_new).to_be_hidden()
            await alice.page.click(".rooms button.room:has-text('tea')")
            await alice.sees("the last")
            await alice.page.locator(".composer textarea").fill("half a")
            await first_new.click()
            await expect(alice.page.locator(".log .new")).to_be_in_viewport()
            await expect(alice.page.locator(".line.said").get_by_text("0", exact=True)).to_be_in_viewport()
            await expect(first_new).to_be_hidden()
            await alice.page.keyboard.type(" line")  # a click leaves the cursor where it was
            await expect(alice.page.locator(".composer textarea")).to_have_value("half a line")
            await alice.page.focus(".newest")
            await alice.page.keyboard.press("Enter")
            await expect(alice.page.get_by_text("the last")).to_be_in_viewport()
            await expect(alice.page.locator(".log")).to_be_focused()
            await expect(first_new).to_be_hidden()  # it was seen
            assert alice.problems == []


async def test_what_backgrounds_tell_is_told_where_colours_are_forced(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser, await tsudoi.create("tea", name="bob", server=at(gateway)) as bob:
            alice = await Tab.open(browser, web_of(gateway), "tea", forced_colors="active")
            await (await alice.enter("alice")).page.click("text=Enter or create a room")
            await alice.page.fill("#room", "den")
            await alice.page.press("#room", "Enter")
            await alice.page.click(".enter .buttons button:not(.primary)")
            await expect(alice.page.locator("header h1")).to_have_text("den")
            edge = "([one, other]) => [one, other].map((node) => getComputedStyle(node).borderInlineStart)"
            there, here = await alice.page.locator(".rooms .room-list:first-of-type button").evaluate_all(edge)
            assert there != here
            await bob.say("hello")
            await bob.say("alice, hello")
            await alice.page.keyboard.press("Alt+ArrowUp")
            await alice.sees("alice, hello")
            plain, for_me = await alice.page.locator(".line.said").evaluate_all(edge)
            assert plain != for_me
            await alice.page.fill(".composer textarea", "/")
            await alice.page.keyboard.press("ArrowDown")
            chosen, other = await alice.page.locator(".suggestions li").evaluate_all(edge)
            assert chosen != other


async def test_what_stands_behind_an_open_drawer_can_not_be_reached(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await Tab.open(browser, web_of(gateway), "den", viewport={"width": 375, "height": 700})
            await expect(alice.page.locator("#name")).to_be_focused()
            await alice.page.keyboard.type("alice")
            await alice.page.keyboard.press("Enter")
            await alice.page.click(".enter .buttons button:not(.primary)")
            await alice.page.click("header button[aria-controls=rooms]")
            inside = "Boolean(document.activeElement.closest('.rooms')) || document.activeElement === document.body"
            for _ in range(12):
                await alice.page.keyboard.press("Tab")
                assert await alice.page.evaluate(inside)
            await alice.page.set_viewport_size({"width": 1280, "height": 700})
            await alice.say("wide again")
            await alice.sees("wide again")


async def test_a_refusal_leads_the_keyboard_to_what_answers_it(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            server = at(gateway)
            async with await tsudoi.create("den", name="bob", password="sesame", server=server) as bob:
                alice = await Tab.open(browser, web_of(gateway), "den")
                await alice.page.keyboard.type("alice")
                await alice.page.keyboard.press("Enter")
                await expect(alice.page.locator(".alert")).to_contain_text("has a password")
                await expect(alice.page.locator("#password")).to_be_focused()
                await alice.page.keyboard.type("sesame")
                await alice.page.keyboard.press("Enter")
                await alice.say("in")
                await alice.sees("in")
                await bob.say("/kick alice")
                await alice.tells("has removed you")
                await alice.page.press(".banner button", "Enter")
                await expect(alice.page.locator("#password")).to_be_focused()
                await alice.page.click("button:has-text('Remove it from my rooms')")
                await expect(alice.page.locator(".rooms")).to_have_count(0)
            assert alice.problems == []


async def test_a_room_is_created_with_the_password_that_was_typed(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await Tab.open(browser, web_of(gateway), "den")
            await alice.page.fill("#password", "sesame")
            await alice.enter("alice", create=True)
            with pytest.raises(tsudoi.WrongPassword):
                await tsudoi.join("den", name="bob", server=at(gateway))
            async with await tsudoi.join("den", name="bob", server=at(gateway), password="sesame"):
                await alice.page.click("header button:has-text('Leave')")
                await alice.page.click("dialog button:has-text('Leave')")
                await expect(alice.page.locator("#password")).to_have_value("")
                await expect(alice.page.locator("#room")).to_be_focused()
            assert alice.problems == []


async def test_a_browser_that_keeps_nothing_has_the_page_all_the_same(tmp_path: Path) -> None:
    denied = """for (const name of ['localStorage', 'sessionStorage']) {
      Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
    }"""
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await Tab.open(browser, web_of(gateway), "den")
            await alice.page.add_init_script(denied)
            await alice.page.reload()
            await alice.enter("alice", create=True)
            await alice.say("kept nowhere")
            await alice.sees("kept nowhere")
            assert alice.problems == []


async def test_all_rooms_can_be_found_a_page_at_a_time(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser, contextlib.AsyncExitStack() as hosts:
            for number in range(103):
                room = await tsudoi.create(f"room {number:03}", name="bob", server=at(gateway))
                await hosts.enter_async_context(room)
            alice = await Tab.open(browser, web_of(gateway))
            await alice.page.fill("#name", "alice")
            await alice.page.press("#name", "Enter")
            await alice.page.click(".listed button:has-text('More rooms (3)')")
            await alice.page.click(".listed button.room:has-text('room 102')")
            await expect(alice.page.locator("header h1")).to_have_text("room 102")
            await expect(alice.page.locator(".rooms button:has-text('room 101')")).to_be_visible()
            await expect(alice.page.locator(".rooms button:has-text('More rooms')")).to_be_hidden()
            assert alice.problems == []


async def test_all_commands_can_be_chosen_in_a_low_window(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await (await Tab.open(browser, web_of(gateway), "den")).enter("alice", create=True)
            await alice.page.set_viewport_size({"width": 360, "height": 300})
            field = alice.page.locator(".composer textarea")
            for key, command in (("ArrowDown", "/help "), ("ArrowUp", "/close ")):
                await field.fill("/")
                await field.press(key)
                chosen = alice.page.locator(".suggestions [aria-selected=true]")
                await expect(chosen).to_be_in_viewport(ratio=1)
                await chosen.click()
                await expect(field).to_have_value(command)
                await expect(field).to_be_focused()
            assert alice.problems == []


async def test_what_was_said_today_was_said_yesterday_when_the_page_is_looked_at_tomorrow(tmp_path: Path) -> None:
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with chromium() as browser:
            alice = await Tab.open(browser, web_of(gateway), "den")
            midnight = datetime.combine(datetime.now() + timedelta(days=1), datetime.min.time())
            await alice.page.clock.set_fixed_time(midnight - timedelta(seconds=1))
            await alice.enter("alice", create=True)
            await expect(alice.page.locator(".day")).to_have_text("Today")
            await alice.page.clock.set_fixed_time(midnight + timedelta(seconds=1))
            await alice.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
            await expect(alice.page.locator(".day")).to_have_text("Yesterday")
            assert alice.problems == []
