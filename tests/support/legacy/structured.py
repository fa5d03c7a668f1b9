"""Clients whose payloads are JSON."""

import json
import socket

from tests.support.legacy.client import Answer, LegacyClient, NamedClient, RawClient
from tests.support.legacy.plain import read_status_and_token
from tests.support.legacy.wire import CREATE, HEADER_SIZE, Frame, Stream


class TcrpRoom(RawClient):
    """Joins rooms by TCP, and has no UDP half."""

    dialect = "tcrp-room"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_json(stream, operation, room, {"user_name": self.name, "password": self.habits.password})
        return read_status_and_token(stream, operation)


class TcrpJson(RawClient):
    """Reads header and body with one `recv` each; then says its UDP port in two bytes."""

    dialect = "tcrp-json"
    leave_word = "/exit"
    announces = True
    receives = 4094
    forgets_port = False
    """Some of its kind close the connection before they have said their port."""

    creates_bare = False
    """An older one of its kind wrote its name without JSON when it created a room."""

    CLOSED = "チャットルームが閉じられました"
    TIMED_OUT = "しばらく発言しなかったので、チャットルームから退出させました"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        if operation == CREATE and self.creates_bare:
            self.send_request(stream, operation, room, self.name.encode())
        else:
            self.send_json(stream, operation, room, {"username": self.name, "password": self.habits.password or ""})
        status = receive_in_two(stream)
        assert status.state == 1, status
        if status.payload != b"\0":
            return Answer(None, f"status {status.payload[0]}")
        complete = receive_in_two(stream)
        assert complete.state == 2, complete
        if not self.forgets_port:
            stream.send(self.udp_port.to_bytes(2, "big"))
        return Answer(complete.payload)

    def ends_at(self, text: str, raw: bytes) -> bool:
        return text in (self.CLOSED, self.TIMED_OUT)


def receive_in_two(stream: Stream) -> Frame:
    """One `recv` for the header and one for the body; less than all of either is an error to this program."""
    head = stream.receive_once(HEADER_SIZE)
    assert len(head) == HEADER_SIZE, f"this client gives up at an incomplete header: {head!r}"
    frame = Frame.split(head)
    body = stream.receive_once(frame.room_size + frame.payload_size)
    assert len(body) == frame.room_size + frame.payload_size, f"this client gives up at an incomplete body: {body!r}"
    return Frame.split(head + body)


class TcrpSuccess(NamedClient):
    """Shows nothing that has its own name on it."""

    dialect = "tcrp-success"
    registration = "__REGISTER__"
    leave_word = "__LEAVE__"

    CLOSED = b"__ROOM_CLOSED__"

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_json(stream, operation, room, self.name)
        status = stream.receive_frame()
        if json.loads(status.payload)["success"] != 1:
            return Answer(None, "failed")
        complete = stream.receive_frame()
        return Answer(str(json.loads(complete.payload)["token"]).encode())

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        return (None, raw.decode()) if raw == self.CLOSED else super().parse(raw)

    def ends_at(self, text: str, raw: bytes) -> bool:
        return raw == self.CLOSED

    def shows(self, sender: str | None, text: str) -> str:
        return "" if sender == self.name else super().shows(sender, text)


class TcrpSingle(RawClient):
    """One reply, with the token in it; all that follows the header must be JSON."""

    dialect = "tcrp-single"
    leave_word = "exit"
    announces = True

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        address = [self.habits.announced_host, self.udp_port]
        self.send_json(stream, operation, room, {"user_name": self.name, "user_address": address})
        reply = Frame.split(stream.receive_once(HEADER_SIZE) + stream.receive_once(4096))
        content = json.loads(reply.body)
        if content["status"] != 202:
            return Answer(None, content["message"])
        assert reply.state == 2, reply
        return Answer(str(content["token"]).encode())

    @property
    def closed(self) -> str:
        return f"ホストが退出したため、チャットルーム:{self.room}を終了します。"

    def ends_at(self, text: str, raw: bytes) -> bool:
        return self.closed in text or text == f"{self.name}が{self.room}から退出しました。"


class TcrpTwoSockets(RawClient):
    """Listens at the port that it announces, and sends from a socket of its own."""

    dialect = "tcrp-two-sockets"
    leave_word = "/quit"
    announces = True
    _sending: socket.socket | None = None

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        self.send_json(stream, operation, room, {"user_name": self.name, "udp_port": self.udp_port})
        reply = receive_in_two(stream)
        content = json.loads(reply.payload)
        if content["status"] != "success":
            return Answer(None, content["message"])
        self.room = reply.body[: reply.room_size].decode()
        self.name = content["user_name"]
        return Answer(str(content["token"]).encode())

    def send_raw(self, data: bytes) -> None:
        if self._sending is None:
            self._sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sending.bind((self.habits.udp_from, 0))
        self._sending.sendto(data, self.listener.udp)

    def close(self) -> None:
        super().close()
        if self._sending is not None:
            self._sending.close()

    def ends_at(self, text: str, raw: bytes) -> bool:
        return "ホストが退出したため" in text


class Tcrp202(RawClient):
    """JSON everywhere, on UDP too."""

    dialect = "tcrp-202"
    announces = True

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        content = {
            "username": self.name,
            "ip": self.habits.announced_host,
            "port": self.udp_port,
            "password": self.habits.password or "",
        }
        self.send_json(stream, operation, room, content)
        status = stream.receive_frame()
        first = json.loads(status.payload)
        if first["status"] != 202:
            return Answer(None, first["message"])
        complete = stream.receive_frame()
        second = json.loads(complete.payload)
        assert second["status"] in (200, 201), second
        return Answer(str(second["token"]).encode())

    def say(self, text: str) -> None:
        self.send(json.dumps({"sender": self.name, "message": text}, ensure_ascii=self.habits.ascii_json))

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        assert raw.startswith(b"\0\0"), raw
        content = json.loads(raw[2:])
        return content["sender"], content["message"]

    def down(self, sender: str, text: str) -> bytes:
        return b"\0\0" + json.dumps({"sender": sender, "message": text}).encode()


class TcrpTyped(LegacyClient):
    """Reads whole frames; each datagram is an object whose type says what it is."""

    dialect = "tcrp-typed"
    registration = ""
    leave_word = "\0"
    receives = 4094

    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        wanted = {"username": self.name}
        if self.habits.password:
            wanted["password"] = self.habits.password
        self.send_json(stream, operation, room, wanted)
        response = stream.receive_frame()
        content = json.loads(response.payload)
        if response.state != 1 or content["status"] != 200:
            return Answer(None, content["message"])
        complete = stream.receive_frame()
        assert complete.state == 2, complete
        return Answer(complete.payload)

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        content = json.loads(raw)
        assert content["type"] in ("chat", "system", "disconnect"), content
        return content["from"] if content["type"] == "chat" else None, content["text"]

    def down(self, sender: str, text: str) -> bytes:
        content = {"type": "chat", "from": sender, "text": text}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()

    def ends_at(self, text: str, raw: bytes) -> bool:
        return bool(json.loads(raw)["type"] == "disconnect")
