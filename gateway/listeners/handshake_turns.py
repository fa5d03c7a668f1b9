"""Run the TLS handshakes of ordinary listeners, one in each turn of the event loop, the addresses in rotation.

A handshake costs the server a signature (milliseconds with a long RSA key) and the client nothing. So datagrams are
read between two handshakes, and an address that begins many delays only its own.
"""

from collections import deque
from collections.abc import Callable


class HandshakeTurns:
    """Who waits for a turn."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """`call_soon` calls a function once the event loop has looked at its sockets."""
        self._call_soon = call_soon
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        """By address, in the order of their next turns; bounded by the limits on connections."""

    def add(self, address: str, act: Callable[[], None]) -> None:
        """Call `act` when an address has its next turn; at once if nothing waits."""
        if not self._waiting:
            self._call_soon(self._next)
        self._waiting.setdefault(address, deque()).append(act)

    def _next(self) -> None:
        address = next(iter(self._waiting))
        acts = self._waiting.pop(address)
        act = acts.popleft()
        if acts:
            self._waiting[address] = acts
        if self._waiting:
            self._call_soon(self._next)
        act()
