"""Limit packets from addresses at which their session is not served; a session's name is not secret.

A client that has moved sends a few such packets, an attacker a flood. Opening one takes 30 µs, looking at it 5 µs, and
packets of members wait in the same queue. So few are opened for each session, and a source that sends too many that do
not open is ignored for a moment, at 1.5 µs a packet.
"""

from tsudoi.ops.bounded import put_newest
from tsudoi.ops.token_bucket import Buckets

OPENED_S, OPENED = 20.0, 40.0
"""Packets of a session that are opened although it is not served at their source, a second and at once. An attacker
that has read a session's name can send so many that those of its client come late after a change of address; to be
served at its old address it needs none of them. By TCP it has some more."""
CONNECTION_S, CONNECTION = 2.0, 4.0
"""Packets that are opened for each TCP connection beyond these: its source can not be forged, so a client returns
through a flood of its session by as many as a `resume` needs."""
SESSIONS = 4_096
"""Sessions and connections whose packets are so counted; beyond that the oldest is forgotten."""
VAIN_S, VAIN = 50.0, 100.0
"""Packets from which nothing comes that are looked at from one source, a second and at once: more than are opened, so
that they hold up no client more than the bound above."""
MUTE_S = 0.5
"""How long a source that exceeds this is ignored, except for packets of a run that is served there."""
SOURCES = 4_096
"""Sources that are counted, and ignored; beyond that the oldest is forgotten."""


class Elsewhere:
    """Counts by session and by source, an address with its port; times are monotonic seconds."""

    __slots__ = ("_muted", "_opened", "_vain")

    def __init__(self) -> None:
        """Begin without floods."""
        self._opened: Buckets[bytes] = Buckets(SESSIONS)
        self._vain: Buckets[bytes] = Buckets(SOURCES)
        self._muted: dict[bytes, float] = {}
        """Source → until when it is ignored."""

    def is_muted(self, source: bytes, now: float) -> bool:
        """Return whether packets from a source are ignored."""
        return self._muted.get(source, 0.0) > now

    def may_open(self, session: bytes, connection: bytes, now: float) -> bool:
        """Count a packet of a session that this service has made; return whether to open it.

        `connection` is the address of a TCP connection by which it came; empty: it came by UDP.
        """
        if self._opened.touch(session, now, OPENED_S, OPENED):
            return True
        return bool(connection) and self._opened.touch(connection, now, CONNECTION_S, CONNECTION)

    def tick(self, now: float) -> None:
        """Forget who has sent nothing lately: after a start, that is all members."""
        self._opened.forget_full(now, OPENED_S, OPENED)
        self._vain.forget_full(now, VAIN_S, VAIN)

    def in_vain(self, source: bytes, now: float) -> None:
        """Count a packet from which nothing came; if they are too many, ignore their source for a moment."""
        if not self._vain.touch(source, now, VAIN_S, VAIN):
            put_newest(self._muted, source, now + MUTE_S, SOURCES)
