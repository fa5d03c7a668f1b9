"""Decide which other server a client asks for its session while its own does not reach the room. No I/O.

See PROTOCOL.md, "Several addresses". If no server reaches the room, thousands of clients ask in vain, so each asks less
and less often. A question is repeated, since the next ping may be 25 s away.
"""

from .client_path import by_tcp, is_tcp, server_of

AGAIN_S = 0.5
"""Between two `resume` to the server that is asked: as long, or longer on a slow network."""
TIMES = 5
"""How often it is sent one at the most, with a cookie or without: the session is served on meanwhile."""
NEVER = float("inf")


class Seeking:
    """The decisions of one session."""

    def __init__(self) -> None:
        """Begin with a server that reaches the room."""
        self.pongs = 0
        """How often in a row the session's server has said that it does not reach the room."""
        self.at = NEVER
        """When to ask."""
        self._way = 0
        self._until = -NEVER
        """Until when a RETRY is the answer of the server that is asked."""
        self._left = 0

    def take_pong(self, way: int, servers: int, now: float) -> None:
        """Note that the server to which a way leads does not reach the room; perhaps choose another one."""
        self.pongs += 1
        if self.pongs & (self.pongs - 1) == 0 and servers > 1:  # the first time, the 2nd, 4th, 8th, …
            tried = self.pongs.bit_length() - 1
            server = (server_of(way) + 1 + tried % (servers - 1)) % servers
            self._way = by_tcp(server) if is_tcp(way) else server
            self.at, self._left = now, TIMES

    def ask(self, now: float, round_trip_s: float, pending_s: float) -> int:
        """Return the way by which to ask now."""
        self._until = now + pending_s
        self._left -= 1
        self.at = now + max(AGAIN_S, 1.25 * round_trip_s) if self._left else NEVER
        return self._way

    def is_answer(self, way: int, now: float) -> bool:
        """Return whether a RETRY is the answer."""
        return way == self._way and now < self._until

    def follow(self, now: float) -> None:
        """Ask at once, with the cookie that has come."""
        if self._left:
            self.at = now

    def end(self) -> None:
        """Note that the session's server reaches the room, or that it has another one."""
        self.pongs, self.at = 0, NEVER
