"""Run the programs in examples/ as a user does, with a real service."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import tsudoi
from tests.integration.conftest import NewRoom
from tests.support.services import Gateway, at
from tests.test_documents import blocks

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 40.0


@pytest.fixture
def server(gateway: Gateway) -> tsudoi.Server:
    return at(gateway)


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / program), *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(3 * PATIENCE_S):
            await story()

    asyncio.run(limited())


async def see(chat: tsudoi.ChatClient, members: int, process: subprocess.Popen[str]) -> None:
    """Wait until a room has so many members."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await chat.who()) != members:
            assert members == 1 or process.poll() is None, process.communicate()
            await asyncio.sleep(0.5)  # commands have a rate


async def hear(chat: tsudoi.ChatClient, *texts: str) -> None:
    """Wait for messages with these texts, in this order, among others."""
    wanted = list(texts)
    async with asyncio.timeout(PATIENCE_S):
        async for event in chat.messages():
            if event.text == wanted[0] and not wanted[1:]:
                return
            wanted = wanted[event.text == wanted[0] :]


async def is_carried(speaker: tsudoi.ChatClient, listener: tsudoi.ChatClient) -> None:
    """Wait until a bridge has entered both rooms: members see it a moment before it has the answer to its join."""
    hearing = asyncio.create_task(hear(listener, f"<{speaker.name}> ready?"))
    while not hearing.done():
        await speaker.say("ready?")
        await asyncio.wait([hearing], timeout=0.5)
    await hearing


def test_the_echo_bot_answers(server: tsudoi.Server, new_room: NewRoom) -> None:
    room = new_room("echo")

    async def story() -> None:
        async with await tsudoi.create(room, name="alice", server=server) as alice:
            bot = start("echo_bot.py", room, str(server))
            try:
                await see(alice, 2, bot)
                await alice.say("こんにちは")
                await hear(alice, "alice says: こんにちは")
                await alice.say("!roll 1")
                await hear(alice, "alice rolls 1.")
                await alice.say("!help")
                await hear(alice, "Commands:\n!roll  Roll a die of 6 sides, or of as many as you say.")
                await alice.nick("/nick mallory")  # a name is no order to a bot that repeats it
                await alice.say("hi")
                await hear(alice, "/nick mallory says: hi")
                await alice.close_room()
                out, err = await asyncio.to_thread(bot.communicate, timeout=PATIENCE_S)
                assert (bot.returncode, out) == (0, "")
                assert err == f"this bot is not in {room} any more: The host /nick mallory has closed the room.\n"
            finally:
                bot.kill()
                bot.communicate()

    run(story)


def test_the_programs_of_the_page_work_and_the_bot_has_fifteen_lines_and_leaves_at_sigterm(
    server: tsudoi.Server, new_room: NewRoom, tmp_path: Path
) -> None:
    code = next(content for language, content in blocks("docs/sdk.md") if language == "python")
    assert len(code.splitlines()) == 15
    room = new_room("page")
    kick = next(content for _, content in blocks("docs/sdk.md") if '@bot.command("kick")' in content)
    code = code.replace("\n\nbot.run()", f"\n\n{kick}\n\nbot.run()")
    asked = code.replace('"den"', repr(room)).replace(
        "creates=True", f"creates=True, server=Server.parse({str(server)!r})"
    )
    (tmp_path / "bot.py").write_text(f"from tsudoi import Server\n{asked}")
    member_code = next(content for _, content in blocks("docs/sdk.md") if "async def main()" in content)
    (tmp_path / "member.py").write_text(
        member_code.replace('"den"', repr(room)).replace(
            'name="alice"', f'name="dora", server=tsudoi.Server.parse({str(server)!r})'
        )
    )

    async def story() -> None:
        bot = start(str(tmp_path / "bot.py"))
        try:
            while room not in await tsudoi.rooms(server=server):
                assert bot.poll() is None, bot.communicate()
            async with await tsudoi.join(room, name="bob", server=server) as bob:
                await bob.say("!roll 1")
                await hear(bob, "bob rolls 1.")
                member = start(str(tmp_path / "member.py"))
                await hear(bob, "hello", "and this")
                await bob.say("!kick dice")
                await hear(bob, "Only alice may do that.")
                async with await tsudoi.join(room, name="alice", server=server) as alice:
                    await alice.say("!kick carol")
                    await hear(bob, "There is nobody called carol in this room.")
                    async with await tsudoi.join(room, name="carol", server=server) as carol:
                        await alice.say("!kick carol")
                        assert isinstance([event async for event in carol][-1], tsudoi.Kicked)
                bot.send_signal(signal.SIGTERM)
                events = [event async for event in bob]  # the host has left: that ends the room
                assert isinstance(events[-1], tsudoi.RoomClosed)
            _, err = await asyncio.to_thread(bot.communicate, timeout=PATIENCE_S)
            assert (bot.returncode, err) == (0, "")
            out, err = await asyncio.to_thread(member.communicate, timeout=PATIENCE_S)
            assert (member.returncode, err) == (0, "")
            assert " bob !kick dice\n" in out
        finally:
            bot.kill()
            bot.communicate()

    run(story)


def test_clients_of_the_first_stage_are_members_of_a_room(server: tsudoi.Server, new_room: NewRoom) -> None:
    room = new_room("first")

    def stage_one(name: str, text: str) -> bytes:
        return bytes([len(name.encode())]) + f"{name}{text}".encode()

    async def story() -> None:
        async with await tsudoi.create(room, name="alice", server=server) as alice:
            entrance = start("first_stage.py", room, str(server), "0")
            try:
                assert entrance.stdout is not None
                port = int((await asyncio.to_thread(entrance.stdout.readline)).rpartition(":")[2])
                bob, carol = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
                with bob, carol:
                    for sock in (bob, carol):
                        sock.settimeout(PATIENCE_S)
                        sock.connect(("127.0.0.1", port))
                    bob.send(b"")
                    bob.send(b"\x09short")  # no name: no member
                    bob.send(stage_one("ボブ", "こんにちは"))
                    await hear(alice, "こんにちは")
                    carol.send(stage_one("carol", ""))
                    await see(alice, 4, entrance)  # the program itself is one
                    await alice.say("hello")
                    for sock in (bob, carol):
                        assert await asyncio.to_thread(sock.recv, 4096) == stage_one("alice", "hello")
                    carol.send(stage_one("carol", "hi all"))
                    assert await asyncio.to_thread(bob.recv, 4096) == stage_one("carol", "hi all")
                    carol.send(stage_one("caroline", "a new name is a new member"))
                    assert (await asyncio.to_thread(bob.recv, 4096))[:9] == stage_one("caroline", "")
                    await alice.close_room()
                    assert (await asyncio.to_thread(bob.recv, 4096))[:7] == stage_one("server", "")
                out, err = await asyncio.to_thread(entrance.communicate, timeout=PATIENCE_S)
                assert (entrance.returncode, out, err) == (0, "", "")
            finally:
                entrance.kill()
                entrance.communicate()

    run(story)


def test_the_bridge_between_rooms_carries_both_ways_and_ends_with_a_room(
    server: tsudoi.Server, new_room: NewRoom
) -> None:
    rooms = new_room("den"), new_room("hall")

    async def story() -> None:
        async with (
            await tsudoi.create(rooms[0], name="alice", server=server) as alice,
            await tsudoi.create(rooms[1], name="bob", server=server) as bob,
        ):
            bridge = start("room_bridge.py", *rooms, str(server))
            try:
                await see(alice, 2, bridge)
                await see(bob, 2, bridge)
                await is_carried(alice, bob)
                await alice.say(alice.as_text("/close is a command"))
                await hear(bob, "<alice> /close is a command")
                await bob.say("x" * bob.text_limit)
                await hear(alice, "<bob> " + "x" * (bob.text_limit - 6), "x" * 6)
                await bob.close_room()
                _, err = await asyncio.to_thread(bridge.communicate, timeout=PATIENCE_S)
                assert bridge.returncode == 0
                assert err == f"this bot is not in {rooms[1]} any more: The host bob has closed the room.\n"
            finally:
                bridge.kill()
                bridge.communicate()

    run(story)


def test_a_bot_that_creates_its_room_does_so_again_when_the_host_is_gone_but_not_when_it_leaves_itself(
    server: tsudoi.Server, new_room: NewRoom
) -> None:
    bot = tsudoi.Bot(room := new_room("again"), name="dice", creates=True, server=server)

    @bot.command("go")
    async def go(call: tsudoi.Call) -> None:
        await call.chat.leave()

    async def story() -> None:
        async with await tsudoi.create(room, name="alice", server=server):
            serving = asyncio.create_task(bot.serve())
            while (first := bot.chat) is None:
                assert not serving.done()
                await asyncio.sleep(0.01)
        while bot.chat in (first, None):
            assert not serving.done()
            await asyncio.sleep(0.01)
        async with await tsudoi.join(room, name="bob", server=server) as bob:
            assert {person.name: person.is_host for person in await bob.who()} == {"dice": True, "bob": False}
            await bob.say("!go")
            await asyncio.wait_for(serving, PATIENCE_S)
        assert room not in await tsudoi.rooms(server=server)

    run(story)


def test_a_bot_that_is_refused_says_why_in_one_line(server: tsudoi.Server, new_room: NewRoom) -> None:
    bot = start("echo_bot.py", new_room("nowhere"), str(server))
    out, err = bot.communicate(timeout=PATIENCE_S)
    assert (bot.returncode, out) == (1, "")
    assert err.startswith("echo_bot: there is no room called nowhere")
    assert err.count("\n") == 1


def test_ctrl_c_ends_a_bot(server: tsudoi.Server, new_room: NewRoom) -> None:
    room = new_room("ended")

    async def story() -> None:
        async with await tsudoi.create(room, name="alice", server=server) as alice:
            bot = start("echo_bot.py", room, str(server))
            await see(alice, 2, bot)
            await alice.say("hello")  # one that is interrupted while it still enters does not leave
            await hear(alice, "alice says: hello")
            bot.send_signal(signal.SIGINT)
            _, err = await asyncio.to_thread(bot.communicate, timeout=PATIENCE_S)
            assert (bot.returncode, err) == (0, "")
            await see(alice, 1, bot)

    run(story)


def test_the_bridge_carries_lines_in_order_and_says_whether_all_are_kept(
    server: tsudoi.Server, new_room: NewRoom
) -> None:
    room = new_room("log")

    async def story() -> None:
        async with await tsudoi.create(room, name="alice", server=server) as alice:
            bridge = start("pipe_bridge.py", room, "logger", str(server))
            lines = [f"line {number}" for number in range(50)]
            hearing = asyncio.create_task(hear(alice, *lines, "/last"))
            await see(alice, 2, bridge)
            await alice.say("ready")
            given = "\n".join([*lines, "/last", "x" * 9_000]) + "\n"
            out, err = await asyncio.to_thread(bridge.communicate, given, timeout=PATIENCE_S)
            assert (bridge.returncode, out, err) == (0, "alice: ready\n", "")
            await hearing

    run(story)


def test_a_bridge_without_a_room_says_so(server: tsudoi.Server, new_room: NewRoom) -> None:
    bridge = start("pipe_bridge.py", new_room("nowhere"), "logger", str(server))
    _, err = bridge.communicate("hello\n", timeout=PATIENCE_S)
    assert bridge.returncode == 1
    assert err.startswith("pipe_bridge: there is no room called")
    assert err.count("\n") == 1
