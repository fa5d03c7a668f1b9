"""Limit how often room passwords may be tried: from one address, and in one room from all addresses."""

from dataclasses import dataclass, replace

from tsudoi.ops.bounded import drop_oldest
from tsudoi.ops.token_bucket import Buckets

from ..config import Settings
from ..counters import Counters
from .rate_keys import ADDRESSES, RateKeys

PENDING = 32
"""Passwords of one address that the broker may check at a time; a school class joins at once, but so does a guesser."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 60.0
FORGET_S = 600.0
"""Wrong passwords older than this do not count any more."""
ROOM_BURST_S = 60.0
"""A room's burst, as seconds of its rate: a school class that mistypes is no attack."""
ROOMS = 10_000
"""Rooms with wrong passwords, and (room, address) pairs with right ones, that are remembered."""


@dataclass(slots=True)
class _Address:
    wrong: int = 0
    pending: int = 0
    last: float = float("-inf")
    next_at: float = float("-inf")


class PasswordAttempts:
    """Counts attempts by address and by room. Times are monotonic seconds."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._addresses: dict[str, _Address] = {}
        self._wrong: Buckets[str] = Buckets(ROOMS)
        """Of rooms. A pending attempt counts as wrong until the broker has confirmed it."""
        self._right: dict[tuple[str, str], None] = {}
        """(room, address) pairs whose last password was right."""
        self._key = RateKeys(settings).of
        self._key_of_all = RateKeys(replace(settings, unlimited=())).of
        """Pending attempts are counted for unlimited addresses too: a reload may change which these are."""

    def begin(self, ip: str, room: str, now: float) -> bool:
        """Return whether an address may try a password of a room now; if so, call `end` with the outcome.

        While a room is attacked from many addresses, those that gave the right password before may go on. Others share
        `room_password_rate` with the attackers.
        """
        key = self._key(ip)
        address = self._address(key, now) if key else None
        if address is not None:
            most = PENDING if address.wrong < self._settings.password_tries else 1
            if now < address.next_at or address.pending >= most:
                self._counters.passwords_limited += 1
                return False
        if (room, key) not in self._right and not self._wrong.touch(room, now, *self._room_rate_and_burst()):
            self._counters.room_passwords_limited += 1
            return False
        if address is not None:
            address.pending += 1
        return True

    def end(self, ip: str, room: str, right: bool | None, now: float) -> None:
        """Note that a password was right, was wrong, or was not checked (None).

        Each further wrong password doubles the time until the address may try again.
        """
        pair = room, self._key(ip)
        if pair not in self._right and right is not False:
            self._wrong.refund(room, self._room_rate_and_burst()[1])
        if right is not None:
            self._right.pop(pair, None)
        if right and pair[1]:  # an unlimited address may be a proxy's, which many clients share
            self._right[pair] = None
            drop_oldest(self._right, ROOMS)
        address = self._addresses.get(self._key_of_all(ip))
        if address is None:
            return
        address.pending = max(address.pending - 1, 0)
        if right is False:
            address.wrong += 1
            address.last = now
            beyond = address.wrong - self._settings.password_tries
            if beyond >= 0:
                address.next_at = now + min(FIRST_DELAY_S * 2.0 ** min(beyond, 16), LONGEST_DELAY_S)

    def _address(self, key: str, now: float) -> _Address:
        address = self._addresses.pop(key, None)
        if address is None or (now - address.last > FORGET_S and not address.pending):
            address = _Address()
        self._addresses[key] = address
        drop_oldest(self._addresses, ADDRESSES)
        return address

    def _room_rate_and_burst(self) -> tuple[float, float]:
        rate = self._settings.room_password_rate
        return rate, max(rate * ROOM_BURST_S, 1.0)
