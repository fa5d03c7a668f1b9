"""Those who attack version 2: forged, replayed and cut packets, floods of resumes, connections that stall.

They have sessions of their own, as any member has, and have seen others on their way: a session's name is no secret.
"""

import asyncio
import contextlib
import os
import random
import select
import socket
import ssl
import time

from tests.attacks.places import HostPort, Targets, connection, datagram_socket, send, stranger
from tests.second_client.probe import Probe
from tests.second_client.session import HEAD, RETRY, enter


def member(targets: Targets, name: str, operation: int = 2, room: str = "room0") -> Probe:
    """A member of a room of those who chat, or of another one."""
    listener = random.choice(targets.listeners)
    probe = Probe(asyncio.run(enter(listener.tcp, operation, room, name)), listener.udp)
    while True:
        with contextlib.suppress(AssertionError):  # a packet was lost
            if any("resumed" in line for line in probe.resume(patience_s=1.0)):
                return probe


def throw(udp: socket.socket, data: bytes, place: HostPort) -> None:
    with contextlib.suppress(BlockingIOError):
        udp.sendto(data, place)


def sealed_forgeries(targets: Targets) -> None:
    """Packets of sessions that exist or do not: made up, altered, cut, and recorded ones again, from many ports."""
    mallory = member(targets, "mallory")
    recorded = [mallory.send({"ping": 1}) for _ in range(50)]
    sockets = [datagram_socket() for _ in range(8)] + [datagram_socket("127.0.0.1") for _ in range(4)]
    while True:
        real = bytearray(random.choice(recorded))
        altered = bytearray(real)
        altered[random.randrange(1, len(altered))] ^= 1 << random.randrange(8)
        forms = [
            bytes(real),
            bytes(altered),
            bytes(real[: random.randrange(len(real))]),
            bytes((0, 1, 1)) + os.urandom(60),
            bytes((0, 2)) + mallory.session.id + os.urandom(1_100),
            real[:HEAD] + os.urandom(400),
        ]
        for udp in sockets:
            throw(udp, bytes(random.choice(forms)), random.choice(targets.listeners).udp)


def sealed_resumes(targets: Targets) -> None:
    """Members that resume as fast as they can: from many ports without a cookie, and with one from the log's begin."""
    members = [member(targets, f"mallory{number}") for number in range(4)]
    sockets = [datagram_socket() for _ in range(16)]
    for each in members:
        each.socket.setblocking(False)
    while True:
        for each in members:
            about = {"epoch": each.session.granted["epoch"], "offset": 0, "next": 1}
            for udp in random.sample(sockets, 4):
                throw(udp, each.pack({"resume": {"cookie": "", **about}}), random.choice(targets.listeners).udp)
            send(each.socket, each.pack({"resume": {"cookie": each.cookie.hex(), **about}}))
            for _ in range(100):
                if (packet := each.packet(0.0)) is None:
                    break
                if packet[1] == RETRY:
                    each.cookie = packet[18:HEAD]
                with contextlib.suppress(Exception):  # what comes is of many runs
                    each.opened(packet)


def sealed_wants(targets: Targets) -> None:
    """A member that asks for all that its room ever said, and for answers, as fast as it can, and reads none of it."""
    mallory = member(targets, "mallory")
    mallory.socket.setblocking(False)
    while True:
        send(mallory.socket, mallory.pack(*[{"want": [0, 2**40]}] * 20, *[{"ping": 1}] * 20))


def sealed_stalled_connections(targets: Targets) -> None:
    """Packets over TCP that never come, never end, or whose answers are never read; from many hosts."""
    room = os.urandom(4).hex()
    host = member(targets, "host", 1, room)
    open_: list[socket.socket] = []

    def resume() -> bytes:
        packet = host.pack({"resume": {"cookie": "", "epoch": 1, "offset": 0, "next": 1}})
        return len(packet).to_bytes(2, "big") + packet

    while True:
        for number in range(1, 30):
            tcp = connection(random.choice(targets.listeners).tcp, f"127.6.20.{number}")
            select.select((), (tcp,), (), 0.01)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            framed = resume()
            send(tcp, random.choice([framed[:1], framed[:40], framed, framed * 200, b"\0\xff" + os.urandom(255)]))
            open_.append(tcp)
        for tcp in random.sample(open_, min(len(open_), 50)):
            send(tcp, resume())
        while len(open_) > 900:
            open_.pop(0).close()
        time.sleep(0.02)


def sealed_tls_stalls(targets: Targets) -> None:
    """TLS at the ordinary port: half a greeting, a greeting and nothing more, a finished handshake and no request."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lenient.check_hostname, lenient.verify_mode = False, ssl.CERT_NONE
    open_: list[socket.socket] = []
    while True:
        for number in range(1, 30):
            tcp = connection(random.choice(targets.listeners).tcp, f"127.6.21.{number}")
            select.select((), (tcp,), (), 0.01)
            send(tcp, random.choice([hello[:3], hello[: len(hello) // 2], hello, hello + os.urandom(20_000)]))
            open_.append(tcp)
        with contextlib.suppress(OSError):
            tcp = socket.create_connection(random.choice(targets.listeners).tcp, 5, source_address=(stranger(), 0))
            open_.append(lenient.wrap_socket(tcp))
        while len(open_) > 900:
            open_.pop(0).close()
        time.sleep(0.02)


def sealed_handshakes(targets: Targets) -> None:
    """Sessions upon sessions, whose members never send a packet."""
    number = 0
    with asyncio.Runner() as runner:
        while True:
            number += 1
            listener = random.choice(targets.listeners)
            entering = enter(listener.tcp, 1, os.urandom(4).hex(), "mallory", source=f"127.6.22.{number % 200 + 1}")
            with contextlib.suppress(Exception):
                runner.run(asyncio.wait_for(entering, 30.0))


SEALED = (
    sealed_forgeries,
    sealed_resumes,
    sealed_wants,
    sealed_stalled_connections,
    sealed_tls_stalls,
    sealed_handshakes,
)
