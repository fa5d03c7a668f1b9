from tests.chaos.cluster.plan import PROFILES, Fault, draw
from tests.chaos.plan import SEALED


def test_a_seed_draws_one_plan() -> None:
    assert str(draw(7, 5.0, 2)) == str(draw(7, 5.0, 2))
    assert str(draw(7, 5.0, 2)) != str(draw(15, 5.0, 2))


def test_a_third_of_the_runs_lose_the_primary() -> None:
    plans = [draw(seed, 5.0, 2) for seed in range(3 * len(PROFILES))]
    losses = [any(action.kind.endswith("primary") for action in plan.actions) for plan in plans]
    assert all(lost for lost, plan in zip(losses, plans, strict=True) if plan.profile == "primary")
    assert sum(losses) >= len(plans) / 3


def test_faults_hit_what_is_there() -> None:
    for seed in range(50):
        plan = draw(seed, 5.0, 2)
        for fault in (action for action in plan.actions if isinstance(action, Fault) and action.kind != "post"):
            limit = {"broker": plan.brokers, "database": plan.databases}.get(fault.kind.rpartition(" ")[2], 3)
            assert 0 <= fault.target < limit
            assert fault.other != fault.target or fault.kind.endswith("primary")


def test_one_client_in_four_is_of_version_2() -> None:
    clients = [client for seed in range(20) for client in draw(seed, 5.0, 2).clients]
    sealed = sum(client.dialect == SEALED for client in clients)
    assert 0.15 < sealed / len(clients) < 0.35
