"""Version 2 where UDP does not pass: real gateways, the SDK, and a relay for datagrams between them."""

import asyncio
import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

import tsudoi
from tests.second_client.probe import Probe
from tests.second_client.session import PART, enter
from tests.support.legacy.wire import Listener
from tests.support.services import Gateway, at, hear_next
from tests.support.sockets import needs_ipv6
from tests.support.udp_relay import UdpFaults, UdpRelay
from tests.support.waiting import until
from tsudoi import ChatClient, Rerouted, Server, Settings
from tsudoi.net.sealed_chat import SealedChat
from tsudoi.protocol.sealed import client_path
from tsudoi.protocol.sealed.client_path import is_tcp
from tsudoi.protocol.sealed.parts import divide
from tsudoi.protocol.sealed.tcp_framing import framed

Address = tuple[str, int]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway("--notices", "off", data=tmp_path_factory.mktemp("over-tcp")) as gateway:
        yield gateway


@pytest.fixture
def room() -> str:
    return f"den {secrets.token_hex(4)}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_path, "PROBE_S", 0.5)
    monkeypatch.setattr(client_path, "CONFIRM_S", 0.3)


def is_by_tcp(chat: ChatClient) -> bool:
    assert isinstance(chat, SealedChat)
    return chat._core.is_resumed and is_tcp(chat._core.way)


async def talk(alice: ChatClient, bob: ChatClient, topic: str, count: int = 40) -> None:
    """Let two say some lines at once, and see that each hears what the other has said, in order, once."""
    said = {
        each: [f"{topic}: {each.name} {number} {'x' * (number % 7) * 200}" for number in range(count)]
        for each in (alice, bob)
    }
    lines = [each.post(text) for each in (alice, bob) for text in said[each]]
    assert await hear_next(bob, count, Rerouted) == said[alice]
    assert await hear_next(alice, count, Rerouted) == said[bob]
    assert len({await line.kept() for line in lines}) == 2 * count


async def test_members_talk_by_tcp_where_udp_does_not_pass_and_go_back_to_it_when_it_does(
    gateway: Gateway, room: str
) -> None:
    listener = gateway.listener("auto")
    relay = UdpRelay(listener.udp, UdpFaults(drop=1.0), "")
    server = Server("127.0.0.1", listener.tcp[1], relay.address[1])
    about: dict[str, Any] = {"server": server, "dialect": "tsudoi-2", "settings": Settings()}
    alice = await tsudoi.create(room, name="alice", **about)
    async with alice, await tsudoi.join(room, name="bob", **about) as bob:
        await talk(alice, bob, "without UDP")
        assert is_by_tcp(alice)
        assert is_by_tcp(bob)
        assert relay.dropped
        relay.faulty = False
        await talk(alice, bob, "while UDP passes again")
        await until(lambda: not is_by_tcp(alice) and not is_by_tcp(bob))
        await talk(alice, bob, "with UDP")
        relay.faulty = True
        await talk(alice, bob, "without UDP again")
        assert is_by_tcp(alice)
        assert is_by_tcp(bob)
        relay.faulty = False
        await until(lambda: not is_by_tcp(alice) and not is_by_tcp(bob))
        assert alice.dropped == bob.dropped == 0
    relay.close()


async def test_where_udp_passes_no_connection_is_opened(gateway: Gateway, room: str) -> None:
    async with await tsudoi.create(room, name="alice", server=at(gateway), dialect="tsudoi-2") as alice:
        assert isinstance(alice, SealedChat)
        await alice.say("hello")
        await asyncio.sleep(0)
        assert not alice._tcp._connections


async def test_a_gateway_that_is_killed_is_found_again_by_tcp(tmp_path: Path, room: str) -> None:
    with Gateway("--notices", "off", data=tmp_path) as first:
        listener = first.listener("auto")
        nothing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        nothing.bind(("127.0.0.1", 0))
        server = Server("127.0.0.1", listener.tcp[1], nothing.getsockname()[1])
        about: dict[str, Any] = {"server": server, "dialect": "tsudoi-2"}
        alice = await tsudoi.create(room, name="alice", **about)
        bob = await tsudoi.join(room, name="bob", **about)
        await talk(alice, bob, "before")
        first.kill()
    line = alice.post("meanwhile")
    with Gateway("--notices", "off", "--tcp", f"127.0.0.1:{listener.tcp[1]}", data=tmp_path):
        await line.kept()
        assert await hear_next(bob, 1, Rerouted) == ["meanwhile"]
        await talk(alice, bob, "after")
        await alice.leave()
        await bob.leave()
    nothing.close()


def test_clients_can_join_while_members_by_tcp_have_all_places_of_their_address(tmp_path: Path, room: str) -> None:
    flags = ("--notices", "off", "--unlimited", "192.0.2.0/24", "--address-connections", "16")
    with Gateway(*flags, data=tmp_path) as gateway, ExitStack() as stack:
        listener = gateway.listener("auto")

        def carry(number: int) -> None:
            grant = asyncio.run(enter(listener.tcp, 2 if number else 1, room, f"p{number}"))
            probe = Probe(grant, listener.udp)
            probe.socket.close()
            sock: Any = stack.enter_context(closing(TcpSocket(listener.tcp)))
            probe.socket = sock
            resumed(probe)

        for number in range(15):
            carry(number)
        with pytest.raises((EOFError, ConnectionError)):
            carry(15)
        asyncio.run(enter(listener.tcp, 2, room, "guest"))


class TcpSocket:
    """A connection that carries packets, with the methods of a UDP socket."""

    def __init__(self, place: Address, receive_buffer: int = 0) -> None:
        self.session = b""
        """Packets of other sessions are left out; empty: of none."""
        self._sock = socket.socket()
        if receive_buffer:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._sock.connect(place)
        self._sock.settimeout(30.0)
        self.fileno, self.close = self._sock.fileno, self._sock.close

    def send(self, packet: bytes) -> None:
        self._sock.sendall(framed(packet))

    def recv(self, most: int) -> bytes:
        """The next packet."""
        while True:
            packet = self._exactly(int.from_bytes(self._exactly(2)))
            if not self.session or packet[2:18] == self.session:
                return packet

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._sock.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


def over(sock: Any, listener: Listener, operation: int, room: str, name: str) -> Probe:
    """Create (1) or join (2) a room, and be served over a connection."""
    probe = Probe(asyncio.run(enter(listener.tcp, operation, room, name)), listener.udp)
    probe.socket.close()
    probe.socket = sock
    return resumed(probe)


def resumed(probe: Probe) -> Probe:
    assert [line["resumed"]["state"] for line in probe.resume()] == ["complete"]
    return probe


def test_two_sessions_share_a_connection(gateway: Gateway, room: str) -> None:
    listener = gateway.listener("auto")
    shared = TcpSocket(listener.tcp)
    alice, bob = over(shared, listener, 1, room, "alice"), over(shared, listener, 2, room, "bob")
    shared.session = bob.session.id
    bob.send({"say": "by the same connection", "number": 1})
    assert bob.until("from")["text"] == "by the same connection"
    shared.session = alice.session.id
    alice.send({"want": [alice.session.granted["offset"], 99]})
    assert alice.until("from")["text"] == "by the same connection"
    shared.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_member_that_does_not_read_delays_no_other_and_misses_nothing(gateway: Gateway, room: str) -> None:
    listener = gateway.listener("auto")
    with ExitStack() as stack:
        # A busy machine drops datagrams, and this client does not repeat what is lost.
        hers, deaf = TcpSocket(listener.tcp), TcpSocket(listener.tcp, receive_buffer=4_096)
        alice, slow = over(hers, listener, 1, room, "alice"), over(deaf, listener, 2, room, "bob")
        stack.callback(hers.close)
        stack.callback(deaf.close)
        # More than the 4 MiB that Linux keeps for a connection and the 256 KiB that the gateway does.
        texts = [f"{number} {'x' * 3_000}" for number in range(1, 1_601)]
        for number, text in enumerate(texts, 1):
            for part in divide(json.dumps({"say": text, "number": number}).encode()):
                alice.send(raw=part, kind=PART)
            while number % 16 == 0 and alice.until("from")["number"] < number:
                pass
        with suppress(ConnectionError, EOFError):
            while True:
                deaf.recv(0)
        again: Any = TcpSocket(listener.tcp)
        stack.callback(again.close)
        slow.socket = again
        resumed(slow)
        heard: dict[int, str] = {}
        while len(heard) < len(texts):
            line = slow.until("from")
            heard[line["n"]] = line["text"]
            if len(heard) % 100 == 0:
                slow.send({"ping": 1})
        assert list(heard.values()) == texts


def test_bytes_that_are_no_packets_end_the_connection_without_an_answer(gateway: Gateway) -> None:
    listener = gateway.listener("auto")
    for first in (b"\x00\xff" + bytes(300), framed(bytes(40)) + b"\xff\xff"):
        with socket.create_connection(listener.tcp, 5) as sock:
            sock.sendall(first)
            sock.settimeout(15)
            with suppress(ConnectionError):
                assert sock.recv(100) == b""


@pytest.mark.parametrize("how", ["tls", "plain", pytest.param("ipv6", marks=needs_ipv6)])
async def test_packets_go_inside_tls_where_a_port_speaks_nothing_else_and_without_seals_and_by_ipv6(
    how: str, tmp_path: Path, room: str
) -> None:
    authority, files = trustme.CA(), [tmp_path / name for name in ("ca.pem", "server.pem", "server.key")]
    issued = authority.issue_cert("127.0.0.1")
    for path, blob in zip(files, (authority.cert_pem, issued.cert_chain_pems[0], issued.private_key_pem), strict=True):
        blob.write_to_path(path)
        path.chmod(0o600)
    flags = ("--tls", "127.0.0.1:0", "--tls-cert", str(files[1]), "--tls-key", str(files[2])) if how == "tls" else ()
    host = "::1" if how == "ipv6" else "127.0.0.1"

    with Gateway("--notices", "off", *flags, data=tmp_path, host=host) as gateway:
        nothing = socket.socket(socket.AF_INET6 if how == "ipv6" else socket.AF_INET, socket.SOCK_DGRAM)
        nothing.bind((host, 0))
        tcp = next(iter(gateway.addresses("tls")))[1] if how == "tls" else gateway.listener("auto", host).tcp[1]
        is_tls = how == "tls"
        server = Server(host, tcp, nothing.getsockname()[1], tls=is_tls, tls_ca=files[0] if is_tls else None)
        settings = Settings(security="plain" if how == "plain" else "sealed")
        about: dict[str, Any] = {"server": server, "dialect": "tsudoi-2", "settings": settings}
        alice = await tsudoi.create(room, name="alice", **about)
        async with alice, await tsudoi.join(room, name="bob", **about) as bob:
            await talk(alice, bob, how)
            assert is_by_tcp(alice)
            assert is_by_tcp(bob)
        nothing.close()
