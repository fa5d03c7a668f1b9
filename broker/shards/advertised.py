"""Say where gateways and operators of other machines reach this broker."""

from tsudoi.protocol.backbone import is_tcp, split_tcp

_WILDCARDS = ("0.0.0.0", "::", "*")
_MAPPED = "::ffff:"
"""Before an IPv4 address, as ZeroMQ writes it for a socket that takes IPv6, too."""


def advertised(endpoint: str, given: str | None, host_name: str) -> str:
    """Return the endpoint of gateways that other brokers and gateways are told.

    Args:
        endpoint: where the broker listens.
        given: what the operator says; None: nothing.
        host_name: of this machine, for a broker that listens on all of its addresses.
    """
    return given or _named(endpoint, host_name)


def advertised_admin(endpoint: str | None, given: str | None, host_name: str) -> str:
    """Return the endpoint of operators, at the host of the one that is `given` for gateways.

    It is empty if operators of other machines can not connect.
    """
    if endpoint is None or not is_tcp(endpoint):
        return ""
    return _named(endpoint, split_tcp(given)[0] if given and is_tcp(given) else host_name)


def _named(endpoint: str, host_name: str) -> str:
    """Return an endpoint with a host's name in place of "all addresses"."""
    if not is_tcp(endpoint):
        return endpoint
    host, port = split_tcp(endpoint)
    if host.startswith(_MAPPED):
        host = host.removeprefix(_MAPPED)
        endpoint = f"tcp://{host}:{port}"
    if host not in _WILDCARDS:
        return endpoint
    return f"tcp://[{host_name}]:{port}" if ":" in host_name else f"tcp://{host_name}:{port}"
