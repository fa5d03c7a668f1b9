"""Raise the number of descriptors (open files and sockets) that this process may have."""

import resource

from ...protocol.errors import SettingError

LEAST = 64
"""Without clients, a service has about 35; libzmq aborts the process when none is left."""


def raise_descriptors(wanted: int) -> int:
    """Raise the limit to `wanted`, or as near as the system allows; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def require_descriptors() -> None:
    """Raise SettingError if the system does not allow this process the descriptors that a service needs to start."""
    found = raise_descriptors(LEAST)
    if found < LEAST:
        raise SettingError(
            f"the limit of open files is {found}, and {LEAST} are needed, with one more for each handshake at a time:"
            " ulimit -n 4200 (systemd: LimitNOFILE, containers: --ulimit nofile)"
        )
