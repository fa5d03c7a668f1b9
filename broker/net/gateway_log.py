"""Log which gateways connect and disconnect."""

from collections.abc import Mapping

from tsudoi.ops import logs

from ..rooms.gateways import Gateway

logger = logs.get("broker.server")

LINES_A_LOOK = 20
"""Gateways that came or are gone that one look logs by name."""


class GatewayLog:
    """Compares the gateways that are connected with those of the last look."""

    def __init__(self) -> None:
        self._connected: set[str] = set()

    def look(self, gateways: Mapping[str, Gateway]) -> None:
        """Write a line for each gateway that connected, stopped or was lost since the last look."""
        connected = {name for name, gateway in gateways.items() if gateway.greeted and not gateway.gone}
        came, left = sorted(connected - self._connected), sorted(self._connected - connected)
        for name in came[:LINES_A_LOOK]:
            logger.info("gateway came", gateway=name)
        if more := len(came[LINES_A_LOOK:]) + len(left[LINES_A_LOOK:]):
            logger.warning("more gateways came or are gone than are logged", gateways=more)
        for name in left[:LINES_A_LOOK]:
            gateway = gateways.get(name)
            if gateway is not None and gateway.stopped:
                logger.info("gateway stopped", gateway=name)
            else:
                logger.warning("gateway is gone", gateway=name)
        self._connected = connected
