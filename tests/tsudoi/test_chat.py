"""The SDK against a server in the same process: real sockets, every dialect."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import tsudoi
from scenarios.ports import steady_port
from tests.support.sockets import needs_ipv6
from tests.support.waiting import PATIENCE_S, until
from tests.tsudoi.fake_server import QUICK, FakeServer, fake_server
from tsudoi import ChatClient, Event, Message, RoomClosed, Server, ServerAway, Settings, TimedOut
from tsudoi.errors import refusal
from tsudoi.protocol.client import datagram, downlink_encoder
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TCRP, TCRP_JSON, TCRP_OK, TSUDOI
from tsudoi.protocol.codes import Status

every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


async def hear(room: ChatClient) -> Event:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(room)


async def create(fake: FakeServer, name: str = "alice", settings: Settings = QUICK) -> ChatClient:
    return await tsudoi.create("部屋1", name=name, server=fake.address, dialect=fake.dialect.name, settings=settings)


async def join(fake: FakeServer, name: str = "bob", settings: Settings = QUICK) -> ChatClient:
    return await tsudoi.join("部屋1", name=name, server=fake.address, dialect=fake.dialect.name, settings=settings)


def registered(fake: FakeServer) -> int:
    return sum(len(room.addresses) for room in fake.rooms.values())


@asynccontextmanager
async def two(dialect: Dialect, settings: Settings = QUICK) -> AsyncIterator[tuple[FakeServer, ChatClient, ChatClient]]:
    async with (
        fake_server(dialect) as fake,
        await create(fake, settings=settings) as alice,
        await join(fake, settings=settings) as bob,
    ):
        await until(lambda: registered(fake) == 2)
        yield fake, alice, bob


@every_dialect
async def test_two_people_talk(dialect: Dialect) -> None:
    async with two(dialect) as (fake, alice, bob):
        await alice.say("こんにちは")
        heard = await hear(bob)
        assert isinstance(heard, Message)
        assert (heard.sender, heard.text) == ("alice", "こんにちは")
        if dialect.echo:
            assert await hear(alice) == heard
        await bob.say("hi")
        heard = await hear(alice)
        assert isinstance(heard, Message)
        assert (heard.sender, heard.text) == ("bob", "hi")
        if dialect.port not in (PortPlace.NOWHERE, PortPlace.TCP_SOURCE):
            await until(lambda: len(fake.ports) == 2)
            sources = {address[1] for address in fake.rooms["部屋1"].addresses.values()}
            assert set(fake.ports) == sources
        assert fake.asked_for_rooms == (2 if dialect is TCRP_OK else 0)


@every_dialect
async def test_refusals_have_types(dialect: Dialect) -> None:
    async with fake_server(dialect) as fake:
        says_why = dialect.name != "tcrp-success"
        with pytest.raises(tsudoi.RoomNotFound if says_why else tsudoi.Refused):
            await join(fake)
        async with await create(fake):
            with pytest.raises(tsudoi.RoomExists if says_why else tsudoi.Refused):
                await create(fake)


async def test_names_are_told_apart_by_the_server() -> None:
    async with fake_server(TSUDOI) as fake, await create(fake), await join(fake, "alice") as other:
        assert other.name == "alice#2"


async def test_passwords() -> None:
    async with (
        fake_server(TSUDOI) as fake,
        await tsudoi.create("den", name="alice", password="moon", server=fake.address, dialect="tsudoi"),
    ):
        with pytest.raises(tsudoi.WrongPassword, match="wrong password for den"):
            await tsudoi.join("den", name="bob", password="sun", server=fake.address, dialect="tsudoi")
        async with await tsudoi.join("den", name="bob", password="moon", server=fake.address, dialect="tsudoi"):
            pass
    with pytest.raises(tsudoi.NotInDialect, match="tcrp has no passwords"):
        await tsudoi.create("den", name="alice", password="moon", dialect="tcrp")


@pytest.mark.parametrize("dialect", [TSUDOI, TCRP_OK, CLASSIC], ids=lambda dialect: dialect.name)
async def test_rooms_are_listed(dialect: Dialect) -> None:
    async with fake_server(dialect) as fake:
        assert await tsudoi.rooms(server=fake.address, dialect=dialect.name, settings=QUICK) == []
        async with await create(fake):
            assert await tsudoi.rooms(server=fake.address, dialect=dialect.name, settings=QUICK) == ["部屋1"]
    with pytest.raises(tsudoi.NotInDialect, match="no way to ask"):
        await tsudoi.rooms(dialect="tcrp")


async def test_a_server_that_is_a_text_is_an_error_that_says_what_to_write() -> None:
    text: Any = "127.0.0.1:9001"
    for entering in (tsudoi.create("den", name="alice", server=text), tsudoi.rooms(server=text)):
        with pytest.raises(TypeError, match=r"'127\.0\.0\.1:9001': tsudoi\.Server\.parse reads"):
            await entering


@every_dialect
async def test_the_first_datagram_registers_and_the_next_keep_alive(dialect: Dialect) -> None:
    async with fake_server(dialect) as fake, await create(fake, settings=Settings(keep_alive_s=0.01)):
        await until(lambda: len(fake.datagrams) >= 4)
        texts = {datagram.parse_untrusted(data)[2].decode() for data in fake.datagrams}
        assert texts == {min(dialect.register_words, default="")}


async def test_a_resting_client_sends_nothing() -> None:
    async with fake_server(TSUDOI) as fake, await create(fake, settings=Settings(keep_alive_s=0.01)) as alice:
        await until(lambda: len(fake.datagrams) >= 2)
        alice.stop_keep_alives()
        await asyncio.sleep(0.02)
        sent = len(fake.datagrams)
        await asyncio.sleep(0.05)
        assert len(fake.datagrams) == sent


@every_dialect
async def test_leaving_says_the_word_and_ends_the_iteration(dialect: Dialect) -> None:
    async with two(dialect) as (fake, alice, bob):
        await alice.say("bye")
        await until(lambda: fake.rooms["部屋1"].said == 1)
        await bob.leave()
        await bob.leave()
        assert [event.text for event in [event async for event in bob]] in ([], ["bye"])
        with pytest.raises(tsudoi.NotInRoom):
            await bob.say("still here?")
        if dialect.leave_words:
            await until(lambda: registered(fake) == 1)


@every_dialect
@pytest.mark.parametrize("kind", ["closed", "timeout"])
async def test_notices_are_the_last_event(dialect: Dialect, kind: str) -> None:
    async with two(dialect) as (fake, _, bob):
        for words in dialect.closed if kind == "closed" else (dialect.timed_out,):
            text = words.format(user="alice", room="部屋1")
            fake.tell("部屋1", downlink_encoder.encode_closing(dialect, "部屋1", kind, text))
        await until(lambda: bob.closed)
        (event,) = [event async for event in bob]
        has_own_words = dialect.timed_out not in dialect.closed
        assert isinstance(event, TimedOut if kind == "timeout" and has_own_words else RoomClosed)


async def test_what_can_not_be_said_is_refused() -> None:
    async with fake_server(TSUDOI) as fake, await create(fake) as alice:
        for text in ("", "x" * 4000, "\ud800", "/leave"):
            with pytest.raises(tsudoi.InvalidText):
                await alice.say(text)
        with pytest.raises(tsudoi.InvalidText):
            alice.pieces("one \ud800")
        await alice.say("x" * alice.text_limit)
        with pytest.raises(tsudoi.InvalidText, match=f"at most {alice.text_limit}"):
            await alice.say("x" * (alice.text_limit + 1))


def test_a_password_that_is_no_text_is_not_sent() -> None:
    with pytest.raises(tsudoi.InvalidText):
        asyncio.run(tsudoi.create("den", name="x", server=Server("192.0.2.1"), password="\ud800"))


@pytest.mark.parametrize("token", ["garbage", "\ud800", "eyJhbGciOiJIUzI1NiJ9", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"])
def test_what_is_no_signed_token_is_not_sent(token: str) -> None:
    with pytest.raises(tsudoi.InvalidName, match=r"a signed token \(JWT\) is none"):
        asyncio.run(tsudoi.create("den", server=Server("192.0.2.1"), signed_token=token))


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 256])
def test_names_that_no_server_takes_are_not_sent(name: str) -> None:
    with pytest.raises(tsudoi.InvalidName):
        asyncio.run(tsudoi.create("den", name=name, server=Server("192.0.2.1")))


async def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    async with two(TSUDOI, Settings(queue_size=3)) as (fake, alice, bob):
        for number in range(10):
            await alice.say(str(number))
        await until(lambda: bob.dropped == 7)
        fake.tell("部屋1", downlink_encoder.encode_closing(TSUDOI, "部屋1", "closed", "gone"))
        await until(lambda: bob.closed)
        events = [event.text async for event in bob]
        assert events == ["8", "9", "gone"]


def test_bursts_are_spread() -> None:
    async def story() -> float:
        async with two(TSUDOI, Settings(burst=10, rate_per_s=200)) as (_, alice, bob):
            began = asyncio.get_running_loop().time()
            for number in range(30):
                await alice.say(str(number))
            took = asyncio.get_running_loop().time() - began
            assert [(await hear(bob)).text for _ in range(30)] == [str(number) for number in range(30)]
            return took

    assert 0.08 < asyncio.run(story()) < 2


async def test_lines_of_several_tasks_go_in_the_order_of_the_calls() -> None:
    async with two(TSUDOI, Settings(burst=1, rate_per_s=50)) as (_, alice, bob):
        await alice.say("1")
        waits = asyncio.create_task(alice.say("2"))
        await asyncio.sleep(0)
        _stand_still(0.1)  # by now the next line has not to wait
        await asyncio.gather(waits, alice.say("3"))
        assert [(await hear(bob)).text for _ in range(3)] == ["1", "2", "3"]


def _stand_still(seconds: float) -> None:
    time.sleep(seconds)


async def test_what_comes_twice_is_heard_once() -> None:
    async with two(TSUDOI) as (fake, _, bob):
        for number in (1, 1, 2):
            fake.tell("部屋1", downlink_encoder.encode_message(TSUDOI.down, "部屋1", number, "eve", "hi"))
        await until(lambda: bob.repeated == 1)
        assert [await hear(bob) for _ in range(2)] == [Message("eve", "hi", 1), Message("eve", "hi", 2)]


async def test_strange_datagrams_are_counted() -> None:
    async with two(TSUDOI) as (fake, _, bob):
        fake.tell("部屋1", b"\xff\xfe")
        await until(lambda: bob.malformed == 1)


async def test_moving_to_another_listener() -> None:
    async with two(TSUDOI) as (fake, alice, bob):
        before = set(fake.rooms["部屋1"].addresses.values())
        await bob.move(Server("127.0.0.1", 1, fake.address.udp))
        await until(lambda: set(fake.rooms["部屋1"].addresses.values()) != before)
        await alice.say("there?")
        assert (await hear(bob)).text == "there?"


async def test_a_server_that_goes_away_is_told_once() -> None:
    async with fake_server(TSUDOI) as fake:
        alice = await create(fake, settings=Settings(keep_alive_s=0.02))
        await until(lambda: registered(fake) == 1)
    async with alice:
        event = await hear(alice)
        assert isinstance(event, ServerAway)
        assert "connection refused" in event.text
        await until(lambda: alice.unreachable >= 2)
        assert not alice.closed


def test_nothing_there_is_unreachable() -> None:
    with pytest.raises(tsudoi.ServerUnreachable, match="connection refused"):
        asyncio.run(tsudoi.create("den", name="alice", server=Server("127.0.0.1", steady_port())))


def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(tsudoi.ServerUnreachable, match="name is not known"):
        asyncio.run(tsudoi.create("den", name="alice", server=Server("host.invalid")))


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def with_server(serve: Serve, dialect: str = "tsudoi") -> None:
    """Create a room at a server that does nothing but `serve`."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        address = Server("127.0.0.1", server.sockets[0].getsockname()[1])
        settings = Settings(answer_timeout_s=0.2, settle_s=0.05)
        await tsudoi.create("den", name="alice", server=address, dialect=dialect, settings=settings)


def test_silence_is_no_answer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    with pytest.raises(tsudoi.NoAnswer, match=r"within 0.2 s"):
        asyncio.run(with_server(serve))


@every_dialect
def test_nonsense_is_a_violation(dialect: Dialect) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n\x00\xff")
        await writer.drain()
        writer.close()

    with pytest.raises(tsudoi.ProtocolViolation):
        asyncio.run(with_server(serve, dialect.name))


def test_a_hung_up_connection_is_a_violation() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(32)
        writer.close()

    with pytest.raises((tsudoi.ProtocolViolation, tsudoi.ServerUnreachable)):
        asyncio.run(with_server(serve))


@needs_ipv6
async def test_ipv6() -> None:
    async with fake_server(TCRP_JSON, "::1") as fake, await create(fake) as alice, await join(fake) as bob:
        await until(lambda: registered(fake) == 2)
        await alice.say("six")
        assert await hear(bob) == Message("alice", "six")


async def test_messages_only() -> None:
    async with two(TCRP) as (fake, alice, bob):
        await alice.say("one")
        await until(lambda: fake.rooms["部屋1"].said == 1)
        fake.tell("部屋1", b"exit!")
        assert [message.text async for message in bob.messages()] == ["one"]


def test_a_refusal_that_says_more_than_its_status_is_not_told_as_a_wrong_password() -> None:
    assert str(refusal(Status.WRONG_PASSWORD, "Wrong password", "den")) == "wrong password for den"
    words = str(refusal(Status.WRONG_PASSWORD, "Wrong password: a token is needed here", "den"))
    assert words == "the server does not let you into den: a token is needed here"


async def test_a_program_that_is_cancelled_while_it_enters_leaves_the_room() -> None:
    async with fake_server(TSUDOI) as fake, await create(fake):
        room = fake.rooms["部屋1"]
        fake.may_answer.clear()
        joining = asyncio.create_task(join(fake))
        await until(lambda: len(room.names) == 2)
        joining.cancel()
        await asyncio.sleep(0)
        fake.may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await joining
        token = list(room.names)[1].encode()

        def said() -> set[str]:
            found = [datagram.parse_untrusted(data) for data in fake.datagrams]
            return {datagram.decode_text(text, TSUDOI) for _, shown, text in found if shown == token}

        await until(lambda: bool(TSUDOI.leave_words & said()))
