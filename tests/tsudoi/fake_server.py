"""A server in a test's own process: one dialect, rooms in a dict, answers made by `protocol`; no broker, no rules."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.support.waiting import PATIENCE_S, wait_until
from tsudoi import Server, Settings
from tsudoi.protocol.client import datagram, downlink_encoder, handshake
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.header import HEADER_SIZE, Header, frame
from tsudoi.protocol.client.recognise import asks_for_rooms
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import MalformedMessage

QUICK = Settings(connect_timeout_s=2, answer_timeout_s=2, settle_s=0.05)
"""For clients that talk to a server that is there, and need not be patient."""


@dataclass
class Room:
    password: str | None
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    said: int = 0


class FakeServer(asyncio.DatagramProtocol):
    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.rooms: dict[str, Room] = {}
        self.datagrams: list[bytes] = []
        self.ports: list[int | None] = []
        """UDP ports that clients announced."""
        self.asked_for_rooms = 0
        self.may_answer = asyncio.Event()
        """Until then requests are carried out, and not answered."""
        self.may_answer.set()
        self.answers: dict[str, list[bytes]] = {}
        """What a member is told that says this; nobody else hears it."""
        self.udp: asyncio.DatagramTransport
        self.address: Server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.datagrams.append(data)
        raw_room, raw_token, raw_text = datagram.parse_untrusted(data)
        room = self.rooms.get(raw_room.decode())
        token = raw_token.decode()
        if room is None or token not in room.names:
            return
        room.addresses[token] = addr
        text = datagram.decode_text(raw_text, self.dialect)
        if not text or text in self.dialect.register_words:
            return
        if text in self.dialect.leave_words:
            del room.addresses[token]
            return
        if text in self.answers:
            for answer in self.answers[text]:
                self.udp.sendto(answer, addr)
            return
        room.said += 1
        down = downlink_encoder.encode_message(self.dialect.down, raw_room.decode(), room.said, room.names[token], text)
        for other, address in room.addresses.items():
            if other != token or self.dialect.echo:
                self.udp.sendto(down, address)

    def tell(self, room: str, data: bytes) -> None:
        for address in self.rooms[room].addresses.values():
            self.udp.sendto(data, address)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            header = Header.parse_untrusted(await reader.readexactly(HEADER_SIZE))
        except MalformedMessage:  # such as TLS
            writer.write(frame(b"", 0, 1, b'{"status":4,"message":"Bad request"}'))
            return
        body = await reader.readexactly(header.body_size)
        if asks_for_rooms(header):
            self.asked_for_rooms += 1
            writer.write(handshake.encode_room_list(list(self.rooms)))
            return
        request = handshake.parse_request_untrusted(self.dialect, header, body)
        name = request.room
        if self.dialect.join_lists_rooms and request.operation is Operation.JOIN:
            writer.write(handshake.encode_join_list(list(self.rooms)))
            name = (await reader.read(255)).decode()
        status = self._status(request, name)
        if status is not Status.OK:
            await self._write(writer, handshake.encode_refusal(self.dialect, header, name, status))
            return
        room = self.rooms.setdefault(name, Room(request.password))
        user = f"{request.user}#2" if request.user in room.names.values() else request.user
        token = secrets.token_hex(16)
        room.names[token] = user
        await self.may_answer.wait()
        await self._write(writer, handshake.encode_grant(self.dialect, request, name, user, token))
        self.ports.append(
            handshake.PORT.unpack(await reader.readexactly(2))[0]
            if self.dialect.port is PortPlace.AFTER_TOKEN
            else request.port
        )

    def _status(self, request: handshake.Request, name: str) -> Status:
        if request.operation is Operation.CREATE:
            return Status.ROOM_EXISTS if name in self.rooms else Status.OK
        room = self.rooms.get(name)
        if room is None:
            return Status.ROOM_NOT_FOUND
        return Status.OK if room.password == request.password else Status.WRONG_PASSWORD

    async def _write(self, writer: asyncio.StreamWriter, frames: list[bytes]) -> None:
        for one in frames:
            writer.write(one)
            await asyncio.sleep(0.001)


@asynccontextmanager
async def fake_server(dialect: Dialect, host: str = "127.0.0.1") -> AsyncIterator[FakeServer]:
    fake = FakeServer(dialect)
    loop = asyncio.get_running_loop()
    tcp = await asyncio.start_server(fake.serve, host, 0)
    udp, _ = await loop.create_datagram_endpoint(lambda: fake, local_addr=(host, 0))
    fake.udp = udp
    fake.address = Server(host, tcp.sockets[0].getsockname()[1], udp.get_extra_info("sockname")[1])
    try:
        yield fake
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()


class Served:
    """A fake server in a thread, with a loop of its own: for clients that are processes."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with fake_server(self._dialect) as self.fake:
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)

    def hears(self, end: bytes) -> None:
        """Wait for a datagram that ends so: its sender may show the line, or end, before it is read here."""
        heard = self.fake.datagrams
        wait_until(lambda: any(each.endswith(end) for each in heard), f"{end!r} was not said")

    def tell(self, data: bytes) -> None:
        self._loop.call_soon_threadsafe(self.fake.tell, "den", data)
