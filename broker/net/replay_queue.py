"""Hold the replays that gateways wait for, and let them be served in turn."""

import time
from collections.abc import Callable

from tsudoi.protocol import backbone

from ..core import Core
from ..fair_queue import EACH, FairQueue

REPLAYS_S = 0.01
"""How long a turn reads logs; the rest waits for the next."""
REPLAYS_WAITING = 20_000
"""Replays that gateways of one key wait for; more are dropped, and asked for again."""

Asked = tuple[Core, int, backbone.Replay]
"""(the core that was asked, request id, the question)"""


class ReplayQueue:
    """Waiting replays, served fairly by key."""

    def __init__(self, serve: Callable[[str, Asked], None]) -> None:
        """Begin empty; `serve` reads the log and answers the gateway instance."""
        self._serve = serve
        self._waiting: FairQueue[Asked] = FairQueue(REPLAYS_WAITING * EACH)
        self.accounts = self._waiting.accounts
        """Empty if none waits."""
        self._keys: set[tuple[str, int, int]] = set()
        """(gateway instance, shard, request id) of these: a gateway repeats a request that has waited long."""

    def add(self, account: str, peer: str, asked: Asked) -> None:
        """Add a replay, unless it waits already or `REPLAYS_WAITING` of the account do."""
        key = _key(peer, asked)
        if key not in self._keys and self._waiting.has_room(account):
            self._waiting.add(account, peer, asked)
            self._keys.add(key)

    def serve(self) -> None:
        """Serve waiting replays for `REPLAYS_S` (10 ms), at least one; raise what the callback raises."""
        if self.accounts:
            self._waiting.serve(time.monotonic() + REPLAYS_S, time.monotonic, self._serve_one)

    def serve_next(self) -> None:
        """Serve one waiting replay; raise what the callback raises."""
        self._waiting.serve(0.0, time.monotonic, self._serve_one)

    def forget(self, account: str) -> None:
        self._waiting.forget(account)
        self._keys = {_key(peer, asked) for peer, asked in self._waiting.waiting()}

    def _serve_one(self, peer: str, asked: Asked) -> list[tuple[Asked, int]]:
        self._keys.discard(_key(peer, asked))
        self._serve(peer, asked)
        return []


def _key(peer: str, asked: Asked) -> tuple[str, int, int]:
    core, request_id, _ = asked
    return peer, core.shard, request_id
