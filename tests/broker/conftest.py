"""A broker without sockets, and two gateways that have greeted it."""

import pytest

from tests.broker.scripted import A, B, Broker


@pytest.fixture
def broker() -> Broker:
    return Broker(None, A, B)
