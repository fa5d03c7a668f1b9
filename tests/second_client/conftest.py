"""One service for these tests: a gateway with a broker of its own."""

import asyncio
import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.second_client.probe import Probe
from tests.second_client.session import CREATE, enter
from tests.support.services import Gateway

NewRoom = Callable[[], str]
ROOM_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(data=tmp_path_factory.mktemp("second-client")) as gateway:
        yield gateway


@pytest.fixture
def new_room() -> NewRoom:
    """Makes a room name that no other test uses."""
    return lambda: f"den{next(ROOM_NUMBERS)}"


@pytest.fixture
def probe(service: Gateway, new_room: NewRoom) -> Iterator[Probe]:
    """A member that is alone in its room, resumed."""
    session = asyncio.run(enter(service.tcp["auto"], CREATE, new_room(), "alice"))
    with Probe(session, service.udp) as made:
        assert made.resume()[0]["resumed"]["state"] == "complete"
        yield made
