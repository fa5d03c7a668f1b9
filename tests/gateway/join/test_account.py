"""gateway/join/account.py: what the log says about a handshake"""

import pytest

from gateway.explain.opening import Opening
from gateway.join.account import Account, Outcome, log_values, shown_room
from gateway.join.conversation import JoinConversation
from gateway.join.steps import AskToEnter, Declined, Received, Report
from tests.gateway.explain.mistakes_made import TOKEN, handshake, request
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TCRP, TCRP_200, TCRP_202, TCRP_JSON, TCRP_ROOM, TSUDOI
from tsudoi.protocol.client.header import frame
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.codes import Operation, Status

CREATE, JOIN = Operation.CREATE, Operation.JOIN


def test_a_create_says_its_dialect_the_rule_the_room_and_a_hint() -> None:
    line = log_values(handshake(AUTO, request(CLASSIC)))
    assert line.pop("hint").startswith("read as classic; requests of tcrp, tcrp-named, tcrp-200, ")
    assert line == {
        "dialect": "classic",
        "why": "the payload is a plain user name",
        "operation": "create",
        "room": "den",
        "outcome": "created",
    }


def test_a_listener_of_one_dialect_is_its_own_reason() -> None:
    line = log_values(handshake("tcrp", request(TCRP, operation=JOIN)))
    assert (line["why"], line["outcome"]) == ("the listener's", "joined")
    assert "hint" not in line


@pytest.mark.parametrize("listener", ["tcrp", "tcrp-200", "tsudoi"])
def test_a_refusal_has_the_words_of_the_wire(listener: str) -> None:
    talk = JoinConversation(listener, False)
    (asked,) = talk.handle(Received(request(DIALECTS[listener])))
    assert isinstance(asked, AskToEnter)
    (report,) = [each for each in talk.handle(Declined(Status.ROOM_EXISTS)) if isinstance(each, Report)]
    assert log_values(report.account)["outcome"] == "refused: Room already exists"
    line = log_values(handshake(listener, frame(b"den", 7, 0, b"alice")))
    assert line["outcome"] == "refused: Bad request: operation 7 is neither create (1) nor join (2)"
    assert "operation" not in line


def test_a_list_is_an_outcome_and_each_request_on_a_connection_too() -> None:
    assert log_values(handshake(AUTO, frame(b"", JOIN, 0, b"")))["outcome"] == "listed the rooms"
    talk = JoinConversation("tcrp-200", False)
    for _ in range(2):
        talk.handle(Received(request(TCRP_200)))
        reports = [each for each in talk.handle(Declined(Status.ROOM_EXISTS)) if isinstance(each, Report)]
        assert len(reports) == 1
        assert talk.abandon("the client closed the connection") is None


def test_what_never_became_a_request_is_an_outcome() -> None:
    for data, outcome in ((b"", "no request"), (b"\3\1", "no whole request"), (request(TCRP)[:-1], "no whole request")):
        line = log_values(handshake(AUTO, data))
        assert line["outcome"] == f"{outcome}: its time was up"
        assert "dialect" not in line
    line = log_values(handshake("classic", frame(b"", JOIN, 0, b"bob")))
    assert line["outcome"] == "no room chosen from the list: its time was up"
    assert line["dialect"] == "classic"


def test_what_comes_after_the_answer_is_no_second_account() -> None:
    talk = JoinConversation("tcrp-json", False)
    handled = talk.handle(Received(request(DIALECTS["tcrp-json"])))
    assert isinstance(handled[0], AskToEnter)
    assert talk.abandon("its time was up") is not None  # the directory has not answered yet


def test_plain_bytes_at_a_tls_listener_are_named() -> None:
    for data, hint in ((request(TCRP), True), (b"\x16\x03\x01", False), (b"\x16", False), (b"", False)):
        line = log_values(Account(Opening(data, AUTO), Outcome.NO_TLS, why="wrong version number"))
        assert line["outcome"] == "no TLS handshake: wrong version number"
        assert ("TLS" in line.get("hint", "")) is hint


@pytest.mark.parametrize("dialect", [TCRP_JSON, TSUDOI, TCRP_202, TCRP_ROOM], ids=lambda dialect: dialect.name)
def test_no_wrong_byte_puts_a_password_into_a_line(dialect: Dialect) -> None:
    right = request(dialect)
    secret = right.index(b"moonlight")
    for listener in (AUTO, "classic", "tcrp-ok", "tcrp-success", dialect.name):
        for at in (0, 1, 2, *range(28, len(right))):
            for change in (1, 2, 0x30, 0x80):
                raw = right[:at] + bytes((right[at] ^ change,)) + right[at + 1 :]
                line = str(log_values(handshake(listener, raw)))
                assert "moonl" not in line, line
                assert "light" not in line, line
        for end in range(secret, len(right)):
            assert "moon" not in str(log_values(handshake(listener, right[:end])))


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        ("den", "den"),
        ("部屋1", "部屋1"),
        ('de{"username":"alice","password":"moonlight"}', "de…"),
        ('"moonlight"', "…"),
        (f"den{TOKEN}", "den…"),
        (f"den{TOKEN[:20].upper()}", "den…"),
        ("deneyJhbGciOiJIUzI1NiJ9", "den…"),
        ("x" * 100, "x" * 64 + "…"),
    ],
)
def test_a_room_is_shown_as_far_as_it_is_a_name(room: str, shown: str) -> None:
    assert shown_room(room) == shown
