"""One UDP socket that sends what a test writes, and opens what comes: for what no well-behaved client does."""

import json
import select
import socket
import time
from types import TracebackType
from typing import Any, Self

from tests.second_client.session import BODY, GONE, HEAD, PART, RETRY, Address, Line, Session, read

PATIENCE_S = 60.0


class Probe:
    """A socket connected to the server, with a session's keys, its run and its count."""

    def __init__(self, session: Session, server: Address) -> None:
        self.session = session
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.connect(server)
        self.run, self.count, self.cookie = bytes(6), 0, b""
        self.sent: list[bytes] = []
        self.waiting: list[Line] = []
        self.parts: dict[int, dict[int, bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.socket.close()

    def pack(self, *lines: Line, raw: bytes | None = None, kind: int = BODY) -> bytes:
        """Return the next packet, not sent yet."""
        self.count += 1
        inside = "\n".join(json.dumps(line) for line in lines).encode() if raw is None else raw
        return self.session.pack(kind, self.run, self.count, inside)

    def send(self, *lines: Line, raw: bytes | None = None, kind: int = BODY) -> bytes:
        packet = self.pack(*lines, raw=raw, kind=kind)
        self.sent.append(packet)
        self.socket.send(packet)
        return packet

    def packet(self, patience_s: float = PATIENCE_S) -> bytes | None:
        """Return the next packet from the server; None if there is none in that time."""
        if select.select([self.socket], (), (), patience_s)[0]:
            return self.socket.recv(4096)
        return None

    def lines(self, quiet_s: float = 0.3) -> list[Line]:
        """Return all lines that come until it is quiet."""
        lines, self.waiting = self.waiting, []
        while (packet := self.packet(quiet_s)) is not None:
            lines += self.opened(packet)
        return lines

    def until(self, key: str, patience_s: float = PATIENCE_S) -> Line:
        """Return the next line that has this key; those before it are gone."""
        end = time.monotonic() + patience_s
        while True:
            while self.waiting:
                if key in (line := self.waiting.pop(0)):
                    return line
            packet = self.packet(max(0.0, end - time.monotonic()))
            if packet is None:
                raise AssertionError(f"no {key}")
            self.waiting += self.opened(packet)

    def opened(self, packet: bytes) -> list[Line]:
        """Return the lines of a packet; a retry and a gone are lines here too."""
        if packet[1] in (RETRY, GONE):
            assert self.session.holds(packet)
            return [{"retry" if packet[1] == RETRY else "gone": packet[18:HEAD].hex()}]
        body = self.session.unpack(packet)
        assert body is not None
        if packet[1] == PART:
            parts = self.parts.setdefault(int.from_bytes(packet[24:HEAD], "big") - body[0], {})
            parts[body[0]] = body[2:]
            if len(parts) < body[1]:
                return []
            body = b"".join(parts[index] for index in range(body[1]))
        lines = read(body)
        if any("resumed" in line for line in lines):
            self.run = packet[18:24]
        return lines

    def resume(self, cookie: str | None = None, patience_s: float = PATIENCE_S, **more: Any) -> list[Line]:
        """Send a `resume`, with a cookie got for it if none is given; return the body of the answer."""
        granted = self.session.granted
        place = {"epoch": granted["epoch"], "offset": granted["offset"], "next": 1, **more}
        if cookie is None:
            self.send({"resume": {"cookie": "", **place}})
            cookie = str(self.until("retry", patience_s)["retry"])
        self.cookie = bytes.fromhex(cookie)
        self.send({"resume": {"cookie": cookie, **place}})
        while (packet := self.packet(patience_s)) is not None:
            lines = self.opened(packet)
            if any("resumed" in line or "gone" in line or "retry" in line for line in lines):
                return lines
        raise AssertionError("no answer to a resume")
