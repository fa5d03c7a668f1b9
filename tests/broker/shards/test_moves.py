"""broker/shards/moves.py"""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from broker.shards.moves import MOVING, Moves, cluster, decide
from broker.shards.spread import spread
from broker.store.sharing import Broker, View

SHARDS = 64


def a_broker(id_: str, is_leaving: bool = False) -> Broker:
    return Broker(id_, f"tcp://{id_}:9003", "", is_leaving)


def a_view(me: str, brokers: list[Broker], owners: list[str], term: int = 1) -> View:
    return View(me, brokers, [(term, owner) for owner in owners])


def serving(owners: list[str], me: str) -> dict[int, int]:
    return {shard: 1 for shard, owner in enumerate(owners) if owner == me}


def test_a_broker_alone_takes_all() -> None:
    assert decide(a_view("a", [a_broker("a")], [""] * SHARDS), {}, ()) == Moves(take=list(range(SHARDS)))


def test_a_broker_that_no_gateway_reaches_has_no_shard_unless_none_is_reached() -> None:
    unreached = replace(a_broker("a"), is_unreached=True)
    owners = ["a"] * SHARDS
    brokers = [unreached, a_broker("b")]
    assert len(decide(a_view("a", brokers, owners), serving(owners, "a"), ()).give) == MOVING
    assert decide(a_view("a", brokers, [""] * SHARDS), {}, ()) == Moves()
    assert len(decide(a_view("b", brokers, [""] * SHARDS), {}, ()).take) == SHARDS
    brokers = [unreached, a_broker("b", is_leaving=True)]
    assert len(decide(a_view("a", brokers, [""] * SHARDS), {}, ()).take) == SHARDS


def test_what_moves_is_left_alone() -> None:
    view = a_view("a", [a_broker("a")], [""] * SHARDS)
    assert decide(view, {}, range(SHARDS)) == Moves()


def test_a_broker_gives_a_few_at_a_time_and_waits_until_they_are_taken() -> None:
    brokers = [a_broker("a"), a_broker("b")]
    owners = ["a"] * SHARDS
    given = decide(a_view("a", brokers, owners), serving(owners, "a"), ()).give
    assert len(given) == MOVING
    for shard in given:
        owners[shard] = ""
    assert decide(a_view("a", brokers, owners), serving(owners, "a"), ()) == Moves()
    assert decide(a_view("b", brokers, owners), {}, ()).take == given
    owners[given[0]] = "b"
    assert len(decide(a_view("a", brokers, owners), serving(owners, "a"), ()).give) == 1


def test_shards_that_the_store_has_as_ours_and_we_do_not_serve_are_made_free() -> None:
    view = a_view("a", [a_broker("a")], ["a"] * SHARDS)
    assert decide(view, dict.fromkeys(range(1, SHARDS), 1), ()) == Moves(free=[0])


def test_a_shard_that_we_serve_and_the_store_has_as_anothers_is_lost_unless_the_look_is_old() -> None:
    view = a_view("a", [a_broker("a"), a_broker("b")], ["b", *["a"] * (SHARDS - 1)], term=7)
    assert decide(view, {0: 7}, range(1, SHARDS)).lost == [0]
    assert decide(view, {0: 8}, range(1, SHARDS)) == Moves()


def test_a_broker_that_leaves_takes_nothing_and_gives_to_those_that_stay() -> None:
    owners = ["a", "", *["a"] * (SHARDS - 2)]
    brokers = [a_broker("a", is_leaving=True), a_broker("b", is_leaving=True)]
    assert decide(a_view("a", brokers, owners), serving(owners, "a"), ()) == Moves()
    brokers.append(a_broker("c"))
    moves = decide(a_view("a", brokers, owners), serving(owners, "a"), ())
    assert (moves.take, len(moves.give)) == ([], MOVING - 1)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["comes", "leaves", "dies"])), max_size=12),
    st.randoms(use_true_random=False),
)
def test_after_any_changes_each_shard_is_owned_by_the_broker_that_shall_have_it(
    changes: list[tuple[str, str]], random: object
) -> None:
    living: dict[str, bool] = {"f": False}
    """id → whether it leaves"""
    owners, terms = [""] * SHARDS, [0] * SHARDS

    def look(me: str) -> bool:
        view = View(me, [a_broker(*each) for each in sorted(living.items())], list(zip(terms, owners, strict=True)))
        free = {shard for shard, owner in enumerate(owners) if not owner}
        served = {shard: terms[shard] for shard, owner in enumerate(owners) if owner == me}
        moves = decide(view, served, ())
        assert not moves.free
        assert not moves.lost
        assert not moves.give or len(free - set(moves.take)) + len(moves.give) <= MOVING
        assert set(moves.take) <= free
        for shard in moves.take:
            owners[shard], terms[shard] = me, terms[shard] + 1
        for shard in moves.give:
            owners[shard] = ""
        return bool(moves.take or moves.give)

    def settle() -> None:
        for _ in range(1_000):
            has_moved = [look(me) for me in living]
            if not any(has_moved):
                return
        raise AssertionError("the brokers move shards for ever")

    for id_, change in changes:
        if change == "comes":
            living.setdefault(id_, False)
        elif id_ in living and change == "leaves":
            living[id_] = True
        elif id_ in living:
            del living[id_]
            owners[:] = ["" if owner == id_ else owner for owner in owners]
        if random.random() < 0.5:  # type: ignore[attr-defined]
            settle()
    settle()
    staying = [(id_, a_broker(id_).endpoint) for id_, is_leaving in living.items() if not is_leaving]
    assert owners == spread(SHARDS, staying)


def test_gateways_are_told_of_shards_that_are_served_and_not_of_those_that_are_loaded() -> None:
    brokers = [a_broker("b"), a_broker("a"), a_broker("c")]
    view = View("a", brokers, [(3, "c"), (4, "a"), (5, "a"), (6, "a"), (7, ""), (8, "")])
    told = cluster(view, "tcp://me:1", {1: 4, 5: 9}, {2}, {3: 6, 4: 8})
    assert told.brokers == ["tcp://me:1", "tcp://b:9003", "tcp://c:9003"]
    assert told.answers == 1
    # The third is loaded, the fourth was dropped; the fifth was served and dropped after the look, the sixth taken.
    assert told.owners == [(3, 3), (4, 1), (4, 0), (6, 0), (8, 0), (9, 1)]
