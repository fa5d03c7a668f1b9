"""broker/shards/advertised.py"""

import pytest

from broker.shards.advertised import advertised, advertised_admin


@pytest.mark.parametrize(
    ("endpoint", "given", "expected"),
    [
        ("tcp://192.0.2.1:9003", None, "tcp://192.0.2.1:9003"),
        ("tcp://0.0.0.0:9003", None, "tcp://here:9003"),
        ("tcp://*:9003", None, "tcp://here:9003"),
        ("tcp://[::]:9003", None, "tcp://here:9003"),
        ("tcp://[::]:9003", "tcp://broker.example:1", "tcp://broker.example:1"),
        ("ipc://somewhere", None, "ipc://somewhere"),
    ],
)
def test_gateways_are_told_an_address_that_they_can_reach(endpoint: str, given: str | None, expected: str) -> None:
    assert advertised(endpoint, given, "here") == expected


@pytest.mark.parametrize(
    ("endpoint", "given", "expected"),
    [
        (None, None, ""),
        ("ipc://somewhere", None, ""),
        ("tcp://192.0.2.1:9004", None, "tcp://192.0.2.1:9004"),
        ("tcp://0.0.0.0:9004", None, "tcp://here:9004"),
        ("tcp://[::ffff:0.0.0.0]:9004", None, "tcp://here:9004"),
        ("tcp://[::ffff:192.0.2.1]:9004", None, "tcp://192.0.2.1:9004"),
        ("tcp://0.0.0.0:9004", "tcp://broker.example:1", "tcp://broker.example:9004"),
        ("tcp://0.0.0.0:9004", "tcp://[2001:db8::1]:1", "tcp://[2001:db8::1]:9004"),
    ],
)
def test_operators_come_to_the_same_host(endpoint: str | None, given: str | None, expected: str) -> None:
    assert advertised_admin(endpoint, given, "here") == expected
