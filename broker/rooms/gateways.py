"""Which gateways are known, and which of them may be delivering; ARCHITECTURE.md, "Who serves a member".

A gateway stops delivering by itself when it has not heard from the broker for its lease, which is shorter than
`ALIVE_S`. So a gateway that was not heard for `ALIVE_S` delivers nothing.
"""

from dataclasses import dataclass

ALIVE_S = 2.0

STOOD_STILL_S = 1.2
"""There are several ticks a second. After a pause of this length it was the broker's process that stood still."""


@dataclass(slots=True)
class Gateway:
    """One run of a gateway that has said Hello to this run of the broker, or that serves members from before."""

    seen: float
    """When it was last heard."""
    greeted: bool = False
    """It has said Hello on the connection that it has now."""
    accepted: int = 0
    """Number of the last item accepted from it."""
    stopped: bool = False
    """It said Bye: it delivers nothing, however recently it was heard."""
    gone: bool = False
    """It was found to be gone, and its members were offered to a successor."""
    account: str = ""
    """The owner of the key that it connected with; empty if it has not connected yet, or there are no keys."""
    expelled: bool = False
    """Its key was taken off the allow list."""


class Gateways:
    """The gateways by instance. Time is monotonic seconds."""

    def __init__(self, serving: list[str], accepted: dict[str, int], now: float) -> None:
        """Begin with the gateways that an earlier run of the broker knew: they may live, and have time to say Hello.

        Args:
            serving: instances that serve members.
            accepted: instance → number of the last item accepted from it.
            now: when.
        """
        self.known = {instance: Gateway(now) for instance in serving}
        for instance, number in accepted.items():
            self.known.setdefault(instance, Gateway(now)).accepted = number
        self._awake_at = now

    def awake(self, now: float) -> None:
        """Note that the broker runs. After a pause, no gateway counts as gone for what the broker has not read yet."""
        if now - self._awake_at > STOOD_STILL_S:
            for gateway in self.known.values():
                if not gateway.gone:
                    gateway.seen = now
        self._awake_at = now

    def hear(self, instance: str, now: float) -> Gateway | None:
        """Note that a gateway has sent something and return it; None if it must say Hello first."""
        gateway = self.known.get(instance)
        if gateway is None or not gateway.greeted:
            return None
        gateway.seen, gateway.gone = now, False
        return gateway

    def greet(self, instance: str, now: float, account: str = "") -> Gateway:
        """Note that a gateway has said Hello."""
        gateway = self.known.setdefault(instance, Gateway(now))
        gateway.seen, gateway.greeted, gateway.gone, gateway.stopped = now, True, False, False
        gateway.account, gateway.expelled = account, False
        return gateway

    def may_live(self, instance: str, now: float) -> bool:
        """Say whether a gateway may be delivering."""
        gateway = self.known.get(instance)
        return gateway is not None and not gateway.stopped and now - gateway.seen < ALIVE_S

    def account(self, instance: str) -> str:
        """Return the owner of the key that a gateway connected with; empty if there is none or it is not known."""
        gateway = self.known.get(instance)
        return gateway.account if gateway is not None else ""
