"""broker/admin/web/requests.py: who may ask what."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from broker.admin.web.requests import PATH, WRONG_TOKEN_S, Request, Requests, Response
from broker.admin.web.server import FOLDER
from tsudoi.ops import web_files
from tsudoi.protocol.backbone import admin_frames
from tsudoi.protocol.backbone.admin_frames import AdminRefused, Answer, Done, Question
from tsudoi.protocol.errors import BackboneError

TOKEN = "a-token-of-the-operator-0123456789"
HOST = ("Host", "127.0.0.1:9088")
BEARER = ("Authorization", f"Bearer {TOKEN}")
JSON = ("Content-Type", "application/json")
CLOSE = b'{"ask": "close", "room": "den"}'


class Server:
    """A page whose broker notes what it is asked."""

    def __init__(self, *hosts: str) -> None:
        self.asked: list[Question] = []
        self.answers: Answer | BackboneError = Done(1)
        self.missing: dict[str, str] = {}
        self.requests = Requests(TOKEN, hosts, web_files.load(FOLDER), self._ask)

    def _ask(self, question: Question) -> tuple[Answer, Mapping[str, str]]:
        self.asked.append(question)
        if isinstance(self.answers, BackboneError):
            raise self.answers
        return self.answers, self.missing

    def get(self, path: str, *headers: tuple[str, str], method: str = "GET") -> Response:
        return self.requests.answer(Request(method, path, headers or (HOST,)))

    def post(self, *headers: tuple[str, str], body: bytes = CLOSE, is_too_long: bool = False) -> Response:
        return self.requests.answer(Request("POST", PATH, headers, body, is_too_long))


@pytest.fixture
def server() -> Server:
    return Server()


def said(response: Response) -> Any:
    return json.loads(response.body)


# --- the page's files ---------------------------------------------------------------------------------------------


def test_the_files_need_no_token_and_no_script_from_elsewhere_runs(server: Server) -> None:
    index = server.get("/")
    assert (index.status, dict(index.headers)["Content-Type"]) == (200, "text/html; charset=utf-8")
    for path in ("/", "/main.js", "/look.css", "/dom.js", "/nothing"):
        headers = dict(server.get(path).headers)
        assert headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "path", ["/nothing", "/../server.py", "//main.js", "/page/main.js", "/%2e%2e/server.py", "", "*"]
)
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert server.get(path).status == 404


def test_a_browser_that_has_a_file_gets_it_no_more_and_a_short_one_if_it_can(server: Server) -> None:
    tag = dict(server.get("/main.js").headers)["ETag"]
    again = server.get("/main.js", HOST, ("If-None-Match", tag))
    assert (again.status, again.body) == (304, b"")
    short = server.get("/main.js", HOST, ("Accept-Encoding", "br, gzip"))
    assert dict(short.headers)["Content-Encoding"] == "gzip"
    assert len(short.body) < len(server.get("/main.js").body)


# --- who may ask --------------------------------------------------------------------------------------------------


def test_with_the_token_an_order_is_carried_out(server: Server) -> None:
    response = server.post(HOST, BEARER, JSON)
    assert (response.status, said(response)) == (200, {"answer": {"count": 1, "shards": []}, "missing": {}})
    assert server.asked == [admin_frames.CloseRoom("den")]
    assert dict(response.headers)["Cache-Control"] == "no-store"
    assert response.after_s == 0


@pytest.mark.parametrize(
    "authorization",
    [
        (),
        ("",),
        ("Bearer ",),
        ("Bearer",),
        (TOKEN,),
        (f"Basic {TOKEN}",),
        (f"Bearer {TOKEN}x",),
        (f"Bearer {TOKEN[:-1]}",),
        (f"Bearer {TOKEN.upper()}",),
        ("Bearer \u00e9",),
        (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
        ("Bearer wrong", f"Bearer {TOKEN}"),
    ],
)
def test_without_the_token_nothing_is_asked_and_the_answer_waits(
    server: Server, authorization: tuple[str, ...]
) -> None:
    response = server.post(HOST, JSON, *(("Authorization", each) for each in authorization))
    assert (response.status, response.after_s) == (401, WRONG_TOKEN_S)
    assert server.asked == []


def test_a_token_in_the_address_or_a_cookie_counts_for_nothing(server: Server) -> None:
    request = Request("POST", f"{PATH}?token={TOKEN}", (HOST, JSON, ("Cookie", f"token={TOKEN}")), CLOSE)
    assert server.requests.answer(request).status == 401
    assert server.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",  # DNS rebinding: its name leads to 127.0.0.1 since a moment ago
        "evil.example:9088",
        "127.0.0.1.evil.example",
        "localhost.evil.example:9088",
        "admin.example:9089",
        "",
    ],
)
def test_a_page_of_any_other_name_is_refused_even_with_the_token(host: str) -> None:
    server = Server("admin.example:443")
    assert server.post(("Host", host), BEARER, JSON).status == 403
    assert server.get("/", ("Host", host)).status == 403
    assert server.asked == []


def test_a_request_with_two_hosts_or_none_is_refused(server: Server) -> None:
    assert server.post(HOST, HOST, BEARER, JSON).status == 403
    assert server.post(BEARER, JSON).status == 403


@pytest.mark.parametrize("host", ["127.0.0.1:9088", "localhost:5000", "LOCALHOST", "[::1]:9088", "192.0.2.7:9088"])
def test_addresses_and_localhost_are_no_names_that_can_be_turned(server: Server, host: str) -> None:
    """Also with another port: that of an ssh tunnel."""
    assert server.post(("Host", host), ("Origin", f"http://{host}"), BEARER, JSON).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1:9088", "admin.example", "ADMIN.example:8443"])
def test_behind_a_proxy_the_listed_name_is_that_of_the_page(host: str) -> None:
    server = Server("admin.example")
    assert server.post(("Host", host), ("Origin", "https://admin.example"), BEARER, JSON).status == 200


@pytest.mark.parametrize(
    "origins",
    [
        ("https://evil.example",),
        ("null",),
        ("",),
        ("http://127.0.0.1:9080",),  # the page for members, of the same machine
        ("http://localhost:9088",),
        ("file://127.0.0.1:9088",),
        ("http://127.0.0.1:9088", "http://127.0.0.1:9088"),
    ],
)
def test_pages_of_other_origins_may_not_ask(server: Server, origins: tuple[str, ...]) -> None:
    assert server.post(HOST, BEARER, JSON, *(("Origin", each) for each in origins)).status == 403
    assert server.asked == []


def test_a_browser_that_asks_first_is_told_no(server: Server) -> None:
    """The preflight of a page of another origin."""
    asking = (HOST, ("Origin", "https://evil.example"), ("Access-Control-Request-Headers", "authorization"))
    response = server.get(PATH, *asking, method="OPTIONS")
    assert response.status == 405
    assert not any(name.startswith("Access-Control") for name, _ in response.headers)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_of_any_page_could_send_is_no_question(server: Server, kind: str) -> None:
    assert server.post(HOST, BEARER, ("Content-Type", kind)).status == 415
    assert server.asked == []


@pytest.mark.parametrize(
    ("method", "path"), [("GET", PATH), ("HEAD", PATH), ("PUT", PATH), ("POST", "/"), ("DELETE", "/")]
)
def test_orders_are_posts_to_one_path(server: Server, method: str, path: str) -> None:
    assert server.requests.answer(Request(method, path, (HOST, BEARER, JSON), CLOSE)).status == 405
    assert server.asked == []


# --- what is answered ---------------------------------------------------------------------------------------------


def test_a_body_that_is_too_long_is_refused_after_the_token(server: Server) -> None:
    assert server.post(HOST, BEARER, JSON, is_too_long=True).status == 413
    assert server.post(HOST, JSON, is_too_long=True).status == 401
    assert server.asked == []


def test_what_is_no_question_is_told(server: Server) -> None:
    response = server.post(HOST, BEARER, JSON, body=b'{"ask": "close"}')
    assert response.status == 400
    assert said(response)["error"].startswith("close: ")
    assert server.asked == []


def test_why_an_order_is_refused_is_told(server: Server) -> None:
    server.answers = AdminRefused("there is no room called den")
    response = server.post(HOST, BEARER, JSON)
    assert (response.status, said(response)) == (409, {"error": "there is no room called den"})


def test_a_broker_that_is_away_is_told_apart_from_a_refusal(server: Server) -> None:
    server.answers = BackboneError("no broker answers at ipc://x")
    response = server.post(HOST, BEARER, JSON)
    assert (response.status, said(response)) == (503, {"error": "no broker answers at ipc://x"})


def test_brokers_without_an_answer_are_named(server: Server) -> None:
    server.answers, server.missing = admin_frames.Gateways([]), {"tcp://b:1": "no answer"}
    assert said(server.post(HOST, BEARER, JSON, body=b'{"ask": "gateways"}')) == {
        "answer": {"gateways": []},
        "missing": {"tcp://b:1": "no answer"},
    }
