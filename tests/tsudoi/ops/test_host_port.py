"""tsudoi/ops/host_port.py"""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsudoi.ops.host_port import HostPort, parse_host_port
from tsudoi.protocol.errors import SettingError


@pytest.mark.parametrize(
    "text", ["", "9080", ":9080", "host:1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:²", "1.2:3"]
)
def test_anything_else_is_a_setting_error(text: str) -> None:
    with pytest.raises(SettingError):
        parse_host_port(text)


def test_localhost_is_a_name_that_is_known() -> None:
    assert parse_host_port("localhost:80") == HostPort("127.0.0.1", 80)


@given(ip=st.ip_addresses(), port=st.integers(0, 65535))
def test_a_place_is_written_as_it_is_read(ip: object, port: int) -> None:
    assert parse_host_port(str(HostPort(str(ip), port))) == HostPort(str(ip), port)


@given(st.text(max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(SettingError):
        parse_host_port(text)
