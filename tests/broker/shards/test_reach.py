"""broker/shards/reach.py"""

from broker.shards.reach import EQUAL_S, UNREACHED_S, Reach
from broker.store.sharing import Broker, View

NOW = 100.0


def a_view(*others: bool, mine: tuple[bool, bool] = (False, False)) -> View:
    """What "a" sees; `others` tells which other brokers have gateways."""
    found = [Broker(f"b{number}", "", "", False, has_gateways) for number, has_gateways in enumerate(others)]
    return View("a", [Broker("a", "", "", False, *mine), *found])


def test_without_any_gateway_no_broker_is_unreached() -> None:
    reach = Reach()
    for seconds in (0, 100):
        reach.look(False, a_view(False, False), NOW + seconds)
        assert not reach.is_unreached


def test_a_broker_that_joins_others_is_unreached_until_a_gateway_comes() -> None:
    reach = Reach()
    for has_gateways, seconds, expected in (
        (False, 0, (True, False)),
        (False, 5, (True, True)),
        (True, 10, (False, False)),
    ):
        reach.look(has_gateways, a_view(True), NOW + seconds)
        assert (reach.is_unreached, reach.lasts(NOW + seconds)) == expected


def test_a_broker_that_loses_its_gateways_is_unreached_after_some_seconds() -> None:
    reach = Reach()
    reach.look(True, a_view(True), NOW)
    for seconds, is_unreached in ((1.0, False), (0.9 + UNREACHED_S, False), (1 + UNREACHED_S, True)):
        reach.look(False, a_view(False, True), NOW + seconds)
        assert reach.is_unreached == is_unreached
    # The others have none any more, or are gone: it is as good as any.
    reach.look(False, a_view(), NOW + 60)
    assert not reach.is_unreached


def test_the_others_know_it_when_they_have_been_told() -> None:
    reach = Reach()
    reach.look(True, a_view(True), NOW)
    assert not reach.is_known(a_view(mine=(False, True)))
    assert reach.is_known(a_view(mine=(True, False)))


def test_another_broker_at_the_same_endpoint_is_noticed_once_it_can_not_be_a_former_run() -> None:
    here, elsewhere = "tcp://192.0.2.1:5555", "tcp://192.0.2.2:5555"
    alone, beside = (
        View("a", [Broker("a", here, "", False), Broker("b", each, "", False)]) for each in (elsewhere, here)
    )
    reach = Reach()
    for view, seconds, is_equal in (
        (beside, 0, False),
        (beside, EQUAL_S, False),
        (beside, EQUAL_S + 0.1, True),
        (alone, EQUAL_S + 0.2, False),
        (beside, EQUAL_S + 0.3, False),
    ):
        reach.look_for_equals(here, view, NOW + seconds)
        assert reach.is_equal == is_equal
