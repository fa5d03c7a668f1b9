"""Serve the operator's page: read each request, and send what `requests.py` answers.

In threads, since a question waits for the broker. A connection is for one request.
"""

import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path

from tsudoi.ops import web_files
from tsudoi.ops.host_port import HostPort
from tsudoi.ops.net.http import bind

from .requests import MAX_BODY, Ask, Request, Requests, Response, refusal

FOLDER = Path(__file__).with_name("page")
AT_ONCE = 32
"""Connections at once; one more is closed."""
REQUEST_S = 20.0
"""How long a connection may last: as long as an order to several brokers takes, which is given again for a while."""
MAX_DROPPED = 2**20
"""Bytes of a body that is too long which are read all the same: the client may not read before it has sent them."""


class PageServer:
    """The page at one address, until `close`."""

    def __init__(self, place: HostPort, token: str, hosts: Sequence[str], ask: Ask) -> None:
        """Bind and serve; raise SettingError if the address can not be bound. `ask` is called in threads."""
        self.requests = requests = Requests(token, hosts, web_files.load(FOLDER), ask)

        class Handler(BaseHTTPRequestHandler):
            server_version, sys_version = "tsudoi", ""
            default_request_version = "HTTP/1.0"  # else what is no HTTP is answered without a status

            def do_GET(self) -> None:
                self._send(requests.answer(Request(self.command, self.path, tuple(self.headers.items()))))

            def do_POST(self) -> None:
                body, is_too_long = self._body()
                headers = tuple(self.headers.items())
                self._send(requests.answer(Request(self.command, self.path, headers, body, is_too_long)))

            do_HEAD = do_OPTIONS = do_PUT = do_DELETE = do_PATCH = do_GET

            def _body(self) -> tuple[bytes, bool]:
                lengths = self.headers.get_all("Content-Length", [])
                if len(lengths) != 1 or not lengths[0].isdecimal() or "Transfer-Encoding" in self.headers:
                    return b"", True
                length = int(lengths[0][:20])
                if length <= MAX_BODY:
                    return self.rfile.read(length), False
                self.rfile.read(min(length, MAX_DROPPED))
                return b"", True

            def _send(self, response: Response) -> None:
                if response.after_s:
                    time.sleep(response.after_s)
                self.send_response(response.status)
                for name, value in response.headers:
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD" and response.status != 304:
                    self.wfile.write(response.body)

            def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
                """Answer what `http.server` refuses by itself: no HTTP, too long a head, another method."""
                self.close_connection = True
                self._send(refusal(int(code), message or "this can not be answered"))

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = bind(place, Handler, AT_ONCE, REQUEST_S)
        self.place = HostPort(place.host, self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)
        self._thread.start()

    def url(self, token: str) -> str:
        """Return what an operator opens on this machine, with a token if it is not empty.

        What is behind `#` is sent to no server.
        """
        host = ip_address(self.place.host)
        here = {4: "127.0.0.1", 6: "::1"}[host.version] if host.is_unspecified else self.place.host
        return f"http://{HostPort(here, self.place.port)}/" + (f"#token={token}" if token else "")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
