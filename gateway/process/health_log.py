"""Log when a gateway becomes unhealthy or healthy, and each new reason why a broker can not be reached."""

from tsudoi.ops import logs

from ..link.routes import Routes

logger = logs.get("gateway")


class HealthLog:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self._is_unhealthy = False
        self._connect_errors: set[str] = set()
        self._unused: str | None = None

    def look(self, reason: str, connect_error: str, routes: Routes) -> None:
        """Log what is new; `reason` is why the gateway is unhealthy, empty if it is not."""
        if not reason:
            self._connect_errors.clear()
        elif connect_error and connect_error not in self._connect_errors:
            self._connect_errors.add(connect_error)
            logger.warning("the broker can not be reached", why=connect_error)
        brokers = routes.brokers
        if brokers.unused != self._unused:
            self._unused = brokers.unused
            logger.error("a broker shares no store with the one in use", unused=brokers.unused, used=brokers.only)
        if bool(reason) != self._is_unhealthy:
            self._is_unhealthy = bool(reason)
            if reason:
                logger.warning("unhealthy", why=reason, unaccepted=routes.unaccepted)
            else:
                logger.info("healthy again", unaccepted=routes.unaccepted)
