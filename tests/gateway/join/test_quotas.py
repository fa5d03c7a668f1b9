"""gateway/join/quotas.py"""

from gateway.counters import Counters
from gateway.join.quotas import Quotas, Verdict, for_members
from gateway.join.rate_keys import ADDRESSES, RateKeys
from gateway.settings import Settings

ONE, OTHER = "192.0.2.1", "192.0.2.2"
SERVE, BUSY, CLOSE = Verdict.SERVE, Verdict.ANSWER_BUSY, Verdict.CLOSE


def made(**changed: object) -> tuple[Quotas, Counters]:
    counters, settings = Counters(), Settings(**changed)  # type: ignore[arg-type]
    return Quotas(settings, counters, RateKeys(settings)), counters


def test_so_many_from_an_address_and_in_all() -> None:
    quotas, _ = made(address_connections=2, connections=3)
    assert [quotas.limit_reached(ONE, 1, 2), quotas.limit_reached(ONE, 1, 3)] == ["", "--connections"]
    assert quotas.limit_reached(ONE, 2, 3) == "--address-connections"
    quotas.most = 2
    assert quotas.limit_reached(ONE, 1, 2) == "--connections"


def test_a_sixteenth_of_the_places_is_for_those_in_no_room() -> None:
    assert [for_members(most) for most in (256, 32, 3)] == [240, 30, 3]
    quotas, _ = made(address_connections=32)
    assert [quotas.may_carry(ONE, count) for count in (29, 30)] == [True, False]
    assert quotas.may_carry("127.0.0.1", 30)


def test_so_often_from_an_address_and_told_once_a_second() -> None:
    quotas, counters = made(address_rate=1.0)
    assert [quotas.request(ONE, 0.0) for _ in range(13)] == [SERVE] * 10 + [BUSY] + [CLOSE] * 2
    assert quotas.request(OTHER, 0.0) is SERVE
    assert [quotas.request(ONE, 0.9), quotas.request(ONE, 1.1)] == [CLOSE, SERVE]
    assert [quotas.request(ONE, 1.2), quotas.request(ONE, 1.3)] == [BUSY, CLOSE]
    assert counters.handshakes_limited == 6


def test_so_many_rooms_from_an_address() -> None:
    quotas, counters = made(create_rate=0.5)
    assert [quotas.may_create(ONE, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert quotas.may_create(OTHER, 0.0)
    assert [quotas.may_create(ONE, 2.0), quotas.may_create(ONE, 2.0)] == [True, False]
    assert counters.creates_limited == 2


def test_this_machine_is_not_limited() -> None:
    quotas, _ = made(address_rate=1.0, address_connections=1, create_rate=0.1)
    assert {quotas.request("127.0.0.1", 0.0) for _ in range(100)} == {SERVE}
    assert quotas.limit_reached("127.0.0.1", 100, 100) == ""
    assert all(quotas.may_create("127.0.0.1", 0.0) for _ in range(100))


def test_addresses_are_forgotten_in_the_end() -> None:
    quotas, _ = made()
    for number in range(ADDRESSES + 100):
        ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        quotas.request(ip, 0.0)
        quotas.may_create(ip, 0.0)
    assert max(len(quotas._requests), len(quotas._creates)) <= ADDRESSES
