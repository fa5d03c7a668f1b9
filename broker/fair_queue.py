"""Serve gateways fairly by the time that their requests take; the requests of one gateway stay in order.

A gateway with a stolen key may send the most expensive requests as fast as it can. So each account (one per key) gets a
slice of time; time beyond it is the account's debt, and it waits until all others have had as much. An account that is
alone gets all the time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

SLICE_S = 0.001
EACH = 200
"""Bytes that each queued thing costs besides its own."""

_Thing = TypeVar("_Thing")


class _Account(Generic[_Thing]):
    __slots__ = ("credit_s", "size", "things")

    def __init__(self) -> None:
        self.things: deque[tuple[str, int, _Thing]] = deque()
        """(gateway instance, bytes, request)"""
        self.size = 0
        self.credit_s = 0.0
        """Below zero: it has had more than its share."""


class FairQueue(Generic[_Thing]):
    """A queue for each account."""

    def __init__(self, capacity: int) -> None:
        """Give each account room for `capacity` bytes."""
        self._capacity = capacity
        self.accounts: dict[str, _Account[_Thing]] = {}
        """Account → what waits; the first is served next. None is empty."""
        self._debts: dict[str, float] = {}
        """Account → credit below zero of one whose queue became empty while others waited."""

    def has_room(self, account: str) -> bool:
        """Return whether one more thing may wait, however large it is."""
        waiting = self.accounts.get(account)
        return waiting is None or waiting.size <= self._capacity

    def add(self, account: str, peer: str, thing: _Thing, size: int = 0) -> None:
        """Queue a thing of `size` bytes that the gateway `peer` has sent; the caller asks `has_room` first."""
        waiting = self.accounts.get(account)
        if waiting is None:
            waiting = self.accounts[account] = _Account()
            waiting.credit_s = self._debts.pop(account, 0.0)
        size += EACH
        waiting.size += size
        waiting.things.append((peer, size, thing))

    def serve(
        self, until: float, clock: Callable[[], float], handle: Callable[[str, _Thing], Sequence[tuple[_Thing, int]]]
    ) -> None:
        """Handle queued things until none is left or the clock passes `until`; at least one.

        `handle` takes (gateway instance, thing). It may return parts to be handled instead, as (thing, size): they come
        next in the account's queue.
        """
        accounts, now = self.accounts, clock()
        while accounts:
            name = next(iter(accounts))
            account = accounts[name]
            account.credit_s = min(account.credit_s + SLICE_S, SLICE_S)
            things = account.things
            if account.credit_s > 0 or len(accounts) == 1:
                while things:
                    peer, size, thing = things.popleft()
                    account.size -= size
                    if parts := handle(peer, thing):
                        for part, size in reversed(parts):
                            account.size += size + EACH
                            things.appendleft((peer, size + EACH, part))
                    before, now = now, clock()
                    account.credit_s -= now - before
                    if now >= until or account.credit_s <= 0:
                        break
            del accounts[name]
            if things:
                accounts[name] = account
            elif account.credit_s < 0:
                self._debts[name] = account.credit_s
            if now >= until:
                break
        if not accounts:
            # Nothing waits, so no account has had more than its share.
            self._debts.clear()

    def forget(self, account: str) -> None:
        self.accounts.pop(account, None)

    def waiting(self) -> Iterable[tuple[str, _Thing]]:
        """Return (gateway instance, thing) of all that waits."""
        return [(peer, thing) for account in self.accounts.values() for peer, _, thing in account.things]
