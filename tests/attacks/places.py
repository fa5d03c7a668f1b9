"""Where attackers go, and their sockets."""

import contextlib
import json
import random
import socket
from dataclasses import dataclass

from tests.support.legacy.wire import Listener

HostPort = tuple[str, int]


@dataclass(frozen=True)
class Targets:
    """Where to."""

    listeners: list[Listener]
    tls: list[HostPort]
    web: list[HostPort]
    broker: str

    @classmethod
    def parse(cls, text: str) -> "Targets":
        told = json.loads(text)
        pairs = zip(told["tcp"], told["udp"], strict=True)
        listeners = [Listener((tcp[0], tcp[1]), (udp[0], udp[1])) for tcp, udp in pairs]
        tls, web = ([(host, port) for host, port in told[kind]] for kind in ("tls", "web"))
        return cls(listeners, tls, web, told["broker"])

    @property
    def broker_ports(self) -> list[HostPort]:
        host, _, port = self.broker.removeprefix("tcp://").rpartition(":")
        return [(host, int(port)), (host, int(port) + 1)]


def stranger() -> str:
    """An address that nobody chats from."""
    return f"127.6.6.{random.randrange(1, 9)}"


def datagram_socket(source: str = "") -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((source or stranger(), 0))
    udp.setblocking(False)
    return udp


def connection(place: HostPort, source: str = "") -> socket.socket:
    """One that is being opened."""
    tcp = socket.socket()
    tcp.setblocking(False)
    tcp.bind((source or stranger(), 0))
    with contextlib.suppress(BlockingIOError):
        tcp.connect(place)
    return tcp


def send(where: socket.socket, data: bytes) -> bool:
    """Send what goes; whether there is still somebody."""
    try:
        where.send(data)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
