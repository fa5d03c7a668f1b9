"""client/state/event_words.py: what happened, in the reader's language, whatever the server's is."""

import re
import time

import pytest

import tsudoi
from client.state.event_words import ending, notice
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.client.words import Language

JAPANESE = re.compile("[ぁ-んァ-ヶ一-龠]")
EVENTS: list[tsudoi.Event] = [
    tsudoi.Joined("bob", 1, "?"),
    *(tsudoi.Left("bob", reason, "al", "", 1, "?") for reason in ("left", "idle", "kicked", "banned", "operator", "?")),
    tsudoi.Left("bob", "kicked", "al", "spam", 1, "?"),
    tsudoi.PeopleChanged(3, 0, "?"),
    tsudoi.PeopleChanged(0, 3, "?"),
    tsudoi.PeopleChanged(3, 3, "?"),
    tsudoi.Renamed("bob", "rob", 1, "?"),
    tsudoi.TopicChanged("bob", "tea", 1, "?"),
    tsudoi.TopicChanged("bob", "", 1, "?"),
    tsudoi.HostChanged("bob", "", 1, "?"),
    tsudoi.HostChanged("bob", "al", 1, "?"),
    tsudoi.Muted("bob", "al", 0, 1, "?"),
    tsudoi.Muted("bob", "al", 5, 1, "?"),
    tsudoi.Unmuted("bob", "al", 1, "?"),
    tsudoi.LockChanged("bob", True, 1, "?"),
    tsudoi.LockChanged("bob", False, 1, "?"),
    tsudoi.Announced("hi", 1, "?"),
    tsudoi.Answered("not-host", "/kick", None, "?"),
    tsudoi.Answered("no-such-member", "bob", None, "?"),
    tsudoi.Listed("who", (tsudoi.Person("bob", True, 70),), 1, 1, 1, "?"),
    tsudoi.Listed("rooms", (tsudoi.RoomInfo("den", 2, True),), 1, 1, 1, "?"),
    tsudoi.Listed("bans", (tsudoi.Sanction("bob", "10.0.0.1", False, 0),), 1, 1, 1, "?"),
    tsudoi.Listed("bans", (tsudoi.Sanction("bob", "", True, 1_800_000_000_000),), 1, 1, 1, "?"),
    tsudoi.Listed("help", (tsudoi.CommandHelp("/who [PAGE]", "?"),), 1, 1, 1, "?"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_notices_are_in_both_languages(event: tsudoi.Event) -> None:
    english, japanese = notice(event, "en"), notice(event, "ja")
    assert "?" not in english + japanese
    assert "{" not in english + japanese
    assert not JAPANESE.search(english)
    assert JAPANESE.search(japanese)


def test_what_this_version_does_not_know_is_shown_as_the_server_wrote_it() -> None:
    assert notice(tsudoi.Notice("newer words"), "ja") == "newer words"
    assert notice(tsudoi.Answered("newer", "x", None, "newer words"), "ja") == "newer words"
    assert notice(tsudoi.Answered("name-banned", "x", None, "x is banned, by name only: …"), "ja").startswith("x is")
    assert notice(tsudoi.Listed("newer", (), 0, 1, 1, "newer rows"), "ja") == "newer rows"


def test_a_list_tells_how_its_next_page_is_shown() -> None:
    first = tsudoi.Listed("who", (tsudoi.Person("al", False, 0),), 21, 1, 2, "21 in den, page 1 of 2:\nal")
    assert notice(first, "en").splitlines()[:-1] == ["Page 1 of 2: /who 2 shows the next."]
    assert notice(first, "ja").splitlines()[:-1] == ["1/2 ページです。続きは /who 2 で表示します。"]
    more = tsudoi.Listed("who", first.rows, 21, 1, 2, "bob")
    last = tsudoi.Listed("who", first.rows, 21, 2, 2, first.text)
    assert [len(notice(each, "en").splitlines()) for each in (more, last)] == [1, 1]


def test_the_end_of_a_ban_is_told_in_the_users_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bans = tsudoi.Listed("bans", (tsudoi.Sanction("bob", "", False, 1_800_000_000_000),), 1, 1, 1, "?")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert notice(bans, "en") == "bob, banned until 2027-01-15 17:00 JST"
        assert notice(bans, "ja") == "bob、2027-01-15 17:00 JST まで入室禁止"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_ban_by_the_operator_is_the_operators_and_says_why() -> None:
    by_operator = tsudoi.Left("bob", "banned", "", "spam", 7, "?")
    assert notice(by_operator, "en") == "The operator has removed bob: spam"
    assert notice(tsudoi.Left("bob", "banned", "al", "", 7, "?"), "en") == "al has banned bob."


@pytest.mark.parametrize(
    ("event", "language", "said"),
    [
        (tsudoi.RoomClosed("ホストのbobがルームを退出しました．"), "en", "The host bob has left: the room is closed."),
        (
            tsudoi.RoomClosed("ホストのbobがルームを退出しました．"),
            "ja",
            "ホストの bob さんが退室し、ルームが閉じられました。",
        ),
        (tsudoi.RoomClosed("exit!"), "en", "The room is closed."),
        (tsudoi.RoomClosed("so long"), "en", "The room is closed. (so long)"),
        (tsudoi.TimedOut("Timeout!"), "ja", "しばらく通信がなかったため、ルームから外れました。"),
        (
            tsudoi.TimedOut(Phrase.YOU_ARE_OUT.words[0].format(room="den")),
            "ja",
            Phrase.YOU_ARE_OUT.words[1].format(room="den"),
        ),
        (tsudoi.Kicked("?", by="al"), "en", "al has removed you from den."),
        (tsudoi.Kicked("?", by="al", reason="spam"), "ja", "al さんがあなたを den から退室させました: spam"),
        (tsudoi.Kicked("?", by="al", banned=True), "en", "al has banned you from den."),
        (tsudoi.Kicked("?", reason="spam"), "en", "The operator has removed you from den: spam"),
        (tsudoi.Kicked("bye"), "en", "You were removed from the room. (bye)"),
        *(
            (
                event(which.words[of].format(name="al", by="al", room="den", text="why")),
                ("en", "ja")[said],
                which.words[said].format(name="al", by="al", room="den", text="why"),
            )
            for event, which in (
                (tsudoi.Kicked, Phrase.YOU_KICKED_WHY),
                (tsudoi.Kicked, Phrase.YOU_BANNED),
                (tsudoi.Kicked, Phrase.YOU_BANNED_FOR),
                (tsudoi.TimedOut, Phrase.YOU_WERE_SILENT),
                (tsudoi.RoomClosed, Phrase.ROOM_CLOSED),
                (tsudoi.RoomClosed, Phrase.HOST_HAS_LEFT),
                (tsudoi.RoomClosed, Phrase.OPERATOR_HAS_CLOSED),
            )
            for of in (0, 1)
            for said in (0, 1)
        ),
    ],
)
def test_the_end_is_in_the_readers_language(
    event: tsudoi.RoomClosed | tsudoi.TimedOut | tsudoi.Kicked, language: Language, said: str
) -> None:
    assert ending(event, "den", language) == said
