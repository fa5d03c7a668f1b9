"""tsudoi/net/room_commands.py, notice_events.py, command_outcomes.py: commands of members, and their answers"""

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsudoi
from broker.rooms import commands
from gateway.chat.render import farewell
from tests.support.waiting import until
from tests.tsudoi.fake_server import FakeServer, fake_server
from tests.tsudoi.protocol.sealed.model_server import line
from tests.tsudoi.sealed_server import QUICK, SealedServer, sealed_server
from tsudoi import ChatClient, CommandRefused, Event, NoAnswer, NotInDialect, NotInRoom, Settings, events
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
from tsudoi.protocol.sealed.lines import with_cause
from tsudoi.session import Membership

BRIEF = Settings(connect_timeout_s=2, answer_timeout_s=0.3)


def tell(notice: str, **values: Any) -> bytes:
    return encode_notice(TSUDOI.down, "den", notice, values, f"words of {notice}")


def say_no(code: str, arg: str = "") -> bytes:
    return tell("answer", code=code, arg=arg)


DONE = frozenset(
    (
        *("topic-is", "no-topic", "no-password", "unbanned", "unmuted", "webhook-stopped"),
        *("both-banned", "name-banned", "address-banned", "name-muted"),
    )
)
"""Codes of the broker's answers to commands that it has carried out."""


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
    ('/msg "b b" psst', lambda r: r.msg("b b", "psst"), tell("whispered", name="alice", to="b b", said="psst")),
    ("/r psst", lambda r: r.reply("psst"), tell("whispered", name="alice", to="bob", said="psst")),
    ("/nick rob", lambda r: r.nick("rob"), tell("renamed", name="alice", to="rob")),
    (
        "/kick bob spam",
        lambda r: r.kick("bob", "spam"),
        tell("left", name="bob", reason="kicked", by="alice", why=""),
    ),
    ("/ban bob 5", lambda r: r.ban("bob", 5), say_no("both-banned", "bob")),
    ("/ban ci[bot]", lambda r: r.ban("ci[bot]"), say_no("webhook-stopped", "ci[bot]")),
    ("/unban bob", lambda r: r.unban("bob"), say_no("unbanned", "bob")),
    ("/mute bob", lambda r: r.mute("bob"), tell("muted", name="bob", by="alice", minutes=0)),
    ("/unmute carol", lambda r: r.unmute("carol"), say_no("unmuted", "carol")),
    ("/topic tea", lambda r: r.set_topic(" tea "), tell("topic", name="alice", topic="tea")),
    ("/topic -", lambda r: r.set_topic(" "), say_no("no-topic")),
    ("/password", lambda r: r.set_password(""), say_no("no-password")),
    ("/password moon", lambda r: r.set_password("moon"), tell("locked", name="alice")),
    ("/host bob", lambda r: r.hand_over("bob"), tell("host", name="bob", by="alice")),
]


async def alone(server: SealedServer, settings: Settings = QUICK) -> ChatClient:
    room = await tsudoi.create("den", name="alice", server=server.address, settings=settings)
    (gateway,) = server.rooms["den"].gateways
    await until(lambda: bool(gateway.serving))
    return room


@pytest.mark.parametrize(("line", "order", "answer"), ORDERS, ids=[line for line, _, _ in ORDERS])
async def test_an_order_returns_when_it_is_done(line: str, order: Order, answer: bytes) -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers[line] = [answer]
        await order(room)


@pytest.mark.parametrize(("line", "order", "answer"), ORDERS, ids=[line for line, _, _ in ORDERS])
async def test_an_order_that_is_not_carried_out_raises(line: str, order: Order, answer: bytes) -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers[line] = [say_no("not-host")]
        with pytest.raises(CommandRefused, match="words of answer") as caught:
            await order(room)
        assert caught.value.code == "not-host"


async def test_what_is_not_answered_raises() -> None:
    async with sealed_server() as server, await alone(server, BRIEF) as room:
        server.answers |= {"/kick bob": [], "/who 1": []}
        with pytest.raises(NoAnswer, match="/kick"):
            await room.kick("bob")
        with pytest.raises(NoAnswer, match="/who"):
            await room.who()


async def test_who_is_not_in_the_room_any_more_can_give_no_command() -> None:
    async with sealed_server() as server, await alone(server) as room:
        await room.leave()
        for order in (room.who, room.close_room, lambda: room.kick("bob")):
            with pytest.raises(NotInRoom):
                await order()


@pytest.mark.parametrize(
    ("answer", "reason", "error"),
    [
        (say_no("not-host"), "kicked", CommandRefused),
        (say_no("not-host"), "closed", CommandRefused),
        (b"", "kicked", NotInRoom),
        (b"", "closed", None),
    ],
)
async def test_a_room_was_closed_by_a_member_if_its_close_was_not_refused(
    answer: bytes, reason: str, error: type[Exception] | None
) -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers |= {"/close": []}
        closing = asyncio.create_task(room.close_room())
        await until(lambda: 1 in room._commands)
        if answer:
            await until(lambda: room.waiting == 0)
        (gateway,) = server.rooms["den"].gateways
        (serving,) = gateway.serving.values()
        # In one body: the end comes before the command is looked at again.
        told = [with_cause(answer, 1, 1)] if answer else []
        gateway._send_body(serving, b"\n".join((*told, line(ended=reason, text="the end"))))
        with pytest.raises(error) if error else nullcontext():
            await closing


async def test_a_late_answer_belongs_to_the_command_that_was_given_up() -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers |= {"/kick bob": [], "/kick carol": []}
        given_up = asyncio.create_task(room.kick("bob"))
        await until(lambda: 1 in room._commands and room.waiting == 0)
        given_up.cancel()
        waits = asyncio.create_task(room.kick("carol"))
        await until(lambda: 2 in room._commands and room.waiting == 0)
        (gateway,) = server.rooms["den"].gateways
        (serving,) = gateway.serving.values()
        gateway._send_body(serving, with_cause(say_no("not-host"), 1, 1))
        gateway._send_body(serving, with_cause(tell("left", name="carol", reason="kicked", by="alice", why=""), 1, 2))
        await waits
        assert room._inbox.qsize() == 1  # the event that carol has left, and no answer to what was given up


async def test_each_of_many_commands_has_its_answer() -> None:
    many = 2 * room_commands.REMEMBERED
    async with sealed_server() as server, await alone(server, replace(QUICK, answer_timeout_s=30)) as room:
        server.answers |= {f"/unban bob{n}": [say_no("unbanned", f"bob{n}")] for n in range(many)}
        await asyncio.gather(*(room.unban(f"bob{n}") for n in range(many)))
        assert not room._commands
        assert len(room._given_up) <= room_commands.REMEMBERED


async def test_a_command_of_which_nothing_has_come_when_the_membership_ends_raises() -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers["/nick rob"] = []
        waits = asyncio.create_task(room.nick("rob"))
        await until(lambda: 1 in room._commands and room.waiting == 0)
        (gateway,) = server.rooms["den"].gateways
        (session,) = gateway.serving
        gateway.end(session, "kicked", "carol has removed you")  # type: ignore[attr-defined]
        with pytest.raises(NotInRoom, match="/nick"):
            await waits


async def test_of_what_another_member_has_done_nothing_is_an_answer() -> None:
    async with sealed_server() as server, await alone(server, BRIEF) as room:
        server.answers["/kick bob"] = []
        waits = asyncio.create_task(room.kick("bob"))
        await until(lambda: bool(room._commands))
        (gateway,) = server.rooms["den"].gateways
        (serving,) = gateway.serving.values()
        gateway._send_body(serving, with_cause(tell("left", name="bob", reason="kicked", by="carol", why=""), 2, 1))
        with pytest.raises(NoAnswer):
            await waits


def test_each_answer_of_the_broker_is_an_outcome() -> None:
    codes = {name.lower().replace("_", "-") for name in re.findall(r"Phrase\.(\w+)", inspect.getsource(commands))}
    assert len(codes) > 15
    assert codes - REFUSALS == DONE


async def test_a_blank_password_does_not_unlock_the_room() -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers["/password"] = [tell("unlocked", name="alice")]
        for blank in (" ", "\n", "\x07"):
            with pytest.raises(tsudoi.InvalidText):
                await room.set_password(blank)


async def test_a_name_that_misleads_is_refused() -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers['/nick "a: b"'] = [say_no("misleading-name")]
        with pytest.raises(CommandRefused):
            await room.nick("a: b")


async def test_one_that_has_another_name_knows_it() -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers["/nick rob"] = [tell("renamed", name="alice", to="rob")]
        await room.nick("rob")
        assert room.name == "rob"
        assert await anext(room) == events.Renamed("alice", "rob", 0, "words of renamed")


# --- questions ------------------------------------------------------------------------------------------------------


def people(first: int, last: int) -> list[tuple[Any, str]]:
    names = [(number, f"{'member' * 10}{number}") for number in range(first, last)]
    return [({"name": name, "host": number == 1, "idle": number}, name) for number, name in names]


async def test_who_is_here_comes_in_pages_and_parts() -> None:
    async with sealed_server() as server, await alone(server) as room:
        for page, rows in ((1, people(1, 21)), (2, people(21, 24))):
            values = {"count": 23, "page": page, "pages": 2}
            server.answers[f"/who {page}"] = encode_list(TSUDOI.down, "den", "who", "members", values, "head", rows)
        assert len(server.answers["/who 1"]) > 1
        found = await room.who()
        assert found == [events.Person(f"{'member' * 10}{number}", number == 1, number) for number in range(1, 24)]


async def test_a_list_that_has_become_shorter_ends_before_its_last_page() -> None:
    async with sealed_server() as server, await alone(server) as room:
        values = {"count": 23, "page": 1, "pages": 2}
        server.answers["/who 1"] = encode_list(TSUDOI.down, "den", "who", "members", values, "head", people(1, 21))
        server.answers["/who 2"] = [say_no("no-such-page", "1")]
        assert len(await room.who()) == 20
        server.answers["/who 1"] = [say_no("no-such-page", "0")]
        with pytest.raises(CommandRefused):
            await room.who()


async def test_other_questions() -> None:
    async with sealed_server() as server, await alone(server) as room:
        rows = [({"name": "部屋", "members": 2, "locked": True}, "")]
        server.answers["/rooms 1"] = [tell("rooms", count=1, page=1, pages=1, rooms=[row for row, _ in rows])]
        assert await room.rooms() == [events.RoomInfo("部屋", 2, True)]
        row = {"name": "bob", "address": "192.0.2.1", "muted": False, "until": 1_000}
        server.answers["/bans 1"] = [tell("bans", count=1, page=1, pages=1, bans=[row])]
        assert await room.bans() == [events.Sanction("bob", "192.0.2.1", False, 1_000)]
        server.answers["/bans 1"] = [say_no("not-host")]
        with pytest.raises(CommandRefused):
            await room.bans()
        server.answers["/history 5 1"] = [
            tell("history", of=2, messages=[{"n": 3, "from": "bob", "said": "hi", "at": 1_000}]),
            tell("history", of=2, messages=[{"n": 4, "from": "bob", "said": "waves", "at": 2_000, "acted": True}]),
        ]
        assert await room.history(5) == [
            events.Past("bob", "hi", 3, 1_000, False),
            events.Past("bob", "waves", 4, 2_000, True),
        ]
        server.answers["/history 20 1"] = [say_no("no-history")]
        assert await room.history() == []
        server.answers["/help"] = [tell("help", of=1, commands=[{"usage": "/who", "does": "who is here"}])]
        assert await room.help() == [events.CommandHelp("/who", "who is here")]
        server.answers["/topic"] = [say_no("topic-is", "tea")]
        assert await room.topic() == "tea"
        server.answers["/topic"] = [say_no("no-topic")]
        assert await room.topic() == ""


def parts_of_history(*offsets: int, of: int = 4) -> list[bytes]:
    rows = [{"n": offset, "from": "bob", "said": "hi", "at": 1_000} for offset in offsets]
    return [tell("history", of=of, messages=[row]) for row in rows]


async def test_a_history_of_which_a_part_is_lost_is_no_answer() -> None:
    async with sealed_server() as server, await alone(server, BRIEF) as room:
        server.answers["/history 20 1"] = parts_of_history(3, 4, 6)
        with pytest.raises(NoAnswer, match="only a part"):
            await room.history()
        server.answers["/history 20 1"] = parts_of_history(4, 3, 5, 6)
        assert [row.offset for row in await room.history()] == [3, 4, 5, 6]


def here(*names: str, count: int = 3, page: int = 1) -> Event:
    return events.Listed("who", tuple(events.Person(name, False, 1) for name in names), count, page, 1, "")


NO_SUCH_PAGE = events.Answered("no-such-page", "1", None, "")


@pytest.mark.parametrize(
    ("came", "names"),
    [
        ([(1, here("ann", "bob")), (1, here("cid"))], "ann bob cid"),
        ([(1, here("cid")), (1, here("ann", "bob"))], "cid ann bob"),
        ([(1, here("ann", "bob")), (2, here("ann", "rob")), (2, here("cid"))], "ann rob cid"),
        ([(2, here("ann", "rob")), (1, here("ann", "bob")), (2, here("cid")), (1, here("cid"))], "ann rob cid"),
        ([(2, here("ann", "rob")), (1, here("ann", "bob")), (1, here("cid")), (2, here("cid"))], "ann bob cid"),
        ([(1, here("bob")), (2, here("ann", "rob", count=2))], "ann rob"),
        ([(1, here("ann", "bob")), (2, here("cid"))], None),
        ([(1, here("ann")), (1, here("ann")), (1, here("ann"))], None),
        ([(1, here("ann", "bob")), (1, here("ann", "rob")), (1, here("cid"))], "ann rob cid"),
        ([(2, here("x", count=21, page=2)), (1, here("y", "z", count=22, page=2))], "x"),
        ([(1, here("ann", count=1)), (2, NO_SUCH_PAGE)], "ann"),
        ([(1, NO_SUCH_PAGE), (2, here("ann", count=1))], ""),
        ([(1, here("ann", "bob")), (2, NO_SUCH_PAGE), (1, here("cid"))], ""),
    ],
)
def test_a_list_is_one_complete_answer(came: list[tuple[int, Event]], names: str | None) -> None:
    """`came`: the numbers of the lines, and what came of each; `names`: None: there is no list yet."""
    waiting = PendingList()
    for number, event in came:
        assert waiting.offer(event, number)
    assert waiting.over == (names is not None)
    assert [row.name for row in waiting.rows if isinstance(row, events.Person)] == (names or "").split()
    assert (waiting.refusal is not None) == (names == "")
    assert waiting.is_partial == (names is None)


def past(*offsets: int, of: int) -> Event:
    rows = tuple(events.Past("bob", "hi", offset, 1_000, False) for offset in offsets)
    return events.Listed("history", rows, of, 1, 1, "", 8)


def test_parts_of_a_history_add_up_as_long_as_it_is_the_same() -> None:
    waiting = PendingList()
    for number, part in enumerate((past(3, 4, 6, of=4), past(4, 5, of=3)), 1):
        waiting.offer(part, number)
        assert not waiting.over  # the log was trimmed
    waiting.offer(past(6, of=3), 3)
    assert [row.offset for row in waiting.rows if isinstance(row, events.Past)] == [4, 5, 6]


async def test_a_member_that_is_renamed_between_two_answers_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is late, so the question is asked again; then parts of both come."""
    monkeypatch.setattr(room_commands, "ASK_AGAIN_S", 0.05)
    async with sealed_server() as server, await alone(server) as room:
        server.answers["/who 1"] = []
        asked = asyncio.create_task(room.who())
        await until(lambda: len(room._commands) > 1)
        (gateway,) = server.rooms["den"].gateways
        (serving,) = gateway.serving.values()
        for number, name in ((1, "alice"), (2, "alice"), (1, "bob"), (2, "rob")):
            row = {"name": name, "host": False, "idle": 1}
            part = tell("who", count=3, page=1, pages=1, members=[row])
            gateway._send_body(serving, with_cause(part, 1, number))
        row = {"name": "carol", "host": False, "idle": 1}
        gateway._send_body(serving, with_cause(tell("who", count=3, page=1, pages=1, members=[row]), 1, 2))
        assert [person.name for person in await asked] == ["alice", "rob", "carol"]


async def test_parts_of_a_history_that_is_asked_for_again_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long answer a part is lost nearly always where a tenth of all packets is."""
    monkeypatch.setattr(room_commands, "ASK_AGAIN_S", 0.05)
    async with sealed_server() as server, await alone(server) as room:
        server.answers["/history 20 1"] = parts_of_history(3, 4, 6)
        asked = asyncio.create_task(room.history())
        await until(lambda: len(room._commands) > 1)
        server.answers["/history 20 1"] = parts_of_history(5, 6)
        assert [row.offset for row in await asked] == [3, 4, 5, 6]


async def test_a_history_has_no_message_that_may_come_between_two_answers() -> None:
    async with sealed_server() as server, await alone(server) as room:
        for text in "abc":
            await room.say(text)
        server.answers |= {"/history 20 4": parts_of_history(3, of=1), "/history 20 3": parts_of_history(2, of=1)}
        assert [row.offset for row in await room.history(before=99)] == [3]
        assert [row.offset for row in await room.history(before=3)] == [2]


async def test_what_nobody_waits_for_is_an_event() -> None:
    async with sealed_server() as server, await alone(server) as room:
        server.answers["/who"] = [tell("who", count=1, page=1, pages=1, members=[])]
        server.answers["/dance"] = [say_no("unknown-command", "/dance")]
        await room.command("/who")
        assert await anext(room) == events.Listed("who", (), 1, 1, 1, "words of who")
        await room.command("/dance")
        assert await anext(room) == events.Answered("unknown-command", "/dance", None, "words of answer")


async def in_classic(server: FakeServer) -> ChatClient:
    return await tsudoi.create("den", name="alice", server=server.address, dialect="classic", settings=QUICK)


async def test_other_dialects_send_orders_and_read_words() -> None:
    async with fake_server(CLASSIC) as server, await in_classic(server) as room:
        server.answers["/kick bob"] = [encode_notice(CLASSIC.down, "den", "answer", {}, "Only the host can do that.")]
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
