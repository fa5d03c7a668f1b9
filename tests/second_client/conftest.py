"""One service for these tests: a gateway with a broker of its own, which one of them kills and starts again."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.services import Gateway

NewRoom = Callable[[], str]
ROOM_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(data=tmp_path_factory.mktemp("second-client"), steady=True) as gateway:
        yield gateway


@pytest.fixture
def new_room() -> NewRoom:
    """Makes a room name that no other test uses."""
    return lambda: f"den{next(ROOM_NUMBERS)}"
