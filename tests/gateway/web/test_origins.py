"""gateway/web/origins.py: which pages may connect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.origins import may_connect, parse_origin
from tsudoi.protocol.errors import SettingError


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:9080", "127.0.0.1:9080"),
        ("http://localhost:9080", "localhost:9080"),
        ("http://LOCALHOST:9080", "localhost:9080"),
        ("http://[::1]:9080", "[::1]:9080"),
        ("http://192.0.2.7", "192.0.2.7"),
        ("https://192.0.2.7", "192.0.2.7:443"),
        (None, "chat.example"),
        (None, None),
    ],
)
def test_the_own_page_and_programs_may_connect(origin: str | None, host: str | None) -> None:
    assert may_connect(origin, host, ())


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "127.0.0.1:9080"),
        ("http://127.0.0.1:8000", "127.0.0.1:9080"),
        ("http://127.0.0.1.evil.example:9080", "127.0.0.1:9080"),
        # A name that leads here only since a moment ago.
        ("http://evil.example:9080", "evil.example:9080"),
        ("http://localhost.evil.example", "localhost.evil.example"),
        ("null", "127.0.0.1:9080"),
        ("", "127.0.0.1:9080"),
        ("http://127.0.0.1:9080", None),
        ("file://", ""),
        ("ftp://127.0.0.1", "127.0.0.1"),
    ],
)
def test_other_pages_may_not(origin: str, host: str | None) -> None:
    assert not may_connect(origin, host, ())


def test_listed_origins_may_from_any_host() -> None:
    allowed = (parse_origin("https://Chat.Example/"), parse_origin("http://a.example:80"))
    assert may_connect("https://chat.example", "proxy", allowed)
    assert may_connect("http://a.example", None, allowed)
    assert not may_connect("http://chat.example", "proxy", allowed)
    assert not may_connect("https://chat.example:8443", "proxy", allowed)
    assert may_connect("https://evil.example", None, (parse_origin("*"),))


@pytest.mark.parametrize("text", ["", "chat.example", "https://", "https://a/b", "ws://a", "https://a b", "null"])
def test_what_is_no_origin_is_a_setting_error(text: str) -> None:
    with pytest.raises(SettingError, match="no origin"):
        parse_origin(text)


@given(st.text(), st.text() | st.none())
def test_any_headers_are_decided(origin: str, host: str | None) -> None:
    assert may_connect(origin, host, ()) in (True, False)
