"""tests/chaos/cluster/one_run.py"""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.chaos.cluster.one_run import SharedMachines


async def test_no_run_is_judged_by_a_log_that_can_not_be_read() -> None:
    """It would seem to have lost all that was accepted."""
    nowhere = SimpleNamespace(primary=0, nodes=[SimpleNamespace(url=lambda: "postgresql://user@127.0.0.1:1/none")])
    terms = SimpleNamespace(complaints=[])
    machines = cast(Any, SimpleNamespace(complaints=[], terms=terms, database=nowhere, plan=None))
    await SharedMachines.close(machines)
    with pytest.raises(OSError, match="the log can not be read"):
        SharedMachines.read_log(machines)
