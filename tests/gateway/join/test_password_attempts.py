"""gateway/join/password_attempts.py"""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.join.password_attempts import (
    FORGET_S,
    NAMES,
    NAMES_RATE,
    PENDING,
    ROOM_BURST,
    ROOM_RATE,
    ROOMS,
    PasswordAttempts,
)
from gateway.join.rate_keys import ADDRESSES, RateKeys
from gateway.settings import Settings

ONE, OTHER = "192.0.2.1", "192.0.2.2"
ROOM, EVE, ANN = "den", "eve", "ann"


def made(**changed: object) -> tuple[PasswordAttempts, Counters]:
    counters, settings = Counters(), Settings(**changed)  # type: ignore[arg-type]
    return PasswordAttempts(settings, counters, RateKeys(settings)), counters


def wrong(attempts: PasswordAttempts, now: float, user: str = EVE, room: str = ROOM, ip: str = ONE) -> bool:
    """Try a wrong password; return whether it was checked."""
    if not attempts.begin(ip, room, user, now):
        return False
    attempts.end(ip, room, user, was_wrong=True, now=now)
    return True


def right(attempts: PasswordAttempts, now: float, user: str = ANN, room: str = ROOM, ip: str = ONE) -> bool:
    """Try the right password; return whether it was checked."""
    if not attempts.begin(ip, room, user, now):
        return False
    attempts.end(ip, room, user, was_wrong=False, now=now)
    return True


def test_attempts_are_counted_whatever_networks_are_limited_meanwhile() -> None:
    settings = Settings(password_tries=1, unlimited=())
    attempts = PasswordAttempts(settings, Counters(), RateKeys(settings))
    assert attempts.begin(ONE, ROOM, EVE, 0.0)
    settings.unlimited = (ip_network("192.0.2.0/24"),)
    attempts.end(ONE, ROOM, EVE, was_wrong=True, now=0.0)
    for number in range(NAMES):
        assert wrong(attempts, 0.0, f"eve{number}")
    settings.unlimited = ()
    assert wrong(attempts, 0.0, ANN)
    assert [wrong(attempts, 0.0, f"ann{number}") for number in range(NAMES)] == [True] * 2 + [False] * 2


def test_this_machine_is_not_limited() -> None:
    attempts, _ = made(password_tries=1)
    for _ in range(100):
        assert attempts.begin("127.0.0.1", ROOM, EVE, 0.0)
        attempts.end("127.0.0.1", ROOM, EVE, was_wrong=False, now=0.0)


def test_a_name_is_limited_at_an_unlimited_address_too() -> None:
    attempts, counters = made()
    tried = sum(wrong(attempts, number / 10, ip="127.0.0.1") for number in range(600))
    assert tried == 11
    assert all(right(attempts, 60.0, f"ann{number}", ip="127.0.0.1") for number in range(100))
    assert counters.room_passwords_limited == 0


def test_each_further_wrong_password_of_a_name_waits_twice_as_long() -> None:
    attempts, counters = made(password_tries=3)
    assert [wrong(attempts, 0.0) for _ in range(4)] == [True, True, True, False]
    now = 0.0
    for delay_s in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        assert not wrong(attempts, now + delay_s - 0.01)
        now += delay_s
        assert wrong(attempts, now)
    assert counters.passwords_limited == 10
    assert right(attempts, now, EVE, ip=OTHER)
    assert right(attempts, now, EVE, room="another")
    assert right(attempts, now, ANN)


def test_a_right_password_forgives_nothing_but_time_does() -> None:
    attempts, _ = made(password_tries=2)
    assert [wrong(attempts, 0.0), wrong(attempts, 0.0)] == [True, True]
    assert right(attempts, 1.0, EVE)
    assert wrong(attempts, 1.0)
    assert not wrong(attempts, 1.5)
    assert [wrong(attempts, FORGET_S + 2.0), wrong(attempts, FORGET_S + 2.0)] == [True, True]


def test_a_guesser_with_many_names_has_a_rate() -> None:
    attempts, counters = made(password_tries=5)
    tried = sum(wrong(attempts, second / 10, f"eve{second}") for second in range(1_000))
    assert NAMES * 5 + 100 * NAMES_RATE - 1 <= tried <= NAMES * 5 + 100 * NAMES_RATE + 1
    assert counters.passwords_limited == 1_000 - tried
    assert right(attempts, 100.0, room="another")


def test_one_address_keeps_no_other_out_of_a_room() -> None:
    attempts, counters = made()
    for second in range(3_600):
        wrong(attempts, float(second), f"eve{second}")
        assert right(attempts, float(second), ip=OTHER)
    assert counters.room_passwords_limited == 0


def test_the_broker_checks_so_many_of_an_address_at_a_time() -> None:
    attempts, _ = made()
    tries = [attempts.begin(ONE, f"room{number}", ANN, 0.0) for number in range(PENDING + 1)]
    assert tries == [True] * PENDING + [False]
    assert attempts.begin(OTHER, ROOM, ANN, 0.0)
    attempts.end(ONE, "room0", ANN, was_wrong=False, now=0.0)
    assert attempts.begin(ONE, ROOM, ANN, 0.0)


def crowd(attempts: PasswordAttempts, size: int, now: float, room: str = ROOM) -> int:
    """Let each of so many addresses try one wrong password; return how many were checked."""
    ips = [f"10.{int(now) & 255}.{number >> 8}.{number & 255}" for number in range(size)]
    return sum(wrong(attempts, now, EVE, room, ip) for ip in ips)


def test_a_room_that_is_attacked_from_everywhere_is_tried_at_a_pace() -> None:
    attempts, counters = made()
    assert crowd(attempts, 1_000, 0.0) == ROOM_BURST
    assert [crowd(attempts, 1_000, float(second)) for second in (1, 2, 3)] == [ROOM_RATE] * 3
    assert counters.room_passwords_limited == 4 * 1_000 - ROOM_BURST - 3 * ROOM_RATE
    assert counters.passwords_limited == 0
    assert crowd(attempts, 1_000, 4.0, "another") == ROOM_BURST


def test_right_passwords_use_nothing_up_and_rooms_that_owe_nothing_are_forgotten() -> None:
    attempts, counters = made()
    for number in range(100):
        assert attempts.begin(ONE, ROOM, f"m{number}", 0.0)
        attempts.end(ONE, ROOM, f"m{number}", was_wrong=False, now=0.0)
    assert (counters.room_passwords_limited, counters.passwords_limited) == (0, 0)
    assert len(attempts._by_room) == len(attempts._by_address) == len(attempts._pending) == 0


def test_addresses_names_and_rooms_are_forgotten_in_the_end() -> None:
    attempts, _ = made()
    for number in range(ADDRESSES + 100):
        ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        for is_wrong, room in ((number % 2 == 1, ip), (True, ROOM)):
            if attempts.begin(ip, room, ip, 0.0):
                attempts.end(ip, room, ip, is_wrong, 0.0)
    assert max(len(attempts._guessers), len(attempts._by_address)) <= ADDRESSES
    assert len(attempts._by_room) <= ROOMS
    assert len(attempts._pending) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.booleans()), max_size=60))
def test_a_name_without_a_wrong_password_is_checked_as_long_as_its_address_has_some_left(
    steps: list[tuple[str, str, bool]],
) -> None:
    attempts, _ = made(password_tries=2)
    wrongs = 0
    for number, (room, user, is_wrong) in enumerate(steps):
        if attempts.begin(ONE, room, user, number / 100):
            attempts.end(ONE, room, user, is_wrong, number / 100)
            wrongs += is_wrong
    for room in "ab":
        assert right(attempts, 1.0, "ann", room) or wrongs >= NAMES * 2
