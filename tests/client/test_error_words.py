"""client/error_words.py: why something was not done, in the user's language."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest

import tsudoi
from client.error_words import explain, explain_text, refused
from client.state.event_words import notice
from tests.client.fake_chat import FakeChat
from tsudoi import errors
from tsudoi.net.known_servers import KnownServers
from tsudoi.net.sockets import reason
from tsudoi.net.trust import _changed
from tsudoi.protocol.client.refusals import BANNED_FROM_ROOM, MUTED

JAPANESE = re.compile("[ぁ-んァ-ヶ一-龠]")
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, tsudoi.ClientError)]
OF_THE_SDK_ALONE = {"ClientError", "CommandRefused", "LineRefused", "NotInDialect", "InvalidText", "BadRequest"}
"""Bases, and errors whose words are the server's, or which `explain_text` explains, or which no user of it causes."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_japanese_words(kind: Any) -> None:
    exc = kind("wrong password for den", "") if kind is tsudoi.CommandRefused else kind("wrong password for den")
    said = explain(exc, "den", "127.0.0.1:9001", "ja")
    assert JAPANESE.search(said) or kind.__name__ in OF_THE_SDK_ALONE
    assert "{" not in said
    assert not JAPANESE.search(explain(exc, "den", "127.0.0.1:9001", "en"))


def test_the_systems_reason_is_in_japanese_too() -> None:
    exc = tsudoi.ServerUnreachable("no server answers at x: connection refused")
    exc.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert explain(exc, "den", "x", "ja") == "x のサーバーから応答がありません: 接続が拒否されました"
    assert explain(exc, "den", "x", "en") == "No server answers at x: connection refused."


def test_an_unknown_name_and_a_ban_are_told_in_japanese() -> None:
    unknown = socket.gaierror(-2, "Name or service not known")
    exc: tsudoi.ClientError = tsudoi.ServerUnreachable(f"no server answers at x: {reason(unknown)}")
    exc.__cause__ = unknown
    assert explain(exc, "den", "x", "ja") == "x のサーバーから応答がありません: サーバーの名前が見つかりません"
    exc = tsudoi.InvalidName("user name has a character that names may not have: U+0007")
    assert explain(exc, "den", "x", "ja") == "その名前は使えません: 名前に使えない文字があります: U+0007"
    exc = tsudoi.Refused(f"the server does not let you into den: {BANNED_FROM_ROOM}")
    assert "このルームへの入室を禁止されています" in explain(exc, "den", "x", "ja")


def test_a_refused_token_is_no_wrong_password() -> None:
    exc = tsudoi.WrongPassword("the server does not let you into den: the token is too old")
    assert "the token is too old" in explain(exc, "den", "x", "ja")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "発言が空です"),
        ("\udc80", "文字の一部"),
        ("/leave", "方言 tsudoi のコマンド"),
        ("/r " + "x" * 9000, "/r の返事は 100 バイトまで"),
        ("/who\n/close", "コマンドは 1 行"),
        ("/topic " + "x" * 9000, "コマンドが 9007 バイト"),
    ],
)
def test_why_a_line_can_not_be_said(line: str, words: str) -> None:
    chat: Any = FakeChat()
    assert words in explain_text(chat, line, tsudoi.InvalidText("in English"), "ja")
    assert explain_text(chat, line, tsudoi.InvalidText("in English"), "en") == "in English"


def test_a_certificate_that_has_changed_is_told_with_what_to_do() -> None:
    known, server = KnownServers(Path("/home/a/known_servers")), tsudoi.Server("x", 9001, 9002)
    for how, seen in (
        ("has changed: it is SHA-256 0a1b… now", "SHA-256 0a1b…"),
        ("is not valid any more: it ended", ""),
        ("is not shown any more: it speaks no TLS there", ""),
    ):
        text = _changed(server, known, how)
        away = notice(tsudoi.ServerAway(f"? {text}", text), "ja")
        for said in (explain(tsudoi.ServerNotTrusted(text), "den", "x", "ja"), away):
            assert "x:9001:9002 の証明書が以前と違います" in said
            assert "/home/a/known_servers の行を消して" in said
            assert seen in said
            assert not re.search("certificate|Somebody", said)


def test_why_a_line_is_refused_for_good_is_told_in_japanese() -> None:
    """The texts are those of gateway/chat/speak.py, which `client` does not import."""
    text = (Path(__file__).resolve().parents[2] / "gateway" / "chat" / "speak.py").read_text(encoding="utf-8")
    whys = re.findall(r'Refusal\(Error\.(?:BAD_REQUEST|PERMISSION_DENIED), f?"(.*?)"\)', text)
    assert len(whys) == 3
    for why in (*(re.sub(r"{\w+}", "1", each) for each in whys), MUTED, "the room does not take this"):
        exc = tsudoi.LineRefused(why)
        assert JAPANESE.search(explain(exc, "den", "x", "ja")), why
        assert refused(exc, "en") == why
