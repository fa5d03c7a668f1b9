"""Decide whether gateways reach this broker: one that they can not reach shall have no shard.

What a broker could find out by a connection to its own `--advertise` proves little: behind some NATs it can not reach
itself, and gateways at other places may. So the gateways' connections are the proof. Each gateway connects to all
brokers that are listed, also to those without a shard. If others have gateways and this one has none, its endpoint is
wrong, or something is in the way.
"""

from ..store.sharing import View

UNREACHED_S = 5.0
"""So long without a gateway, while others have some: longer than any gateway takes to connect again."""


class Reach:
    """What one broker knows of this; `now` is monotonic seconds."""

    def __init__(self) -> None:
        """Begin unreached: a broker that joins others must be proven first. Without any gateway nothing is at stake."""
        self.has_gateways = False
        self.is_unreached = False
        self.since: float | None = None
        """Since when others have gateways, and this one has none."""
        self._was_reached = False

    def look(self, has_gateways: bool, view: View, now: float) -> None:
        """Decide again whether gateways reach this broker, and set `is_unreached`.

        Args:
            has_gateways: a gateway is connected to this broker.
            view: what the store says of the other brokers.
            now: monotonic seconds.
        """
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
