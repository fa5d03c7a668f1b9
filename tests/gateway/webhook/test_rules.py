"""gateway/webhook/rules.py: from a request's head and body to a question, or a refusal."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.counters import WEBHOOK_STATUSES
from gateway.settings import Settings
from gateway.webhook.answers import Answer, Refusal
from gateway.webhook.rules import MAX_KEY, MAX_TEXT, Head, Permit, Rules
from tests.gateway.webhook.conftest import WALL, a_token, new_rules
from tsudoi.protocol import names
from tsudoi.protocol.backbone import Post, Posted, Refused
from tsudoi.protocol.client.datagram import MAX_UP, parse_untrusted, serialize
from tsudoi.protocol.codes import Status

IP = "192.0.2.1"
NOW = 50.0


def a_head(
    token: str | None = None,
    target: str = "/rooms/den/messages",
    method: str = "POST",
    kind: str | None = "text/plain",
    more: tuple[tuple[str, str], ...] = (),
) -> Head:
    headers = [("authorization", f"Bearer {a_token() if token is None else token}")]
    if kind is not None:
        headers.append(("content-type", kind))
    return Head(method, target, (*headers, *more))


def read(rules: Rules, head: Head, body: bytes | str = "hello", ip: str = IP, now: float = NOW) -> Post:
    permit = rules.read_head(head, ip, now, WALL)
    return rules.read_body(permit, body.encode() if isinstance(body, str) else body, ip, now)


def refused(rules: Rules, head: Head, body: bytes | str = "hello", ip: str = IP, now: float = NOW) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        read(rules, head, body, ip, now)
    return caught.value.answer.status, error_of(caught.value.answer)


def error_of(answer: Answer) -> str:
    error: str = json.loads(answer.body)["error"]
    assert answer.body.count(b"\n") == 1
    return error


def test_a_plain_text_is_a_question(rules: Rules) -> None:
    post = read(rules, a_head(), "build 7\nfailed\n")
    assert (post.room, post.user, post.text, post.password, post.ip) == ("den", "ci", "build 7\nfailed", None, IP)


def test_json_has_the_text_and_perhaps_a_password(rules: Rules) -> None:
    body = json.dumps({"text": "こんにちは", "password": "moon", "username": "ignored"})
    post = read(rules, a_head(kind="application/json; charset=UTF-8"), body)
    assert (post.text, post.password) == ("こんにちは", "moon")


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("den", "den"),
        ("%E9%83%A8%E5%B1%8B1", "部屋1"),
        ("a%2Fb%3F%25", "a/b?%"),
        ("%e3%81%8b%e3%82%99", "が"),
        ("a+b", "a+b"),
        ("%20den%20", "den"),
    ],
)
def test_a_rooms_name_is_percent_encoded(rules: Rules, path: str, room: str) -> None:
    token = a_token(rooms=[room])
    assert read(rules, a_head(token, f"/rooms/{path}/messages")).room == room


@pytest.mark.parametrize("path", ["%ff", "%20", "%07den", "x" * 300])
def test_what_can_not_be_a_room_is_a_bad_request(rules: Rules, path: str) -> None:
    assert refused(rules, a_head(target=f"/rooms/{path}/messages"))[0] == 400


@pytest.mark.parametrize(
    "target", ["/", "*", "/rooms/den", "/rooms//messages", "/rooms/den/messages/", "/rooms/a/b/messages"]
)
def test_other_addresses_are_not_found(rules: Rules, target: str) -> None:
    status, error = refused(rules, a_head(target=target))
    assert status == 404
    assert "POST /rooms/ROOM/messages" in error


def test_other_methods_are_told_which_is_meant(rules: Rules) -> None:
    with pytest.raises(Refusal) as caught:
        read(rules, a_head(method="GET"))
    assert caught.value.answer.status == 405
    assert caught.value.answer.headers == (("Allow", "POST"),)


def test_a_token_in_the_address_is_refused_without_being_read(rules: Rules) -> None:
    status, error = refused(rules, a_head(target=f"/rooms/den/messages?token={a_token()}"))
    assert status == 400
    assert "Authorization: Bearer" in error


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("authorization", "Basic YTpi"),),
        (("authorization", "Bearer"),),
        (("authorization", f"Bearer {a_token()}"), ("authorization", f"Bearer {a_token()}")),
    ],
)
def test_without_one_bearer_token_nothing_is_said(rules: Rules, headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(Refusal) as caught:
        read(rules, Head("POST", "/rooms/den/messages", (*headers, ("content-type", "text/plain"))))
    assert caught.value.answer.status == 401
    assert caught.value.answer.headers[0][0] == "Www-Authenticate"
    assert "Authorization: Bearer TOKEN" in error_of(caught.value.answer)


@pytest.mark.parametrize(
    "token", ["nonsense", a_token(exp=WALL - 100), a_token(nbf=WALL + 100), a_token()[:-4] + "AAAA", a_token(exp=None)]
)
def test_a_token_that_does_not_hold_is_unauthorized(rules: Rules, token: str) -> None:
    assert refused(rules, a_head(token))[0] == 401


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": None}, 'its "aud" must contain "tsudoi-webhook"'),
        ({"aud": "tsudoi"}, "not for posting"),
        ({"rooms": ["lobby", "ci-*"]}, "not for this room"),
        ({"name": "\u200b"}, "the token's name is no name"),
    ],
)
def test_a_token_without_the_right_is_forbidden(rules: Rules, claims: dict[str, Any], why: str) -> None:
    status, error = refused(rules, a_head(a_token(**claims)))
    assert status == 403
    assert why in error


def test_a_token_may_serve_both_for_joining_and_for_posting(rules: Rules) -> None:
    assert read(rules, a_head(a_token(aud=["tsudoi", "tsudoi-webhook"]))).user == "ci"


def test_a_token_without_a_name_takes_it_from_the_body(rules: Rules) -> None:
    head = a_head(a_token(name=None), kind="application/json")
    assert read(rules, head, '{"text":"hi","name":"backup"}').user == "backup"
    assert refused(rules, head, '{"text":"hi"}')[0] == 400
    assert refused(rules, head, '{"text":"hi","name":" "}')[0] == 400
    assert refused(rules, a_head(a_token(name=None)), "hi")[0] == 400


def test_a_name_in_the_body_does_not_replace_the_tokens(rules: Rules) -> None:
    head = a_head(kind="application/json")
    assert read(rules, head, '{"text":"hi","name":"ci"}').user == "ci"
    assert refused(rules, head, '{"text":"hi","name":"alice"}')[0] == 403


# --- bodies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [None, "application/x-www-form-urlencoded", "text/html", "text/plain; charset=shift_jis"]
)
def test_another_kind_of_body_is_told_what_to_send(rules: Rules, kind: str | None) -> None:
    status, error = refused(rules, a_head(kind=kind))
    assert status == 415
    assert "Content-Type: text/plain" in error


def test_a_compressed_body_is_refused(rules: Rules) -> None:
    assert refused(rules, a_head(more=(("content-encoding", "gzip"),)))[0] == 415


@pytest.mark.parametrize("body", ["", "\n", " \n", "\x1b\x00"])
def test_an_empty_text_is_a_bad_request(rules: Rules, body: str) -> None:
    assert refused(rules, a_head(), body) == (400, "the text is empty")


def test_bytes_that_are_not_utf8_are_named(rules: Rules) -> None:
    assert refused(rules, a_head(), b"abc\xff") == (400, "the text is not UTF-8: byte 4 is wrong")


@pytest.mark.parametrize(
    "body", ["", "hello", "[]", '"x"', '{"message":"x"}', '{"text":7}', '{"text":"\\ud800"}', "[" * 9_999]
)
def test_a_broken_object_is_a_bad_request(rules: Rules, body: str) -> None:
    status, error = refused(rules, a_head(kind="application/json"), body)
    assert status == 400
    assert '"text"' in error


def test_a_text_has_at_most_what_a_members_datagram_carries(rules: Rules) -> None:
    assert len(serialize("r" * 255, "0" * 32, "x" * MAX_TEXT)) == MAX_UP
    text = "あ" * (MAX_TEXT // 3)
    post = read(rules, a_head(), text)
    assert parse_untrusted(serialize("r" * 255, "0" * 32, post.text))[2].decode() == text
    assert refused(rules, a_head(), text + "あ")[0] == 413
    assert refused(rules, a_head(), '"' * 2_100)[0] == 413


def test_a_text_is_cleaned_as_a_members_is(rules: Rules) -> None:
    assert read(rules, a_head(), "a\x1b[2J\u2028b\u202ec").text == "a[2J\nb\u202ec\u202c"


def test_a_slash_is_no_command(rules: Rules) -> None:
    assert read(rules, a_head(), "/close").text == "/close"


# --- repeating ----------------------------------------------------------------------------------------------------


def keyed(key: str) -> Head:
    return a_head(more=(("idempotency-key", key),))


def test_a_key_is_the_requests_in_one_room_and_under_one_name(rules: Rules) -> None:
    key = read(rules, keyed("a 1")).key
    assert read(rules, keyed("a 1"), "another text").key == key
    assert read(rules, keyed("a 2")).key != key
    assert read(new_rules(), a_head(a_token(name="cd"), more=(("idempotency-key", "a 1"),))).key != key
    assert read(rules, a_head(target="/rooms/lobby/messages", more=(("idempotency-key", "a 1"),))).key != key


def test_without_a_key_each_request_is_another(rules: Rules) -> None:
    assert read(rules, a_head()).key != read(rules, a_head()).key


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY + 1), "é", " a", "a\tb"])
def test_a_bad_key_is_a_bad_request(rules: Rules, key: str) -> None:
    assert refused(rules, keyed(key))[0] == 400
    twice = (("idempotency-key", "a"), ("idempotency-key", "a"))
    assert refused(rules, a_head(more=twice))[0] == 400


# --- limits -------------------------------------------------------------------------------------------------------


def test_an_address_that_asks_too_often_is_told_when_to_come_again() -> None:
    rules = new_rules(address_rate=0.5)
    for _ in range(5):
        read(rules, a_head())
    with pytest.raises(Refusal) as caught:
        read(rules, a_head())
    assert caught.value.answer.status == 429
    assert ("Retry-After", "2") in caught.value.answer.headers
    read(rules, a_head(), ip="192.0.2.2")
    read(rules, a_head(), ip="127.0.0.1")
    read(rules, a_head(), now=NOW + 2)


def test_a_name_that_speaks_too_often_is_stopped_in_all_rooms_and_from_all_addresses() -> None:
    rules = new_rules(rate=1.0, burst=2.0)
    for number in range(2):
        read(rules, a_head(target=f"/rooms/r{number}/messages"), ip=f"192.0.2.{number}")
    assert refused(rules, a_head(), ip="192.0.2.9")[0] == 429
    read(rules, a_head(a_token(name="cd")), ip="192.0.2.9")


def test_a_room_in_which_webhooks_speak_too_often_takes_no_more() -> None:
    rules = new_rules(room_rate=1.0)
    for name in ("a", "b"):
        read(rules, a_head(a_token(name=name)))
    assert refused(rules, a_head(a_token(name="c")))[0] == 429
    read(rules, a_head(a_token(name="c"), "/rooms/lobby/messages"))


def test_a_refused_body_costs_no_message() -> None:
    rules = new_rules(rate=1.0, burst=1.0)
    for _ in range(3):
        assert refused(rules, a_head(), "")[0] == 400
    read(rules, a_head())


def locked(rules: Rules, password: str, answer: Posted | Refused) -> Answer:
    permit = rules.read_head(a_head(kind="application/json"), IP, NOW, WALL)
    post = rules.read_body(permit, json.dumps({"text": "x", "password": password}).encode(), IP, NOW)
    return rules.answered(permit, post, answer, IP, NOW)


def test_wrong_passwords_are_counted_as_those_of_joins_are() -> None:
    rules = new_rules()
    wrong, busy = Refused(Status.WRONG_PASSWORD, ""), Refused(Status.BUSY, "")
    for _ in range(Settings().password_tries):
        assert locked(rules, "sun", busy).status == 503
        assert locked(rules, "sun", wrong).status == 403
    answer = locked(rules, "sun", busy)
    assert answer.status == 429
    assert ("Retry-After", "60") in answer.headers


# --- the broker's answers -------------------------------------------------------------------------------------------

PERMIT = Permit(names.room_name("den"), names.user_name("ci"), False, "the-key")
POST = Post("den", "ci", "x", bytes(16), None, IP)


def test_a_message_that_is_kept_is_answered_with_its_position(rules: Rules) -> None:
    answer = rules.answered(PERMIT, POST, Posted("ci[bot]", 3, 42, True), IP, NOW)
    assert answer == Answer(200, b'{"room":"den","name":"ci[bot]","epoch":3,"offset":42}\n')


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (Posted("ci[bot]", 3, 42, False), 422, "a new message needs a new key"),
        (Refused(Status.ROOM_NOT_FOUND, ""), 404, "a webhook creates none"),
        (Refused(Status.WRONG_PASSWORD, ""), 403, "password is needed"),
        (Refused(Status.BAD_REQUEST, "ci is muted in this room"), 403, "ci is muted in this room"),
        (Refused(Status.BUSY, ""), 503, "nothing was said"),
        (Refused(99, ""), 503, "nothing was said"),
        (None, 503, "Idempotency-Key: the-key"),
    ],
)
def test_a_refusal_says_what_to_do(rules: Rules, given: Posted | Refused | None, status: int, words: str) -> None:
    answer = rules.answered(PERMIT, POST, given, IP, NOW)
    assert answer.status == status
    assert words in error_of(answer)
    assert (status == 503) == ("Retry-After" in dict(answer.headers))


words = st.text(st.characters(codec="latin-1"), max_size=40)


@given(
    st.sampled_from(["POST", "GET", "X"]),
    st.one_of(st.just("/rooms/den/messages"), words),
    st.lists(
        st.tuples(
            st.sampled_from(["authorization", "content-type", "content-encoding", "idempotency-key"]),
            st.one_of(words, st.sampled_from([f"Bearer {a_token()}", "text/plain", "application/json"])),
        ),
        max_size=5,
    ),
    st.binary(max_size=60),
)
def test_any_request_is_a_question_or_a_refusal(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    rules = new_rules()
    head = Head(method, target, tuple(headers))
    try:
        outcome: Post | Answer = read(rules, head, body)
    except Refusal as exc:
        outcome = exc.answer
    if isinstance(outcome, Post):
        assert outcome.text
    else:
        assert outcome.status in WEBHOOK_STATUSES
        assert error_of(outcome)
