"""Track the known gateways, and which of them may be delivering.

A gateway's lease is shorter than `ALIVE_S`: a gateway from which nothing came for that time delivers nothing. The
gateway of a service in one process has a name of its own (`OF_ONE_PROCESS`), and has ended when a broker opens its
store: its members can be adopted at once.
"""

from dataclasses import dataclass

from tsudoi.protocol.backbone import OF_ONE_PROCESS, Measured, gateway_name

ALIVE_S = 2.0

PROBE_S = 1.0
"""A gateway that was silent for this time is sent a frame, to learn whether it still has a connection."""

ENDED_S = 1.4
"""The kernel ends a dead process's connection at once; ZeroMQ's heartbeats end a frozen one's after 1.5 s or more
(`net/zeromq.py`)."""

STOOD_STILL_S = 1.2
"""Ticks come several times a second: a pause of this length means that the broker itself was suspended."""


@dataclass(slots=True)
class Gateway:
    """One run of a gateway that has said Hello to this run of the broker, or that serves members from before."""

    seen: float
    """When its last frame came."""
    greeted: bool = False
    """It has said Hello on its present connection."""
    accepted: int = 0
    """Number of the last item accepted from it."""
    probed: float = float("-inf")
    """`seen` when it was last sent a frame because of its silence."""
    ended: bool = False
    """Its connection ended sooner than that of a gateway that is frozen or cut off: its process is dead."""
    stopped: bool = False
    """It said Bye, also to an earlier run of the broker, or is known to have ended, and delivers nothing."""
    gone: bool = False
    """Its lease is over, and its members were offered to a successor."""
    account: str = ""
    """The owner of its key; empty if it has not connected yet, or there are no keys."""
    expelled: bool = False
    """Its key was revoked."""
    measured: Measured | None = None
    """Its last report."""


class Gateways:
    """The gateways by instance. Time is monotonic seconds."""

    def __init__(self, serving: list[str], accepted: dict[str, int], now: float, is_shared: bool = False) -> None:
        """Begin with the gateways of an earlier run of the broker; they may still run, and have time to say Hello.

        A gateway that shared its process with that run has ended with it, since a store can not be opened twice; it may
        still run if brokers share the store (`is_shared`).

        `serving` are the instances that serve members, `accepted` is the store's (`Batch.accepted`).
        """
        self.known: dict[str, Gateway] = {}
        for name in (*serving, *accepted):
            number = accepted.get(name, 0)
            stopped = number < 0 or (gateway_name(name) == OF_ONE_PROCESS and not is_shared)
            self.known[name] = Gateway(now, accepted=max(number, ~number), ended=True, stopped=stopped)
        self._awake_at = now
        self.awake_until = now + STOOD_STILL_S
        """Without a call of `awake` until then, the broker has stood still."""

    def awake(self, now: float) -> float:
        """Note that the broker runs; return for how long it has stood still until now, 0 if it has not.

        After that no gateway counts as gone, since its frames are not read yet. Members of gateways that were gone
        before may have been served by others meanwhile.
        """
        length = now - self._awake_at
        self._awake_at, self.awake_until = now, now + STOOD_STILL_S
        if length <= STOOD_STILL_S:
            return 0.0
        for gateway in self.known.values():
            gateway.seen = gateway.seen + length if gateway.gone else now
        return length

    def received(self, instance: str, now: float) -> Gateway | None:
        """Note that a gateway has sent something and return it; None if it must say Hello first.

        If it was `gone`, it is back: `Ownership.back`.
        """
        gateway = self.known.get(instance)
        if gateway is None or not gateway.greeted:
            return None
        gateway.seen = now
        return gateway

    def greet(self, instance: str, now: float, account: str) -> Gateway:
        gateway = self.known.setdefault(instance, Gateway(now))
        gateway.seen, gateway.account, gateway.greeted = now, account, True
        gateway.gone = gateway.stopped = gateway.expelled = gateway.ended = False
        return gateway

    def silent(self, now: float) -> list[str]:
        """Return the instances that are to be sent a frame now, because nothing has come from them for a while."""
        found = []
        for instance, gateway in self.known.items():
            if gateway.greeted and not gateway.gone and now - gateway.seen >= PROBE_S and gateway.probed < gateway.seen:
                gateway.probed = gateway.seen
                found.append(instance)
        return found

    def disconnected(self, instance: str, now: float) -> None:
        """Note that a gateway has no connection. It may deliver until its lease is over."""
        if gateway := self.known.get(instance):
            gateway.greeted = False
            gateway.ended = gateway.ended or now - gateway.seen < ENDED_S

    def may_live(self, instance: str, now: float) -> bool:
        gateway = self.known.get(instance)
        return gateway is not None and not gateway.stopped and now - gateway.seen < ALIVE_S

    def has_ended(self, instance: str, now: float) -> bool:
        """Return whether a gateway is gone, or its process is known to be dead, though its lease may not be over."""
        return not self.may_live(instance, now) or self.known[instance].ended

    def account(self, instance: str) -> str:
        """Return `Gateway.account` of a gateway; empty if it is not known."""
        gateway = self.known.get(instance)
        return gateway.account if gateway is not None else ""
