"""tsudoi/protocol/client/refusals.py: every reason that a person may see is there in Japanese."""

import re

import pytest

from tsudoi.protocol import names
from tsudoi.protocol.client.handshake import REASONS
from tsudoi.protocol.client.refusals import BANNED_FROM_ROOM, BANNED_FROM_SERVER, MUTED, NEEDS_PASSWORD, in_japanese
from tsudoi.protocol.codes import Status
from tsudoi.protocol.errors import InvalidName

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
        *(BANNED_FROM_ROOM, BANNED_FROM_SERVER, MUTED, NEEDS_PASSWORD),
    ],
)
def test_why_a_person_may_not_enter_or_speak(reason: str) -> None:
    assert JAPANESE.search(in_japanese(reason))


def test_what_is_not_known_stays() -> None:
    assert in_japanese("the token is too old") == "the token is too old"
    assert in_japanese("user name is odd") == "user name is odd"
