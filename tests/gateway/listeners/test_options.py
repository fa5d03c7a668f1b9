"""gateway/listeners/options.py: what an operator may write of a listener."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listeners.options import HttpListener, Listener, parse_listener, parse_web, parse_webhook
from tsudoi.ops.host_port import HostPort, with_both_families
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.errors import SettingError


@pytest.mark.parametrize("tls", [False, True])
def test_listeners_for_http_may_speak_tls(tls: bool) -> None:
    text = "127.0.0.1:80" + ",tls=on" * tls
    assert parse_web(text) == HttpListener("127.0.0.1", 80, tls)
    assert parse_webhook(text) == HttpListener("127.0.0.1", 80, tls, "webhook")
    assert parse_web("off") is None


@pytest.mark.parametrize("parse", [parse_web, parse_webhook])
@pytest.mark.parametrize("text", ["127.0.0.1:80,tls", "127.0.0.1:80,commands=on", "127.0.0.1:80,tls=on,tls=on"])
def test_they_have_no_other_option(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(SettingError, match=r"the one option of a web.* listener is tls=on"):
        parse(text)


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        (HttpListener("127.0.0.1", 9080), "http://127.0.0.1:9080"),
        (HttpListener("0.0.0.0", 80), "http://127.0.0.1:80"),
        (HttpListener("::", 9080, tls=True), "https://[::1]:9080"),
    ],
)
def test_a_person_is_told_where_a_browser_finds_the_page(listener: HttpListener, url: str) -> None:
    assert listener.url == url


@pytest.mark.parametrize(
    ("text", "listener"),
    [
        ("0.0.0.0:9001", Listener("0.0.0.0", 9001)),
        ("127.0.0.1:0", Listener("127.0.0.1", 0)),
        ("localhost:65535", Listener("127.0.0.1", 65535)),
        ("[::]:9001", Listener("::", 9001)),
        ("::1:9001", Listener("::1", 9001)),
        ("0.0.0.0:9001=auto", Listener("0.0.0.0", 9001)),
        ("[::1]:9001=tcrp-200", Listener("::1", 9001, "tcrp-200")),
    ],
)
def test_listeners_are_host_and_port(text: str, listener: Listener) -> None:
    assert parse_listener(text) == listener


@pytest.mark.parametrize("name", DIALECTS)
def test_a_tcp_listener_may_have_any_dialect(name: str) -> None:
    assert parse_listener(f"127.0.0.1:1={name}").dialect == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "9001", ":9001", "host", "host:9001", "127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:65536"),
        *("127.0.0.1:²", "127.0.0.1:٣", "127.0.0.1:" + "9" * 5_000, "127.0.0.1:9001=nonsense", "127.0.0.1:9001="),
        *("1.2.3.4.5:9001", "[::g]:9001", "127.0.0.1: 9001"),
    ],
)
def test_anything_else_is_a_setting_error(text: str) -> None:
    with pytest.raises(SettingError):
        parse_listener(text)


def test_only_tcp_listeners_have_a_dialect() -> None:
    with pytest.raises(SettingError, match="only a TCP listener has a dialect"):
        parse_listener("127.0.0.1:9002=tcrp", takes_options=False)


@given(ip=st.ip_addresses(), port=st.integers(0, 65535))
def test_a_listener_is_written_as_it_is_read(ip: object, port: int) -> None:
    listener = Listener(str(ip), port)
    assert parse_listener(str(listener), takes_options=False) == listener


@pytest.mark.parametrize(
    ("hosts", "takes_both"),
    [
        (("[::]:9001",), [True]),
        (("[0::0]:9001",), [True]),
        (("[::]:9001", "0.0.0.0:9001"), [False, False]),
        (("192.0.2.1:9001", "[::]:9001"), [False, False]),
        (("0.0.0.0:9001", "[::]:9002"), [False, True]),
        (("[::1]:9001", "0.0.0.0:9001"), [False, False]),
    ],
)
def test_all_addresses_are_those_of_both_families_unless_another_has_ipv4(
    hosts: tuple[str, ...], takes_both: list[bool]
) -> None:
    listeners = [parse_listener(host) for host in hosts]
    assert [each.takes_both for each in with_both_families(listeners)] == takes_both
    # The port may also be another kind's.
    assert not any(
        each.takes_both
        for each in with_both_families(listeners, [HostPort("0.0.0.0", each.port) for each in listeners])
    )
