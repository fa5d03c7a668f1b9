"""The cookies that servers gave a client, each by its way; PROTOCOL.md, "Resuming"."""

from .client_path import is_tcp

COOKIE_S = 9.0
"""How long a cookie is shown; the server takes it for 60 s, and may read late what it is sent."""
COOKIES = 256
"""Cookies that are remembered, so that a replayed RETRY does not make this client resume."""


class Cookies:
    """The last cookie of each way."""

    def __init__(self) -> None:
        self._cookies: dict[int, tuple[bytes, float]] = {}
        """Way → the cookie to show there, and when it came."""
        self._seen: dict[bytes, None] = {}

    def take(self, way: int, cookie: bytes, now: float) -> bool:
        """Keep a cookie that came by a way; return False if it has come before."""
        if cookie in self._seen:
            return False
        self._seen[cookie] = None
        if len(self._seen) > COOKIES:
            del self._seen[next(iter(self._seen))]
        self._cookies[way] = cookie, now
        return True

    def to_show(self, way: int, now: float) -> bytes:
        """Return the cookie to show at the end of a way; empty: there is none."""
        cookie, came_at = self._cookies.get(way, (b"", now))
        return cookie if now - came_at <= COOKIE_S else b""

    def has(self, cookie: bytes) -> bool:
        return any(cookie == each for each, _ in self._cookies.values())

    def forget(self) -> None:
        """Forget them: this client's address is another one."""
        self._cookies.clear()

    def forget_udp(self) -> None:
        """Forget those of UDP: datagrams leave from another port."""
        self._cookies = {way: cookie for way, cookie in self._cookies.items() if is_tcp(way)}
