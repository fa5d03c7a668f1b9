"""The processes that the integration tests share: started once, checked when the last test is over."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support.legacy.client import PLAIN, Habits, LegacyClient
from tests.support.legacy.dialects import CLIENTS
from tests.support.services import ALL_LISTENERS, Broker, Gateway

# A shell's background jobs ignore Ctrl-C, and so would every program that is started here: what is ignored is
# inherited, a handler is not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NewRoom = Callable[[str], str]
Enter = Callable[..., LegacyClient]


@dataclass(frozen=True, slots=True)
class Cluster:
    """One broker and two gateways on it."""

    broker: Broker
    a: Gateway
    b: Gateway


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(tmp_path_factory.mktemp("cluster") / "rooms.sqlite"))
        a = stack.enter_context(Gateway(broker=broker, dialects=ALL_LISTENERS))
        b = stack.enter_context(Gateway(broker=broker, dialects=ALL_LISTENERS))
        yield Cluster(broker, a, b)


@pytest.fixture
def gateway(cluster: Cluster) -> Gateway:
    """A listener for each dialect, and `auto`; shared by all tests, so take a room name of your own."""
    return cluster.a


ROOM_NUMBERS = itertools.count(1)


@pytest.fixture
def new_room() -> NewRoom:
    """Makes a room name that no other test uses, out of the one given."""
    return lambda name: f"{name}{next(ROOM_NUMBERS)}"


@pytest.fixture
def client() -> Iterator[Enter]:
    """Makes stand-ins, `client(dialect, name, gateway)`, and closes them when the test is over."""
    with ExitStack() as stack:

        def make(dialect: str, name: str, gateway: Gateway, habits: Habits = PLAIN, listener: str = "") -> LegacyClient:
            return stack.enter_context(CLIENTS[dialect](name, gateway.listener(listener or dialect), habits))

        yield make
