"""Decide which brokers a gateway is connected to.

At first it is connected to its seeds, the brokers that `--broker` names. Brokers that share a store list each other
under the endpoints at which gateways should reach them; as soon as it has such a list, a gateway is connected to those
alone. A seed may be another name of a listed broker (a DNS name of all of them, say), and two connections of one
gateway to one broker would displace each other.
"""

from collections.abc import Iterator, Sequence

from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Downward, Welcome

from .link import HELLO_S
from .owners import Owners

SEEDS_AGAIN_S = 5.0
"""If no broker has told who owns the shards for this time, the seeds are asked again."""


class Brokers:
    """The brokers to be connected to; `now` is monotonic seconds."""

    def __init__(self, seeds: Sequence[str]) -> None:
        """Begin with the seeds, at least one."""
        self.seeds = tuple(seeds)
        self.connected = self.seeds
        """Endpoints of the brokers to be connected to now."""
        self.changes = 0
        """Rises when these, or the owner of a shard, change."""
        self.only: str | None = self.seeds[0] if len(self.seeds) == 1 else None
        """The broker of a store with one shard, once it is known which of the seeds that is."""
        self.unused: str | None = None
        """A seed that does not share the store of the others: it can not be used."""
        self._hello_at = float("-inf")
        self._hellos: tuple[str, ...] = ()
        """Brokers to be asked who owns the shards."""

    def is_of_one_shard(self, endpoint: str, message: Downward) -> bool:
        """Return whether a message comes from the broker of the one shard: the first that answers Welcome."""
        if self.only is None and isinstance(message, Welcome):
            self.only = endpoint
            self.changes += 1
        return self.may_share(endpoint)

    def may_share(self, endpoint: str) -> bool:
        """Return whether a broker is used: another one, which shares no store with it, may have answered before."""
        if self.only in (None, endpoint):
            return True
        self.unused = endpoint
        return False

    def tick(self, owners: Owners, now: float) -> None:
        """Follow the list of brokers."""
        is_silent = now - owners.heard_at > SEEDS_AGAIN_S
        listed = owners.brokers
        connected = (*listed, *(seed for seed in self.seeds if is_silent and seed not in listed))
        if connected != self.connected:
            self.connected = connected
            self.changes += 1
        if is_silent and now - self._hello_at >= HELLO_S:
            self._hello_at, self._hellos = now, connected

    def take_hellos(self) -> Iterator[tuple[str, bytes]]:
        """Yield the brokers that are to be asked who owns the shards, and the question for each."""
        hellos, self._hellos = self._hellos, ()
        for endpoint in hellos:
            yield endpoint, backbone.encode(backbone.Hello(backbone.VERSION))
