"""Serve one connection of the web listener: HTTP until it becomes a WebSocket; bytes in, commands out.

`websockets` reads and writes HTTP and frames, without I/O. It serves one request, so each request has a protocol object
of its own. A connection serves `REQUESTS` of them, one after the other: it is closed after an answer before which a
further request has come (pipelining), so that what a client has not taken is bounded.
"""

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from websockets.datastructures import Headers, MultipleValuesError
from websockets.frames import CONT, TEXT, Frame
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tsudoi.ops.web_files import SECURITY, PageFile
from tsudoi.protocol.web.codes import Close

from ..explain.other_protocols import TLS_RECORD
from .origins import may_connect

WEBSOCKET_PATH = "/connection/websocket"
REQUESTS = 100
"""Requests of one connection, after which it is closed: a page takes its files by six connections at the most."""
MAX_HEAD = 16_384
"""Bytes of a request's line and headers; the library's own limits come to a megabyte."""
MAX_MESSAGE = 65_536
"""Bytes of a message from a client: the longest text, escaped, and a signed token."""

_HEAD_END = re.compile(rb"\n\r?\n")

_logger = logging.getLogger("gateway.websockets")
"""The library's; it logs each connection at INFO, which is no line for an operator."""
_logger.setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection is a WebSocket now."""


@dataclass(frozen=True, slots=True)
class Message:
    """The client has sent this text."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """Log that a WebSocket, or what is no HTTP, was refused."""

    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the connection once everything is written."""


Command = Send | Opened | Message | Report | Finish


def text_frame(payload: bytes) -> bytes:
    """Return the frame with a text, which is the same for all connections."""
    return Frame(TEXT, payload).serialize(mask=False)


class Conversation:
    """One connection."""

    __slots__ = ("_busy", "_head", "_is_over", "_origins", "_page", "_parts", "_protocol", "_requests", "frames")

    def __init__(self, page: Mapping[str, PageFile], origins: Collection[str], busy: str = "") -> None:
        """Begin before the first byte; `busy` is why no WebSocket is opened now."""
        self._page = page
        self._origins = origins
        self._busy = busy
        self._protocol: ServerProtocol | None = None
        """Of the WebSocket; None: it is not opened."""
        self._head = b""
        """Of a request that has not come whole."""
        self._requests = 0
        self.frames = 0
        """Frames that the client has sent, of any kind."""
        self._parts: list[bytes] | None = None
        """Of a message that comes in several frames."""
        self._is_over = False
        """The connection has been told to finish; nothing that the client sends counts any more."""

    @property
    def is_open(self) -> bool:
        """Whether it is a WebSocket that frames may be written to."""
        return self._protocol is not None and self._protocol.state is OPEN

    @property
    def is_between_requests(self) -> bool:
        """Whether its client has been answered and has not begun a further request."""
        return self._protocol is None and self._requests > 0 and not self._head

    def receive(self, data: bytes) -> list[Command]:
        """Handle received bytes; none: the client sends no more."""
        if self._is_over:
            return []
        if self._protocol is not None:
            return self._read_frames(self._protocol, data)
        return self._read_head(data) if data else self._finish()

    def close(self, code: Close, reason: str) -> list[Command]:
        """Close the WebSocket; what the client still sends is dropped."""
        if self._is_over:
            return []
        if self._protocol is None:
            return self._finish()
        if self.is_open:
            self._protocol.send_close(int(code), reason)
        return [*self._written(self._protocol), *self._finish()]

    def abandon(self) -> None:
        """Note that the connection is closed."""
        self._is_over = True
        if self._protocol is not None:
            _release(self._protocol)

    def _finish(self) -> list[Command]:
        self._is_over = True
        return [Finish()]

    def _written(self, protocol: ServerProtocol) -> list[Command]:
        # An empty piece means: close the connection.
        return [Send(data) for data in protocol.data_to_send() if data]

    # --- WebSocket ------------------------------------------------------------------------------------------------

    def _read_frames(self, protocol: ServerProtocol, data: bytes) -> list[Command]:
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        commands: list[Command] = []
        for event in protocol.events_received():
            if isinstance(event, Frame) and not self._is_over:
                self.frames += 1
                commands += self._take(event)
        commands += self._written(protocol)
        if not self._is_over and (not data or protocol.close_expected()):
            commands += self._finish()
        return commands

    def _take(self, frame: Frame) -> list[Command]:
        if frame.opcode not in (TEXT, CONT):
            if frame.opcode.name == "BINARY":
                return self.close(Close.BAD_REQUEST, "the JSON form of the protocol goes in text frames")
            return []
        data = bytes(frame.data)
        if self._parts is None:
            if frame.fin:
                return [Message(data)]
            self._parts = []
        self._parts.append(data)
        if not frame.fin:
            return []
        data, self._parts = b"".join(self._parts), None
        return [Message(data)]

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def _read_head(self, data: bytes) -> list[Command]:
        if not self._head and (why := _not_http(data[0])):
            return [Report(why), *self._finish()]
        searched = max(len(self._head) - 2, 0)
        received = self._head + data
        end = _HEAD_END.search(received, searched)
        size = len(received) if end is None else end.end()
        if size > MAX_HEAD:
            return self._finish()
        if end is None:
            self._head = received
            return []
        self._head = b""
        return self._answer_head(received[:size], received[size:])

    def _answer_head(self, head: bytes, rest: bytes) -> list[Command]:
        """Answer a request; `rest` has come behind its head: frames, a body, or a further request."""
        self._requests += 1
        protocol = ServerProtocol(max_size=MAX_MESSAGE, logger=_logger)
        protocol.receive_data(head)
        request = next(iter(protocol.events_received()), None)
        if not isinstance(request, Request):
            # It is no HTTP/1.1, and the library has said so.
            _release(protocol)
            return [*self._written(protocol), *self._finish()]
        response = self._response(request, protocol)
        is_last = bool(rest) or self._requests >= REQUESTS or not _may_go_on(request, response)
        if is_last and response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            response.headers["Connection"] = "close"
        protocol.send_response(response)
        commands = self._written(protocol)
        if response.status_code in (403, 503):
            commands.append(Report(response.body.decode().strip()))
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self._protocol = protocol
            return [*commands, Opened(), *(self.receive(rest) if rest else ())]
        _release(protocol)
        return commands + self._finish() if is_last else commands

    def _response(self, request: Request, protocol: ServerProtocol) -> Response:
        path = request.path.partition("?")[0]
        upgrades = "websocket" in ",".join(request.headers.get_all("Upgrade")).casefold()
        if path == WEBSOCKET_PATH and upgrades:
            response = self._upgrade(request, protocol)
        elif request.method not in ("GET", "HEAD"):
            response = _text(405, "only GET is served here", Allow="GET, HEAD")
        elif path == WEBSOCKET_PATH:
            response = _text(426, "this is for WebSocket clients", Upgrade="websocket")
        elif (file := self._page.get(path)) is not None and not upgrades:
            response = _file(file, request)
        else:
            response = _text(404, f"there is nothing here; WebSocket is at {WEBSOCKET_PATH}")
        if request.method == "HEAD":
            response.body = b""
        return response

    def _upgrade(self, request: Request, protocol: ServerProtocol) -> Response:
        try:
            origin, host = request.headers.get("Origin"), request.headers.get("Host")
        except MultipleValuesError:
            return _text(400, "one Origin and one Host, please")
        if not may_connect(origin, host, self._origins):
            return _text(403, "pages of this origin may not connect: the operator can list it with --web-origin")
        if self._busy:
            return _text(503, self._busy, **{"Retry-After": "5"})
        return protocol.accept(request)


def _release(protocol: ServerProtocol) -> None:
    """Break the reference cycles of a protocol object that has done its work, so that it is freed now.

    Thousands of them, left to the garbage collector, made it hold up the event loop for 0.15 s: the attack
    `web_half_open`.
    """
    protocol.parser.close()
    protocol.parser_exc = protocol.handshake_exc = None


def _not_http(first: int) -> str:
    """Return what a client has begun with whose first byte begins no request of HTTP; empty: it may be one."""
    if first == TLS_RECORD[0]:
        return "TLS came, and this listener has none (--web HOST:PORT,tls=on)"
    if first < ord(" ") and first not in b"\r\n":
        return "this is no HTTP; clients with sockets have the port of --tcp"
    return ""


def _may_go_on(request: Request, response: Response) -> bool:
    """Return whether a further request may follow: not after what may have a body, or was no request for a file."""
    asked = ",".join(request.headers.get_all("Connection")).casefold()
    has_body = "Content-Length" in request.headers or "Transfer-Encoding" in request.headers
    is_asked = request.protocol == "HTTP/1.1" and "close" not in asked
    return is_asked and not has_body and response.status_code in (200, 304, 404)


def _response(status: int, body: bytes, *headers: tuple[str, str]) -> Response:
    always = (("Content-Length", str(len(body))), *SECURITY)
    return Response(status, HTTPStatus(status).phrase, Headers([*headers, *always]), body)


def _text(status: int, words: str, **headers: str) -> Response:
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return _response(status, f"{words}\n".encode(), kind, *headers.items())


def _file(file: PageFile, request: Request) -> Response:
    cached = (("ETag", file.tag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding"))
    if file.tag in request.headers.get_all("If-None-Match"):
        response = _response(304, b"", *cached)
        del response.headers["Content-Length"]
        return response
    accepted = ",".join(request.headers.get_all("Accept-Encoding")).split(",")
    if "gzip" in map(str.strip, accepted):
        return _response(200, file.zipped, ("Content-Type", file.kind), ("Content-Encoding", "gzip"), *cached)
    return _response(200, file.body, ("Content-Type", file.kind), *cached)
