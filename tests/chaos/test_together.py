"""Seeds on the same processes: which can be, and that nothing of one is taken for another one's."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.chaos.cluster.plan import draw as draw_cluster
from tests.chaos.plan import OF_CLIENTS, draw
from tests.chaos.together import APART, Together, apart, grouped


def test_plans_of_a_group_have_the_same_gateways_and_none_is_left_out() -> None:
    plans = [draw(seed, 4.0) for seed in range(1, 65)]
    groups = grouped(plans, 5)
    assert sorted(plan.seed for group in groups for plan in group) == [*range(1, 65)]
    assert all(len({(plan.names, plan.in_one_process) for plan in group}) == 1 for group in groups)
    assert max(map(len, groups)) == 5


def test_a_plan_keeps_its_schedule_with_other_numbers_of_clients_and_rooms() -> None:
    plan = draw(9, 4.0)
    other = apart(plan, APART)
    assert [client.id for client in other.clients] == [client.id + APART for client in plan.clients]
    assert not {client.name for client in plan.clients} & {client.name for client in other.clients}
    assert not {plan.room_name(client.room) for client in plan.clients} & {
        other.room_name(client.room) for client in other.clients
    }
    for before, after in zip(plan.actions, other.actions, strict=True):
        by = APART if before.kind in OF_CLIENTS else 0
        assert (after.at, after.kind, after.target, after.other) == (
            *(before.at, before.kind, before.target + by, before.other),
        )


def test_programs_that_post_get_other_numbers_and_rooms_too() -> None:
    plan = draw_cluster(1, 5.0, 2)
    posts = [[action for action in each.actions if action.kind == "post"] for each in (plan, apart(plan, APART))]
    assert [(one.target + APART, one.other + APART) for one in posts[0]] == [
        (one.target, one.other) for one in posts[1]
    ]
    assert posts[0]


@pytest.mark.slow
def test_two_seeds_on_the_same_processes_are_judged_apart(tmp_path: Path) -> None:
    plans = next(group for group in grouped((draw(seed, 1.5) for seed in range(1, 20)), 2) if len(group) == 2)
    run = Together(plans, tmp_path)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        assert loop.run(run.run()) == []
    assert run.failures == [[], []]
    verdicts = [run.verdict(number) for number in range(2)]
    assert [verdict.violations for verdict in verdicts] == [[], []]
    assert all(verdict.received > 50 for verdict in verdicts)
