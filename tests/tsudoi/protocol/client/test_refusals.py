"""tsudoi/protocol/client/refusals.py: every reason that a person may see is there in Japanese."""

import re
from pathlib import Path

import pytest

from tsudoi.protocol import names
from tsudoi.protocol.client.handshake import REASONS
from tsudoi.protocol.client.refusals import (
    ADDRESS_IS_FULL,
    BANNED_FROM_ROOM,
    BANNED_FROM_SERVER,
    GAVE_WAY,
    MUTED,
    NEEDS_PASSWORD,
    in_japanese,
    lasting,
)
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import InvalidName

JOIN = Path(__file__).resolve().parents[4] / "gateway" / "join"
JAPANESE = re.compile("[ぁ-んァ-ヶ一-龠]")


@pytest.mark.parametrize(
    "name", ["", " ", "あ" * 86, "a\0b", "\u3164", "s\u200berver", "a\u200bb", "a: b", "* a waves", "a (host)"]
)
def test_why_a_name_is_invalid(name: str) -> None:
    reasons = []
    for check in (names.user_name, names.room_name):
        try:
            check(name)
        except InvalidName as exc:
            reasons.append(str(exc))
    assert reasons
    for reason in reasons:
        assert JAPANESE.search(in_japanese(reason)), reason
        assert "name" not in in_japanese(reason)


@pytest.mark.parametrize(
    "reason",
    [
        *(REASONS[each] for each in Status if each not in (Status.OK, Status.BAD_REQUEST)),
        *(BANNED_FROM_ROOM, BANNED_FROM_SERVER, MUTED, NEEDS_PASSWORD, ADDRESS_IS_FULL, GAVE_WAY),
    ],
)
def test_why_a_person_may_not_enter_or_speak(reason: str) -> None:
    assert JAPANESE.search(in_japanese(reason))


def test_for_how_long_it_holds_yet() -> None:
    assert lasting(MUTED, 0) == MUTED
    assert lasting(MUTED, 2) == "you are muted for 2 more min"
    assert in_japanese(lasting(BANNED_FROM_ROOM, 2)) == "このルームへの入室を禁止されています（あと 2 分）"


def test_why_a_signed_token_does_not_hold() -> None:
    """The texts are those of gateway/join, which `tsudoi` does not import."""
    found = []
    for file in ("signed_tokens.py", "token_keys.py"):
        text = (JOIN / file).read_text(encoding="utf-8")
        raised = re.findall(r'(?:TokenNotFor|WrongPassword|MalformedMessage)\(f?"((?:the|a) token.*?)"\)', text)
        found += [re.sub(r"{\w+}", "1", each) for each in raised]
    assert len(found) >= 10
    for reason in found:
        assert JAPANESE.search(in_japanese(reason)), reason
    assert (
        in_japanese("the token's rooms: room name is empty") == "トークンのルーム名が正しくありません: ルーム名が空です"
    )


def test_what_is_not_known_stays() -> None:
    assert in_japanese("the token is too old") == "the token is too old"
    assert in_japanese("user name is odd") == "user name is odd"


def test_words_within_words_within_words_stay() -> None:
    beginning = "the token's claims are not as they must be: "
    assert in_japanese(beginning * 3 + "x") == "トークンの内容が正しくありません: " + beginning * 2 + "x"
    assert in_japanese(beginning * 1_400).startswith("トークン")
