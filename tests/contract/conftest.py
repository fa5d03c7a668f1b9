"""What the engines need that have a server."""

from collections.abc import Iterator

import pytest

from tests.support import postgres


@pytest.fixture(scope="session")
def database_server() -> Iterator[postgres.Instance]:
    """A PostgreSQL server, started for the first test that needs it; skipped where there is none."""
    with postgres.one() as instance:
        yield instance
