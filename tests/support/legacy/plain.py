"""Clients whose request is the room and the user name as plain text."""

import time
from dataclasses import replace
from typing import ClassVar

from tests.support.legacy.client import PLAIN, Answer, MirrorClient, NamedClient, RawClient
from tests.support.legacy.wire import CREATE, HEADER_SIZE, JOIN, Counts, Frame, Stream, header


class Classic(RawClient):
    """The seed's client. It takes any reply for its token, and has no leave word."""

    dialect = "classic"
    counts = Counts.CHARACTERS
    prefix = ": "
    registration = ""
    echoes = True

    listed: tuple[str, ...] = ()

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        if operation == CREATE or self.habits.joins_by_room:
            self.send_request(stream, operation, room, self.name.encode(), self.habits.create_state)
            token = stream.receive_once(255)
            return Answer(token)
        self.send_request(stream, JOIN, "", self.name.encode())
        rooms = stream.receive_once(4096)
        self.listed = tuple(name.strip().strip("'\"") for name in rooms.decode()[1:-1].split(",") if name)
        stream.send(room.encode())
        token = stream.receive_once(255)
        return Answer(token)

    def ends_at(self, text: str, raw: bytes) -> bool:
        return text in ("Timeout!", "exit!")


class Tcrp(RawClient):
    """By the text of the exercise. It sends no datagram before its user has typed a line."""

    dialect = "tcrp"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_request(stream, operation, room, self.name.encode())
        return read_status_and_token(stream, operation)


class TcrpNamed(NamedClient):
    dialect = "tcrp-named"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_request(stream, operation, room, self.name.encode())
        return read_status_and_token(stream, operation)


def read_status_and_token(stream: Stream, operation: int) -> Answer:
    """State 1 with one status byte; then, if that was 0, state 2 with the token."""
    status = stream.receive_frame()
    assert (status.operation, status.state, status.payload_size) == (operation, 1, 1), status
    if status.payload != b"\0":
        return Answer(None, f"status {status.payload[0]}")
    complete = stream.receive_frame()
    assert (complete.operation, complete.state) == (operation, 2), complete
    return Answer(complete.payload)


class Tcrp200(RawClient):
    """One `recv` a reply, whatever it brings; connects its UDP socket; greets the room as soon as it is in."""

    dialect = "tcrp-200"
    prefix = " : "
    separator = " : "
    leave_word = "exit:"
    connects_udp = True
    receives = 4094

    pause_s = 0.0
    """Between its last two replies."""

    @property
    def greeting(self) -> str:
        """An ordinary message, which the other members receive."""
        return f"{self.room} に参加しました。"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_request(stream, operation, room, self.name.encode())
        status = Frame.split(stream.receive_once(4096))
        assert status.state == 1, f"this client asks its user to start over: {status}"
        since = time.monotonic()
        result = Frame.split(stream.receive_once(4096))
        self.pause_s = time.monotonic() - since
        assert result.state == 2, f"this client asks its user to start over: {result}"
        if b"error:" in result.payload:
            return Answer(None, result.payload.decode().replace("error:", ""))
        self.room = result.body[: result.room_size].decode()
        return Answer(result.payload)

    def start(self) -> None:
        self.say(self.greeting)

    def ends_at(self, text: str, raw: bytes) -> bool:
        return "exit:" in text


class TcrpOk(NamedClient):
    """Asks for the list on a connection of its own, then says its UDP port after its name."""

    dialect = "tcrp-ok"
    registration = "@join"
    leave_word = "@quit"
    announces = True

    NOTICES: ClassVar[tuple[str, ...]] = ("ROOM_CLOSED", "DISCONNECTED", "SERVER_SHUTDOWN")
    listed: tuple[str, ...] = ()

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        stream.send(header(0, JOIN, 0, 0))
        rooms = stream.receive_frame()
        assert (rooms.room_size, rooms.operation, rooms.state) == (0, JOIN, 1), rooms
        self.listed = tuple(rooms.payload.decode().split(",")) if rooms.payload else ()
        self.hang_up()
        self.dial()
        assert self.stream is not None
        self.send_request(self.stream, operation, room, self.name.encode() + self.udp_port.to_bytes(2, "big"))
        status = self.stream.receive_frame()
        assert status.state == 1, status
        if status.payload != b"OK":
            return Answer(None, status.payload.decode())
        complete = self.stream.receive_frame()
        assert complete.state == 2, complete
        return Answer(complete.payload)

    def payload_size(self, payload: bytes, counts: Counts) -> int:
        return counts.of_payload(payload[:-2]) + 2

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        for notice in self.NOTICES:
            if raw.startswith(notice.encode()):
                return None, raw.decode()
        return super().parse(raw)

    def ends_at(self, text: str, raw: bytes) -> bool:
        return raw.startswith(tuple(notice.encode() for notice in self.NOTICES))


class TcrpBareAck(MirrorClient):
    """Expects of the first reply its header alone, and on UDP the same form down as up.

    Its UDP socket has the port of its TCP connection. It sends nothing on it before its user types a line.
    """

    dialect = "tcrp-bare-ack"
    leave_word = "exit"
    echoes = True

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        if self.habits.udp_ports == PLAIN.udp_ports:
            self.habits = replace(self.habits, udp_ports=(stream.port, 0))
        self._bind()
        self.send_request(stream, operation, room, self.name.encode())
        ack = Frame.split(stream.receive_exactly(HEADER_SIZE))
        assert (ack.operation, ack.state) == (operation, 1), ack
        result = stream.receive_frame()
        if result.state != 2:
            return Answer(None, f"state {result.state}")
        return Answer(result.payload)


class TcrpEmptyAck(RawClient):
    """Reads 32 bytes, then all that comes, and looks at no sizes."""

    dialect = "tcrp-empty-ack"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_request(stream, operation, room, self.name.encode())
        ack = Frame.split(stream.receive_once(HEADER_SIZE))
        if ack.state != 1:
            return Answer(None, "invalid answer")
        result = Frame.split(stream.receive_once(HEADER_SIZE + 255))
        assert result.state == 2, result
        return Answer(result.body.rstrip(b"\0"))


class TcrpNoToken(MirrorClient):
    """Takes the second reply's text for its token, unless that is `No token`; binds its UDP port at its start."""

    dialect = "tcrp-no-token"
    counts = Counts.ROOM
    receives = 4094

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_request(stream, operation, room, self.name.encode())
        head = Frame.split(stream.receive_once(HEADER_SIZE))
        status = stream.receive_once(head.room_size + head.payload_size)
        result = stream.receive_once(1024)
        text = result[HEADER_SIZE + result[0] :]
        return Answer(None, status.decode()) if text == b"No token" else Answer(text)


class TcrpRaw(MirrorClient):
    """Reads a byte with the status, a byte with the size of the token, and the token; ends at one whole datagram."""

    dialect = "tcrp-raw"
    prefix = ": "
    leave_word = "/exit"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_request(stream, operation, room, self.name.encode())
        status = stream.receive_exactly(1)
        if status != b"\0":
            return Answer(None, f"status {status[0]}")
        size = stream.receive_exactly(1)
        token = stream.receive_exactly(size[0])
        return Answer(token)

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        return (None, raw.decode()) if raw == b"HOST_DISCONNECTED" else super().parse(raw)

    def ends_at(self, text: str, raw: bytes) -> bool:
        return raw == b"HOST_DISCONNECTED"
