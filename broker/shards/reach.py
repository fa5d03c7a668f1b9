"""Decide whether gateways reach this broker: one that they can not reach shall have no shard.

A connection of the broker to its own `--advertise` would prove little: behind some NATs it can not reach itself, and
gateways are elsewhere. So the gateways' connections are the proof. Each gateway connects to all brokers that are
listed, also to those without a shard. If others have gateways and this one has none, its endpoint is wrong, or
something is in the way.

Two brokers must not have the same endpoint either: gateways could not tell them apart.
"""

from ..store.sharing import LEASE_S, LOOK_S, View

UNREACHED_S = 5.0
"""So long without a gateway, while others have some: longer than any gateway takes to connect again."""
EQUAL_S = LEASE_S + LOOK_S
"""How long a broker that was killed may be listed beside its successor at the same endpoint."""


class Reach:
    """What one broker knows of this; `now` is monotonic seconds."""

    def __init__(self) -> None:
        """Begin unreached: a broker that joins others must be proven first. Without any gateway nothing is at stake."""
        self.has_gateways = False
        self.is_unreached = False
        self.since: float | None = None
        """Since when others have gateways, and this one has none."""
        self._was_reached = False
        self.is_equal = False
        """Another broker is reached at the same endpoint, and has been for longer than `EQUAL_S`."""
        self._equal_since: float | None = None

    def look_for_equals(self, endpoint: str, view: View, now: float) -> None:
        """Decide again whether another broker has this one's endpoint, and set `is_equal`."""
        if not any(broker.id != view.me and broker.endpoint == endpoint for broker in view.brokers):
            self._equal_since = None
        elif self._equal_since is None:
            self._equal_since = now
        self.is_equal = self._equal_since is not None and now - self._equal_since > EQUAL_S

    def look(self, has_gateways: bool, view: View, now: float) -> None:
        """Decide again whether gateways, of which it `has_gateways`, reach this broker, and set `is_unreached`."""
        self.has_gateways = has_gateways
        self._was_reached |= has_gateways
        if has_gateways or not any(broker.has_gateways for broker in view.brokers if broker.id != view.me):
            self.since, self.is_unreached = None, False
            return
        self.since = now if self.since is None else self.since
        self.is_unreached = not self._was_reached or self.lasts(now)

    def lasts(self, now: float) -> bool:
        """Return whether others have gateways, and this broker none, for `UNREACHED_S` or longer."""
        return self.since is not None and now - self.since >= UNREACHED_S

    def is_known(self, view: View) -> bool:
        """Return whether the store has the present decision, so that the other brokers see it."""
        mine = (self.has_gateways, self.is_unreached)
        return all((each.has_gateways, each.is_unreached) == mine for each in view.brokers if each.id == view.me)
