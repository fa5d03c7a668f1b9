"""GET /healthz and GET /metrics: how a program is, for those who watch it.

Served by threads of its own, so that a stuck event loop shows as red instead of as silence. What is asked here is only
read, never changed.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader, RawIOBase
from socket import AF_INET, AF_INET6, SHUT_RDWR, socket
from time import monotonic
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from tsudoi.ops.host_port import HostPort
from tsudoi.protocol.errors import SettingError

AT_ONCE = 16
"""Requests at once; a connection beyond that is closed."""
REQUEST_S = 5
"""What a request may take to come in, from the connection to its last byte; and the answer to go."""


class HttpServer:
    """A small HTTP server for those who watch a program."""

    def __init__(self, place: HostPort, illness: Callable[[], str], metrics: Callable[[], bytes]) -> None:
        """Bind and serve.

        Args:
            place: where; port 0 takes a free one.
            illness: returns why health is red, empty if it is green. Called in a thread of the server's.
            metrics: returns the metrics in Prometheus' text format. Likewise.

        Raises:
            SettingError: the address can not be bound.
        """
        self.refused = 0
        """Connections that were closed because there were too many."""

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                super().setup()
                # Its own time-out is one for each byte: who sends one a second would hold a place for ever.
                self.rfile.close()
                self.rfile = BufferedReader(_Until(self.connection, monotonic() + REQUEST_S))

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, metrics(), CONTENT_TYPE_LATEST)
                elif self.path != "/healthz":
                    self._answer(404, b"there are only /healthz and /metrics here\n")
                elif reason := illness():
                    self._answer(503, f"{reason}\n".encode())
                else:
                    self._answer(200, b"ok\n")

            do_HEAD = do_GET

            def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
                self.connection.settimeout(REQUEST_S)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _bind(place, Handler, self._refuse)
        self.place = HostPort(place.host, self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        """Serve no more. The address is refused at once; the thread ends by itself within half a second."""
        # Who has a connection already may get an answer still. shutdown() waits for the thread's next look around.
        self._server.socket.shutdown(SHUT_RDWR)
        threading.Thread(target=self._finish, name="http's end", daemon=True).start()

    def _finish(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _refuse(self) -> None:
        self.refused += 1


class _Until(RawIOBase):
    """Reads from a socket until a moment; then that raises TimeoutError."""

    def __init__(self, connection: socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._deadline - monotonic()
        if left_s <= 0:
            raise TimeoutError("the request takes too long")
        self._connection.settimeout(left_s)
        return self._connection.recv_into(buffer)


def _bind(
    place: HostPort, handler: type[BaseHTTPRequestHandler], on_refused: Callable[[], None]
) -> ThreadingHTTPServer:
    free = threading.BoundedSemaphore(AT_ONCE)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = AF_INET6 if ":" in place.host else AF_INET

        def process_request(self, request: Any, client_address: Any) -> None:
            if free.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                on_refused()
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                free.release()

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the client went away

    try:
        return Server((place.host, place.port), handler)
    except OSError as exc:
        raise SettingError(f"can not listen on HTTP {place}: {exc.strerror}") from exc
