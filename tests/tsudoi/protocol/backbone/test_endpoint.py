"""tsudoi/protocol/backbone/endpoint.py; what is no endpoint: test_config.py of broker and gateway"""

import pytest

from tsudoi.protocol.backbone import is_loopback, publish_endpoint, split_tcp


@pytest.mark.parametrize(
    ("commands", "news"),
    [
        ("tcp://127.0.0.1:9003", "tcp://127.0.0.1:9004"),
        ("tcp://[::1]:9003", "tcp://[::1]:9004"),
        ("tcp://broker:9003", "tcp://broker:9004"),
        ("ipc:///run/tsudoi/broker", "ipc:///run/tsudoi/broker.pub"),
    ],
)
def test_news_come_from_the_next_port_or_path(commands: str, news: str) -> None:
    assert publish_endpoint(commands) == news


@pytest.mark.parametrize(
    ("endpoint", "stays"),
    [
        ("ipc:///run/broker", True),
        ("inproc://broker", True),
        ("tcp://127.0.0.1:9003", True),
        ("tcp://127.8.8.8:9003", True),
        ("tcp://localhost:9003", True),
        ("tcp://[::1]:9003", True),
        ("tcp://0.0.0.0:9003", False),
        ("tcp://*:9003", False),
        ("tcp://[::]:9003", False),
        ("tcp://127.example.org:9003", False),
        ("tcp://broker:9003", False),
        ("tcp://192.0.2.1:9003", False),
    ],
)
def test_what_stays_on_this_machine_needs_no_keys(endpoint: str, stays: bool) -> None:
    assert is_loopback(endpoint) is stays


def test_a_host_is_told_without_brackets() -> None:
    assert split_tcp("tcp://broker:9003") == ("broker", "9003")
    assert split_tcp("tcp://[2001:db8::1]:9003") == ("2001:db8::1", "9003")
