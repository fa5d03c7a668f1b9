"""gateway/process/inherited.py: the descriptors of a worker, as one option's text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.process.inherited import Inherited, parse_inherited
from tsudoi.protocol.errors import SettingError

descriptors = st.lists(st.integers(0, 10**6)).map(tuple)


@given(descriptors, descriptors, st.integers(1, 64), st.integers(1, 64), descriptors)
def test_descriptors_are_handed_down_as_text(
    tcp: tuple[int, ...], udp: tuple[int, ...], workers: int, number: int, webhook: tuple[int, ...]
) -> None:
    inherited = Inherited(tcp, udp, workers, number, webhook, udp[::-1], udp[1:])
    assert parse_inherited(str(inherited)) == inherited


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[1]",
        "{}",
        '{"tcp": [3], "udp": [4], "workers": 1, "number": 1, "webhook": [], "web": []}',
        '{"tcp": ["x"], "udp": [4], "workers": 1, "number": 1, "webhook": [], "web": [], "pings": []}',
    ],
)
def test_what_are_no_descriptors_is_a_setting_error(text: str) -> None:
    with pytest.raises(SettingError, match="no list of descriptors"):
        parse_inherited(text)
