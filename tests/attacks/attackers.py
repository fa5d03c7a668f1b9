"""Those who attack: each a program of its own, until it is ended. `python -m tests.attacks.attackers NAME TARGETS`

TARGETS is JSON: {"tcp": [[host, port], …], "udp": […], "tls": […], "broker": endpoint}. Strangers come from 127.6.*,
so that what is counted for an address is not counted for those who chat from 127.0.0.1.
"""

import contextlib
import json
import os
import random
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable

import zmq

from tests.attacks.places import HostPort, Targets, connection, datagram_socket, send, stranger
from tests.attacks.sealed_attackers import SEALED
from tests.attacks.watch import Person, enter
from tests.support.legacy.wire import header
from tsudoi.protocol import backbone

STOPPED_READERS = 100
"""At each gateway."""


def busy_neighbour(_: Targets) -> None:
    """Attacks nobody, but takes all CPU that it gets: what attackers cost those who share their cores."""
    while True:
        sum(range(1_000))


# --- floods ---------------------------------------------------------------------------------------------------------


def member_flood(targets: Targets) -> None:
    """A member of a room shouts as fast as it can."""
    listener = targets.listeners[0]
    mallory = Person(listener, "room0", "mallory", enter(listener, 2, "room0", "mallory"))
    number = 0
    while True:
        number += 1
        with contextlib.suppress(BlockingIOError):
            mallory.say(f"spam {number}")
        with contextlib.suppress(BlockingIOError):
            while mallory.udp.recv(4096):
                pass


def wandering_flood(targets: Targets) -> None:
    """A member shouts from two ports in turn, to two gateways, in many forms of which nothing comes."""
    listener = targets.listeners[0]
    mallory = Person(listener, "room0", "mallory", enter(listener, 2, "room0", "mallory"))
    ports = [datagram_socket("127.0.0.1") for _ in range(2)]
    head = bytes((5, len(mallory.token))) + b"room0" + mallory.token
    forms = [head, head + b"spam", head + b"/who", bytes((3, len(mallory.token))) + b"den" + mallory.token + b"spam"]
    number = 0
    while True:
        number += 1
        with contextlib.suppress(BlockingIOError):
            ports[number % 2].sendto(
                random.choice(forms), targets.listeners[number // 1_000 % len(targets.listeners)].udp
            )


def token_guesses(targets: Targets) -> None:
    """Tokens of nobody, and bytes that are none."""
    sockets = [datagram_socket() for _ in range(8)]
    while True:
        for udp in sockets:
            udp_listener = random.choice(targets.listeners).udp
            with contextlib.suppress(BlockingIOError):
                udp.sendto(b"\5\x20room0" + os.urandom(16).hex().encode() + b"hello", udp_listener)
                udp.sendto(os.urandom(random.randrange(80)), udp_listener)


def handshake_flood(targets: Targets) -> None:
    """Rooms upon rooms, each connection without waiting for its answer."""
    open_: list[socket.socket] = []
    payload = b'{"tsudoi":1,"name":"mallory"}'
    while True:
        tcp = connection(random.choice(targets.listeners).tcp)
        room = os.urandom(4).hex().encode()
        select.select((), (tcp,), (), 0.01)
        send(tcp, header(len(room), 1, 0, len(payload)) + room + payload)
        open_.append(tcp)
        if len(open_) > 200:
            open_.pop(0).close()


def tls_handshakes(targets: Targets) -> None:
    """Connections that all begin their TLS handshakes at the same moment, and none of which ends it."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    while True:
        open_ = [connection(random.choice(targets.tls), f"127.6.{number % 8 + 10}.1") for number in range(400)]
        time.sleep(0.3)
        for tcp in open_:
            send(tcp, hello)
        time.sleep(1.0)
        for tcp in open_:
            tcp.close()


def passwords(targets: Targets) -> None:
    """Guesses at the password of a room."""
    source = stranger()
    with contextlib.suppress(OSError, ValueError):
        enter(targets.listeners[0], 1, "locked", "host", "correct horse", source)
    while True:
        with contextlib.suppress(OSError, ValueError):
            enter(targets.listeners[0], 2, "locked", "mallory", os.urandom(4).hex(), source)


def selfish_classmate(targets: Targets) -> None:
    """A user behind the address of those who chat: takes its connections and members, and floods rooms of its own."""
    source = "127.0.0.1"
    open_ = [connection(targets.listeners[0].tcp, source) for _ in range(256)]
    members: list[tuple[socket.socket, bytes]] = []
    for number in range(12):
        with contextlib.suppress(OSError, ValueError):
            room = f"own{number // 4}"
            token = enter(targets.listeners[0], 2 if number % 4 else 1, room, f"eve{number}")
            members.append((datagram_socket(source), bytes((len(room), 32)) + room.encode() + token + b"x"))
    turn = 0
    while True:
        turn += 1
        for udp, datagram in members:
            for _ in range(9):
                with contextlib.suppress(BlockingIOError):
                    udp.sendto(datagram, targets.listeners[0].udp)
        if turn % 10 == 0:
            open_.append(connection(targets.listeners[0].tcp, source))
            open_.pop(0).close()
            with contextlib.suppress(OSError, ValueError):
                enter(targets.listeners[0], 2, "own0", "eve")
        time.sleep(0.01)


# --- exhaustion -----------------------------------------------------------------------------------------------------


def silent_connections(targets: Targets) -> None:
    """More connections than there is place for, from many addresses; all say nothing."""
    open_ = []
    while True:
        for number in range(1, 30):
            source = f"127.6.{number}.1"
            for listener in targets.listeners:
                with contextlib.suppress(OSError):
                    open_.append(connection(listener.tcp, source))
        while len(open_) > 900:
            open_.pop(0).close()
        time.sleep(0.05)


def slow_senders(targets: Targets) -> None:
    """A byte a second, for ever."""
    request = header(5, 1, 0, 60_000) + b"rooms"
    open_: list[tuple[socket.socket, int]] = []
    while True:
        while len(open_) < 300:
            open_.append((connection(random.choice(targets.listeners).tcp, f"127.6.7.{len(open_) % 200 + 1}"), 0))
            time.sleep(0.001)
        kept = []
        for tcp, at in open_:
            byte = request[at : at + 1] or b"x"
            if send(tcp, byte):
                kept.append((tcp, at + 1))
            else:
                tcp.close()
        open_ = kept
        time.sleep(1.0)


def hoarders(targets: Targets) -> None:
    """Requests with as much behind them as goes, whose senders then say nothing for as long as they may."""
    open_: list[socket.socket] = []
    while True:
        for number in range(1, 5):
            tcp = connection(random.choice(targets.listeners).tcp, f"127.6.5.{number}")
            select.select((), (tcp,), (), 0.01)
            send(tcp, header(0, 2, 0, 3) + b"bob" + b"\xff" * 260_000)
            open_.append(tcp)
        for each in open_:
            send(each, b"\xff" * 16_000)
        while len(open_) > 450:
            open_.pop(0).close()
        time.sleep(0.02)


def promises(targets: Targets) -> None:
    """Headers that promise half a gigabyte, and bodies that keep coming."""
    open_: list[socket.socket] = []
    while True:
        tcp = connection(random.choice(targets.listeners).tcp, f"127.6.8.{random.randrange(1, 250)}")
        select.select((), (tcp,), (), 0.01)
        send(tcp, header(3, 1, 0, random.choice([2**29, 2**232 - 1, 65_000])) + b"den")
        open_.append(tcp)
        for each in open_:
            send(each, bytes(16_000))
        if len(open_) > 100:
            open_.pop(0).close()


# --- WebSockets ------------------------------------------------------------------------------------------------------

WEB_CLASS = "127.6.13.1"
"""The address of `web_classmate` and of its classmates."""
UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def web_frame(text: str, opcode: int = 1) -> bytes:
    """A client's frame, masked with zeros."""
    raw = text.encode()
    size = bytes((0x80 | len(raw),)) if len(raw) < 126 else b"\xfe" + len(raw).to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + size + bytes(4) + raw


def web_member(place: HostPort, name: str, room: str, source: str = "") -> socket.socket:
    """A member of a room, which the gateway has not answered yet."""
    tcp = connection(place, source)
    select.select((), (tcp,), (), 1.0)
    subscribe = json.dumps({"id": 2, "subscribe": {"channel": room, "data": {"create": True}}})
    send(tcp, UPGRADE + web_frame(json.dumps({"id": 1, "connect": {"data": {"name": name}}})) + web_frame(subscribe))
    return tcp


def web_stopped_readers(targets: Targets) -> None:
    """Members that never read, a hundred at each gateway, of a room in which one of them says what it may."""
    number = 0
    readers: list[socket.socket] = []
    speakers = [web_member(place, "mallory", "idlers", "127.6.10.1") for place in targets.web]
    for place in targets.web:
        for _ in range(STOPPED_READERS):
            tcp = web_member(place, "idler", "idlers", f"127.6.11.{len(readers) % 200 + 1}")
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            readers.append(tcp)
    time.sleep(1.0)
    text = "x" * 3_000
    while True:
        for tcp in speakers:
            number += 1
            say = {"id": number, "publish": {"channel": "idlers", "data": {"text": text}}}
            send(tcp, web_frame(json.dumps(say)))
            with contextlib.suppress(OSError):
                tcp.recv(2**20)
        time.sleep(0.01)


def web_half_open(targets: Targets) -> None:
    """Requests and frames that never end, upgrades after which no connect command comes; from many hosts."""
    openings = [b"", b"GET / HTTP/1.1\r\nX: ", UPGRADE, UPGRADE + b"\x81\xfe\xff", UPGRADE + b"\x01\x81\0\0\0\0x" * 20]
    open_: list[socket.socket] = []
    while True:
        for number in range(1, 30):
            tcp = connection(random.choice(targets.web), f"127.6.12.{number}")
            select.select((), (tcp,), (), 0.01)
            send(tcp, random.choice(openings))
            open_.append(tcp)
        while len(open_) > 900:
            open_.pop(0).close()
        time.sleep(0.02)


def web_flood(targets: Targets) -> None:
    """Members that send anything as fast as they can, and come back when they are cut off."""
    frames = [
        web_frame("{}") * 200,
        web_frame("", 9) * 200,
        web_frame("", 10) * 200,
        web_frame('{"id":9,"presence":{"channel":"flood"}}') * 100,
        b"".join(
            web_frame(json.dumps({"id": 9, "publish": {"channel": "flood", "data": {"text": "x"}}})) for _ in range(50)
        ),
        web_frame("[" * 60_000),
        web_frame("\n".join(["{}"] * 100)) * 20,
    ]
    members = [web_member(place, "flood", "flood") for place in targets.web]
    while True:
        for index, tcp in enumerate(members):
            with contextlib.suppress(OSError):
                tcp.recv(2**20)
            if not send(tcp, random.choice(frames)):
                tcp.close()
                members[index] = web_member(targets.web[index], "flood", "flood")


def web_classmate(targets: Targets) -> None:
    """A user who keeps all WebSockets that an address may have in rooms, and opens others, but within its rate."""
    members: list[socket.socket] = []
    while True:
        for place in targets.web:
            members.append(web_member(place, "eve", f"own{len(members) % 3}", WEB_CLASS))
        for tcp in members[-600:]:
            try:
                is_open = tcp.recv(2**20) != b""
            except BlockingIOError:
                continue
            except OSError:
                is_open = False
            if not is_open:
                members.remove(tcp)
                tcp.close()
        time.sleep(0.05)


# --- nonsense -------------------------------------------------------------------------------------------------------


def nonsense(targets: Targets) -> None:
    """Random and mutated bytes at every port, the broker's too."""
    greeting = b"\xff" + bytes(8) + b"\x7f\3\1CURVE" + bytes(48)
    payload = b'{"tsudoi":1,"name":"a"}'
    models = [
        UPGRADE + web_frame('{"id":1,"connect":{"data":{"name":"a"}}}'),
        header(3, 1, 0, len(payload)) + b"den" + payload,
        header(0, 2, 0, 3) + b"bob",
        header(0, 2, 0, 0),
        greeting + b"\4\xc8\5HELLO" + bytes(194),
        greeting.replace(b"CURVE", b"NULL\0") + b"\4\x19\5READY\x0bSocket-Type\0\0\0\6DEALER",
        b"\x03\x20den" + b"0" * 32 + b"text",
        backbone.encode(backbone.Hello(backbone.VERSION)),
    ]
    udp = datagram_socket()
    while True:
        raw = bytearray(random.choice(models) if random.random() < 0.8 else os.urandom(random.randrange(300)))
        for _ in range(random.randrange(6)):
            if raw:
                raw[random.randrange(len(raw))] = random.randrange(256)
        if random.random() < 0.3:
            del raw[random.randrange(len(raw) + 1) :]
        listener = random.choice(targets.listeners)
        for place in (listener.tcp, random.choice(targets.web), *targets.broker_ports):
            tcp = connection(place, f"127.6.9.{random.randrange(1, 250)}")
            select.select((), (tcp,), (), 0.01)
            send(tcp, bytes(raw))
            tcp.close()
        with contextlib.suppress(BlockingIOError):
            udp.sendto(bytes(raw), listener.udp)


def broker_strangers(targets: Targets) -> None:
    """Peers without a key, and with one that is on no list, who greet and listen. Says it if they hear a word."""
    context = zmq.Context()
    sockets = []
    for number in range(20):
        for kind, endpoint in ((zmq.DEALER, targets.broker), (zmq.SUB, backbone.publish_endpoint(targets.broker))):
            peer = context.socket(kind)
            peer.setsockopt(zmq.RECONNECT_IVL, 10)
            if number % 2:
                peer.curve_publickey, peer.curve_secretkey = zmq.curve_keypair()
                peer.curve_serverkey = zmq.curve_keypair()[0]
            if kind == zmq.SUB:
                peer.setsockopt(zmq.SUBSCRIBE, b"")
            peer.connect(endpoint)
            sockets.append(peer)
    hello = backbone.encode(backbone.Hello(backbone.VERSION))
    while True:
        for peer in sockets:
            with contextlib.suppress(zmq.ZMQError):
                if peer.socket_type == zmq.DEALER:
                    peer.send(hello, zmq.NOBLOCK)
                if peer.poll(0):
                    print("heard", peer.recv(), flush=True)
        time.sleep(0.001)


ATTACKS: dict[str, Callable[[Targets], None]] = {
    each.__name__: each
    for each in (
        busy_neighbour,
        member_flood,
        selfish_classmate,
        wandering_flood,
        token_guesses,
        handshake_flood,
        tls_handshakes,
        passwords,
        silent_connections,
        slow_senders,
        hoarders,
        promises,
        web_stopped_readers,
        web_half_open,
        web_flood,
        web_classmate,
        nonsense,
        broker_strangers,
        *SEALED,
    )
}

if __name__ == "__main__":
    ATTACKS[sys.argv[1]](Targets.parse(sys.argv[2]))
