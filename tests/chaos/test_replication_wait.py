"""Commits whose wait for the standby is disturbed; `python -m tests.chaos.replication_wait` disturbs a thousand."""

import asyncio

import pytest

from broker.store import postgres_connections
from tests.chaos.replication_wait import Disturber, Violation
from tests.support import postgres

pytestmark = pytest.mark.slow


def test_no_commit_is_acknowledged_that_the_standby_lacks(
    postgresql_pair: postgres.Pair,
) -> None:
    disturber = Disturber(*postgresql_pair, seed=1)
    asyncio.run(disturber.run(40))
    outcomes = {what.rpartition(", ")[2] for what in disturber.counts}
    assert {"refused", "acknowledged"} <= outcomes


def test_a_broker_that_believes_a_cancelled_wait_is_found(
    postgresql_pair: postgres.Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "_WARNING", "a severity that no notice has")
    postgresql_pair[0].empty()
    disturber = Disturber(*postgresql_pair, seed=2)
    with pytest.raises(Violation, match="after a cancel a commit was acknowledged, and the standby does not have it"):
        asyncio.run(disturber.run(40))
