"""What the engines need that have a server."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from broker.store import postgres_lease
from tests.support import postgres


@pytest.fixture
def leases_that_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker loses its lease of the database because the machine is busy."""
    monkeypatch.setattr(postgres_lease, "STOP_S", 60.0)
    monkeypatch.setattr(postgres_lease, "_LEASE", timedelta(seconds=90))


@pytest.fixture(scope="session")
def database_server() -> Iterator[postgres.Instance]:
    """A PostgreSQL server, started for the first test that needs it; skipped where there is none."""
    with postgres.one() as instance:
        yield instance
