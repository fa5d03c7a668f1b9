"""The model server of version 2 behind real sockets, in a test's own process: rooms, TLS, gateways, a bad network."""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import msgspec
import trustme

from tests.tsudoi.protocol.sealed.model_server import Broker, Gateway, Member, Serving, line
from tsudoi import Server, Settings
from tsudoi.protocol.client.header import HEADER_SIZE, Header, frame
from tsudoi.protocol.sealed.grant import Grant
from tsudoi.protocol.sealed.lines import UpLine, with_cause
from tsudoi.protocol.sealed.suites import CHECK_KEY_SIZE, KEY_SIZES, PLAIN

QUICK = Settings(connect_timeout_s=2, answer_timeout_s=3, flush_s=2)
Address = tuple[str, int]


class _Gateway(Gateway):
    """Answers some lines itself."""

    def __init__(self, server: "SealedServer", room: "Room", index: int) -> None:
        self.room, self.server = room, server
        super().__init__(room, server.dice, server.later, partial(server.send, index), set())

    def _say(self, serving: Serving, up: UpLine, after: int) -> None:
        session = serving.member.grant.session
        answers = self.server.answers.get(up.say or "")
        if answers is None or session not in self._broker.members:
            super()._say(serving, up, after)
            return
        assert up.number is not None
        serving.member.said = serving.taken = max(serving.member.said, up.number)
        self._tell_kept(serving)
        for answer in answers:
            self._send_body(serving, with_cause(answer, serving.member.grant.member, up.number))

    def end(self, session: bytes, reason: str, text: str, last: int = 0) -> None:
        """End a membership; `last`: the offset of its last entry, if that is known."""
        serving = self.serving.pop(session)
        del self._broker.members[session]
        self._send_body(serving, line(ended=reason, text=text, last=last))


class Room(Broker):
    """A room and its gateways, one at each UDP port."""

    def __init__(self, server: "SealedServer") -> None:
        super().__init__()
        self.joined = 0
        """How many members there have been: no number comes twice."""
        self.gateways = [_Gateway(server, self, index) for index in range(len(server.udp))]


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: "SealedServer", index: int) -> None:
        self._server, self._index = server, index

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.received(self._index, data, addr)


class SealedServer:
    """One service."""

    def __init__(self, gateways: int, suites: tuple[str, ...], seed: int, version: int) -> None:
        self.dice = Random(seed)
        self.rooms: dict[str, Room] = {}
        self.loss = 0.0
        self.suites = suites
        self.version = version
        self.answers: dict[str, list[bytes]] = {}
        self.udp: list[asyncio.DatagramTransport] = [None] * gateways  # type: ignore[list-item]
        self.is_deaf = False
        self.may_answer = asyncio.Event()
        """Until then requests are carried out, and not answered."""
        self.may_answer.set()
        self.datagrams: list[bytes] = []
        self.addresses: set[Address] = set()
        self.requests: list[dict[str, Any]] = []
        self.behind_names = ""
        """What names that it gives have behind those that are asked for."""
        self.address: Server

    def later(self, seconds: float, act: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, act)

    def received(self, index: int, data: bytes, address: Address) -> None:
        self.datagrams.append(data)
        self.addresses.add(address)
        if self.is_deaf or self.dice.random() < self.loss:
            return
        for room in self.rooms.values():
            if data[2:18] in room.members or data[2:18] in room.gateways[index].serving:
                room.gateways[index].receive(data, address)  # type: ignore[arg-type]
                return

    def send(self, index: int, address: Any, data: bytes) -> None:
        self.datagrams.append(data)
        if not self.is_deaf and self.dice.random() >= self.loss:
            self.udp[index].sendto(data, address)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            header = Header.parse_untrusted(await reader.readexactly(HEADER_SIZE))
            body = await reader.readexactly(header.body_size)
            answer = self._answer(header, body)
            await self.may_answer.wait()
            writer.write(answer)
            await writer.drain()
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    def _answer(self, header: Header, body: bytes) -> bytes:
        if not body:
            return frame(b"", 2, 1, ",".join(self.rooms).encode())
        name = body[: header.room_size].decode()
        request = json.loads(body[header.room_size :])
        self.requests.append(request)
        suites = [suite for suite in request.get("suites", ()) if suite in self.suites]
        if request["tsudoi"] != self.version:
            return self._refuse(header, 4, "Bad request")
        if not suites:
            return self._refuse(header, 4, "Bad request: plain is not allowed here")
        if (header.operation == 1) == (name in self.rooms):
            return self._refuse(header, *((1, "Room already exists") if header.operation == 1 else (2, "no such room")))
        room = self.rooms.setdefault(name, Room(self))
        grant = self._grant(room, request["name"], suites[0])
        reply = {
            key: getattr(grant, key).hex() if isinstance(getattr(grant, key), bytes) else getattr(grant, key)
            for key in grant.__struct_fields__
            if getattr(grant, key) != b""
        }
        first = frame(b"", header.operation, 1, b'{"status":0,"message":"ok"}')
        return first + frame(b"", header.operation, 2, msgspec.json.encode(reply))

    def _refuse(self, header: Header, status: int, words: str) -> bytes:
        return frame(b"", header.operation, 1, json.dumps({"status": status, "message": words}).encode())

    def _grant(self, room: Room, name: str, suite: str) -> Grant:
        size, check = KEY_SIZES[suite], 0 if suite == PLAIN else CHECK_KEY_SIZE
        session, up, down, checks = (secrets.token_bytes(n) for n in (16, size, size, check))
        name += self.behind_names
        room.joined += 1
        grant = Grant(session, suite, up, down, checks, name, room.joined, room.epoch, room.last)
        room.members[session] = Member(grant)
        return grant


@asynccontextmanager
async def sealed_server(
    *,
    gateways: int = 1,
    suites: tuple[str, ...] = ("aes-128-gcm", "chacha20-poly1305"),
    tls: bool = True,
    seed: int = 1,
    ca: trustme.CA | None = None,
    version: int = 2,
) -> AsyncIterator[SealedServer]:
    """Run a service; each of several gateways has a port of its own."""
    host = "127.0.0.1"
    server = SealedServer(gateways, suites, seed, version)
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        (ca or trustme.CA()).issue_cert(host, "localhost").configure_cert(context)
    loop = asyncio.get_running_loop()
    tcp = await asyncio.start_server(server.serve, host, 0, ssl=context)
    for index in range(gateways):
        server.udp[index], _ = await loop.create_datagram_endpoint(partial(_Udp, server, index), local_addr=(host, 0))
    server.address = Server(host, tcp.sockets[0].getsockname()[1], server.udp[0].get_extra_info("sockname")[1])
    try:
        yield server
    finally:
        for transport in server.udp:
            transport.close()
        tcp.close()
        await tcp.wait_closed()
