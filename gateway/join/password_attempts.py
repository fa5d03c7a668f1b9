"""Limit how often room passwords may be guessed: by name, address and room, by address and room, and by room.

Over a limit a password is not refused: the broker is asked with `known_only`, and lets in a client whose address has
given the right password before. So one member of a school who guesses keeps out none of those who know the password.
"""

from dataclasses import dataclass

from tsudoi.ops.bounded import put_newest
from tsudoi.ops.rate_key import rate_key
from tsudoi.ops.token_bucket import Buckets
from tsudoi.protocol.backbone import Answer, Refused
from tsudoi.protocol.codes import Status

from ..counters import Counters
from ..settings import Settings
from .rate_keys import ADDRESSES, RateKeys

PENDING = 32
"""Passwords of one address that the broker may check at a time, in all rooms: half of what it checks for all."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 60.0
FORGET_S = 600.0
"""Wrong passwords older than this do not count any more."""
NAMES, NAMES_RATE = 4, 0.5
"""All names of an address have as many wrong passwords in a room at once as this many names, then this many a second: a
guesser takes other names, and classmates who mistype have theirs."""
ROOM_RATE, ROOM_BURST = 1.0, 60.0
"""Wrong passwords in a room from all addresses, a second and at once: a school class that mistypes is no attack."""
ROOMS = 10_000
"""Rooms with wrong passwords that are remembered."""


@dataclass(slots=True)
class _Guesser:
    wrong: int = 0
    last: float = float("-inf")
    next_at: float = float("-inf")


class PasswordAttempts:
    """Counts attempts. Times are monotonic seconds. A pending attempt counts as wrong until it has turned out right.

    A name is limited also at an unlimited address, so that one user of a school does not use up a room's tries. The
    other limits are noted for such an address, as a reload may change which these are.
    """

    def __init__(self, settings: Settings, counters: Counters, rate_keys: RateKeys) -> None:
        self._settings = settings
        self._counters = counters
        self._guessers: dict[tuple[str, str, str], _Guesser] = {}
        """By room, address and name: those that had a wrong password."""
        self._by_address: Buckets[tuple[str, str]] = Buckets(ADDRESSES)
        """By room and address."""
        self._by_room: Buckets[str] = Buckets(ROOMS)
        self._pending: dict[str, int] = {}
        """By address."""
        self._key = rate_keys.of

    def begin(self, ip: str, room: str, user: str, now: float) -> bool:
        """Return whether the broker may check a password that it does not know; if so, call `end` with the outcome."""
        key = rate_key(ip)
        if self._must_wait(room, key, user, now) or (self._key(ip) and self._is_busy(room, key, now)):
            self._counters.passwords_limited += 1
            return False
        if not self._by_room.touch(room, now, ROOM_RATE, ROOM_BURST):
            self._counters.room_passwords_limited += 1
            self._by_address.refund((room, key), self._burst_of_address())
            return False
        self._pending[key] = self._pending.get(key, 0) + 1
        return True

    def end(self, ip: str, room: str, user: str, was_wrong: bool, now: float) -> None:
        """Note that a password was wrong, or else right or not checked.

        Each further wrong password of a name doubles the time until that name may try again.
        """
        key = rate_key(ip)
        if self._pending[key] > 1:
            self._pending[key] -= 1
        else:
            del self._pending[key]
        if not was_wrong:
            self._by_room.refund(room, ROOM_BURST)
            self._by_address.refund((room, key), self._burst_of_address())
            return
        guesser = self._guessers.get((room, key, user))
        if guesser is None or now - guesser.last > FORGET_S:
            guesser = _Guesser()
        put_newest(self._guessers, (room, key, user), guesser, ADDRESSES)
        guesser.wrong += 1
        guesser.last = now
        beyond = guesser.wrong - self._settings.password_tries
        if beyond >= 0:
            guesser.next_at = now + min(FIRST_DELAY_S * 2.0 ** min(beyond, 16), LONGEST_DELAY_S)

    def _must_wait(self, room: str, key: str, user: str, now: float) -> bool:
        guesser = self._guessers.get((room, key, user))
        return guesser is not None and now < guesser.next_at

    def _is_busy(self, room: str, key: str, now: float) -> bool:
        if self._pending.get(key, 0) >= PENDING:
            return True
        return not self._by_address.touch((room, key), now, NAMES_RATE, self._burst_of_address())

    def _burst_of_address(self) -> float:
        return float(NAMES * self._settings.password_tries)


def was_wrong(answer: Answer | None) -> bool:
    """Return whether the directory has answered that a password was wrong."""
    return isinstance(answer, Refused) and answer.status == Status.WRONG_PASSWORD
