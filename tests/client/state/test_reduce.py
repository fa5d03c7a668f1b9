"""client/state/reduce.py: what becomes of the rooms, and what is to be done."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import tsudoi
from client.state.events import (
    AnswerDue,
    Ask,
    Asked,
    BannerSeen,
    Closed,
    Command,
    Ended,
    Entered,
    Event,
    FocusChanged,
    LookedAway,
    Notified,
    Notify,
    Posted,
    Received,
    ScrolledToTop,
    SendLater,
    Settled,
    Shown,
    Taken,
)
from client.state.model import Mark, Note, Room, Speech, SpeechKind, State
from client.state.reduce import TRIES, reduce
from client.state.roster import by_last_word
from tsudoi import Answered, Earlier, Joined, Left, Listed, Message, Past, Person, Private, Renamed

AT = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)


def after(*events: Event, state: State | None = None) -> tuple[State, list[Command]]:
    state = state or State(server="127.0.0.1:9001")
    commands: list[Command] = []
    for event in events:
        state, more = reduce(state, event)
        commands += more
    return state, commands


def entered(room: str = "den", is_host: bool = False) -> Entered:
    return Entered(room, "alice", AT, is_host)


def heard(event: Any, room: str = "den", me: str = "alice") -> Received:
    return Received(room, event, AT, me)


def den(state: State) -> Room:
    room = state.room("den")
    assert room is not None
    return room


def who(page: int, pages: int, count: int, names: list[str]) -> Listed:
    return Listed("who", tuple(Person(name, name == "m00", 0) for name in names), count, page, pages, "?")


def test_who_is_asked_for_by_itself_and_not_shown() -> None:
    state, commands = after(entered(), Asked("den", "who", by_user=False), heard(who(1, 1, 2, ["alice", "m00"])))
    assert commands[0] == Ask("den", "/who 1")
    assert [person.name for person in den(state).people] == ["m00", "alice"]
    assert len(den(state).items) == 1
    state, _ = after(Asked("den", "who", by_user=True), heard(who(1, 1, 2, ["alice", "m00"])), state=state)
    assert len(den(state).items) == 3


def test_further_pages_are_asked_for_when_a_page_is_whole() -> None:
    names = [f"m{number:02}" for number in range(25)]
    state, commands = after(
        entered(),
        Asked("den", "who", by_user=False),
        heard(who(1, 2, 25, names[:12])),
        heard(who(1, 2, 25, names[12:20])),
    )
    assert [command for command in commands if isinstance(command, Ask)][-1] == Ask("den", "/who 2")
    state, _ = after(heard(who(2, 2, 25, names[20:])), state=state)
    assert len(den(state).people) == 25
    state, _ = after(heard(who(1, 1, 1, ["alice"])), state=state)
    assert [person.name for person in den(state).people] == ["alice"]


def test_people_of_whom_a_part_is_lost_are_asked_for_again_and_one_answer_makes_the_list() -> None:
    names = [f"m{number:02}" for number in range(18)]
    asked = Asked("den", "who", by_user=False, line="/who 1")
    state, _ = after(entered(), asked, heard(who(1, 1, 18, names[:10])))
    state, commands = after(AnswerDue("den", "/who 1"), state=state)
    assert commands == [Ask("den", "/who 1")]
    rest = [*names[:4], "new"]
    state, commands = after(
        asked, heard(who(1, 1, 5, rest[:3])), heard(who(1, 1, 5, rest[1:])), AnswerDue("den", "/who 1"), state=state
    )
    assert [person.name for person in den(state).people] == rest
    assert not [command for command in commands if isinstance(command, Ask)]


def test_parts_of_two_answers_that_miss_others_make_one_list() -> None:
    names = [f"m{number:02}" for number in range(18)]
    asked = Asked("den", "who", by_user=False, line="/who 1")
    state, _ = after(entered(), asked, heard(who(1, 1, 18, names[:10])), AnswerDue("den", "/who 1"))
    state, _ = after(asked, heard(who(1, 1, 18, names[10:])), state=state)
    state, commands = after(AnswerDue("den", "/who 1"), state=state)
    assert [person.name for person in den(state).people] == names
    assert commands == []


def test_people_are_asked_for_a_few_times_only() -> None:
    state, _ = after(entered(), Asked("den", "who", by_user=False, line="/who 1"))
    for _ in range(TRIES - 1):
        state, commands = after(AnswerDue("den", "/who 1"), state=state)
        assert commands == [Ask("den", "/who 1")]
        state, _ = after(Asked("den", "who", by_user=False, line="/who 1"), state=state)
    _, commands = after(AnswerDue("den", "/who 1"), state=state)
    assert commands == []


def test_the_roster_follows_joins_leaves_and_names() -> None:
    state, _ = after(
        entered(),
        heard(who(1, 1, 2, ["alice", "m00"])),
        heard(Joined("carol", 5, "?")),
        heard(Renamed("carol", "caro", 6, "?")),
        heard(Left("m00", "left", "", "", 7, "?")),
        heard(Left("alice", "rejoined", "", "", 8, "?")),
    )
    assert [person.name for person in den(state).people] == ["alice", "caro"]
    assert den(state).count == 2


def test_in_a_crowd_only_those_who_spoke_are_seen_to_join_and_leave() -> None:
    names = [f"m{at:02}" for at in range(20)]
    few, _ = after(entered(), heard(who(1, 1, 19, names[:19])), heard(Joined("bob", 5, "?")))
    crowd, _ = after(entered(), heard(who(1, 2, 25, names)), heard(Message("bob", "hi", 5)))
    for state, shown in (few, {"bob", "m00"}), (crowd, {"bob"}):
        for at, name in enumerate(["m00", "bob"], 6):
            state, _ = after(heard(Left(name, "left", "", "", at, "?")), state=state)
        notes = [item.text for item in den(state).items if isinstance(item, Note) and "left" in item.text]
        assert notes == [f"{name} has left." for name in ("m00", "bob") if name in shown]
        assert not {"m00", "bob"} & {person.name for person in den(state).people}
    state, _ = after(heard(Left("m01", "kicked", "alice", "", 9, "?")), heard(Joined("m30", 10, "?")), state=crowd)
    assert isinstance(last := den(state).items[-1], Note)
    assert "m01" in last.text


def test_lines_in_other_rooms_are_unread_until_they_are_shown() -> None:
    state, _ = after(entered(), entered("garden"), heard(Message("bob", "one", 5)), heard(Message("bob", "alice?", 6)))
    assert (den(state).unread, den(state).mentions) == (2, 1)
    assert den(state).first_unread is den(state).items[-2]
    state, _ = after(Shown("den"), state=state)
    assert (den(state).unread, den(state).mentions) == (0, 0)
    assert den(state).first_unread is not None
    assert den(after(Posted("den", 1, "yes?", AT), state=state)[0]).first_unread is None
    state, _ = after(Shown("garden"), LookedAway("den", "half a li"), state=state)
    assert den(state).first_unread is None
    assert den(state).draft == "half a li"


def test_a_mention_calls_unless_the_user_looks_at_it() -> None:
    def calls(*events: Event) -> list[Command]:
        return [
            each
            for each in after(entered(), *events, heard(Message("bob", "alice!", 5)))[1]
            if isinstance(each, Notify)
        ]

    assert calls(FocusChanged(True)) == []
    assert calls() == [Notify("bob in den", "alice!", is_away=False)]
    assert calls(FocusChanged(False)) == [Notify("bob in den", "alice!", is_away=True)]
    assert calls(FocusChanged(True), entered("garden")) == [Notify("bob in den", "alice!", is_away=False)]


def test_lines_that_come_without_focus_are_unread_and_read_when_the_user_is_back() -> None:
    state, _ = after(entered(), FocusChanged(False), heard(Message("bob", "hi", 5)))
    assert den(state).unread == 1
    assert den(after(FocusChanged(True), state=state)[0]).unread == 0


def test_a_server_that_is_away_is_told_until_it_is_heard() -> None:
    state, _ = after(entered(), heard(tsudoi.ServerAway("?")))
    assert "since 12:30" in den(state).banner
    assert den(state).is_banner_bad
    state, _ = after(heard(Message("bob", "hi", 5)), state=state)
    assert den(state).banner == ""


def test_a_banner_that_is_good_goes_and_a_bad_one_stays() -> None:
    state, _ = after(entered(), heard(tsudoi.ServerAway("?")), BannerSeen("den"))
    assert den(state).banner
    for missed in (0, 3, None):  # what is lost stands in the timeline
        back, commands = after(heard(tsudoi.ServerBack(missed)), state=state)
        assert commands == [SendLater(BannerSeen("den"))]
        assert den(back).banner
        assert den(after(BannerSeen("den"), state=back)[0]).banner == ""
        assert len(den(back).items) - len(den(state).items) == (missed != 0)


def test_the_servers_help_leaves_out_what_this_client_does_itself() -> None:
    rows = (tsudoi.CommandHelp("/who [PAGE]", "?"), tsudoi.CommandHelp("/leave", "?"))
    state, _ = after(entered(), Asked("den", "help", by_user=True), heard(Listed("help", rows, 2, 1, 1, "?")))
    told = [item.text for item in den(state).items if isinstance(item, Note)]
    assert [text.split()[0] for text in told if text.startswith("/")] == ["/who"]


def test_an_end_is_told_once_and_history_is_not_asked_for_after_it() -> None:
    state, _ = after(
        entered(), heard(Message("bob", "hi", 5)), heard(tsudoi.TimedOut("Timeout!")), Ended("den", "over", AT)
    )
    assert den(state).ended
    assert [item.text for item in den(state).items if isinstance(item, Note)][1:] == [
        "The server heard nothing of you for too long: you are not in the room any more.",
        "/join enters it again, /leave takes it off the screen.",
    ]
    assert after(ScrolledToTop("den", AT), state=state)[1] == []


def test_entering_again_keeps_what_was_there() -> None:
    state, _ = after(entered(), heard(Message("bob", "hi", 5)), Ended("den", "over", AT), entered())
    assert [item.text for item in den(state).items if isinstance(item, Speech)] == ["hi"]
    assert not den(state).ended


def older(last: int, count: int = 50) -> Listed:
    return Listed(
        "history", tuple(Past("bob", "hi", at, at, False) for at in range(last - count + 1, last + 1)), 0, 1, 1, ""
    )


def at_top(seconds: int = 0) -> ScrolledToTop:
    return ScrolledToTop("den", AT + timedelta(seconds=seconds))


def test_older_lines_are_loaded_until_there_are_none() -> None:
    state, _ = after(entered(), heard(older(200, 20)))
    for before in (181, 131, 81):
        state, commands = after(at_top(), state=state)
        assert commands == [Ask("den", f"/history 50 {before}")]
        assert after(at_top(1), state=state)[1] == []  # the answer is on its way
        assert after(at_top(2), state=state)[1] == commands  # it was lost
        state, _ = after(Asked("den", "history", by_user=False), heard(older(before - 1)), state=state)
    assert not den(state).is_cut
    state, _ = after(
        at_top(), Asked("den", "history", by_user=False), heard(Answered("no-history", "", None, "?")), state=state
    )
    assert after(at_top(9), state=state)[1] == []
    assert den(state).is_cut
    assert [item.offset for item in den(state).items if isinstance(item, Speech)] == list(range(31, 201))


def asked(line: str = "/history 20") -> Asked:
    return Asked("den", "history", by_user=False, line=line)


def part(*offsets: int, of: int) -> Received:
    return heard(Listed("history", tuple(Past("bob", "hi", at, at, False) for at in offsets), of, 1, 1, ""))


def test_old_lines_of_which_a_part_does_not_come_are_asked_for_again() -> None:
    due = AnswerDue("den", "/history 20")
    state, commands = after(entered(), asked(), part(1, 2, of=4))
    state, commands = after(due, state=state)
    assert commands == [Ask("den", "/history 20")]
    # All parts of one answer must come: what the first one brought may be older than what the second one lost.
    state, _ = after(asked(), part(3, 4, of=4), state=state)
    assert after(due, state=state)[1] == [Ask("den", "/history 20")]
    state, _ = after(part(1, 2, of=4), state=state)
    assert after(due, state=state)[1] == []
    assert [item.offset for item in den(state).items if isinstance(item, Speech)] == [1, 2, 3, 4]


def test_still_older_lines_are_not_asked_for_before_all_parts_have_come() -> None:
    state, commands = after(entered(), heard(older(200, 20)), at_top())
    line = "/history 50 181"
    assert commands[-1] == Ask("den", line)
    state, _ = after(asked(line), part(*range(131, 150), of=50), state=state)
    assert after(at_top(9), state=state)[1] == []
    state, commands = after(AnswerDue("den", line), state=state)
    assert commands == [Ask("den", line)]
    state, _ = after(asked(line), part(*range(150, 181), of=50), state=state)
    assert after(at_top(9), state=state)[1] == [Ask("den", "/history 50 131")]


def test_that_nothing_is_older_is_told_to_a_user_who_asked_alone() -> None:
    nothing = heard(Answered("no-history", "", None, "?"))
    state, _ = after(entered(), heard(older(200, 20)), at_top(), asked("/history 50 181"))
    state, _ = after(asked("/history 50 181"), nothing, nothing, state=state)  # the first answer was late
    assert den(state).is_cut
    assert not [item for item in den(state).items if isinstance(item, Note)][1:]
    state, _ = after(Asked("den", "history", by_user=True, line="/history"), nothing, state=state)
    assert [item for item in den(state).items if isinstance(item, Note)][1:]


def test_parts_of_lines_before_a_position_add_up() -> None:
    first = Entered("den", "alice", AT, position=(1, 8))
    state, commands = after(first)
    assert commands == [Ask("den", "/who 1"), Ask("den", "/history 20 9")]
    due, again = AnswerDue("den", "/history 20 9"), asked("/history 20 9")
    state, _ = after(again, part(1, 2, of=4), state=state)
    assert after(due, state=state)[1] == [Ask("den", "/history 20 9")]
    state, _ = after(due, again, part(3, 4, of=4), state=state)
    assert after(due, state=state)[1] == []


def test_an_answer_that_is_lost_whole_is_asked_for_again_a_few_times_and_then_its_lack_is_told() -> None:
    due = AnswerDue("den", "/history 20")
    state, _ = after(entered(), asked())
    for _ in range(TRIES - 1):
        state, commands = after(due, state=state)
        assert commands == [Ask("den", "/history 20")]
        state, _ = after(asked(), state=state)
    state, commands = after(due, state=state)
    assert commands == []
    assert "/history 20 asks for them again" in den(state).items[-1].text
    assert after(due, state=state)[1] == []


def test_an_answer_is_late_only_when_the_server_has_the_question() -> None:
    state, commands = after(entered(), asked(), Asked("den", "who", by_user=False, line="/who 1"))
    assert not [command for command in commands if isinstance(command, SendLater)]
    for line in ("/history 20", "/who 1"):
        assert after(Taken("den", line), state=state)[1] == [SendLater(AnswerDue("den", line))]
    for line in ("/history 5", "/who 2", "/topic"):
        assert after(Taken("den", line), state=state)[1] == []


@pytest.mark.parametrize(("with_values", "has_commands"), [(False, True), (True, False)])
def test_where_lists_do_not_come_the_client_asks_for_none(with_values: bool, has_commands: bool) -> None:
    enters = Entered(*("den", "alice", AT), answers_with_values=with_values, has_commands=has_commands)
    state, commands = after(enters)
    line = "/history 5"
    by_user = Asked("den", "history", by_user=True, line=line)
    state, more = after(by_user, Taken("den", line), AnswerDue("den", line), at_top(), state=state)
    assert commands + more == []
    assert not after(heard(tsudoi.PeopleChanged(9, 0, "?")), heard(tsudoi.Rejoined("alice")), state=state)[1]


def test_while_the_server_is_away_old_lines_are_not_asked_for_again() -> None:
    due = AnswerDue("den", "/history 20")
    state, _ = after(entered(), asked(), heard(tsudoi.ServerAway("?")))
    for _ in range(2 * TRIES):
        state, commands = after(due, state=state)
        assert commands == [SendLater(AnswerDue("den", "/history 20"))]


def test_nothing_more_is_awaited_where_the_server_says_so_or_does_not_count() -> None:
    due = AnswerDue("den", "/history 20")
    refusals = [heard(Answered(code, "", None, "?")) for code in ("no-history", "usage", "moved-away")]
    answers: list[Event] = [*refusals, part(1, of=0), Ended("den", "over", AT)]
    for answer in answers:
        assert after(due, state=after(entered(), asked(), answer)[0])[1] == []


def test_no_more_lines_are_loaded_than_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[reduce.__module__], "MAX_ITEMS", 100)
    state, _ = after(entered(), heard(older(20_000, 90)))
    assert after(at_top(), state=state)[1]
    state, _ = after(entered(), heard(older(20_000, 100)))
    state, commands = after(at_top(), state=state)
    assert commands == []
    assert den(state).is_cut


def test_an_old_server_is_asked_for_the_last_lines_alone() -> None:
    state, _ = after(entered(), heard(Message("bob", "hi", 500)), at_top(), Asked("den", "history", by_user=False))
    state, commands = after(heard(Answered("usage", "/history [N]", None, "?")), state=state)
    assert commands == [Ask("den", "/history 50")]
    assert after(at_top(9), heard(older(499)), state=state)[1] == []


def test_a_dialect_without_values_is_not_asked_for_lists() -> None:
    assert after(Entered("den", "alice", AT, answers_with_values=False))[1] == []


def test_own_lines_of_echoing_dialects_stand_once() -> None:
    state, _ = after(
        entered(), Posted("den", 1, "hello", AT, has_receipt=False), heard(Message("alice", "hello", None))
    )
    assert [item.text for item in den(state).items if isinstance(item, Speech)] == ["hello"]


def test_a_closed_room_gives_way_to_its_neighbour() -> None:
    state, _ = after(entered("a"), entered("b"), entered("c"), Shown("b"), Closed("b"))
    assert (state.shown, [room.name for room in state.rooms]) == ("c", ["a", "c"])
    state, _ = after(Closed("c"), Closed("a"), Notified("nothing to tell it in", AT), state=state)
    assert (state.shown, state.rooms) == ("", ())


def test_the_names_of_rooms_are_kept_for_completion() -> None:
    rooms = (tsudoi.RoomInfo("den", 1, False), tsudoi.RoomInfo("庭", 2, True))
    state, _ = after(entered(), heard(Listed("rooms", rooms, 2, 1, 1, "?")))
    assert state.known_rooms == ("den", "庭")
    assert [item.text for item in den(state).items][1:] == ["den, 1 inside", "庭, 2 inside, locked"]


def test_messages_from_before_the_join_stand_once_at_their_places_also_when_they_are_loaded_again() -> None:
    past = tuple(Past("bob", text, offset, offset * 1_000, False) for offset, text in ((3, "three"), (4, "four")))
    answer = Listed("history", (Past("bob", "two", 2, 2_000, False), *past), 0, 1, 1, "?")
    state, _ = after(entered(), Asked("den", "history", by_user=False), heard(Earlier(past)), heard(answer))
    assert [item.text for item in den(state).items if isinstance(item, Speech)] == ["two", "three", "four"]


def texts(state: State) -> list[str]:
    return [item.text for item in den(state).items if isinstance(item, Speech)]


@pytest.mark.parametrize("old_lines", [12, 300])
@pytest.mark.parametrize(
    ("position", "ends", "again"),
    [
        ((7, 1), tsudoi.TimedOut("?"), Entered("den", "alice", AT, position=(8, 1))),
        (None, tsudoi.RoomClosed("The host has left."), Entered("den", "alice", AT)),
        (None, tsudoi.TimedOut("?"), Entered("den", "alice", AT, is_host=True)),
    ],
    ids=["another epoch", "version 1: closed", "version 1: made anew"],
)
def test_lines_of_a_new_room_of_the_same_name_come_behind_those_of_the_old_one(
    old_lines: int, position: tuple[int, int] | None, ends: tsudoi.Event, again: Entered
) -> None:
    old = [heard(Message("bob", f"old {offset}", offset)) for offset in range(2, old_lines)]
    new = [heard(Message("bob", f"new {offset}", offset)) for offset in range(3, 10)]
    said_at_ms = round(AT.timestamp() * 1000)
    earlier = Listed("history", (Past("bob", "new 2", 2, said_at_ms, False),), 1, 1, 1, "?")
    first = Entered("den", "alice", AT, position=position)
    state, _ = after(first, *old, heard(ends), again, heard(earlier), *new)
    assert texts(state)[-8:] == [f"new {offset}" for offset in range(2, 10)]
    assert len(texts(state)) == len(old) + 8


@pytest.mark.parametrize("position", [None, (7, 1)])
def test_a_room_that_is_entered_again_shows_lines_that_it_has_once(position: tuple[int, int] | None) -> None:
    old = [heard(Message("bob", f"line {offset}", offset)) for offset in range(2, 9)]
    past = tuple(Past("bob", f"line {offset}", offset, offset * 1_000, False) for offset in range(5, 11))
    state, _ = after(
        Entered("den", "alice", AT, position=position),
        *old,
        heard(tsudoi.Kicked("?", "bob", "")),
        Entered("den", "alice", AT, position=position),
        heard(Listed("history", past, 6, 1, 1, "?")),
        heard(Message("bob", "line 13", 13)),
    )
    assert texts(state) == [*(f"line {offset}" for offset in range(2, 11)), "line 13"]


def test_what_can_be_done_in_a_room_that_is_over_depends_on_how_it_ended() -> None:
    closed, _ = after(entered(), heard(tsudoi.RoomClosed("?")))
    assert den(closed).items[-1].text.startswith("/create den opens a new one")
    kicked, _ = after(entered(), heard(tsudoi.Kicked("?", "bob", "spam")))
    assert [item.text for item in den(kicked).items[-2:]] == [
        "bob has removed you from den: spam",
        "/join enters it again, /leave takes it off the screen.",
    ]
    banned, _ = after(entered(), heard(tsudoi.Kicked("?", "bob", "", banned=True)))
    assert den(banned).items[-1].text.startswith("While the ban lasts, /join does not let you in.")


def test_that_a_room_is_being_entered_is_told_until_the_user_is_in_it() -> None:
    entering = Notified("Entering kitchen …", AT, "den")
    state, _ = after(entered(), entering)
    assert [item.text for item in den(state).items][-1] == "Entering kitchen …"
    state, _ = after(entered("kitchen"), state=state)
    assert [item.text for item in den(state).items] == ["You are in den, alice."]


@pytest.mark.parametrize(
    ("wished", "me", "explained"),
    [("bob", "bob#2", True), ("bob#2", "bob#2", False), ("ｂｏｂ", "bob", False), ("", "bob#2", False)],
)
def test_a_name_that_another_member_has_is_explained(wished: str, me: str, explained: bool) -> None:
    state, _ = after(Entered("den", me, AT, wished=wished))
    told = den(state).items[-1].text
    assert told.startswith(f"You are in den, {me}.")
    assert (f"Another member is called {wished}, so you are {me}." in told) == explained


def test_lines_that_the_user_asked_for_are_told_to_be_above() -> None:
    by_user = Asked("den", "history", by_user=True, line="/history 3")
    told = "The older lines stand above, each at its place."
    state, _ = after(entered(), heard(Message("bob", "hi", 1)), by_user, part(1, 2, of=3))
    assert told not in [item.text for item in den(state).items]
    state, _ = after(part(3, of=3), state=state)
    assert den(state).items[-1].text == told
    by_itself, _ = after(entered(), asked(), part(1, of=2), part(2, of=2))
    assert told not in [item.text for item in den(by_itself).items]


def test_a_whisper_waits_as_other_lines_do_and_then_stands_once() -> None:
    whisper = Posted("den", 1, "psst", AT, SpeechKind.WHISPERED, "BOB")
    waits, _ = after(entered(), whisper)
    assert den(waits).items[-1] == Speech(
        "alice", "psst", AT, None, SpeechKind.WHISPERED, "BOB", Mark.WAITING, number=1
    )
    comes, kept = heard(Private("alice", "bob", "psst", 9)), Settled("den", 1, Mark.KEPT, AT)
    for events in ((comes, kept), (kept, comes)):
        state, _ = after(*events, state=waits)
        lines = [item for item in den(state).items if isinstance(item, Speech)]
        assert [(line.text, line.to, line.mark) for line in lines] == [("psst", "bob", Mark.KEPT)]


def test_a_whisper_to_nobody_does_not_stay() -> None:
    state, _ = after(
        entered(), Posted("den", 1, "psst", AT, SpeechKind.WHISPERED, "bbo"), Settled("den", 1, Mark.KEPT, AT)
    )
    assert texts(state) == []


def test_two_whispers_with_the_same_words_are_two() -> None:
    posted = [Posted("den", number, "psst", AT, SpeechKind.WHISPERED, "bob") for number in (1, 2)]
    come = [heard(Private("alice", "bob", "psst", offset)) for offset in (8, 9)]
    state, _ = after(entered(), *posted, *come, Settled("den", 1, Mark.KEPT, AT), Settled("den", 2, Mark.KEPT, AT))
    assert texts(state) == ["psst", "psst"]


def test_names_are_completed_in_the_order_of_who_spoke_last() -> None:
    names = ["alice", "bob", "carol", "dan"]
    lines = [heard(Message(name, "hi", offset)) for offset, name in enumerate(("dan", "carol", "alice", "carol"), 2)]
    state, _ = after(entered(), heard(who(1, 1, 4, names)), *lines)
    assert by_last_word(den(state)) == ["carol", "dan", "bob"]


def test_the_same_notice_twice_running_is_one_line() -> None:
    away = tsudoi.Notice("The server can not reach this room now.")
    state, _ = after(entered(), heard(away), heard(away))
    assert len(den(state).items) == 2
    state, _ = after(heard(tsudoi.Reset()), heard(away), state=state)
    assert len(den(state).items) == 3
    state, _ = after(heard(tsudoi.Notice("It is back.")), heard(away), state=state)
    assert len(den(state).items) == 5
