"""Serve one connection of the web listener: HTTP until it becomes a WebSocket; bytes in, commands out.

`websockets` reads and writes HTTP and frames, without I/O. A connection serves one HTTP request: the page has few
files, and what is not kept open can not be used up.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from websockets.datastructures import Headers, MultipleValuesError
from websockets.frames import CONT, TEXT, Frame
from websockets.http11 import Request, Response
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol

from tsudoi.protocol.web.codes import Close

from .origins import may_connect
from .page_files import SECURITY, PageFile

WEBSOCKET_PATH = "/connection/websocket"
MAX_HEAD = 16_384
"""Bytes of a request's line and headers; the library's own limits come to a megabyte."""
MAX_MESSAGE = 65_536
"""Bytes of a message from a client: the longest text, escaped, and a signed token."""

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
class Finish:
    """Close the connection once everything is written."""


Command = Send | Opened | Message | Finish


def text_frame(payload: bytes) -> bytes:
    """Return the frame with a text, which is the same for all connections."""
    return Frame(TEXT, payload).serialize(mask=False)


class Conversation:
    """One connection."""

    def __init__(self, page: Mapping[str, PageFile], origins: Collection[str], busy: str = "") -> None:
        """Begin before the first byte; `busy` is why no WebSocket is opened now."""
        self._page = page
        self._origins = origins
        self._busy = busy
        self._protocol = ServerProtocol(max_size=MAX_MESSAGE, logger=_logger)
        self._head = 0
        """Bytes received before the end of the request's head."""
        self.frames = 0
        """Frames that the client has sent, of any kind."""
        self._parts: list[bytes] = []
        """Of a message that comes in several frames."""
        self._has_ended = False
        """The client sends no more."""
        self.status = 0
        """Of the HTTP answer; 0: none yet."""

    @property
    def is_open(self) -> bool:
        """Whether it is a WebSocket that frames may be written to."""
        return self._protocol.state is OPEN

    def receive(self, data: bytes) -> list[Command]:
        """Handle received bytes; none: the client sends no more."""
        protocol = self._protocol
        if not self.status:
            self._head += len(data)
            if self._head > MAX_HEAD:
                return [Finish()]
        if self._has_ended:
            return []
        if data:
            protocol.receive_data(data)
        else:
            self._has_ended = True
            protocol.receive_eof()
        commands: list[Command] = []
        for event in protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
                # Output of earlier frames goes before that of later ones.
                commands += self._written()
                if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                    commands.append(Opened())
            elif isinstance(event, Frame):
                self.frames += 1
                commands += self._take(event)
        commands += self._written()
        if self._has_ended and Finish() not in commands:
            commands.append(Finish())
        return commands

    def close(self, code: Close, reason: str) -> list[Command]:
        """Close the WebSocket; what the client still sends is dropped."""
        if self._protocol.state is CONNECTING:
            return [Finish()]
        if self.is_open:
            self._protocol.send_close(int(code), reason)
        return [*self._written(), Finish()]

    def _written(self) -> list[Command]:
        return [Send(data) if data else Finish() for data in self._protocol.data_to_send()]

    def _take(self, frame: Frame) -> list[Command]:
        if frame.opcode not in (TEXT, CONT):
            if frame.opcode.name == "BINARY":
                return self.close(Close.BAD_REQUEST, "the JSON form of the protocol goes in text frames")
            return []
        data = bytes(frame.data)
        if frame.fin and not self._parts:
            return [Message(data)]
        self._parts.append(data)
        if not frame.fin:
            return []
        data = b"".join(self._parts)
        self._parts.clear()
        return [Message(data)]

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        upgrades = "websocket" in request.headers.get("Upgrade", "").casefold()
        if path == WEBSOCKET_PATH and upgrades:
            response = self._upgrade(request)
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
        self.status = response.status_code
        self._protocol.send_response(response)

    def _upgrade(self, request: Request) -> Response:
        try:
            origin, host = request.headers.get("Origin"), request.headers.get("Host")
        except MultipleValuesError:
            return _text(400, "one Origin and one Host, please")
        if not may_connect(origin, host, self._origins):
            return _text(403, "pages of this origin may not connect: the operator can list it with --web-origin")
        if self._busy:
            return _text(503, self._busy, **{"Retry-After": "5"})
        return self._protocol.accept(request)


def _response(status: int, body: bytes, *headers: tuple[str, str]) -> Response:
    always = (("Content-Length", str(len(body))), ("Connection", "close"), *SECURITY)
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
