"""broker/admin/web/server.py, over real connections"""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest

from broker.admin.web import server as module
from broker.admin.web.requests import MAX_BODY, WRONG_TOKEN_S
from broker.admin.web.server import PageServer
from tsudoi.ops.host_port import HostPort
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.backbone.admin_frames import Answer, Question
from tsudoi.protocol.errors import SettingError

TOKEN = "a-token-of-the-operator-0123456789"
HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"


class Serving:
    """A page, and what its broker was asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.server = PageServer(HostPort("127.0.0.1", 0), TOKEN, (), self._ask)

    def _ask(self, question: Question) -> tuple[Answer, Mapping[str, str]]:
        self.asked.append(question)
        return admin_frames.Done(1), {}

    def send(self, data: bytes) -> tuple[int, bytes]:
        """Send bytes, and return the status and the body of what comes back; 0: the connection was closed."""
        with closing(socket.create_connection((self.server.place.host, self.server.place.port), timeout=10)) as sock:
            sock.sendall(data)
            answer = b""
            while part := sock.recv(65_536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body

    def post(self, body: bytes, head: str = HEAD) -> tuple[int, bytes]:
        return self.send(f"POST /ask HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.fixture
def page() -> Iterator[Serving]:
    serving = Serving()
    yield serving
    serving.server.close()


def test_files_and_questions_are_answered(page: Serving) -> None:
    assert page.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 200
    assert page.send(b"HEAD /main.js HTTP/1.1\r\nHost: localhost\r\n\r\n") == (200, b"")
    status, body = page.post(b'{"ask": "announce", "text": "hello"}')
    assert (status, json.loads(body)["answer"]["count"]) == (200, 1)
    assert page.asked == [admin_frames.Announce("hello")]


def test_a_wrong_token_waits(page: Serving) -> None:
    began = time.monotonic()
    assert page.post(b"{}", HEAD.replace(TOKEN, "guess"))[0] == 401
    assert time.monotonic() - began >= WRONG_TOKEN_S


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (f"POST /ask HTTP/1.1\r\n{HEAD}\r\n".encode(), 413),
        (f"POST /ask HTTP/1.1\r\n{HEAD}Content-Length: -5\r\n\r\n".encode(), 413),
        (f"POST /ask HTTP/1.1\r\n{HEAD}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}".encode(), 413),
        (f"POST /ask HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n".encode(), 413),
    ],
)
def test_what_is_no_request_is_refused_in_one_line_and_nothing_is_asked(
    page: Serving, request_: bytes, status: int
) -> None:
    found, body = page.send(request_)
    assert found == status
    assert list(json.loads(body)) == ["error"]
    assert page.asked == []


def test_a_body_that_is_too_long_is_not_kept_and_the_client_hears_why(page: Serving) -> None:
    assert page.post(b"x" * MAX_BODY)[0] == 400
    assert page.post(b"x" * (MAX_BODY + 1))[0] == 413
    assert page.post(b"x" * 500_000)[0] == 413


def test_slow_clients_are_cut_off_and_others_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_S", 0.5)
    monkeypatch.setattr(module, "AT_ONCE", 4)
    page = Serving()
    place = (page.server.place.host, page.server.place.port)
    try:
        slow = [socket.create_connection(place, timeout=10) for _ in range(4)]
        for sock in slow:
            sock.sendall(b"POST /ask HT")
        for sock in slow:
            while sock.recv(1_000):
                pass
            sock.close()
        monkeypatch.setattr(module, "REQUEST_S", 60.0)  # a busy machine is slow too
        deadline = time.monotonic() + 30  # a place is given back after its client has seen the end
        while (status := page.post(b'{"ask": "bans"}')[0]) != 200 and time.monotonic() < deadline:
            pass
        assert status == 200
    finally:
        page.server.close()


def test_the_address_that_is_told_has_the_token_where_no_server_hears_it(page: Serving) -> None:
    assert page.server.url("x") == f"http://127.0.0.1:{page.server.place.port}/#token=x"
    assert page.server.url("") == f"http://127.0.0.1:{page.server.place.port}/"


def test_a_taken_address_is_a_setting_error(page: Serving) -> None:
    with pytest.raises(SettingError, match="can not listen"):
        PageServer(page.server.place, TOKEN, (), page._ask)
