"""The page in Firefox: that another engine runs it."""

from pathlib import Path

import pytest

import tsudoi
from tests.integration.test_page import WEB, web_of
from tests.support.firefox import firefox
from tests.support.services import Gateway, at, hear

pytestmark = pytest.mark.slow


async def test_a_page_in_firefox_chats(tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    with Gateway(*WEB, data=tmp_path / "data") as gateway:
        async with (
            firefox(tmp_path / "profile") as tab,
            await tsudoi.create("den", name="bob", server=at(gateway)) as bob,
        ):
            await tab.open(web_of(gateway), "den")
            await tab.until("document.querySelector('#name')")
            await tab.type("#name", "alice")
            await tab.until("document.querySelector('.composer textarea')?.disabled === false")
            await tab.type(".composer textarea", "from Firefox")
            assert await hear(bob, "from Firefox") == ["from Firefox"]
            await bob.say("to Firefox")
            await tab.until("document.querySelector('.log').innerText.includes('to Firefox')")
            assert await tab.evaluate("document.querySelectorAll('.line.said:not(.waiting)').length") == 2
            await tab.until("document.querySelectorAll('.roster .member').length === 2")
            assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
