"""GET /healthz: 200 if a canary came back over the whole way lately, else 503 with the reason.

Served by a thread of its own, so that a stuck event loop shows as red instead of as silence.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, SHUT_RDWR

from gateway.config import Door
from protocol.errors import SettingError


class HealthServer:
    """A small HTTP server for those who watch the gateway."""

    def __init__(self, door: Door, illness: Callable[[], str]) -> None:
        """Bind and serve.

        Args:
            door: where; port 0 takes a free one.
            illness: returns why health is red, empty if it is green. Called in the server's thread.

        Raises:
            SettingError: the address can not be bound.
        """

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                if self.path != "/healthz":
                    self._answer(404, "there is only /healthz here")
                elif reason := illness():
                    self._answer(503, reason)
                else:
                    self._answer(200, "ok")

            do_HEAD = do_GET

            def _answer(self, status: int, text: str) -> None:
                body = f"{text}\n".encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = AF_INET6 if ":" in door.host else AF_INET

        try:
            self._server = Server((door.host, door.port), Handler)
        except OSError as exc:
            raise SettingError(f"can not listen on HTTP {door}: {exc.strerror}") from exc
        self.door = Door(door.host, self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Serve no more. The address is refused at once; the thread ends by itself within half a second."""
        # Who has a connection already may get an answer still. shutdown() waits for the thread's next look around.
        self._server.socket.shutdown(SHUT_RDWR)
        threading.Thread(target=self._finish, name="health's end", daemon=True).start()

    def _finish(self) -> None:
        self._server.shutdown()
        self._server.server_close()
