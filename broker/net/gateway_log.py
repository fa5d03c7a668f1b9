"""Log which gateways connect and disconnect."""

from collections.abc import Mapping, Set

from tsudoi.ops import logs

from ..rooms.gateway_leases import Gateway

logger = logs.get("broker.server")

LINES = 20
"""Gateways that one call of `log_changes` names: a stolen key may use any number of names."""


def log_changes(before: Set[str], gateways: Mapping[str, Gateway]) -> Set[str]:
    """Log the gateways that connected, stopped or were lost since the last call; return those that are connected.

    `before` is what the last call returned.
    """
    connected = {name for name, gateway in gateways.items() if gateway.greeted and not gateway.gone}
    changed = sorted(connected ^ before)
    for name in changed[:LINES]:
        if name in connected:
            logger.info("gateway came", gateway=name)
        elif name in gateways and gateways[name].stopped:
            logger.info("gateway stopped", gateway=name)
        else:
            logger.warning("gateway is gone", gateway=name)
    if len(changed) > LINES:
        logger.warning("more gateways came or are gone than are logged", gateways=len(changed) - LINES)
    return connected
