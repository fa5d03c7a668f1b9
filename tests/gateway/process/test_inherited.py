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
        "1/2",
        "1/2/",
        "1/2/3",
        "1/2/3/4",
        "1/2/3/4/5",
        "1/2/3/4/5/6",
        "1/2/3/4/5/6/7/8",
        "a/b/1/1///",
        "1,/x/1/1///",
    ],
)
def test_what_are_no_descriptors_is_a_setting_error(text: str) -> None:
    with pytest.raises(SettingError, match="no list of descriptors"):
        parse_inherited(text)
