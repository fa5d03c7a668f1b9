"""Who may connect, ask, create and try passwords: so many from an address, in a room, in all. No socket, no clock.

An address is counted as its rate_key (`protocol/rate_key.py`). Addresses of `--unlimited`
networks (this machine's, until told otherwise; a proxy's, say) count in all, but not one by one.
"""

import ipaddress
from dataclasses import dataclass, replace
from enum import Enum, auto

from gateway.config import Network, Settings
from gateway.counters import Counters
from tsudoi.ops.rate_key import rate_key
from tsudoi.ops.token_bucket import Buckets

ADDRESSES = 10_000
"""Addresses that are remembered; beyond that the one not seen for longest is forgotten."""
BURST_S = 10.0
"""What an address may do at once: as much as in so long a time."""
TOLD_S = 1.0
"""An address that asks too much is told so once in so long a time; else its connection is closed without a word."""
PASSWORDS_AT_ONCE = 32
"""Passwords of one address that are being checked; a class joins at once, a guesser too."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 60.0
FORGET_S = 600.0
"""Wrong passwords of so long ago count no more."""
ROOM_BURST_S = 60.0
"""Wrong passwords of a room at once: as many as in so long a time; a class whose members mistype is no attack."""
ROOMS = 10_000
"""Rooms with wrong passwords, and right ones from somewhere, that are remembered."""


class Verdict(Enum):
    """What becomes of a connection."""

    WELCOME = auto()
    BUSY = auto()
    """Its request is to be answered busy."""
    CLOSE = auto()
    """At once and without a word."""


@dataclass(slots=True)
class _Tries:
    wrong: int = 0
    pending: int = 0
    last: float = float("-inf")
    next_at: float = float("-inf")


class RateKeys:
    """What IP addresses are counted as; remembers those that came last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._unlimited = settings.unlimited
        self._known: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, ip: str) -> str:
        """Return what an IP address is counted as, empty if it is not; see above."""
        if self._unlimited is not self._settings.unlimited:
            self._unlimited = self._settings.unlimited
            self._known.clear()
        known = self._known.get(ip)
        if known is None:
            known = self._known[ip] = counted_as(ip, self._unlimited)
            if len(self._known) > ADDRESSES:
                del self._known[next(iter(self._known))]
        return known


class Admission:
    """Counts what addresses do. Times are monotonic seconds."""

    def __init__(self, settings: Settings, counters: Counters, most: int = 2**31) -> None:
        """Count nothing yet; `most` is how many connections the system allows, whatever the settings say."""
        self._settings = settings
        self._counters = counters
        self._most = most
        self._open = 0
        self._of: dict[str, int] = {}
        """Address → its open connections: as many rows as there are connections."""
        self._asked: Buckets[str] = Buckets(ADDRESSES)
        self._made: Buckets[str] = Buckets(ADDRESSES)
        self._told: Buckets[str] = Buckets(ADDRESSES)
        self._tries: dict[str, _Tries] = {}
        self._wrong: Buckets[str] = Buckets(ROOMS)
        """Of rooms; what is being tried counts as wrong until it is known to be right."""
        self._right: dict[tuple[str, str], None] = {}
        """Rooms and addresses whose last password there was right."""
        self._address = RateKeys(settings).of
        self._household = RateKeys(replace(settings, unlimited=())).of
        """What is open or pending is counted by this: whose addresses are limited may change meanwhile."""

    def is_full(self) -> bool:
        """Say whether one more connection would be one too many."""
        return self._open >= min(self._settings.connections, self._most)

    def has_too_many(self, ip: str) -> bool:
        """Say whether an address has as many connections open as it may."""
        return bool(self._address(ip)) and self._of.get(self._household(ip), 0) >= self._settings.address_connections

    def connect(self, ip: str, now: float, place_made: bool = False) -> Verdict:
        """A client has connected; unless it is to be closed, `disconnect` must follow once.

        Args:
            ip: where it comes from.
            now: when.
            place_made: another connection is being closed for it, if there are too many.
        """
        address, rate_key = self._address(ip), self._household(ip)
        if self.is_full() and not place_made:
            self._counters.connections_refused += 1
            return Verdict.CLOSE
        verdict = Verdict.WELCOME
        if address:
            if self.has_too_many(ip):
                self._counters.connections_refused += 1
                return Verdict.CLOSE
            verdict = self._ask(address, now)
            if verdict is Verdict.CLOSE:
                return verdict
        self._of[rate_key] = self._of.get(rate_key, 0) + 1
        self._open += 1
        return verdict

    def ask_again(self, ip: str, now: float) -> Verdict:
        """A client asks once more on its connection, which costs as much as another connection, and counts as one."""
        address = self._address(ip)
        return self._ask(address, now) if address else Verdict.WELCOME

    def _ask(self, address: str, now: float) -> Verdict:
        if self._asked.touch(address, now, *_rate_and_burst(self._settings.address_rate)):
            return Verdict.WELCOME
        self._counters.handshakes_limited += 1
        return Verdict.BUSY if self._told.touch(address, now, 1.0 / TOLD_S, 1.0) else Verdict.CLOSE

    def disconnect(self, ip: str) -> None:
        """A connection that was not closed at once has ended."""
        self._open -= 1
        rate_key = self._household(ip)
        left = self._of.get(rate_key, 0) - 1
        if left > 0:
            self._of[rate_key] = left
        else:
            self._of.pop(rate_key, None)

    def may_create(self, ip: str, now: float) -> bool:
        """Say whether a room may be created from there, and count it."""
        address = self._address(ip)
        if address and not self._made.touch(address, now, *_rate_and_burst(self._settings.create_rate)):
            self._counters.creates_limited += 1
            return False
        return True

    def may_try(self, ip: str, room: str, now: float) -> bool:
        """Say whether a room's password may be tried from there; if so, `tried` must follow.

        A room that is attacked from many addresses stays open to those where its password was known before. Others take
        turns with the attackers, at the pace of `room_password_rate`.
        """
        address = self._address(ip)
        tries = self._tries_of(address, now) if address else None
        if tries is not None:
            at_once = PASSWORDS_AT_ONCE if tries.wrong < self._settings.password_tries else 1
            if now < tries.next_at or tries.pending >= at_once:
                self._counters.passwords_limited += 1
                return False
        if (room, address) not in self._right and not self._wrong.touch(room, now, *self._room_rate_and_burst()):
            self._counters.room_passwords_limited += 1
            return False
        if tries is not None:
            tries.pending += 1
        return True

    def _tries_of(self, address: str, now: float) -> _Tries:
        tries = self._tries.pop(address, None)
        if tries is None or (now - tries.last > FORGET_S and not tries.pending):
            tries = _Tries()
        self._tries[address] = tries
        if len(self._tries) > ADDRESSES:
            del self._tries[next(iter(self._tries))]
        return tries

    def tried(self, ip: str, room: str, right: bool | None, now: float) -> None:
        """A password that was tried was right, or wrong, or not looked at (None).

        Each further wrong one from an address makes its next wait twice as long.
        """
        place = room, self._address(ip)
        if place not in self._right and right is not False:
            self._wrong.refund(room, self._room_rate_and_burst()[1])
        if right is not None:
            self._right.pop(place, None)
        if right and place[1]:  # not of those who come through one proxy, strangers among them
            self._right[place] = None
            if len(self._right) > ROOMS:
                del self._right[next(iter(self._right))]
        tries = self._tries.get(self._household(ip))
        if tries is None:
            return
        tries.pending = max(tries.pending - 1, 0)
        if right is not False:
            return
        tries.wrong += 1
        tries.last = now
        beyond = tries.wrong - self._settings.password_tries
        if beyond >= 0:
            tries.next_at = now + min(FIRST_DELAY_S * 2.0 ** min(beyond, 16), LONGEST_DELAY_S)

    def _room_rate_and_burst(self) -> tuple[float, float]:
        rate = self._settings.room_password_rate
        return rate, max(rate * ROOM_BURST_S, 1.0)


def _rate_and_burst(rate: float) -> tuple[float, float]:
    return rate, max(rate * BURST_S, 1.0)


def counted_as(ip: str, unlimited: tuple[Network, ...]) -> str:
    """Return what an IP address is counted as, empty if it is not counted; see above."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address in network for network in unlimited):
        return ""
    return rate_key(ip)
