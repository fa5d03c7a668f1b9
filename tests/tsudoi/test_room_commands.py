"""tsudoi/net/room_commands.py, notice_events.py, command_outcomes.py: commands of members, and their answers"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsudoi
from broker.rooms import commands
from gateway.chat.render import farewell
from tests.support.waiting import until
from tests.tsudoi.fake_server import QUICK, FakeServer, fake_server
from tsudoi import ChatClient, CommandRefused, Event, NoAnswer, NotInDialect, Settings, events
from tsudoi.command_outcomes import REFUSALS, PendingList
from tsudoi.net import room_commands
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.client import downlink_encoder
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TSUDOI
from tsudoi.protocol.client.long_answers import encode_list
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.client.notices import encode_notice
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.session import Membership

BRIEF = Settings(connect_timeout_s=2, answer_timeout_s=0.2, settle_s=0.05)


def tell(notice: str, **values: Any) -> bytes:
    return encode_notice(TSUDOI.down, "den", notice, values, f"words of {notice}")


def say_no(code: str, arg: str = "") -> bytes:
    return tell("answer", code=code, arg=arg)


def hear(data: bytes) -> Event:
    return Membership(TSUDOI, "den", "alice", "0" * 32).receive(data)


# --- what is told ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notice", "values", "event"),
    [
        ("acted", {"n": 7, "name": "bob", "said": "waves"}, events.Emote("bob", "waves", 7)),
        (
            "whispered",
            {"n": 7, "name": "bob", "to": "alice", "said": "psst"},
            events.Private("bob", "alice", "psst", 7),
        ),
        ("joined", {"n": 7, "name": "ボブ"}, events.Joined("ボブ", 7, "words of joined")),
        (
            "left",
            {"n": 7, "name": "bob", "reason": "kicked", "by": "alice", "why": "spam"},
            events.Left("bob", "kicked", "alice", "spam", 7, "words of left"),
        ),
        ("people", {"joined": 3, "left": 2}, events.PeopleChanged(3, 2, "words of people")),
        ("renamed", {"n": 7, "name": "bob", "to": "rob"}, events.Renamed("bob", "rob", 7, "words of renamed")),
        ("topic", {"n": 7, "name": "bob", "topic": "tea"}, events.TopicChanged("bob", "tea", 7, "words of topic")),
        ("host", {"n": 7, "name": "bob", "by": ""}, events.HostChanged("bob", "", 7, "words of host")),
        ("muted", {"n": 7, "name": "bob", "by": "a", "minutes": 5}, events.Muted("bob", "a", 5, 7, "words of muted")),
        ("unmuted", {"n": 7, "name": "bob", "by": "a"}, events.Unmuted("bob", "a", 7, "words of unmuted")),
        ("locked", {"n": 7, "name": "a"}, events.LockChanged("a", True, 7, "words of locked")),
        ("unlocked", {"n": 7, "name": "a"}, events.LockChanged("a", False, 7, "words of unlocked")),
        ("announced", {"n": 7, "said": "at ten"}, events.Announced("at ten", 7, "words of announced")),
        ("kicked", {"by": "a", "reason": "spam", "banned": True}, events.Kicked("words of kicked", "a", "spam", True)),
        ("answer", {"code": "busy", "arg": ""}, events.Answered("busy", "", None, "words of answer")),
        ("answer", {"n": 9, "code": "not-host", "arg": ""}, events.Answered("not-host", "", 9, "words of answer")),
        ("of another day", {"n": 7, "name": "bob"}, events.Notice("words of of another day")),
        ("joined", {"n": 7, "name": 8}, events.Notice("words of joined")),
        (
            "who",
            {"count": 2, "page": 1, "pages": 1, "members": [{"name": "bob", "host": True, "idle": 3}]},
            events.Listed("who", (events.Person("bob", True, 3),), 2, 1, 1, "words of who"),
        ),
        ("who", {"members": [{"name": "bob"}]}, events.Notice("words of who")),
    ],
)
def test_a_notice_is_an_event_with_its_values(notice: str, values: dict[str, Any], event: Event) -> None:
    assert hear(tell(notice, **values)) == event


def test_nothing_that_is_told_plays_tricks_in_a_terminal() -> None:
    event = hear(tell("joined", n=7, name="b\x1b[2Job"))
    assert event == events.Joined("b[2Job", 7, "words of joined")


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=4)))
def test_whatever_is_told_is_an_event(values: dict[str, Any]) -> None:
    values = {key: value for key, value in values.items() if key not in ("notice", "text")}
    for notice in ("joined", "who", "answer", "kicked", "history"):
        event = hear(tell(notice, **values))
        assert not isinstance(event, tsudoi.Message)


# --- orders ---------------------------------------------------------------------------------------------------------

Order = Callable[[ChatClient], Awaitable[object]]

ORDERS: list[tuple[str, Order, bytes]] = [
    ('/msg "b b" psst', lambda r: r.msg("b b", "psst"), tell("whispered", n=1, name="alice", to="b b", said="psst")),
    ("/msg bob psst", lambda r: r.msg("bob", " psst "), tell("whispered", n=1, name="alice", to="bob", said="psst")),
    ("/r psst", lambda r: r.reply(" psst "), tell("whispered", n=1, name="alice", to="bob", said="psst")),
    ("/r psst", lambda r: r.reply("psst"), tell("whispered", n=1, name="alice", to="bob", said="psst")),
    ("/nick rob", lambda r: r.nick("rob"), tell("renamed", n=1, name="alice", to="rob")),
    (
        "/kick bob spam",
        lambda r: r.kick("bob", "spam"),
        tell("left", n=1, name="bob", reason="kicked", by="alice", why=""),
    ),
    ("/ban bob 5", lambda r: r.ban("bob", 5), say_no("both-banned", "bob")),
    ("/ban ci[bot]", lambda r: r.ban("ci[bot]"), say_no("webhook-stopped", "ci[bot]")),
    ("/mute ci[bot]", lambda r: r.mute("ci[bot]"), say_no("webhook-stopped", "ci[bot]")),
    ("/unban bob", lambda r: r.unban("bob"), say_no("unbanned", "bob")),
    ("/mute bob", lambda r: r.mute("bob"), tell("muted", n=1, name="bob", by="alice", minutes=0)),
    ("/unmute bob", lambda r: r.unmute("bob"), tell("unmuted", n=1, name="bob", by="alice")),
    ("/unmute carol", lambda r: r.unmute("carol"), say_no("unmuted", "carol")),
    ("/topic tea", lambda r: r.set_topic("tea"), tell("topic", n=1, name="alice", topic="tea")),
    ("/topic tea", lambda r: r.set_topic(" tea\x07 "), tell("topic", n=1, name="alice", topic="tea")),
    ("/topic -", lambda r: r.set_topic(" "), tell("topic", n=1, name="alice", topic="")),
    ("/topic -", lambda r: r.set_topic(""), tell("topic", n=1, name="alice", topic="")),
    ("/topic -", lambda r: r.set_topic(""), say_no("no-topic")),
    ("/password", lambda r: r.set_password(""), say_no("no-password")),
    ("/password moon", lambda r: r.set_password("moon"), tell("locked", n=1, name="alice")),
    ("/host bob", lambda r: r.hand_over("bob"), tell("host", n=1, name="bob", by="alice")),
    ("/close", lambda r: r.close_room(), tell("closed")),
]


async def alone(fake: FakeServer, settings: Settings = QUICK) -> ChatClient:
    dialect = fake.dialect.name
    return await tsudoi.create("den", name="alice", server=fake.address, dialect=dialect, settings=settings)


@pytest.mark.parametrize(("line", "order", "answer"), ORDERS, ids=[line for line, _, _ in ORDERS])
async def test_an_order_returns_when_it_is_done(line: str, order: Order, answer: bytes) -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        # What others do meanwhile is no answer.
        fake.answers[line] = [tell("left", n=9, name="carol", reason="left", by="", why=""), answer]
        await order(room)


@pytest.mark.parametrize(("line", "order", "answer"), ORDERS, ids=[line for line, _, _ in ORDERS])
async def test_an_order_that_is_not_carried_out_raises(line: str, order: Order, answer: bytes) -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        fake.answers[line] = [say_no("not-host")]
        with pytest.raises(CommandRefused, match="words of answer") as caught:
            await order(room)
        assert caught.value.code == "not-host"


async def test_what_is_not_answered_raises() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake, BRIEF) as room:
        with pytest.raises(NoAnswer, match="/kick"):
            await room.kick("bob")
        with pytest.raises(NoAnswer, match="/who"):
            await room.who()


async def test_a_refusal_belongs_to_the_command_that_it_refuses() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        fake.answers |= {"/kick bob": [], "/kick carol": [say_no("no-such-member", "carol")]}
        left = tell("left", n=1, name="bob", reason="kicked", by="alice", why="")
        asyncio.get_running_loop().call_later(0.05, fake.tell, "den", left)
        done = await asyncio.gather(room.kick("bob"), room.kick("carol"), return_exceptions=True)
        assert (done[0], type(done[1])) == (None, CommandRefused)


NAMES: list[tuple[str, Order, bytes]] = [
    ("/topic tea", lambda r: r.set_topic("tea"), say_no("no-such-member", "zoe")),
    ("/kick bob", lambda r: r.kick("bob"), say_no("no-such-member", "zoe")),
    ("/nick rob", lambda r: r.nick("rob"), say_no("name-taken", "al")),
    ("/nick rob", lambda r: r.nick("rob"), tell("renamed", n=1, name="alice", to="al")),
    ("/ban bob", lambda r: r.ban("bob"), say_no("both-banned", "zoe")),
    ("/unban bob", lambda r: r.unban("bob"), say_no("unbanned", "zoe")),
    ("/unban bob", lambda r: r.unban("bob"), say_no("not-banned", "zoe")),
    ("/unmute bob", lambda r: r.unmute("bob"), say_no("unmuted", "zoe")),
    ("/who 1", lambda r: r.who(), say_no("not-muted", "zoe")),
]


@pytest.mark.parametrize(("line", "order", "late"), NAMES)
async def test_an_answer_about_another_name_is_one_to_a_command_that_was_given_up(
    line: str, order: Order, late: bytes
) -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        fake.answers[line] = [late, say_no("not-host")]
        with pytest.raises(CommandRefused) as caught:
            await order(room)
        assert caught.value.code == "not-host"


def test_each_answer_of_the_broker_is_an_outcome() -> None:
    codes = {name.lower().replace("_", "-") for name in re.findall(r"Phrase\.(\w+)", inspect.getsource(commands))}
    done = set(re.findall(r'"([\w-]+)"', inspect.getsource(room_commands)))
    assert len(codes) > 15
    assert codes - REFUSALS - done == {"name-muted"}  # an event of the room says so, too


async def test_a_blank_password_does_not_unlock_the_room() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        fake.answers["/password"] = [tell("unlocked", n=1, name="alice")]
        for blank in (" ", "\n", "\x07"):
            with pytest.raises(tsudoi.InvalidText):
                await room.set_password(blank)


async def test_a_name_that_misleads_is_refused() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        fake.answers['/nick "a: b"'] = [say_no("misleading-name")]
        with pytest.raises(CommandRefused):
            await room.nick("a: b")


async def test_one_that_has_another_name_knows_it() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        fake.answers["/nick rob"] = [tell("renamed", n=1, name="alice", to="rob")]
        await room.nick("rob")
        assert room.name == "rob"
        assert await anext(room) == events.Renamed("alice", "rob", 1, "words of renamed")


# --- questions ------------------------------------------------------------------------------------------------------


def people(first: int, last: int) -> list[tuple[Any, str]]:
    names = [(number, f"{'member' * 10}{number}") for number in range(first, last)]
    return [({"name": name, "host": number == 1, "idle": number}, name) for number, name in names]


async def test_who_is_here_comes_in_pages_and_parts() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        for page, rows in ((1, people(1, 21)), (2, people(21, 24))):
            values = {"count": 23, "page": page, "pages": 2}
            fake.answers[f"/who {page}"] = encode_list(TSUDOI.down, "den", "who", "members", values, "head", rows)
        assert len(fake.answers["/who 1"]) > 1
        found = await room.who()
        assert found == [events.Person(f"{'member' * 10}{number}", number == 1, number) for number in range(1, 24)]


async def test_a_list_that_has_become_shorter_ends_before_its_last_page() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        values = {"count": 23, "page": 1, "pages": 2}
        fake.answers["/who 1"] = encode_list(TSUDOI.down, "den", "who", "members", values, "head", people(1, 21))
        fake.answers["/who 2"] = [say_no("no-such-page", "1")]
        assert len(await room.who()) == 20
        fake.answers["/who 1"] = [say_no("no-such-page", "0")]
        with pytest.raises(CommandRefused):
            await room.who()


async def test_other_questions() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        rows = [({"name": "部屋", "members": 2, "locked": True}, "")]
        fake.answers["/rooms 1"] = [tell("rooms", count=1, page=1, pages=1, rooms=[row for row, _ in rows])]
        assert await room.rooms() == [events.RoomInfo("部屋", 2, True)]
        row = {"name": "bob", "address": "192.0.2.1", "muted": False, "until": 1_000}
        fake.answers["/bans 1"] = [tell("bans", count=1, page=1, pages=1, bans=[row])]
        assert await room.bans() == [events.Sanction("bob", "192.0.2.1", False, 1_000)]
        fake.answers["/bans 1"] = [say_no("not-host")]
        with pytest.raises(CommandRefused):
            await room.bans()
        fake.answers["/history 5"] = [
            tell("history", messages=[{"n": 3, "from": "bob", "said": "hi", "at": 1_000}]),
            tell("history", messages=[{"n": 4, "from": "bob", "said": "waves", "at": 2_000, "acted": True}]),
        ]
        assert await room.history(5) == [
            events.Past("bob", "hi", 3, 1_000, False),
            events.Past("bob", "waves", 4, 2_000, True),
        ]
        fake.answers["/history 20"] = [say_no("no-history")]
        assert await room.history() == []
        fake.answers["/help"] = [tell("help", commands=[{"usage": "/who", "does": "who is here"}])]
        assert await room.help() == [events.CommandHelp("/who", "who is here")]
        fake.answers["/topic"] = [say_no("topic-is", "tea")]
        assert await room.topic() == "tea"
        fake.answers["/topic"] = [say_no("no-topic")]
        assert await room.topic() == ""


def parts_of_history(*offsets: int, of: int = 4, before: int = 0) -> list[bytes]:
    rows = [{"n": offset, "from": "bob", "said": "hi", "at": 1_000} for offset in offsets]
    values = {"before": before} if before else {}
    return [tell("history", of=of, **values, messages=[row]) for row in rows]


async def test_a_history_of_which_a_part_is_lost_is_no_answer() -> None:
    async with (
        fake_server(TSUDOI) as fake,
        await tsudoi.create("den", name="alice", server=fake.address, dialect="tsudoi", settings=BRIEF) as room,
    ):
        fake.answers["/history 20"] = parts_of_history(3, 4, 6)
        with pytest.raises(NoAnswer, match="only a part"):
            await room.history()
        fake.answers["/history 20"] = parts_of_history(4, 3, 5, 6)
        assert [row.offset for row in await room.history()] == [3, 4, 5, 6]


def test_more_than_a_page_of_history_comes_whole() -> None:
    waiting = PendingList("history")
    for part in parts_of_history(*range(1, 51), of=50):
        assert not waiting.over
        waiting.offer(hear(part))
    assert waiting.over


def test_rows_that_come_again_are_no_further_rows() -> None:
    waiting = PendingList("who")
    for idle in (1, 3):
        waiting.offer(events.Listed("who", (events.Person("bob", False, idle),), 2, 1, 1, ""))
    assert waiting.is_incomplete
    assert waiting.rows == [events.Person("bob", False, 3)]


async def test_parts_of_a_history_that_is_asked_for_again_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in version 2: of a long answer a part is lost nearly always where a tenth of all packets is."""
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        monkeypatch.setattr(type(room), "position", (1, 7))
        monkeypatch.setattr(room, "_ask_again_s", 0.05)
        fake.answers["/history 20 8"] = parts_of_history(3, 4, 6, before=8)
        asked = asyncio.create_task(room.history())
        await until(lambda: fake.datagrams[-1].endswith(b"/history 20 8"))
        # The late answer to a question of before is no part of this one.
        fake.answers["/history 20 8"] = [*parts_of_history(1, 2, before=5), *parts_of_history(5, 6, before=8)]
        assert [row.offset for row in await asked] == [3, 4, 5, 6]


async def test_what_nobody_waits_for_is_an_event() -> None:
    async with fake_server(TSUDOI) as fake, await alone(fake) as room:
        fake.answers["/who"] = [tell("who", count=1, page=1, pages=1, members=[])]
        fake.answers["/dance"] = [say_no("unknown-command", "/dance")]
        await room.command("/who")
        assert await anext(room) == events.Listed("who", (), 1, 1, 1, "words of who")
        await room.command("/dance")
        assert await anext(room) == events.Answered("unknown-command", "/dance", None, "words of answer")


async def test_other_dialects_send_orders_and_read_words() -> None:
    async with fake_server(CLASSIC) as fake, await alone(fake) as room:
        fake.answers["/kick bob"] = [encode_notice(CLASSIC.down, "den", "answer", {}, "Only the host can do that.")]
        await room.kick("bob")
        assert await anext(room) == events.Notice("Only the host can do that.")
        with pytest.raises(NotInDialect):
            await room.who()


@pytest.mark.parametrize("dialect", [d for d in DIALECTS.values() if d is not TSUDOI], ids=lambda d: d.name)
@pytest.mark.parametrize("japanese", [False, True])
def test_who_is_removed_knows_why_also_where_the_end_has_no_word_for_it(dialect: Dialect, japanese: bool) -> None:
    entry = Entry(7, EntryKind.LEFT, 2, "bob", "too: loud", LeaveReason.KICKED, 0)
    entry.peer, entry.peer_name = 1, "アリス"
    place = Membership(dialect, "d{e}n", "bob", "0" * 32)
    *_, end = [
        place.receive(raw) for raw in farewell(entry, "d{e}n", dialect, MemberOptions.JAPANESE if japanese else 0)
    ]
    assert isinstance(end, events.Kicked)
    assert "アリス" in end.text
    assert end.text.endswith(": too: loud")
    # The same end without these words before it, and after others.
    place = Membership(dialect, "den", "bob", "0" * 32)
    place.receive(downlink_encoder.encode_message(dialect.down, "den", 1, "carol", "alice has removed you from den."))
    closed = dialect.closed[-1].format(room="den", user="")
    assert isinstance(
        place.receive(downlink_encoder.encode_closing(dialect, "den", "closed", closed)), events.RoomClosed
    )
