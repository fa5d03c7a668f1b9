"""gateway/webhook/conversation.py: bytes in, bytes and questions out."""

import http.client
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.counters import WEBHOOK_STATUSES
from gateway.webhook.conversation import MAX_HEAD, Ask, Command, Conversation, Finish, Report, Send
from gateway.webhook.rules import MAX_BODY, Rules
from tests.gateway.webhook.conftest import WALL, a_token, new_rules
from tsudoi.protocol.backbone import Post, Posted, Refused
from tsudoi.protocol.codes import Status

NOW = 50.0
POSTED = Posted("ci[bot]", 1, 7, True)
TOKEN = a_token()


class Client:
    """One connection, of which a test says what comes in, and sees what comes of it."""

    def __init__(self, rules: Rules | None = None, is_alive: bool = True) -> None:
        self.rules = rules or new_rules()
        self.conversation = Conversation(self.rules, "127.0.0.1", lambda now: is_alive)
        self.sent = b""
        self.asked: list[Post] = []
        self.reports: list[Report] = []
        self.is_finished = False

    def take(self, commands: list[Command]) -> "Client":
        for command in commands:
            match command:
                case Send(data):
                    self.sent += data
                case Ask(post):
                    self.asked.append(post)
                case Report():
                    self.reports.append(command)
                case Finish():
                    self.is_finished = True
        return self

    def send(self, data: bytes) -> "Client":
        return self.take(self.conversation.receive(data, NOW, WALL))

    def answer(self, answer: Posted | Refused | None = POSTED) -> "Client":
        return self.take(self.conversation.answered(answer, NOW, WALL))

    def answers(self, method: str = "POST") -> list[tuple[int, dict[str, str], dict[str, object]]]:
        """Return what was sent since this was asked last, as an HTTP library reads it."""
        stream, self.sent, found = io.BytesIO(self.sent), b"", []
        while stream.tell() < len(stream.getbuffer()):
            response = http.client.HTTPResponse(_Socket(stream), method=method)  # type: ignore[arg-type]
            response.begin()
            body = response.read()
            found.append((response.status, dict(response.getheaders()), json.loads(body) if body else {}))
        return found


class _Socket:
    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, mode: str) -> io.BufferedIOBase:
        return _KeptOpen(self._stream)


class _KeptOpen(io.BytesIO):
    """Goes on where the answer before ended, and is not closed with it."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._stream.readline(-1 if size is None else size)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._stream.read(-1 if size is None else size)


def a_request(body: bytes = b"hello", *headers: str, token: str = TOKEN, length: int | None = None) -> bytes:
    head = [
        "POST /rooms/den/messages HTTP/1.1",
        "Host: chat.example",
        f"Authorization: Bearer {token}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def test_a_message_is_asked_for_and_answered_when_it_is_kept() -> None:
    client = Client().send(a_request())
    assert [post.text for post in client.asked] == ["hello"]
    assert client.sent == b""
    ((status, headers, body),) = client.answer().answers()
    assert (status, body["offset"], headers["Content-Type"]) == (200, 7, "application/json")
    assert headers["Date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert not client.is_finished
    assert client.rules.counters.webhook_answers["200"] == 1


def test_a_request_may_come_byte_by_byte() -> None:
    client, data = Client(), a_request()
    for at in range(len(data)):
        assert not client.asked
        client.send(data[at : at + 1])
    assert len(client.asked) == 1


def test_chunks_are_a_body_too() -> None:
    head = a_request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    client = Client().send(head + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
    assert client.asked[0].text == "hello"


def test_requests_on_one_connection_are_answered_one_after_the_other() -> None:
    client = Client()
    for text in (b"one", b"two"):
        client.send(a_request(text)).answer()
    client.send(a_request(b"")).send(a_request(b"three")).answer()
    assert [post.text for post in client.asked] == ["one", "two", "three"]
    assert [status for status, _, _ in client.answers()] == [200, 200, 400, 200]
    assert not client.is_finished


@pytest.mark.parametrize("first", [a_request(b"one"), a_request(b"")])
def test_of_requests_that_came_at_once_the_first_is_answered(first: bytes) -> None:
    client = Client().send(first + a_request(b"two") * 9)
    if client.asked:
        client.answer()
    ((_, headers, _),) = client.answers()
    assert headers["Connection"] == "close"
    assert client.is_finished
    assert len(client.asked) < 2


def test_a_refusal_waits_for_a_short_body_and_the_connection_goes_on() -> None:
    data = a_request(token="nonsense")
    client = Client().send(data[:-1])
    assert client.sent == b""
    ((status, headers, _),) = client.send(data[-1:]).answers()
    assert status == 401
    assert "Www-Authenticate" in headers
    assert not client.is_finished
    assert client.send(a_request()).asked


@pytest.mark.parametrize("headers", [(), ("Expect: 100-continue",)])
def test_a_long_body_is_refused_unread(headers: tuple[str, ...]) -> None:
    client = Client().send(a_request(b"", *headers, length=MAX_BODY + 1))
    assert [status for status, _, _ in client.answers()] == [413]
    assert client.is_finished
    assert not client.send(a_request()).asked


def test_a_long_body_in_chunks_is_refused_at_the_limit() -> None:
    client = Client().send(a_request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
    for _ in range(MAX_BODY // 1_024 + 1):
        client.send(b"400\r\n" + b"x" * 1_024 + b"\r\n")
    assert [status for status, _, _ in client.answers()] == [413]
    assert client.is_finished


def test_each_answer_is_reported_for_the_log_without_the_token() -> None:
    client = Client().send(a_request()).answer().send(a_request(b"")).send(a_request(token="eyJ.secret.x"))
    assert [(report.status, report.room) for report in client.reports] == [(200, "den"), (400, "den"), (401, "")]
    assert [bool(report.why) for report in client.reports] == [False, True, True]
    assert "secret" not in client.reports[2].why


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    data = a_request(b"hello", "Expect: 100-continue")
    client = Client().send(data[:-5])
    assert client.sent.startswith(b"HTTP/1.1 100 ")
    client.sent = b""
    assert client.send(b"hello").answer().answers()[0][0] == 200


def test_a_client_that_asks_first_is_refused_before_it_sends() -> None:
    client = Client().send(a_request(b"hello", "Expect: 100-continue", token="nonsense")[:-5])
    assert [status for status, _, _ in client.answers()] == [401]
    assert client.is_finished


def test_http_1_0_and_close_end_the_connection() -> None:
    for data in (a_request().replace(b"HTTP/1.1", b"HTTP/1.0"), a_request(b"hello", "Connection: close")):
        client = Client().send(data).answer()
        assert client.answers()[0][0] == 200
        assert client.is_finished


def test_an_answer_to_head_has_no_body() -> None:
    client = Client().send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    ((status, headers, body),) = client.answers("HEAD")
    assert (status, body) == (404, {})
    assert int(headers["Content-Length"]) > 0
    assert not client.is_finished


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "not HTTP/1.1"),
        (b"\x03\x01\x00\x00den\r\n\r\n", 400, "not HTTP/1.1"),
        (a_request().replace(b"den", "部屋".encode()), 400, "percent-encoded"),
        (a_request(b"", f"X: {'x' * MAX_HEAD}"), 431, f"more than {MAX_HEAD} bytes"),
        (a_request(b"", f"X: {'x' * MAX_HEAD}")[:-4], 431, "too long"),
        (a_request().replace(b"Host: chat.example\r\n", b""), 400, "Host"),
        (a_request(b"hello", "Content-Length: 6"), 400, "Content-Length"),
        (a_request().replace(b"Content-Length: 5", b"Transfer-Encoding: gzip"), 501, "Transfer-Encoding"),
    ],
)
def test_nonsense_is_answered_and_ends_the_connection(data: bytes, status: int, words: str) -> None:
    client = Client().send(data)
    ((found, headers, body),) = client.answers()
    assert found == status
    assert words in str(body["error"])
    assert headers["Connection"] == "close"
    assert client.is_finished
    assert client.send(a_request()).sent == b""


def test_an_error_never_quotes_a_header() -> None:
    client = Client().send(a_request().replace(b"Authorization: Bearer", b"Authorization : Bearer"))
    assert client.is_finished
    assert TOKEN.encode() not in client.sent


def test_when_the_broker_is_away_nothing_is_asked() -> None:
    client = Client(is_alive=False).send(a_request())
    ((status, headers, body),) = client.answers()
    assert (status, client.asked) == (503, [])
    assert headers["Retry-After"] == "2"
    assert "nothing was said" in str(body["error"])


def test_when_no_answer_comes_the_client_is_told_how_to_repeat_it() -> None:
    client = Client().send(a_request(b"hello", "Idempotency-Key: build-7")).answer(None)
    ((status, _, body),) = client.answers()
    assert status == 503
    assert "Idempotency-Key: build-7" in str(body["error"])


def test_a_client_that_ends_in_the_midst_is_answered() -> None:
    client = Client().send(a_request()[:-1]).send(b"")
    assert [status for status, _, _ in client.answers()] == [400]
    assert client.is_finished


def test_a_client_that_ends_without_a_request_is_left() -> None:
    client = Client().send(b"")
    assert (client.sent, client.is_finished) == (b"", True)


def test_a_client_that_ends_after_its_request_gets_the_answer() -> None:
    client = Client().send(a_request()).send(b"").answer()
    assert client.answers()[0][0] == 200
    assert client.is_finished


def test_a_request_that_takes_too_long_is_told_so() -> None:
    client = Client()
    client.send(a_request()[:20])
    client.take(client.conversation.time_is_up(WALL))
    assert [status for status, _, _ in client.answers()] == [408]
    assert client.is_finished
    assert client.conversation.time_is_up(WALL) == []


@pytest.mark.parametrize("before", [b"", a_request(b"")])
def test_a_connection_without_a_request_ends_in_silence(before: bytes) -> None:
    client = Client()
    if before:
        client.send(before).answers()
    client.take(client.conversation.time_is_up(WALL))
    assert (client.sent, client.is_finished) == (b"", True)


def test_at_the_stop_a_request_is_answered_and_no_other_taken() -> None:
    client = Client().send(a_request(b"one"))
    client.take(client.conversation.stop()).answer()
    ((status, headers, _),) = client.answers()
    assert (status, headers["Connection"]) == (200, "close")
    assert client.is_finished
    idle = Client()
    idle.take(idle.conversation.stop())
    assert idle.is_finished


def test_the_end_of_a_connection_ends_no_password_attempt_unnoticed() -> None:
    rules = new_rules(unlimited=())
    client = Client(rules)
    body = b'{"text":"x","password":"sun"}'
    client.send(a_request(body).replace(b"text/plain", b"application/json"))
    client.conversation.abandon()
    client.answer(Refused(Status.WRONG_PASSWORD, ""))
    assert client.sent == b""
    assert rules.passwords._pending == {}


pieces = st.one_of(
    st.sampled_from(
        [
            a_request(),
            a_request(b""),
            a_request(token="x"),
            a_request()[:40],
            b"0\r\n\r\n",
            b"\r\n",
            b"GET / HTTP/1.1\r\n",
        ]
    ),
    st.binary(max_size=30),
)


@given(st.lists(st.one_of(pieces, st.none()), max_size=8), st.booleans())
def test_any_bytes_are_answered_or_waited_for(inputs: list[bytes | None], is_alive: bool) -> None:
    """None stands for the broker's answer."""
    client = Client(is_alive=is_alive)
    waits, has_ended = 0, False
    for data in inputs:
        if data is not None:
            if not has_ended:  # asyncio passes on nothing after a stream's end
                client.send(data)
            has_ended |= data == b""
        elif len(client.asked) > waits:
            waits += 1
            client.answer()
    assert len(client.asked) - waits in (0, 1)
    for status, _, body in client.answers():
        assert status in WEBHOOK_STATUSES
        assert body
