"""gateway/admission.py"""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import ADDRESSES, FORGET_S, PASSWORDS_AT_ONCE, ROOMS, Admission, RateKeys, Verdict, counted_as
from gateway.config import LOOPBACK, Settings
from gateway.counters import Counters

ONE, OTHER = "192.0.2.1", "192.0.2.2"
ROOM = "den"
WELCOME, BUSY, CLOSE = Verdict.WELCOME, Verdict.BUSY, Verdict.CLOSE


def made(**settings: object) -> tuple[Admission, Counters]:
    counters = Counters()
    return Admission(Settings(**settings), counters), counters  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ip", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", ""),
        ("127.9.9.9", ""),
        ("::ffff:127.0.0.1", ""),
        ("::1", ""),
    ],
)
def test_an_address_is_a_household(ip: str, counted: str) -> None:
    assert counted_as(ip, LOOPBACK) == counted


def test_networks_are_left_out_as_told() -> None:
    assert counted_as("192.0.2.1", (ip_network("192.0.2.0/24"),)) == ""
    assert counted_as("127.0.0.1", ()) == "127.0.0.1"


def test_what_is_counted_can_be_changed() -> None:
    settings = Settings()
    rate_keys = RateKeys(settings)
    assert rate_keys.of("127.0.0.1") == ""
    settings.unlimited = ()
    assert rate_keys.of("127.0.0.1") == "127.0.0.1"
    for number in range(ADDRESSES + 9):
        rate_keys.of(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(rate_keys) == ADDRESSES


def test_what_is_open_is_counted_whatever_networks_are_limited_meanwhile() -> None:
    settings = Settings(unlimited=(ip_network("192.0.2.0/24"),), address_connections=2, password_tries=1)
    door = Admission(settings, Counters())
    assert [door.connect(ONE, 0.0) for _ in range(3)] == [WELCOME] * 3
    settings.unlimited = ()
    assert door.connect(ONE, 0.0) is CLOSE
    for _ in range(2):
        door.disconnect(ONE)
    assert door.connect(ONE, 0.0) is WELCOME
    assert door.may_try(ONE, ROOM, 0.0)
    settings.unlimited = (ip_network("192.0.2.0/24"),)
    door.tried(ONE, ROOM, False, 0.0)
    for _ in range(2):
        door.disconnect(ONE)
    settings.unlimited = ()
    assert [door.connect(ONE, 0.0) for _ in range(3)] == [WELCOME, WELCOME, CLOSE]
    assert door.may_try(ONE, ROOM, 9.0)


def test_so_many_in_all() -> None:
    door, counters = made(connections=2)
    assert [door.connect(ip, 0.0) for ip in (ONE, OTHER, "127.0.0.1")] == [WELCOME, WELCOME, CLOSE]
    assert door.is_full()
    assert door.connect("127.0.0.1", 0.0, place_made=True) is WELCOME
    for ip in (ONE, OTHER, "127.0.0.1"):
        door.disconnect(ip)
    assert not door.is_full()
    assert counters.connections_refused == 1


def test_so_many_from_an_address() -> None:
    door, counters = made(address_connections=2)
    assert [door.connect(ONE, 0.0) for _ in range(3)] == [WELCOME, WELCOME, CLOSE]
    assert door.connect(OTHER, 0.0) is WELCOME
    door.disconnect(ONE)
    assert door.connect(ONE, 0.0) is WELCOME
    assert counters.connections_refused == 1


def test_so_often_from_an_address_and_told_once_a_second() -> None:
    door, counters = made(address_rate=1.0)
    assert [door.connect(ONE, 0.0) for _ in range(13)] == [WELCOME] * 10 + [BUSY] + [CLOSE] * 2
    assert door.connect(OTHER, 0.0) is WELCOME
    assert [door.connect(ONE, 0.9), door.connect(ONE, 1.1)] == [CLOSE, WELCOME]
    assert [door.connect(ONE, 1.2), door.connect(ONE, 1.3)] == [BUSY, CLOSE]
    assert counters.handshakes_limited == 6


def test_what_is_asked_on_a_connection_that_stays_open_counts_like_another() -> None:
    door, counters = made(address_rate=1.0)
    assert door.connect(ONE, 0.0) is WELCOME
    assert [door.ask_again(ONE, 0.0) for _ in range(12)] == [WELCOME] * 9 + [BUSY] + [CLOSE] * 2
    assert [door.connect(ONE, 0.5), door.ask_again(OTHER, 0.5), door.ask_again(ONE, 1.1)] == [CLOSE, WELCOME, WELCOME]
    assert counters.handshakes_limited == 4
    assert counters.connections_refused == 0


def test_this_machine_is_not_limited() -> None:
    door, _ = made(address_rate=1.0, address_connections=1, create_rate=0.1, password_tries=1)
    assert {door.connect("127.0.0.1", 0.0) for _ in range(100)} == {WELCOME}
    assert {door.ask_again("127.0.0.1", 0.0) for _ in range(100)} == {WELCOME}
    assert all(door.may_create("127.0.0.1", 0.0) for _ in range(100))
    for _ in range(100):
        assert door.may_try("127.0.0.1", ROOM, 0.0)
        door.tried("127.0.0.1", ROOM, None, 0.0)


def test_so_many_rooms_from_an_address() -> None:
    door, counters = made(create_rate=0.5)
    assert [door.may_create(ONE, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert door.may_create(OTHER, 0.0)
    assert [door.may_create(ONE, 2.0), door.may_create(ONE, 2.0)] == [True, False]
    assert counters.creates_limited == 2


def wrong(door: Admission, now: float) -> bool:
    """Try a wrong password; whether it was tried at all."""
    if not door.may_try(ONE, ROOM, now):
        return False
    door.tried(ONE, ROOM, False, now)
    return True


def test_each_further_wrong_password_waits_twice_as_long() -> None:
    door, counters = made(password_tries=3)
    assert [wrong(door, 0.0) for _ in range(4)] == [True, True, True, False]
    now = 0.0
    for delay_s in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        assert not wrong(door, now + delay_s - 0.01)
        now += delay_s
        assert wrong(door, now)
    assert counters.passwords_limited == 10
    assert door.may_try(OTHER, ROOM, now)


def test_a_right_password_forgives_nothing_but_time_does() -> None:
    door, _ = made(password_tries=2)
    assert [wrong(door, 0.0), wrong(door, 0.0)] == [True, True]
    assert door.may_try(ONE, ROOM, 1.0)
    door.tried(ONE, ROOM, True, 1.0)
    assert wrong(door, 1.0)
    assert not wrong(door, 1.5)
    assert [wrong(door, FORGET_S + 2.0), wrong(door, FORGET_S + 2.0)] == [True, True]


def test_a_class_joins_at_once_and_a_guesser_one_after_the_other() -> None:
    door, _ = made(password_tries=2)
    assert [door.may_try(ONE, ROOM, 0.0) for _ in range(PASSWORDS_AT_ONCE + 1)] == [True] * PASSWORDS_AT_ONCE + [False]
    for _ in range(PASSWORDS_AT_ONCE):
        door.tried(ONE, ROOM, False, 0.0)
    assert not door.may_try(ONE, ROOM, 59.0)
    assert [door.may_try(ONE, ROOM, 61.0), door.may_try(ONE, ROOM, 61.0)] == [True, False]


def crowd(door: Admission, size: int, now: float, room: str = ROOM) -> int:
    """Let each of so many addresses try one wrong password; how many were tried."""
    tried = 0
    for number in range(size):
        ip = f"10.{int(now) & 255}.{number >> 8}.{number & 255}"
        if door.may_try(ip, room, now):
            door.tried(ip, room, False, now)
            tried += 1
    return tried


def test_a_room_that_is_attacked_from_everywhere_is_tried_at_a_pace() -> None:
    door, counters = made(room_password_rate=2.0)
    assert crowd(door, 1_000, 0.0) == 120
    assert [crowd(door, 1_000, float(second)) for second in (1, 2, 3)] == [2, 2, 2]
    assert counters.room_passwords_limited == 880 + 3 * 998
    assert counters.passwords_limited == 0
    assert crowd(door, 1_000, 4.0, "another") == 120


def test_one_address_keeps_nobody_out_of_a_room() -> None:
    door, counters = made()
    for second in range(3_600):
        wrong(door, float(second))
        assert door.may_try(OTHER, ROOM, float(second))
        door.tried(OTHER, ROOM, None, float(second))
    assert counters.room_passwords_limited == 0


def test_who_was_right_before_is_let_in_while_a_room_is_attacked() -> None:
    door, _ = made()
    assert door.may_try(ONE, ROOM, 0.0)
    door.tried(ONE, ROOM, True, 0.0)
    crowd(door, 1_000, 0.0)
    assert not door.may_try(OTHER, ROOM, 0.0)
    assert door.may_try(ONE, ROOM, 0.0)
    door.tried(ONE, ROOM, False, 0.0)
    assert not door.may_try(ONE, ROOM, 0.0)


def test_who_comes_through_a_proxy_is_not_known_by_its_address() -> None:
    door, _ = made()
    assert door.may_try("127.0.0.1", ROOM, 0.0)
    door.tried("127.0.0.1", ROOM, True, 0.0)
    crowd(door, 1_000, 0.0)
    assert not door.may_try("127.0.0.1", ROOM, 0.0)


def test_right_passwords_use_nothing_up_and_rooms_that_owe_nothing_are_forgotten() -> None:
    door, counters = made(room_password_rate=0.1)
    for number in range(100):
        for right in (True, None):
            ip = f"10.0.{number}.{int(right or 0)}"
            assert door.may_try(ip, ROOM, 0.0)
            door.tried(ip, ROOM, right, 0.0)
    assert counters.room_passwords_limited == 0
    assert len(door._wrong) == 0


@given(st.lists(st.tuples(st.sampled_from(["c", "d", "p", "w"]), st.integers(0, 5)), max_size=60))
def test_counts_come_back_to_nothing(steps: list[tuple[str, int]]) -> None:
    door, _ = made(connections=4, address_connections=2, address_rate=1000.0)
    open_: list[str] = []
    for now, (what, who) in enumerate(steps):
        ip = f"192.0.2.{who}" if who else "127.0.0.1"
        if what == "c":
            if door.connect(ip, float(now)) is not CLOSE:
                open_.append(ip)
        elif what == "d" and open_:
            door.disconnect(open_.pop(0))
        elif what == "p" and door.may_try(ip, ROOM, float(now)):
            door.tried(ip, ROOM, True, float(now))
        else:
            door.tried(ip, ROOM, False, float(now))
        assert len(open_) <= 4
        assert all(open_.count(each) <= 2 for each in set(open_) - {"127.0.0.1"})
    for ip in open_:
        door.disconnect(ip)
    assert [door.connect("192.0.2.9", 1e6), door.connect("192.0.2.9", 1e6)] == [WELCOME, WELCOME]


def test_strangers_addresses_are_forgotten_in_the_end() -> None:
    door, _ = made()
    for number in range(ADDRESSES + 100):
        ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        door.connect(ip, 0.0)
        door.disconnect(ip)
        door.may_create(ip, 0.0)
        door.may_try(ip, ip, 0.0)
        door.tried(ip, ip, number % 2 == 0, 0.0)
        door.may_try(ip, ROOM, 0.0)
    sizes = [len(table) for table in (door._asked, door._made, door._tries)]
    assert max(sizes) <= ADDRESSES
    assert max(len(door._wrong), len(door._right)) <= ROOMS
    assert len(door._of) == 0
