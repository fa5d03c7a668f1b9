"""The SDK in version 2 against the model server: real sockets, in the same process."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop

import tsudoi
from tests.support.fragmenting import may_be_fragmented
from tests.support.waiting import until
from tests.tsudoi.fake_server import fake_server
from tests.tsudoi.sealed_server import QUICK, Room, SealedServer, sealed_server
from tsudoi import ChatClient, Event, Message, Settings
from tsudoi.net import cancelled_entry
from tsudoi.net.known_servers import KnownServers
from tsudoi.net.sealed_chat import SealedChat
from tsudoi.net.sockets import connected_udp
from tsudoi.protocol.client.datagram import serialize
from tsudoi.protocol.client.dialects import TSUDOI
from tsudoi.protocol.client.header import Header, frame
from tsudoi.protocol.sealed import client_link

PLAIN = replace(QUICK, security="plain")


async def hear(room: ChatClient, seconds: float = 30) -> Event:
    """Return the next event. Once in a thousand runs a tail is lost with its repeats: the next ping tells of it."""
    async with asyncio.timeout(seconds):
        return await anext(room)


async def create(server: SealedServer, name: str = "alice", settings: Settings = QUICK) -> ChatClient:
    return await tsudoi.create("部屋", name=name, server=server.address, dialect="tsudoi-2", settings=settings)


async def join(server: SealedServer, name: str = "bob", settings: Settings = QUICK) -> ChatClient:
    return await tsudoi.join("部屋", name=name, server=server.address, dialect="tsudoi-2", settings=settings)


@asynccontextmanager
async def two(server: SealedServer, settings: Settings = QUICK) -> AsyncIterator[tuple[ChatClient, ChatClient, Room]]:
    async with await create(server, settings=settings) as alice, await join(server, settings=settings) as bob:
        yield alice, bob, server.rooms["部屋"]


async def test_what_is_said_is_kept_and_heard_and_nothing_can_be_read_on_the_way() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        assert await alice.say("a secret of alice's") == 1
        assert await hear(bob) == Message("alice", "a secret of alice's", 1)
        assert await bob.say("heard") == 2
        assert await hear(alice) == Message("bob", "heard", 2)
        assert not any(b"secret" in data or b"alice" in data for data in server.datagrams)


async def test_a_client_is_refused_to_other_event_loops_and_threads_before_it_sends_anything() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        for use in (
            partial(alice.post, "a"),
            partial(asyncio.run, alice.say("b")),
            partial(asyncio.run, alice.leave()),
            partial(asyncio.run, anext(alice)),
        ):
            with pytest.raises(RuntimeError, match="belongs to the event loop"):
                await asyncio.to_thread(use)
        assert await alice.say("hello") == 1
        assert await hear(bob) == Message("alice", "hello", 1)


async def test_the_child_after_a_fork_seals_no_packets_with_nonces_of_its_parent() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        if not (child := os.fork()):
            try:
                asyncio.run(asyncio.wait_for(alice.say("of the child"), 1))
            except RuntimeError:
                os._exit(0)
            finally:
                os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0
        assert await alice.say("of the parent") == 1
        assert await hear(bob) == Message("alice", "of the parent", 1)


@pytest.mark.uvloop
async def test_routers_may_fragment_what_clients_send_by_ipv4() -> None:
    async with sealed_server() as server, await create(server) as alice:
        assert isinstance(alice, SealedChat)
        (transport,) = alice._sockets._transports.values()
        assert may_be_fragmented(transport.get_extra_info("socket"))
    with connected_udp(socket.AF_INET, ("127.0.0.1", 9)) as udp:
        assert may_be_fragmented(udp)


async def test_on_uvloop() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        assert await alice.say("hello") == 1
        assert await hear(bob) == Message("alice", "hello", 1)
        server.loss = 0.1
        lines = [alice.post(str(number)) for number in range(100)]
        assert [await line.kept() for line in lines] == list(range(2, 102))


async def test_without_seals_if_the_user_asks() -> None:
    async with sealed_server(tls=False, suites=("plain",)) as server, two(server, PLAIN) as (alice, bob, _):
        await alice.say("not secret")
        assert (await hear(bob)).text == "not secret"
        assert any(b"not secret" in data for data in server.datagrams)
        assert server.requests[0]["suites"] == ["plain"]


async def test_lines_that_are_posted_are_kept_in_order() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        lines = [alice.post(f"line {number}") for number in range(200)]
        assert lines[0].state == "waiting"
        assert [await line.kept() for line in lines] == list(range(1, 201))
        assert {line.state for line in lines} == {"kept"}
        assert [(await hear(bob)).text for _ in range(200)] == [f"line {number}" for number in range(200)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_all_is_heard_in_order_through_ten_percent_loss(seed: int) -> None:
    async with sealed_server(seed=seed) as server, two(server) as (alice, bob, _):
        server.loss = 0.1
        lines = [alice.post(f"line {number}") for number in range(100)]
        assert [await line.kept() for line in lines] == list(range(1, 101))
        assert [(await hear(bob)).text for _ in range(100)] == [f"line {number}" for number in range(100)]


async def test_own_messages_are_events_where_that_is_asked_for() -> None:
    async with sealed_server() as server, await create(server, settings=replace(QUICK, own_messages=True)) as alice:
        await alice.say("hello, me")
        assert await hear(alice) == Message("alice", "hello, me", 1)


async def test_a_refused_line_raises_the_servers_words() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, room):
        next(iter(room.members.values())).muted_texts.add("rude")
        line = alice.post("rude")
        later = alice.post("kind")
        with pytest.raises(tsudoi.LineRefused, match="muted"):
            await line.kept()
        assert line.state == "refused"
        assert await later.kept() == 1
        with pytest.raises(tsudoi.LineRefused, match="muted"):
            await alice.say("rude")
        next(iter(room.members.values())).muted_texts.add("/me waves")
        with pytest.raises(tsudoi.CommandRefused) as refusal:
            await alice.me("waves")
        assert refusal.value.code == "muted"
        assert (await hear(bob)).text == "kind"


async def test_the_limit_of_a_text() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        assert alice.text_limit == 3_807
        with pytest.raises(tsudoi.InvalidText, match="at most 3807"):
            await alice.say("x" * 3_808)
        pieces = alice.pieces("word " * 2_000)
        assert len(pieces) == 3
        for piece in pieces:
            await alice.say(piece)
        assert "".join([(await hear(bob)).text for _ in pieces]) == "word " * 2_000


async def test_a_text_that_begins_with_a_name_is_a_text() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        for text in ("alice: hello", "bob: /who", "alice: /leave"):
            assert await alice.say(text)
            assert (await hear(bob)).text == text
        assert len(alice.pieces("alice: " + "x: y " * 2_000)) == 3


async def test_a_queue_that_is_full_drops_the_oldest_and_keeps_the_order() -> None:
    async with sealed_server() as server, two(server, replace(QUICK, queue_size=5)) as (alice, bob, _):
        for number in range(9):
            await alice.say(f"{number}")
        await until(lambda: bob.dropped == 4)
        assert [(await hear(bob)).text for _ in range(5)] == ["4", "5", "6", "7", "8"]


async def test_messages_go_on_after_a_time_out() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        messages = bob.messages()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(messages), 0.01)
        await alice.say("late")
        assert await asyncio.wait_for(anext(messages), 30) == Message("alice", "late", 1)


async def test_what_is_no_text_is_told_in_a_sentence() -> None:
    wrong: Any = 42
    async with sealed_server() as server, await create(server) as alice:
        with pytest.raises(TypeError, match="a text is to be a str, and is 42"):
            await alice.say(wrong)
        for what in ("name", "password", "signed_token"):
            with pytest.raises(TypeError, match=f"{what} is to be a str, and is 42"):
                await tsudoi.join("den", server=server.address, **{"name": "bob", what: wrong})
        with pytest.raises(TypeError, match="settings is to be a Settings"):
            await tsudoi.join("den", name="bob", server=server.address, settings=wrong)


def test_settings_that_could_not_work_are_refused() -> None:
    wrong: dict[str, Any] = {"security": "Sealed", "language": "fr", "queue_size": 0, "lines_waiting": 0, "burst": 0}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"Settings.{name} is to be"):
            Settings(**{name: value})


async def test_too_many_lines_are_refused_here() -> None:
    async with sealed_server() as server, await create(server, settings=replace(QUICK, lines_waiting=3)) as alice:
        server.is_deaf = True
        for number in range(3):
            alice.post(str(number))
        with pytest.raises(tsudoi.TooManyLines, match="3 lines wait"):
            alice.post("one more")
        server.is_deaf = False


async def test_lists_come_although_answers_get_lost() -> None:
    async with sealed_server() as server, await create(server) as alice:
        answer = {"notice": "who", "count": 1, "page": 1, "pages": 1, "text": "1 in 部屋"}
        rows = [{"name": "alice", "host": True, "idle": 3}]
        server.answers["/who 1"] = server.answers["/who"] = [tsudoi_json(answer | {"members": rows})]
        assert await alice.who() == [tsudoi.Person("alice", True, 3)]
        lost, server.answers = server.answers, {"/who 1": [], "/who": []}
        asking = asyncio.create_task(alice.who())
        await asyncio.sleep(0.3)
        server.answers = lost
        assert await asking == [tsudoi.Person("alice", True, 3)]


def tsudoi_json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()


async def test_who_does_not_wait_for_lines_leaves_at_once() -> None:
    async with sealed_server() as server, await create(server, settings=replace(QUICK, flush_s=1_000)) as alice:
        server.is_deaf = True
        alice.post("to nowhere")
        leaving = asyncio.create_task(alice.leave())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)


async def test_leaving_waits_for_lines_that_are_not_kept_yet() -> None:
    async with sealed_server() as server:
        async with await create(server) as alice:
            server.loss = 0.3
            lines = [alice.post(str(number)) for number in range(20)]
        assert {line.state for line in lines} == {"kept"}
        assert alice.closed
        with pytest.raises(tsudoi.NotInRoom):
            alice.post("too late")


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        ("closed", tsudoi.RoomClosed("bye")),
        ("kicked", tsudoi.Kicked("bye")),
        ("banned", tsudoi.Kicked("bye", banned=True)),
        ("idle", tsudoi.TimedOut("bye")),
    ],
)
async def test_the_end_of_a_membership_is_the_last_event(reason: str, event: Event) -> None:
    async with sealed_server() as server, two(server) as (alice, bob, room):
        await alice.say("last words")
        session = next(session for session, member in room.members.items() if member.grant.name == "bob")
        room.gateways[0].end(session, reason, "bye")  # type: ignore[attr-defined]
        assert [each async for each in bob] == [Message("alice", "last words", 1), event]
        assert bob.closed


async def test_a_servers_words_move_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beside its entries too: names that it assigns, and why it refuses a request or a line, or ends."""
    hostile, harmless = "a\x1b[2Jb\nc\x07\u009d", "a[2Jb c"
    async with sealed_server() as server, await create(server):
        grant = server._grant
        monkeypatch.setattr(server, "_grant", lambda room, name, suite: grant(room, hostile, suite))
        async with await join(server) as bob:
            assert bob.name == harmless
            room = server.rooms["部屋"]
            room.refusal = hostile
            session, member = next(each for each in room.members.items() if each[1].grant.name == hostile)
            member.muted_texts.add("rude")
            with pytest.raises(tsudoi.LineRefused) as refused:
                await bob.say("rude")
            assert str(refused.value) == harmless
            room.gateways[0].end(session, "kicked", hostile)  # type: ignore[attr-defined]
            assert [each async for each in bob] == [tsudoi.Kicked("a[2Jb\nc")]
        monkeypatch.setattr(server, "_refuse", partial(_refuse, server._refuse, hostile * 1_000))
        with pytest.raises(tsudoi.RoomExists) as exists:
            await create(server)
        assert str(exists.value).isprintable()
        assert len(str(exists.value)) < 1_100
        server.rooms = {hostile: room}
        assert await tsudoi.rooms(server=server.address, dialect="tsudoi-2", settings=QUICK) == [harmless]


def _refuse(refuse: Callable[[Header, int, str], bytes], more: str, header: Header, status: int, words: str) -> bytes:
    return refuse(header, status, f"{words}: {more}")


async def test_a_line_that_waits_when_the_membership_ends_is_not_said_to_be_kept() -> None:
    async with sealed_server() as server, await create(server) as alice:
        server.is_deaf = True
        line = alice.post("hello?")
        await alice.vanish()
        with pytest.raises(tsudoi.NotInRoom, match="not known: hello"):
            await line.kept()


@pytest.mark.parametrize(
    ("reason", "last", "is_whole"),
    [("kicked", 1, True), ("kicked", 0, False), ("left", 1, True), ("left", 2, False), ("left", 0, False)],
    ids=["all has come", "not known what came", "all has come, left", "some is missing, left", "not known, left"],
)
async def test_a_message_that_has_not_come_before_a_whole_end_was_not_said(
    reason: str, last: int, is_whole: bool
) -> None:
    async with sealed_server() as server, await create(server) as alice:
        await alice.say("one")
        room = server.rooms["部屋"]
        room.gateways[0].end(next(iter(room.members)), reason, "bye", last)  # type: ignore[attr-defined]
        message, action = alice.post("hello?"), alice.post("/me waits")  # before that is heard
        with pytest.raises(tsudoi.NotInRoom, match="was not said: hello" if is_whole else "not known: hello"):
            await message.kept()
        with pytest.raises(tsudoi.NotInRoom, match="not known: /me"):
            await action.kept()  # commands are told as kept beside the room's order
        assert (message.state, action.state) == ("refused" if is_whole else "waiting", "waiting")


@pytest.mark.parametrize("reason", ["kicked", "left"])
async def test_a_message_that_is_told_as_kept_stays_so_when_its_entry_does_not_come(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tsudoi.protocol.sealed.client_uplink.ENTRY_S", 1.0)
    async with sealed_server() as server, await create(server) as alice:
        server.answers["hello"] = []
        message = alice.post("hello")
        await until(lambda: not alice.waiting)
        room = server.rooms["部屋"]
        room.gateways[0].end(next(iter(room.members)), reason, "bye")  # type: ignore[attr-defined]
        assert await message.kept() is None


async def test_another_gateway_takes_over() -> None:
    async with sealed_server(gateways=2) as server, two(server) as (alice, bob, room):
        await alice.say("one")
        port = server.udp[1].get_extra_info("sockname")[1]
        await alice.move(replace(server.address, udp=port))
        assert await alice.say("two") == 2
        assert list(room.gateways[1].serving) == [next(iter(room.members))]
        assert [(await hear(bob)).text for _ in range(2)] == ["one", "two"]


async def test_a_gateway_that_was_started_again_goes_on_at_once() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, room):
        await alice.say("one")
        room.gateways[0].start()
        assert await alice.say("two") == 2
        await bob.say("three")
        assert [(await hear(bob)).text for _ in range(2)] == ["one", "two"]


async def test_what_one_member_notices_of_its_server_the_others_of_its_program_look_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that only listens would ask with its next ping, 20 to 25 s later."""
    monkeypatch.setattr(client_link, "SUSPECT_S", 0.2)
    async with sealed_server() as server, two(server) as (alice, bob, _):
        assert isinstance(bob, SealedChat)
        core = bob._core
        await alice.say("hello")
        assert await hear(bob) == Message("alice", "hello", 1)
        await until(lambda: core.is_resumed)
        server.loss = 1.0
        line = alice.post("is the server there?")
        async with asyncio.timeout(5):
            await until(lambda: not core.is_resumed)
        server.loss = 0.0
        await line.kept()
        await until(lambda: core.is_resumed)


async def test_a_client_whose_socket_fails_goes_on_with_another() -> None:
    async with sealed_server() as server, two(server) as (alice, bob, _):
        await alice.say("one")
        before = set(server.addresses)
        for transport in alice._sockets._transports.values():  # type: ignore[attr-defined]
            transport.abort()
        assert await alice.say("two") == 2
        assert server.addresses - before
        assert [(await hear(bob)).text for _ in range(2)] == ["one", "two"]


# --- a service that has lost its secret ---


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A client that notices at once that the server is away, and tries soon to join again."""
    for module in ("tsudoi.protocol.sealed.client_link", "tsudoi.protocol.sealed.client", "tsudoi.net.sealed_chat"):
        monkeypatch.setattr(f"{module}.AWAY_S", 0.6)
    monkeypatch.setattr("tsudoi.net.rejoining.ASK_S", 0.3)
    monkeypatch.setattr("tsudoi.net.rejoining.AGAIN_S", 0.3)
    return replace(QUICK, rejoin_after_s=0.7, flush_s=0.2)


async def up_to(chat: ChatClient, kind: type[Event]) -> AsyncIterator[Event]:
    """Iterate over a client's events, up to one of this kind."""
    async with asyncio.timeout(10):
        async for event in chat:
            yield event
            if isinstance(event, kind):
                return


def lose_secret(room: Room) -> None:
    """Let the service know no session any more; the room and its log stay."""
    room.members.clear()
    for gateway in room.gateways:
        gateway.serving.clear()


async def test_a_member_that_the_server_does_not_know_any_more_joins_again_and_misses_nothing(
    impatient: Settings,
) -> None:
    async with sealed_server() as server, await create(server, settings=impatient) as alice:
        room = server.rooms["部屋"]
        await alice.say("one")
        lose_secret(room)
        async with await join(server, settings=impatient, name="bob") as bob:
            await bob.say("two")
            line = alice.post("lost")
            got = [event async for event in up_to(alice, tsudoi.Rejoined)]
            assert [type(event) for event in got] == [tsudoi.ServerAway, tsudoi.Rejoined]
            with pytest.raises(tsudoi.NotInRoom, match=r"did not know you any more.*lost"):
                await line.kept()
            assert (await hear(alice)).text == "two"
            assert await alice.say("three") == 3
            assert (await hear(bob)).text == "three"


async def test_a_command_whose_answer_is_lost_with_the_membership_raises_at_once(impatient: Settings) -> None:
    settings = replace(impatient, answer_timeout_s=60)
    async with sealed_server() as server, await create(server, settings=settings) as alice:
        server.answers["/kick bob"] = []
        waits = asyncio.create_task(alice.kick("bob"))
        await until(lambda: bool(alice._commands) and alice.waiting == 0)
        lose_secret(server.rooms["部屋"])
        alice.post("lost")
        assert [event async for event in up_to(alice, tsudoi.Rejoined)]
        with pytest.raises(tsudoi.NotInRoom, match="what came of /kick"):
            await asyncio.wait_for(waits, 5)


async def test_a_member_that_joins_again_asks_for_the_name_that_its_user_wants(impatient: Settings) -> None:
    """Not for that which the server has given it meanwhile, and would give a longer one for."""
    async with sealed_server() as server, await create(server, settings=impatient) as alice:
        server.behind_names = "#2"
        for _ in range(2):
            lose_secret(server.rooms["部屋"])
            alice.post("lost")
            assert [event async for event in up_to(alice, tsudoi.Rejoined)]
            assert alice.name == "alice#2"
        assert [request["name"] for request in server.requests] == ["alice"] * 3


async def test_a_room_that_is_gone_with_the_membership_ends_it_in_one_sentence(impatient: Settings) -> None:
    async with sealed_server() as server, await create(server, settings=impatient) as alice:
        await alice.say("one")
        lose_secret(server.rooms["部屋"])
        server.rooms.clear()
        line = alice.post("lost")
        *_, last = [event async for event in alice]
        assert isinstance(last, tsudoi.TimedOut)
        assert "does not know you in 部屋 any more: there is no room called 部屋" in last.text
        assert alice.closed
        with pytest.raises(tsudoi.NotInRoom):
            await line.kept()


async def test_a_server_that_answers_late_is_not_joined_again(impatient: Settings) -> None:
    async with sealed_server() as server, two(server, settings=impatient) as (alice, bob, room):
        server.is_deaf = True
        line = alice.post("late")
        _ = [event async for event in up_to(alice, tsudoi.ServerAway)]
        server.is_deaf = False
        assert await line.kept() == 1
        await asyncio.sleep(1.5)  # longer than the client waits before it joins again
        assert len(room.members) == 2
        *_, last = [event async for event in up_to(bob, Message)]
        assert last == Message("alice", "late", 1)


async def test_a_certificate_that_is_not_trusted_any_more_is_told_and_then_ends_the_membership(
    tmp_path: Path, impatient: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tsudoi.net.rejoining.GIVE_UP_S", 0.5)
    settings = replace(impatient, known_servers=tmp_path / "known_servers")
    async with sealed_server() as server:
        elsewhere(server, monkeypatch)
        async with await create(server, settings=settings) as alice:
            KnownServers(settings.known_servers).remember("127.0.0.1", server.address.tcp, "0" * 64)
            lose_secret(server.rooms["部屋"])
            alice.post("lost")
            away = [event async for event in alice if isinstance(event, tsudoi.ServerAway | tsudoi.TimedOut)]
            assert ["has changed" in event.text for event in away] == [False, True, True]
            assert isinstance(away[-1], tsudoi.TimedOut)


# --- trust ---


def remembered(path: Path) -> Settings:
    return replace(QUICK, known_servers=path)


def elsewhere(server: SealedServer, monkeypatch: pytest.MonkeyPatch) -> SealedServer:
    """Let the server look as if it was not on this machine."""
    monkeypatch.setattr("tsudoi.net.trust._is_loopback", lambda host: False)
    return server


async def test_a_certificate_is_trusted_when_it_comes_first_and_refused_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = remembered(tmp_path / "state" / "known_servers")
    async with sealed_server() as server:
        elsewhere(server, monkeypatch)
        await tsudoi.rooms(server=server.address, settings=settings)
        assert settings.known_servers is not None
        assert not settings.known_servers.exists()
        async with await create(server, settings=settings) as alice, await join(server, settings=settings) as bob:
            first = await anext(alice)
            assert isinstance(first, tsudoi.FirstContact)
            assert settings.known_servers.read_text().split()[1] == first.sha256
            await alice.say("hello")
            assert (await hear(bob)).text == "hello"
        assert settings.known_servers is not None
        assert settings.known_servers.read_text().startswith(f"127.0.0.1:{server.address.tcp} ")
        assert settings.known_servers.stat().st_mode & 0o777 == 0o600
        KnownServers(settings.known_servers).remember("127.0.0.1", server.address.tcp, "0" * 64)
        with pytest.raises(tsudoi.ServerNotTrusted) as caught:
            await create(server, settings=settings)
        assert "\n" not in str(caught.value)
        assert "has changed" in str(caught.value)
        assert f"remove its line from {settings.known_servers}" in str(caught.value)


async def test_a_certificate_that_an_authority_has_signed_is_accepted_also_in_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    settings = remembered(tmp_path / "known_servers")
    async with sealed_server(ca=ca) as server:
        elsewhere(server, monkeypatch)
        server.address = replace(server.address, tls_ca=tmp_path / "ca.pem")
        KnownServers(settings.known_servers).remember("127.0.0.1", server.address.tcp, "0" * 64)
        async with await create(server, settings=settings):
            pass
        server.rooms.clear()
        (tmp_path / "known_servers").unlink()
        async with await create(server, settings=settings):
            pass
        assert KnownServers(settings.known_servers).find("127.0.0.1", server.address.tcp) == "authority"
        server.address = replace(server.address, tls_ca=None)
        with pytest.raises(tsudoi.ServerNotTrusted, match="not valid any more"):
            await create(server, settings=settings)


async def test_no_certificate_is_the_first_where_those_seen_before_can_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sealed_server() as server:
        elsewhere(server, monkeypatch)
        with pytest.raises(tsudoi.ServerNotTrusted, match=f"can not read {tmp_path}.*: Is a directory"):
            await create(server, settings=remembered(tmp_path))


async def test_a_server_of_this_machine_is_not_remembered(tmp_path: Path) -> None:
    settings = remembered(tmp_path / "known_servers")
    async with sealed_server() as server, await create(server, settings=settings):
        assert not (tmp_path / "known_servers").exists()


async def test_the_systems_authorities_are_not_read_where_none_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes 50 ms of the event loop, and each member of a program that has many joins."""
    async with sealed_server() as server:
        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: pytest.fail("they were read"))
        async with await create(server):
            pass


def test_the_file_of_known_servers_may_be_named_by_a_text(tmp_path: Path) -> None:
    known = KnownServers(str(tmp_path / "known_servers"))
    known.remember("chat.example", 9001, "ab" * 32)
    assert known.find("chat.example", 9001) == "ab" * 32


# --- other versions ---


async def test_a_server_without_tls_is_never_spoken_to_without_seals() -> None:
    async with fake_server(TSUDOI) as old:
        with pytest.raises(tsudoi.OtherVersion, match="knows version 1 of the protocol only") as caught:
            await tsudoi.create("den", name="alice", server=old.address, dialect="tsudoi-2", settings=QUICK)
        assert "\n" not in str(caught.value)
        assert not old.rooms


async def test_a_server_that_spoke_tls_before_is_not_trusted_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an attacker in between could have the user chat without seals, as the words of another version suggest."""
    monkeypatch.setattr("tsudoi.net.trust._is_loopback", lambda host: False)
    settings = remembered(tmp_path / "known_servers")
    async with fake_server(TSUDOI) as old:
        for seen in ("0" * 64, "authority"):
            KnownServers(settings.known_servers).remember("127.0.0.1", old.address.tcp, seen)
            with pytest.raises(
                tsudoi.ServerNotTrusted, match="is not shown any more: it speaks no TLS there"
            ) as caught:
                await tsudoi.create("den", name="alice", server=old.address, settings=settings)
            assert f"remove its line from {settings.known_servers}" in str(caught.value)


async def test_a_server_that_hangs_up_is_away_whenever_it_does() -> None:
    """As one that is killed, or a balancer that reaches no server: a bot tries again later."""
    before, half = b"", frame(b"", 2, 1, b'{"status":0,"message":"ok"}')
    for settings, dialect, answer in (
        (QUICK, "tsudoi-2", before),
        (PLAIN, "tsudoi-2", before),
        (PLAIN, "tsudoi-2", half),
        (QUICK, "tsudoi", before),
    ):

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = answer) -> None:
            await reader.read(65536)
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            address = tsudoi.Server("127.0.0.1", server.sockets[0].getsockname()[1])
            with pytest.raises(tsudoi.ServerUnreachable, match="it hung up"):
                await tsudoi.join("den", name="alice", server=address, settings=settings, dialect=dialect)


@pytest.mark.parametrize("is_near", [True, False])
async def test_of_two_addresses_one_that_hangs_up_is_passed_over(
    is_near: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy does that accepts, and reaches no server; of a server elsewhere the certificate is looked at first."""
    hung_up = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hung_up.append(await reader.read(65536))
        writer.close()

    async def getaddrinfo(host: str, port: int, type: int, **_: Any) -> list[Any]:
        assert host == "localhost"
        return [(socket.AF_INET, type, 0, "", (each, port)) for each in ("127.0.0.2", "127.0.0.1")]

    async with sealed_server() as server, await asyncio.start_server(hang_up, "127.0.0.2", server.address.tcp):
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        if not is_near:
            elsewhere(server, monkeypatch)
        address, settings = replace(server.address, host="localhost"), remembered(tmp_path / "known_servers")
        async with await tsudoi.create("den", name="alice", server=address, settings=settings) as alice:
            assert await alice.say("hello") == 1
        assert hung_up


async def test_a_server_of_version_1_that_grants_a_token_is_of_another_version() -> None:
    async with fake_server(TSUDOI) as old:
        with pytest.raises(tsudoi.OtherVersion, match="does not take version 2 of the protocol without seals"):
            await tsudoi.create("den", name="alice", server=old.address, settings=replace(QUICK, security="plain"))
        (token,) = old.rooms["den"].names
        await until(lambda: bool(old.datagrams))
        assert old.datagrams == [serialize("den", token, "/leave")]  # else the room would stay


async def test_a_server_of_version_1_refuses_version_2_in_one_sentence() -> None:
    async with sealed_server(tls=False, version=1) as server:
        with pytest.raises(tsudoi.OtherVersion, match="does not take version 2 of the protocol without seals"):
            await create(server, settings=PLAIN)
    async with sealed_server(tls=False) as server:
        with pytest.raises(tsudoi.BadRequest, match="plain is not allowed here"):
            await create(server, settings=PLAIN)


async def test_refusals_of_the_handshake() -> None:
    async with sealed_server() as server:
        with pytest.raises(tsudoi.RoomNotFound):
            await join(server)
        async with await create(server):
            with pytest.raises(tsudoi.RoomExists):
                await create(server)


async def test_the_language_of_the_servers_words() -> None:
    async with sealed_server() as server, await create(server, settings=replace(QUICK, language="ja")):
        assert server.requests[0]["language"] == "ja"
        assert server.requests[0]["suites"] == ["aes-128-gcm", "chacha20-poly1305"]


async def test_the_rooms_are_listed_by_tls_too() -> None:
    async with sealed_server() as server, await create(server):
        assert await tsudoi.rooms(server=server.address, dialect="tsudoi-2", settings=QUICK) == ["部屋"]


@pytest.mark.parametrize("runner", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_program_that_is_cancelled_while_it_enters_leaves_the_room(runner: Callable[[], Any] | None) -> None:
    async def story() -> None:
        async with sealed_server() as server, await create(server):
            room = server.rooms["部屋"]
            server.may_answer.clear()
            joining = asyncio.create_task(join(server))
            await until(lambda: room.joined == 2)
            joining.cancel()
            await asyncio.sleep(0)
            server.may_answer.set()
            with pytest.raises(asyncio.CancelledError):
                await joining
            assert len(room.members) == 1

    with asyncio.Runner(loop_factory=runner) as loop:
        loop.run(story())


async def test_a_cancelled_program_does_not_wait_for_a_server_that_was_not_asked_and_gives_up_one_that_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancelled_entry, "LEAVE_S", 0.1)
    async with sealed_server() as server, await create(server):
        room = server.rooms["部屋"]
        server.may_answer.clear()
        silent = asyncio.create_task(join(server))
        await until(lambda: room.joined == 2)
        silent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await silent
        monkeypatch.setattr(cancelled_entry, "LEAVE_S", 60.0)
        early = asyncio.create_task(join(server))
        await asyncio.sleep(0)
        early.cancel()
        with pytest.raises(asyncio.CancelledError):
            await early
        assert room.joined == 2
        server.may_answer.set()
