"""gateway/join/password_attempts.py"""

from ipaddress import ip_network

from gateway.config import Settings
from gateway.counters import Counters
from gateway.join.password_attempts import FORGET_S, PENDING, ROOMS, PasswordAttempts
from gateway.join.rate_keys import ADDRESSES

ONE, OTHER = "192.0.2.1", "192.0.2.2"
ROOM = "den"


def made(**settings: object) -> tuple[PasswordAttempts, Counters]:
    counters = Counters()
    return PasswordAttempts(Settings(**settings), counters), counters  # type: ignore[arg-type]


def test_pending_attempts_are_counted_whatever_networks_are_limited_meanwhile() -> None:
    settings = Settings(password_tries=1, unlimited=())
    attempts = PasswordAttempts(settings, Counters())
    assert attempts.begin(ONE, ROOM, 0.0)
    settings.unlimited = (ip_network("192.0.2.0/24"),)
    attempts.end(ONE, ROOM, False, 0.0)
    settings.unlimited = ()
    assert not attempts.begin(ONE, ROOM, 0.0)
    assert attempts.begin(ONE, ROOM, 9.0)


def test_this_machine_is_not_limited() -> None:
    attempts, _ = made(password_tries=1)
    for _ in range(100):
        assert attempts.begin("127.0.0.1", ROOM, 0.0)
        attempts.end("127.0.0.1", ROOM, None, 0.0)


def wrong(attempts: PasswordAttempts, now: float) -> bool:
    """Try a wrong password; whether it was tried at all."""
    if not attempts.begin(ONE, ROOM, now):
        return False
    attempts.end(ONE, ROOM, False, now)
    return True


def test_each_further_wrong_password_waits_twice_as_long() -> None:
    attempts, counters = made(password_tries=3)
    assert [wrong(attempts, 0.0) for _ in range(4)] == [True, True, True, False]
    now = 0.0
    for delay_s in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
        assert not wrong(attempts, now + delay_s - 0.01)
        now += delay_s
        assert wrong(attempts, now)
    assert counters.passwords_limited == 10
    assert attempts.begin(OTHER, ROOM, now)


def test_a_right_password_forgives_nothing_but_time_does() -> None:
    attempts, _ = made(password_tries=2)
    assert [wrong(attempts, 0.0), wrong(attempts, 0.0)] == [True, True]
    assert attempts.begin(ONE, ROOM, 1.0)
    attempts.end(ONE, ROOM, True, 1.0)
    assert wrong(attempts, 1.0)
    assert not wrong(attempts, 1.5)
    assert [wrong(attempts, FORGET_S + 2.0), wrong(attempts, FORGET_S + 2.0)] == [True, True]


def test_a_class_joins_at_once_and_a_guesser_one_after_the_other() -> None:
    attempts, _ = made(password_tries=2)
    assert [attempts.begin(ONE, ROOM, 0.0) for _ in range(PENDING + 1)] == [True] * PENDING + [False]
    for _ in range(PENDING):
        attempts.end(ONE, ROOM, False, 0.0)
    assert not attempts.begin(ONE, ROOM, 59.0)
    assert [attempts.begin(ONE, ROOM, 61.0), attempts.begin(ONE, ROOM, 61.0)] == [True, False]


def crowd(attempts: PasswordAttempts, size: int, now: float, room: str = ROOM) -> int:
    """Let each of so many addresses try one wrong password; how many were tried."""
    tried = 0
    for number in range(size):
        ip = f"10.{int(now) & 255}.{number >> 8}.{number & 255}"
        if attempts.begin(ip, room, now):
            attempts.end(ip, room, False, now)
            tried += 1
    return tried


def test_a_room_that_is_attacked_from_everywhere_is_tried_at_a_pace() -> None:
    attempts, counters = made(room_password_rate=2.0)
    assert crowd(attempts, 1_000, 0.0) == 120
    assert [crowd(attempts, 1_000, float(second)) for second in (1, 2, 3)] == [2, 2, 2]
    assert counters.room_passwords_limited == 880 + 3 * 998
    assert counters.passwords_limited == 0
    assert crowd(attempts, 1_000, 4.0, "another") == 120


def test_one_address_keeps_nobody_out_of_a_room() -> None:
    attempts, counters = made()
    for second in range(3_600):
        wrong(attempts, float(second))
        assert attempts.begin(OTHER, ROOM, float(second))
        attempts.end(OTHER, ROOM, None, float(second))
    assert counters.room_passwords_limited == 0


def test_who_was_right_before_is_let_in_while_a_room_is_attacked() -> None:
    attempts, _ = made()
    assert attempts.begin(ONE, ROOM, 0.0)
    attempts.end(ONE, ROOM, True, 0.0)
    crowd(attempts, 1_000, 0.0)
    assert not attempts.begin(OTHER, ROOM, 0.0)
    assert attempts.begin(ONE, ROOM, 0.0)
    attempts.end(ONE, ROOM, False, 0.0)
    assert not attempts.begin(ONE, ROOM, 0.0)


def test_who_comes_through_a_proxy_is_not_known_by_its_address() -> None:
    attempts, _ = made()
    assert attempts.begin("127.0.0.1", ROOM, 0.0)
    attempts.end("127.0.0.1", ROOM, True, 0.0)
    crowd(attempts, 1_000, 0.0)
    assert not attempts.begin("127.0.0.1", ROOM, 0.0)


def test_right_passwords_use_nothing_up_and_rooms_that_owe_nothing_are_forgotten() -> None:
    attempts, counters = made(room_password_rate=0.1)
    for number in range(100):
        for right in (True, None):
            ip = f"10.0.{number}.{int(right or 0)}"
            assert attempts.begin(ip, ROOM, 0.0)
            attempts.end(ip, ROOM, right, 0.0)
    assert counters.room_passwords_limited == 0
    assert len(attempts._wrong) == 0


def test_addresses_and_rooms_are_forgotten_in_the_end() -> None:
    attempts, _ = made()
    for number in range(ADDRESSES + 100):
        ip = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        attempts.begin(ip, ip, 0.0)
        attempts.end(ip, ip, number % 2 == 0, 0.0)
        attempts.begin(ip, ROOM, 0.0)
    assert len(attempts._addresses) <= ADDRESSES
    assert max(len(attempts._wrong), len(attempts._right)) <= ROOMS
