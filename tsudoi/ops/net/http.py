"""Serve GET /healthz and GET /metrics.

It runs in threads, so that a program whose event loop is stuck is still reported as unhealthy.
"""

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, SHUT_RDWR, socket
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from ...protocol.errors import SettingError
from ..host_port import HostPort, is_fixed

AT_ONCE = 16
"""Connections at once; one more is closed."""
REQUEST_S = 5
"""How long a connection may last. Otherwise sixteen slow clients could block the health check."""


class MonitoringServer:
    """A small HTTP server for monitoring."""

    def __init__(self, place: HostPort, unhealthy_reason: Callable[[], str], metrics: Callable[[], bytes]) -> None:
        """Bind and serve; raise SettingError if the address can not be bound.

        `unhealthy_reason` and `metrics` are called in threads; the first returns an empty text if all is well.
        """

        is_local = ip_address(place.host).is_loopback

        def is_rebound(host: str) -> bool:
            # A page that points its name at this machine could read what only this machine may. At other addresses
            # Prometheus asks by names.
            return is_local and not is_fixed(host)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics" and is_rebound(self.headers.get("Host", "localhost")):
                    self._answer(403, b"ask by an IP address or as localhost\n")
                elif self.path == "/metrics":
                    self._answer(200, metrics(), CONTENT_TYPE_LATEST)
                elif self.path != "/healthz":
                    self._answer(404, b"there are only /healthz and /metrics here\n")
                elif reason := unhealthy_reason():
                    self._answer(503, f"{reason}\n".encode())
                else:
                    self._answer(200, b"ok\n")

            do_HEAD = do_GET

            def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = bind(place, Handler)
        self.place = HostPort(place.host, self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        """Refuse new connections from now on. Requests that are under way are answered."""
        # shutdown() waits up to half a second for the serving thread.
        self._server.socket.shutdown(SHUT_RDWR)
        threading.Thread(target=self._finish, name="http-close", daemon=True).start()

    def _finish(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def bind(
    place: HostPort, handler: type[BaseHTTPRequestHandler], at_once: int = AT_ONCE, request_s: float = REQUEST_S
) -> ThreadingHTTPServer:
    """Return a server with a thread for each of at most `at_once` connections, each of which lasts `request_s` at most.

    Raises:
        SettingError: the address can not be bound.
    """
    free = threading.BoundedSemaphore(at_once)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = AF_INET6 if ":" in place.host else AF_INET

        def process_request(self, request: Any, client_address: Any) -> None:
            if free.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            deadline = threading.Timer(request_s, _shut_down, (request,))
            deadline.daemon = True
            deadline.start()
            try:
                super().process_request_thread(request, client_address)
            finally:
                deadline.cancel()
                free.release()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Ignore that the client has closed the connection."""

    try:
        return Server((place.host, place.port), handler)
    except OSError as exc:
        raise SettingError(f"can not listen on HTTP {place}: {exc.strerror}") from exc


def _shut_down(connection: socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(SHUT_RDWR)
