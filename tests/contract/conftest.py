"""What the engines need that have a server."""

from datetime import timedelta

import pytest

from broker.store import postgres_lease


@pytest.fixture
def leases_that_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker loses its lease of the database because the machine is busy."""
    monkeypatch.setattr(postgres_lease, "STOP_S", 60.0)
    monkeypatch.setattr(postgres_lease, "_LEASE", timedelta(seconds=90))
