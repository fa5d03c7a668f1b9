"""A client of version 2 for tests, which does nothing by itself: it sends what it is told to, and keeps what comes."""

import json
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from tsudoi.protocol.sealed.packets import (
    NO_RUN,
    Kind,
    Packet,
    parse_untrusted,
    serialize_header,
)
from tsudoi.protocol.sealed.parts import MAX_WHOLE, Parts, divide
from tsudoi.protocol.sealed.suites import PLAIN, cipher, has_valid_check

WAIT_S = 30.0


class HandshakeRefused(Exception):
    """The handshake was refused with these words."""


def named(line: Any) -> dict[str, Any]:
    """Return a line of a server by names, also if it is an array."""
    match line:
        case [int(after), int(to)]:
            return {"after": after, "to": to}
        case [int(n), str(sender), str(text), *numbers]:
            return {"n": n, "from": sender, "text": text, **dict(zip(("by", "number"), numbers, strict=False))}
    about: dict[str, Any] = line
    return about


def shake_hands(
    place: tuple[str, int],
    operation: int,
    room: str,
    name: str,
    *,
    suites: tuple[str, ...] = ("aes-128-gcm",),
    tls: bool = True,
    source: str = "",
    **more: Any,
) -> dict[str, Any]:
    """Create (1) or join (2) a room; return the session."""
    payload = json.dumps({"tsudoi": 2, "name": name, "suites": suites, **more}).encode()
    raw_room = room.encode()
    request = bytes((len(raw_room), operation, 0)) + len(payload).to_bytes(29, "big") + raw_room + payload
    with socket.create_connection(place, WAIT_S, source_address=(source, 0) if source else None) as plain:
        sock: socket.socket = plain
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(plain)
        sock.sendall(request)
        data = b""
        while piece := sock.recv(65_536):
            data += piece
        sock.close()
    frames = []
    while data:
        size = int.from_bytes(data[3:32], "big") + data[0]
        frames.append(json.loads(data[32 : 32 + size]))
        data = data[32 + size :]
    if len(frames) < 2:
        raise HandshakeRefused(frames[0]["message"])
    session: dict[str, Any] = frames[1]
    return session


class SealedClient:
    """One session and its UDP socket."""

    def __init__(self, session: dict[str, Any], server: tuple[str, int], bind: str = "127.0.0.1") -> None:
        self.about = session
        self.server = server
        self.session = bytes.fromhex(session["session"])
        suite = session["suite"]
        up, down = (bytes.fromhex(session.get(each, "")) for each in ("up", "down"))
        self.up, self.down = cipher(suite, up), cipher(suite, down)
        self.check = b"" if suite == PLAIN else bytes.fromhex(session["check"])
        self.epoch, self.offset = session["epoch"], session["offset"]
        self.run, self.count = NO_RUN, 0
        self.next = 1
        self.cookie = b""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.bind(bind)
        self.lines: list[dict[str, Any]] = []
        """All lines that have come, of all bodies."""
        self.entries: list[dict[str, Any]] = []
        """The room's entries, in order and each once, as far as no body is missing."""
        self.missing = False
        """A body has come that does not follow on the position."""
        self.packets: list[Packet] = []
        self.parts = Parts()

    def bind(self, host: str = "127.0.0.1") -> None:
        """Go to another address."""
        self.sock.close()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((host, 0))

    def close(self) -> None:
        self.sock.close()

    # --- up -------------------------------------------------------------------------------------------------------

    def pack(self, *lines: dict[str, Any]) -> list[bytes]:
        """Return the packets of a body."""
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        if len(body) <= MAX_WHOLE:
            return [self.seal(Kind.BODY, body)]
        return [self.seal(Kind.PART, part) for part in divide(body)]

    def seal(self, kind: Kind, content: bytes) -> bytes:
        self.count += 1
        header = serialize_header(kind, self.session, self.run, self.count)
        return header + self.up.encrypt(header[18:], content, header)

    def send(self, *lines: dict[str, Any]) -> None:
        for packet in self.pack(*lines):
            self.sock.sendto(packet, self.server)

    def say(self, text: str) -> int:
        number, self.next = self.next, self.next + 1
        self.send({"say": text, "number": number})
        return number

    # --- down -----------------------------------------------------------------------------------------------------

    def receive(self, timeout_s: float = 0.0) -> bool:
        """Take one packet; return whether there was one."""
        if not select.select([self.sock], [], [], timeout_s)[0]:
            return False
        packet = parse_untrusted(self.sock.recv(4_096))
        assert packet.session == self.session
        self.packets.append(packet)
        if packet.kind in (Kind.RETRY, Kind.GONE):
            assert has_valid_check(self.check, packet.header, packet.rest)
            self.cookie = packet.nonce
            return True
        body: bytes | None = self.down.decrypt(packet.nonce, packet.rest, packet.header)
        if packet.kind == Kind.PART:
            body = self.parts.add_untrusted(packet.run, packet.count, body or b"")
        if body:
            self._take([named(json.loads(line)) for line in body.split(b"\n")], packet)
        return True

    def _take(self, lines: list[dict[str, Any]], packet: Packet) -> None:
        self.lines += lines
        for line in lines:
            if "resumed" in line:
                about = line["resumed"]
                self.run = packet.run
                self.epoch, self.offset = about["epoch"], about["offset"]
        ranges = [line for line in lines if "after" in line]
        if packet.run != self.run or not ranges:
            return
        after, to = ranges[0]["after"], ranges[0]["to"]
        if after > self.offset:
            self.missing = True
        elif to > self.offset:
            self.entries += [line for line in lines if line.get("n", 0) > self.offset]
            self.offset = to

    def until(self, is_there: Callable[[], Any], what: str = "", again: Callable[[], object] = lambda: None) -> Any:
        """Receive until something is there, and return it; `again` is called every 0.3 s.

        It fails when the offset has stood still for `WAIT_S`: a busy machine takes long for many lines.
        """
        asked = moved = time.monotonic()
        offset = self.offset
        while not (found := is_there()):
            now = time.monotonic()
            if self.offset != offset:
                offset, moved = self.offset, now
            assert now < moved + WAIT_S, f"{what or is_there}: {self.lines[-5:]}"
            if now - asked > 0.3:
                asked = now
                again()
            self.receive(0.05)
        return found

    def find(self, key: str, value: Any = None) -> dict[str, Any] | None:
        """Return the last line with a key, and this value if one is given."""
        return next(
            (line for line in reversed(self.lines) if key in line and (value is None or line[key] == value)), None
        )

    def resume(self) -> dict[str, Any]:
        """Resume, and return what the server says of it."""
        before = len([line for line in self.lines if "resumed" in line])
        self.cookie = b""

        def ask() -> None:
            about = {"epoch": self.epoch, "offset": self.offset, "next": self.next}
            self.send({"resume": {"cookie": self.cookie.hex(), **about}})

        ask()
        self.until(lambda: self.cookie, "no retry", ask)
        ask()
        self.until(lambda: len([line for line in self.lines if "resumed" in line]) > before, "not resumed", ask)
        found = self.find("resumed")
        assert found is not None
        about: dict[str, Any] = found["resumed"]
        return about

    def has_said(self, count: int) -> bool:
        """Return whether more than `count` messages were delivered."""
        return len(self.texts()) > count

    def texts(self) -> list[str]:
        """Return the messages that were delivered, in order."""
        return [entry["text"] for entry in self.entries if "from" in entry]


def enter(
    place: tuple[str, int], server: tuple[str, int], operation: int, room: str, name: str, **more: Any
) -> SealedClient:
    """Create or join a room, and resume."""
    client = SealedClient(shake_hands(place, operation, room, name, **more), server)
    assert client.resume()["state"] == "complete"
    return client
