"""Where a server is, as a person writes it."""

import pytest

from tsudoi.server_address import Server


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("chat.example", Server("chat.example", 9001, 9002)),
        ("10.0.0.1:9101", Server("10.0.0.1", 9101, 9002)),
        ("10.0.0.1:9101:9102", Server("10.0.0.1", 9101, 9102)),
        ("[::1]", Server("::1", 9001, 9002)),
        ("[fe80::1%eth0]:1:2", Server("fe80::1%eth0", 1, 2)),
    ],
)
def test_parse(text: str, server: Server) -> None:
    assert Server.parse(text) == server
    assert Server.parse(str(server)) == server


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "is not HOST"),
        (":9001", "is not HOST"),
        ("a:b", "is not HOST"),
        ("a:1:2:3", "is not HOST"),
        ("::1:9001:9002", "in brackets"),
        ("a:0", "is no port"),
        ("a:65536", "is no port"),
    ],
)
def test_what_is_wrong_is_said(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Server.parse(text)
