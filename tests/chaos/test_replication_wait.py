"""Commits whose wait for the standby is disturbed; `python -m tests.chaos.replication_wait` disturbs a thousand."""

import asyncio
from collections.abc import Iterator

import pytest

from broker.store import postgres_connections
from tests.chaos.replication_wait import Disturber, Violation
from tests.support import postgres

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[postgres.Instance, postgres.Instance]]:
    with postgres.pair() as pair:
        yield pair


def test_no_commit_is_acknowledged_that_the_standby_lacks(
    machines: tuple[postgres.Instance, postgres.Instance],
) -> None:
    disturber = Disturber(*machines, seed=1)
    asyncio.run(disturber.run(40))
    outcomes = {what.rpartition(", ")[2] for what in disturber.counts}
    assert {"refused", "acknowledged"} <= outcomes


def test_a_broker_that_believes_a_cancelled_wait_is_found(
    machines: tuple[postgres.Instance, postgres.Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "_WARNING", "a severity that no notice has")
    machines[0].empty()
    disturber = Disturber(*machines, seed=2)
    with pytest.raises(Violation, match="after a cancel a commit was acknowledged, and the standby does not have it"):
        asyncio.run(disturber.run(40))
