"""gateway/join/quotas.py"""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.join.quotas import Quotas, Verdict
from gateway.join.rate_keys import ADDRESSES, RateKeys
from gateway.settings import Settings

ONE, OTHER = "192.0.2.1", "192.0.2.2"
SERVE, BUSY, CLOSE = Verdict.SERVE, Verdict.ANSWER_BUSY, Verdict.CLOSE


def made(**changed: object) -> tuple[Quotas, Counters]:
    counters, settings = Counters(), Settings(**changed)  # type: ignore[arg-type]
    return Quotas(settings, counters, RateKeys(settings)), counters


def test_open_connections_are_counted_whatever_networks_are_limited_meanwhile() -> None:
    settings = Settings(unlimited=(ip_network("192.0.2.0/24"),), address_connections=2)
    quotas = Quotas(settings, Counters(), RateKeys(settings))
    assert [quotas.connect(ONE, 0.0) for _ in range(3)] == [SERVE] * 3
    settings.unlimited = ()
    assert quotas.connect(ONE, 0.0) is CLOSE
    for _ in range(2):
        quotas.disconnect(ONE)
    assert quotas.connect(ONE, 0.0) is SERVE
    settings.unlimited = (ip_network("192.0.2.0/24"),)
    for _ in range(2):
        quotas.disconnect(ONE)
    settings.unlimited = ()
    assert [quotas.connect(ONE, 0.0) for _ in range(3)] == [SERVE, SERVE, CLOSE]


def test_so_many_in_all() -> None:
    quotas, counters = made(connections=2)
    assert [quotas.connect(ip, 0.0) for ip in (ONE, OTHER, "127.0.0.1")] == [SERVE, SERVE, CLOSE]
    assert quotas.is_full()
    assert quotas.connect("127.0.0.1", 0.0, lambda of_address: not of_address) is SERVE
    for ip in (ONE, OTHER, "127.0.0.1"):
        quotas.disconnect(ip)
    assert not quotas.is_full()
    assert counters.connections_refused == 1


def test_so_many_from_an_address() -> None:
    quotas, counters = made(address_connections=2)
    assert [quotas.connect(ONE, 0.0) for _ in range(3)] == [SERVE, SERVE, CLOSE]
    assert quotas.connect(OTHER, 0.0) is SERVE
    quotas.disconnect(ONE)
    assert quotas.connect(ONE, 0.0) is SERVE
    assert counters.connections_refused == 1


def test_a_full_address_may_close_one_of_its_own() -> None:
    quotas, counters = made(address_connections=2, connections=2)
    asked: list[bool] = []

    def make_room(of_address: bool) -> bool:
        asked.append(of_address)
        quotas.disconnect(ONE)
        return True

    assert [quotas.connect(ONE, 0.0, make_room) for _ in range(4)] == [SERVE] * 4
    assert asked == [True, True]
    assert quotas.connect(ONE, 0.0, lambda of_address: False) is CLOSE
    assert counters.connections_refused == 1


def test_a_connection_that_is_one_too_often_closes_no_other() -> None:
    quotas, _ = made(address_connections=1, address_rate=0.1)
    assert quotas.connect(ONE, 0.0) is SERVE
    asked: list[bool] = []

    def make_room(of_address: bool) -> bool:
        asked.append(of_address)
        return True

    assert [quotas.connect(ONE, 0.0, make_room) for _ in range(5)] == [BUSY] + [CLOSE] * 4
    assert asked == [True]


def test_so_often_from_an_address_and_told_once_a_second() -> None:
    quotas, counters = made(address_rate=1.0)
    assert [quotas.connect(ONE, 0.0) for _ in range(13)] == [SERVE] * 10 + [BUSY] + [CLOSE] * 2
    assert quotas.connect(OTHER, 0.0) is SERVE
    assert [quotas.connect(ONE, 0.9), quotas.connect(ONE, 1.1)] == [CLOSE, SERVE]
    assert [quotas.connect(ONE, 1.2), quotas.connect(ONE, 1.3)] == [BUSY, CLOSE]
    assert counters.handshakes_limited == 6


def test_what_is_asked_on_a_connection_that_stays_open_counts_like_another() -> None:
    quotas, counters = made(address_rate=1.0)
    assert quotas.connect(ONE, 0.0) is SERVE
    assert [quotas.request(ONE, 0.0) for _ in range(12)] == [SERVE] * 9 + [BUSY] + [CLOSE] * 2
    assert [quotas.connect(ONE, 0.5), quotas.request(OTHER, 0.5), quotas.request(ONE, 1.1)] == [CLOSE, SERVE, SERVE]
    assert counters.handshakes_limited == 4
    assert counters.connections_refused == 0


def test_so_many_rooms_from_an_address() -> None:
    quotas, counters = made(create_rate=0.5)
    assert [quotas.may_create(ONE, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert quotas.may_create(OTHER, 0.0)
    assert [quotas.may_create(ONE, 2.0), quotas.may_create(ONE, 2.0)] == [True, False]
    assert counters.creates_limited == 2


def test_this_machine_is_not_limited() -> None:
    quotas, _ = made(address_rate=1.0, address_connections=1, create_rate=0.1)
    assert {quotas.connect("127.0.0.1", 0.0) for _ in range(100)} == {SERVE}
    assert {quotas.request("127.0.0.1", 0.0) for _ in range(100)} == {SERVE}
    assert all(quotas.may_create("127.0.0.1", 0.0) for _ in range(100))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_counts_come_back_to_nothing(steps: list[tuple[bool, int]]) -> None:
    quotas, _ = made(connections=4, address_connections=2, address_rate=1000.0)
    open_: list[str] = []
    for now, (connects, number) in enumerate(steps):
        ip = f"192.0.2.{number}" if number else "127.0.0.1"
        if connects:
            if quotas.connect(ip, float(now)) is not CLOSE:
                open_.append(ip)
        elif open_:
            quotas.disconnect(open_.pop(0))
        assert len(open_) <= 4
        assert all(open_.count(each) <= 2 for each in set(open_) - {"127.0.0.1"})
    for ip in open_:
        quotas.disconnect(ip)
    assert [quotas.connect("192.0.2.9", 1e6), quotas.connect("192.0.2.9", 1e6)] == [SERVE, SERVE]


def test_addresses_are_forgotten_in_the_end() -> None:
    quotas, _ = made()
    for number in range(ADDRESSES + 100):
        ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        quotas.connect(ip, 0.0)
        quotas.disconnect(ip)
        quotas.may_create(ip, 0.0)
    assert max(len(quotas._requests), len(quotas._creates)) <= ADDRESSES
    assert len(quotas._open_by_key) == 0
