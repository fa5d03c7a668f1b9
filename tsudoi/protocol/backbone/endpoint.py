"""Parse the address of a broker, and derive the address of its news.

    tcp://HOST:PORT   between machines                   news: the next port
    ipc://PATH        between processes of one machine   news: PATH.pub
    inproc://NAME     inside one process                 news: NAME.pub

A broker has two sockets. An endpoint names the one for commands; the one for news is derived from it.
"""

import ipaddress
import re

from ..errors import SettingError

INPROC, IPC, TCP = "inproc://", "ipc://", "tcp://"
MAX_IPC_SIZE = 100
"""Bytes of an ipc:// endpoint: a socket's path may have 107 (unix(7)), and the one of the news is longer."""

_PORT = re.compile("[0-9]{1,5}")


def parse_to_connect(text: str) -> str:
    """Return the endpoint of a running broker unchanged; raise SettingError if it is not tcp:// or ipc://."""
    return _check(text, first_port=1)


def parse_to_bind(text: str) -> str:
    """Return the endpoint where a broker shall listen, unchanged; tcp port 0 stands for any two free ports in a row.

    Raises:
        SettingError: it is no endpoint, or leaves no room for that of the news.
    """
    return text if text.startswith(INPROC) else _check(text, first_port=0)


def _check(text: str, first_port: int) -> str:
    if text.startswith(IPC) and text != IPC:
        if len(text.encode()) > MAX_IPC_SIZE:
            raise SettingError(f"the path in {text} is too long for a socket: at most 90 bytes")
        return text
    host, _, port = text.removeprefix(TCP).rpartition(":")
    if not text.startswith(TCP) or not host or not _PORT.fullmatch(port) or int(port) < first_port:
        raise SettingError(f"{text!r} is not tcp://HOST:PORT or ipc://PATH")
    if int(port) > 65534:
        raise SettingError(f"{text!r} leaves no port for the news: they go out at the next one")
    return text


def is_tcp(endpoint: str) -> bool:
    """Return whether an endpoint is reached by network addresses, so that keys may guard it."""
    return endpoint.startswith(TCP)


def is_loopback(endpoint: str) -> bool:
    """Return whether an endpoint can be reached from this machine only."""
    if not is_tcp(endpoint):
        return True
    host, _ = split_tcp(endpoint)
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def split_tcp(endpoint: str) -> tuple[str, str]:
    """Return host (IPv6 without brackets) and port of a tcp:// endpoint."""
    host, _, port = endpoint.removeprefix(TCP).rpartition(":")
    return host.strip("[]"), port


def publish_endpoint(endpoint: str) -> str:
    """Return the endpoint of the news, given that of the commands."""
    if not is_tcp(endpoint):
        return endpoint + ".pub"
    head, _, port = endpoint.rpartition(":")
    return f"{head}:{int(port) + 1}"
