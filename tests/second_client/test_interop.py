"""A client that was written from PROTOCOL.md alone, against the real service and beside the project's SDK."""

import asyncio
import random

import pytest

import tsudoi
from tests.second_client.conftest import NewRoom
from tests.second_client.members import PATIENCE_S, created, event, joined, texts
from tests.second_client.probe import Probe
from tests.second_client.session import CREATE, JOIN, Address, Refused, enter
from tests.support.services import Gateway, at

SUITES = ("aes-128-gcm", "chacha20-poly1305", "plain")
LONGEST = "あ" * 1269
LINES = 60


@pytest.mark.parametrize("suite", SUITES)
async def test_suites(service: Gateway, new_room: NewRoom, suite: str) -> None:
    """Two members talk, in parts where a text is long, ask whether the server is there, and leave."""
    room = new_room()
    async with created(service, room, suites=(suite,)) as alice, joined(service, room, suites=(suite,)) as bob:
        assert (alice.session.suite, bob.session.suite, bob.name) == (suite, suite, "bob")
        await asyncio.gather(alice.say("hello"), bob.say(LONGEST))
        await bob.say("bye")
        heard = await texts(alice, 3)
        assert heard == await texts(bob, 3)
        assert sorted(heard) == ["bye", "hello", LONGEST]
        assert (await alice.ping())["last"] == alice.offset
        await bob.leave()
        assert (await event(bob, "ended"))["ended"] == "left"
        await alice.leave()
        assert (await event(alice, "ended"))["ended"] == "closed"  # it was the host


async def test_a_name_and_a_certificate(service: Gateway, new_room: NewRoom) -> None:
    room, known = new_room(), dict[Address, str]()
    for operation, name in ((CREATE, "alice"), (JOIN, "alice#2")):
        session = await enter(service.tcp["auto"], operation, room, "alice", known=known)
        assert session.granted["name"] == name
    assert len(known) == 1
    with pytest.raises(Refused, match="another certificate"):
        await enter(service.tcp["auto"], JOIN, room, "bob", known={service.tcp["auto"]: "00"})


async def test_refusals_in_words(service: Gateway, new_room: NewRoom) -> None:
    room = new_room()
    await enter(service.tcp["auto"], CREATE, room, "alice", password="moonlight")
    for operation, other, more, status, words in (
        (CREATE, room, {}, 1, "Room already exists"),
        (JOIN, new_room(), {}, 2, "Room does not exist"),
        (JOIN, room, {}, 3, "Wrong password"),
        (JOIN, room, {"password": "sunlight"}, 3, "Wrong password"),
        (JOIN, room, {"suites": ("rot13",)}, 4, "suites"),
        (JOIN, room, {"suites": "plain"}, 4, '"suites" is not a list'),
        (JOIN, room, {"tls": False}, 4, "TLS"),
        (JOIN, room, {"language": "fr"}, 4, "language"),
    ):
        with pytest.raises(Refused, match=words) as refusal:
            await enter(service.tcp["auto"], operation, other, "bob", **more)
        assert refusal.value.status == status
    session = await enter(service.tcp["auto"], JOIN, room, "bob", password="moonlight", suites=("rot13", "plain"))
    assert session.suite == "plain"  # the first of the client's that the server grants


async def test_one_order_beside_the_sdk_and_version_1(service: Gateway, new_room: NewRoom) -> None:
    room, server = new_room(), at(service)
    settings = tsudoi.Settings(security="plain", own_messages=True)
    async with (
        created(service, room) as ours,
        await tsudoi.join(room, name="sdk", server=server, dialect="tsudoi-2", settings=settings) as sdk,
        await tsudoi.join(room, name="old", server=server, dialect="tsudoi") as old,
    ):
        for number in range(10):
            await asyncio.gather(ours.say(f"ours {number}"), sdk.say(f"sdk {number}"), old.say(f"old {number}"))
        order = await texts(ours, 30)
        assert sorted(order) == sorted(f"{who} {number}" for who in ("ours", "sdk", "old") for number in range(10))
        heard: dict[str, list[str]] = {"sdk": [], "old": []}
        for chat, into, count in ((sdk, heard["sdk"], 30), (old, heard["old"], 20)):
            async for message in chat:
                if isinstance(message, tsudoi.Message):
                    into.append(message.text)
                    if len(into) == count:
                        break
        assert heard == {"sdk": order, "old": [text for text in order if not text.startswith("old")]}


async def test_a_refused_line_holds_nothing_up(service: Gateway, new_room: NewRoom) -> None:
    async with created(service, new_room()) as alice:
        said = await asyncio.gather(
            *(alice.say(text) for text in ("one", LONGEST + "x", "two", "", "three")), return_exceptions=True
        )
        assert [str(outcome) for outcome in said if outcome is not None] == [
            "the text is too long, 3807 bytes at most are said: shorten it",
            "the text is empty",
        ]
        assert await texts(alice, 3) == ["one", "two", "three"]


async def test_removed_members_are_told_why(service: Gateway, new_room: NewRoom) -> None:
    room = new_room()
    async with created(service, room) as alice, joined(service, room) as bob:
        await alice.say("/kick bob because")
        ended = await event(bob, "ended")
        assert (ended["ended"], ended["text"]) == ("kicked", f"alice has removed you from {room}: because")
        async with joined(service, room, "carol") as carol:
            with pytest.raises(Refused, match="closed"):  # what ends the membership is not kept
                await alice.say("/close")
            assert (await event(carol, "ended"))["ended"] == "closed"
        with Probe(bob.session, service.udp) as probe:
            probe.count = 1000  # counts go on
            assert probe.resume()[0]["resumed"]["state"] == "complete"
            assert probe.until("ended") == ended
        with Probe(carol.session, service.udp) as probe:
            probe.count = 1000
            assert probe.resume()[0]["resumed"]["state"] == "complete"
            assert probe.until("ended")["ended"] == "closed"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_another_address_without_a_word(service: Gateway, new_room: NewRoom, host: str) -> None:
    room = new_room()
    async with created(service, room) as alice, joined(service, room) as bob:
        await alice.say("one")
        await bob.move(host)
        await alice.say("two")
        await bob.say("three")
        assert await texts(bob, 3) == await texts(alice, 3) == ["one", "two", "three"]


@pytest.mark.slow
async def test_the_server_is_killed_and_started_again(service: Gateway, new_room: NewRoom) -> None:
    room, known = new_room(), dict[Address, str]()
    # Bob only listens, so it is his ping that finds the server in another run.
    async with created(service, room, known=known) as alice, joined(service, room, quiet_s=(0.3, 0.5)) as bob:
        lines = [asyncio.create_task(alice.say(f"{number}")) for number in range(40)]
        await texts(bob, 5)
        await asyncio.to_thread(service.kill)
        lines += [asyncio.create_task(alice.say(f"{number}")) for number in range(40, LINES)]
        await asyncio.to_thread(service.start)
        await asyncio.gather(*lines)
        assert await texts(alice, LINES) == [f"{number}" for number in range(LINES)]
        assert await texts(bob, LINES - 5) == [f"{number}" for number in range(5, LINES)]
        await enter(service.tcp["auto"], JOIN, room, "carol", known=known)  # the certificate is the same


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_a_tenth_of_all_packets_is_lost(service: Gateway, new_room: NewRoom, seed: int) -> None:
    async def run() -> None:
        room, lost = new_room(), 0
        randomness = random.Random(seed)

        def loses(packet: bytes) -> bool:
            nonlocal lost
            lost += (loses_it := randomness.random() < 0.1)
            return loses_it

        async with created(service, room, lost=loses) as alice, joined(service, room, lost=loses) as bob:
            await asyncio.gather(*(one.say(f"{one.name} {number}") for number in range(LINES) for one in (alice, bob)))
            order = await texts(alice, 2 * LINES)
            assert await texts(bob, 2 * LINES) == order
            for one in (alice, bob):
                assert [text for text in order if text.startswith(one.name)] == [
                    f"{one.name} {number}" for number in range(LINES)
                ]
            assert lost > 10
            await bob.leave()
            assert (await event(bob, "ended"))["ended"] in ("left", "gone")

    asyncio.run(asyncio.wait_for(run(), PATIENCE_S))
