"""gateway/web/conversation.py: HTTP and WebSocket frames, without sockets."""

import gc
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.listeners.web import PAGE_FOLDER
from gateway.web.conversation import (
    MAX_HEAD,
    MAX_MESSAGE,
    REQUESTS,
    Conversation,
    Finish,
    Message,
    Opened,
    Report,
    Send,
    text_frame,
)
from tsudoi.ops import web_files
from tsudoi.protocol.web.codes import Close

HOST = "127.0.0.1:9080"
PAGE = web_files.load(PAGE_FOLDER)


def written(commands: list[object]) -> bytes:
    return b"".join(command.data for command in commands if isinstance(command, Send))


def begin(origins: tuple[str, ...] = (), busy: str = "") -> Conversation:
    return Conversation(PAGE, origins, busy)


def request(path: str, method: str = "GET", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def get(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask for something; return the answer's status, headers and body."""
    commands = begin().receive(request(path, method, **headers))
    head, _, body = written(list(commands)).partition(b"\r\n\r\n")
    status, *rest = head.decode().split("\r\n")
    found = dict(line.split(": ", 1) for line in rest)
    assert (commands[-1] == Finish()) is (found.get("Connection") == "close")
    return int(status.split()[1]), found, body


def upgrade(**headers: str) -> bytes:
    client = ClientProtocol(parse_uri(f"ws://{HOST}/connection/websocket"))
    request = client.connect()
    for name, value in headers.items():
        request.headers[name.replace("_", "-")] = value
    client.send_request(request)
    return b"".join(client.data_to_send())


def opened() -> Conversation:
    conversation = begin()
    assert Opened() in conversation.receive(upgrade())
    return conversation


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def test_the_page_is_served_with_the_headers_that_bound_it() -> None:
    status, headers, body = get("/")
    assert (status, body) == (200, (PAGE_FOLDER / "index.html").read_bytes())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Length"] == str(len(body))
    assert get("/?x=1")[0] == 200


@pytest.mark.parametrize(("accepted", "zipped"), [("gzip, deflate, br", True), ("br,gzip", True), ("br", False)])
def test_browsers_that_take_gzip_get_it(accepted: str, zipped: bool) -> None:
    _, headers, body = get("/main.js", Accept_Encoding=accepted)
    assert headers.get("Content-Encoding") == ("gzip" if zipped else None)
    assert headers["Content-Length"] == str(len(body))
    assert (gzip.decompress(body) if zipped else body) == (PAGE_FOLDER / "main.js").read_bytes()
    status, _, nothing = get("/main.js", Accept_Encoding=accepted, If_None_Match=headers["ETag"])
    assert (status, nothing) == (304, b"")


def test_each_file_of_the_page_is_served() -> None:
    names = {path.name for folder in (PAGE_FOLDER, web_files.SHARED_FOLDER) for path in folder.iterdir()}
    assert {"/", *(f"/{name}" for name in names - {"index.html"})} == set(PAGE)
    for path in PAGE:
        assert get(path)[0] == 200


def test_what_an_editor_leaves_in_the_folder_is_not_served(tmp_path: Path) -> None:
    for name in ("main.js", "main.js~", ".main.js.swp"):
        (tmp_path / name).write_text("0")
    assert "/main.js" in (found := web_files.load(tmp_path))
    assert not {"/main.js~", "/.main.js.swp"} & set(found)


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/../session.py",
        "/page.css/",
        "//page.css",
        "/%70age.css",
        "/page.css%00",
        "/.",
        "*",
        "/page/page.css",
    ],
)
def test_no_path_leads_elsewhere(path: str) -> None:
    status, headers, _ = get(path)
    assert status == 404
    assert headers["Content-Type"].startswith("text/plain")


def test_a_browser_that_has_a_file_is_not_sent_it_again() -> None:
    tag = get("/")[1]["ETag"]
    status, _, body = get("/", If_None_Match=tag)
    assert (status, body) == (304, b"")
    assert get("/", If_None_Match='"other"')[0] == 200


def test_a_head_request_has_no_body_and_other_methods_are_refused() -> None:
    status, headers, body = get("/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0
    status, headers, _ = get("/", "POST", Content_Length="0")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_what_is_no_websocket_request_is_told_so() -> None:
    assert get("/connection/websocket")[0] == 426
    assert get("/", Upgrade="websocket", Connection="Upgrade")[0] == 404


def test_a_connection_serves_one_request_after_the_other_and_then_may_become_a_websocket() -> None:
    conversation = begin()
    assert not conversation.is_between_requests
    for path in PAGE:
        (sent,) = conversation.receive(request(path))
        assert isinstance(sent, Send)
        assert sent.data.startswith(b"HTTP/1.1 200 ")
        assert conversation.is_between_requests
    assert conversation.receive(b"GET / HT") == []
    assert not conversation.is_between_requests
    (sent,) = conversation.receive(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert isinstance(sent, Send)
    assert Opened() in conversation.receive(upgrade())
    assert not conversation.is_between_requests
    assert conversation.receive(frame(b"{}")) == [Message(b"{}")]


def test_a_connection_ends_after_its_last_request() -> None:
    conversation = begin()
    for _ in range(REQUESTS - 1):
        assert len(conversation.receive(request("/"))) == 1
    sent, last = conversation.receive(request("/"))
    assert isinstance(sent, Send)
    assert b"\r\nConnection: close\r\n" in sent.data
    assert last == Finish()
    assert conversation.receive(request("/")) == []


@pytest.mark.parametrize(
    "data",
    [
        request("/") * 2,
        request("/", "POST", Content_Length="0"),
        request("/", Connection="close"),
        request("/", Connection="keep-alive, Close"),
        request("/", Content_Length="0"),
        request("/").replace(b"HTTP/1.1", b"HTTP/1.0"),
        request("/connection/websocket"),
    ],
    ids=["pipelined", "method", "asked for", "among others", "a body", "HTTP/1.0", "no upgrade"],
)
def test_after_what_is_no_plain_request_for_a_file_the_connection_ends(data: bytes) -> None:
    sent, last = begin().receive(data)
    assert isinstance(sent, Send)
    assert sent.data.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in sent.data
    assert last == Finish()


def test_frames_may_come_with_the_request_that_opens_the_websocket() -> None:
    assert begin().receive(upgrade() + frame(b"{}"))[1:] == [Opened(), Message(b"{}")]


def test_a_websocket_is_opened_and_its_texts_are_messages() -> None:
    conversation = opened()
    assert conversation.is_open
    assert conversation.receive(frame(b"{}") + frame(b'{"id":1}')) == [Message(b"{}"), Message(b'{"id":1}')]


def test_a_message_may_come_in_any_pieces() -> None:
    conversation, got = opened(), []
    data = frame(b"on", fin=False) + frame(b"", Opcode.PING) + frame(b"e", Opcode.CONT) + frame(b"two")
    for index in range(len(data)):
        got += [each for each in conversation.receive(data[index : index + 1]) if isinstance(each, Message)]
    assert got == [Message(b"one"), Message(b"two")]


def test_pages_of_other_origins_are_refused() -> None:
    for origin, status in (("https://evil.example", b"403"), (f"http://{HOST}", b"101"), ("null", b"403")):
        commands = begin().receive(upgrade(Origin=origin))
        assert written(list(commands)).split()[1] == status
        assert any(isinstance(each, Report) for each in commands) is (status == b"403")
    commands = begin(("https://chat.example",)).receive(upgrade(Origin="https://chat.example"))
    assert Opened() in commands


def test_while_there_are_too_many_no_websocket_is_opened() -> None:
    commands = begin(busy="too many").receive(upgrade())
    assert written(list(commands)).split()[1] == b"503"
    assert b"too many" in written(list(commands))
    assert commands[-1] == Finish()


def test_a_message_that_is_too_long_ends_it() -> None:
    conversation = opened()
    commands = conversation.receive(frame(b"x" * (MAX_MESSAGE + 1)))
    assert commands[-1] == Finish()
    conversation = opened()
    half = b"x" * (MAX_MESSAGE // 2 + 1)
    commands = conversation.receive(frame(half, fin=False) + frame(half, Opcode.CONT))
    assert commands[-1] == Finish()
    assert not any(isinstance(each, Message) for each in commands)


def test_binary_frames_are_another_protocol() -> None:
    commands = opened().receive(frame(b"\x01", Opcode.BINARY))
    assert isinstance(commands[0], Send)
    assert commands[0].data[2:4] == Close.BAD_REQUEST.to_bytes(2, "big")
    assert commands[-1] == Finish()


def test_closing_has_the_code() -> None:
    conversation = opened()
    sent, last = conversation.close(Close.SLOW, "too slow")
    assert isinstance(sent, Send)
    assert sent.data[2:] == Close.SLOW.to_bytes(2, "big") + b"too slow"
    assert last == Finish()
    assert not conversation.is_open


def test_a_client_that_closes_is_answered() -> None:
    conversation = opened()
    commands = conversation.receive(frame((1000).to_bytes(2, "big"), Opcode.CLOSE))
    assert isinstance(commands[0], Send)
    assert commands[-1] == Finish()


@pytest.mark.parametrize(
    "pieces",
    [
        [request("/"), request("/nothing")],
        [b"GET\r\n\r\n"],
        [b"GET / HTTP/1.1\r\nX: "],
        [upgrade()],
        [upgrade(), frame(b"{}"), b"\x81\xfe"],
        [upgrade(), b"\xff\xff\xff"],
        [upgrade(Origin="https://evil.example")],
    ],
    ids=["files", "no HTTP", "half a request", "WebSocket", "half a frame", "no frame", "refused"],
)
def test_what_is_over_needs_no_garbage_collector(pieces: list[bytes]) -> None:
    gc.collect()
    gc.disable()
    try:
        conversation = begin()
        for piece in pieces:
            conversation.receive(piece)
        conversation.abandon()
        assert conversation.receive(request("/")) == []
        del conversation
        assert not any(isinstance(each, ServerProtocol) for each in gc.get_objects())
    finally:
        gc.enable()


def test_a_head_without_an_end_is_bounded() -> None:
    conversation = begin()
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    commands = conversation.receive(b"GET / HTTP/1.1\r\n")
    for _ in range(MAX_HEAD // len(line) + 1):
        commands = conversation.receive(line)
    assert commands == [Finish()]


def test_a_frame_is_what_any_client_reads() -> None:
    for size in (0, 125, 126, 65_535, 65_536):
        payload = b"x" * size
        raw = text_frame(payload)
        assert raw.endswith(payload)
        assert raw[0] == 0x81


@pytest.mark.parametrize("name", ["Host", "Upgrade", "Connection", "Content-Length", "If-None-Match", "Origin"])
@pytest.mark.parametrize("path", ["/", "/connection/websocket"])
def test_a_header_that_comes_twice_is_no_bug_of_ours(name: str, path: str) -> None:
    for data in (request(path), upgrade().replace(b"/connection/websocket", path.encode())):
        twice = data.replace(b"\r\n\r\n", f"\r\n{name}: x\r\n{name}: y\r\n\r\n".encode())
        commands = begin().receive(twice)
        assert written(list(commands)).startswith(b"HTTP/1.1 ") or commands == [Finish()]


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_are_answered_or_dropped(pieces: list[bytes]) -> None:
    conversation = begin()
    for piece in pieces:
        conversation.receive(piece)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_after_the_upgrade_are_messages_or_end_it(pieces: list[bytes]) -> None:
    conversation = opened()
    for piece in pieces:
        conversation.receive(piece)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "TLS came"),
        (b"\x03\x01\x00" + bytes(28) + b"\x05denalice", "this is no HTTP"),
    ],
)
def test_what_is_no_http_is_closed_at_once_and_told_to_the_log(data: bytes, why: str) -> None:
    report, finish = begin().receive(data)
    assert isinstance(report, Report)
    assert report.why.startswith(why)
    assert finish == Finish()
