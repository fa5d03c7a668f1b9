"""An attacker without keys, who has a session's id and every packet of a member: from the wire, and from the document.

What it sends must get no answer, but a *retry* where the document says so, and change nothing for the members.
"""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import tsudoi
from tests.second_client.client import Client, nothing_lost
from tests.second_client.conftest import NewRoom
from tests.second_client.members import created, joined, texts
from tests.second_client.probe import Probe
from tests.second_client.relay import Relay, relay_to
from tests.second_client.session import HEAD, RETRY, TAG
from tests.support.services import Gateway, at

SMALLEST = HEAD + TAG


@asynccontextmanager
async def overheard(service: Gateway, room: str) -> AsyncIterator[tuple[Client, Client, Relay]]:
    """Two members that have talked; the attacker sits between the second one and the server."""
    async with (
        created(service, room) as alice,
        relay_to(service.udp) as relay,
        joined(service, room, udp=relay.address) as bob,
    ):
        await asyncio.gather(*(one.say(f"{one.name} {number}") for number in range(10) for one in (alice, bob)))
        await bob.say("x" * 3000)
        await bob.ping()
        assert await texts(bob, 21) == await texts(alice, 21)
        yield alice, bob, relay


async def go_on(alice: Client, bob: Client) -> None:
    """Both members still say and hear all, once, and neither has lost its run."""
    assert alice.resumed.is_set()
    assert bob.resumed.is_set()
    await alice.say("still here")
    await bob.say("me too")
    assert await texts(alice, 2) == await texts(bob, 2) == ["still here", "me too"]
    assert alice.events.empty()
    assert bob.events.empty()


def resumes(relay: Relay) -> int:
    """Count the client's resumptions, seen from outside: the runs of packets down that are bodies."""
    return len({packet[18:24] for packet in relay.down if packet[1] < RETRY})


async def answers(attacker: socket.socket, packets: list[bytes], settle_s: float = 0.3) -> list[bytes]:
    """Send all of these; return what comes back."""
    loop, heard = asyncio.get_running_loop(), list[bytes]()
    attacker.setblocking(False)
    loop.add_reader(attacker, lambda: heard.append(attacker.recv(4096)))
    try:
        for number, packet in enumerate(packets):
            await loop.sock_sendall(attacker, packet)
            if number % 50 == 49:
                await asyncio.sleep(0)
        await asyncio.sleep(settle_s)
        return heard
    finally:
        loop.remove_reader(attacker)


@asynccontextmanager
async def attacker_at(service: Gateway) -> AsyncIterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        attacker.bind(("127.0.0.1", 0))
        attacker.connect(service.udp)
        yield attacker


def forged(genuine: list[bytes], count: int, seed: int) -> list[bytes]:
    """Packets of the session with a flipped bit, their end cut off, another run, count or kind, or noise in them."""
    chance = random.Random(seed)
    made: list[bytes] = []
    while len(made) < count:
        packet = bytearray(chance.choice(genuine))
        match chance.randrange(6):
            case 0:
                packet[chance.randrange(len(packet))] ^= 1 << chance.randrange(8)
            case 1:
                del packet[chance.randrange(len(packet)) :]
            case 2:
                packet[18:24] = chance.randbytes(6)
            case 3:
                packet[24:30] = (int.from_bytes(packet[24:30], "big") + chance.randrange(1, 5000)).to_bytes(6, "big")
            case 4:
                packet[1] = chance.choice([kind for kind in range(256) if kind != packet[1]])
            case 5:
                packet = packet[:HEAD] + chance.randbytes(chance.randrange(1200))
        made.append(bytes(packet))
    return made


async def test_replayed_from_the_members_own_address(service: Gateway, new_room: NewRoom) -> None:
    """All that the member has sent, its `resume` with a cookie too, comes a second time."""
    async with overheard(service, new_room()) as (alice, bob, relay):
        before, seen, down = resumes(relay), list(relay.up), list(relay.down)
        for packet in seen * 3:
            relay.inject(packet)
        await asyncio.sleep(0.6)  # until a retry would be heard again
        for packet in down * 3:
            relay.inject_down(packet)
        await go_on(alice, bob)
        assert resumes(relay) == before


async def test_replayed_from_another_address(service: Gateway, new_room: NewRoom) -> None:
    async with overheard(service, new_room()) as (alice, bob, relay), attacker_at(service) as attacker:
        before = resumes(relay)
        assert await answers(attacker, relay.up * 3) == []
        await go_on(alice, bob)
        assert resumes(relay) == before


async def test_withheld_and_sent_from_another_address(service: Gateway, new_room: NewRoom) -> None:
    """A packet that the server has not had is answered with a retry, which is smaller and no use to the attacker."""
    async with created(service, new_room()) as alice, attacker_at(service) as attacker:
        withheld = list[bytes]()

        def withholds(packet: bytes) -> bool:
            if alice.session.unpack(packet, upwards=True) is not None:
                withheld.append(packet)
            return True

        alice.lost = withholds
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(alice.ping(), 0.1)
        alice.lost = nothing_lost
        (answer,) = await answers(attacker, withheld[-1:])
        assert (answer[1], len(answer)) == (RETRY, SMALLEST)
        assert len(answer) < len(withheld[-1])
        assert await answers(attacker, [*forged([answer], 200, 1), answer]) == []
        await alice.say("still here")
        assert await texts(alice, 1) == ["still here"]


@pytest.mark.parametrize("count", [4_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_forged(service: Gateway, new_room: NewRoom, count: int) -> None:
    """From an address of the attacker's own and from the member's: no answer, and nothing happens."""

    async def run() -> None:
        async with overheard(service, new_room()) as (alice, bob, relay), attacker_at(service) as attacker:
            before, retries = resumes(relay), sum(packet[1] == RETRY for packet in relay.down)
            for begin in range(0, count, 4_000):
                made = forged(relay.up[:60], min(4_000, count - begin), begin)
                assert await answers(attacker, made[::2]) == []
                for number, packet in enumerate(made[1::2]):
                    relay.inject(packet)
                    if number % 50 == 49:
                        await asyncio.sleep(0)
            await go_on(alice, bob)
            assert sum(packet[1] == RETRY for packet in relay.down) == retries
            assert resumes(relay) == before

    asyncio.run(asyncio.wait_for(run(), 100))


async def test_forged_to_the_member(service: Gateway, new_room: NewRoom) -> None:
    async with overheard(service, new_room()) as (alice, bob, relay):
        before, dropped = resumes(relay), bob.dropped
        made = forged(relay.down[:60], 2_000, 5)
        for number, packet in enumerate(made):
            relay.inject_down(packet)
            if number % 20 == 19:
                await asyncio.sleep(0.001)
        await go_on(alice, bob)
        assert resumes(relay) == before
        assert bob.dropped > dropped + 1_000


async def test_cookies_of_another_address(service: Gateway, new_room: NewRoom) -> None:
    """A client's own `resume`, with the cookie that another address of it was given, is a resume without one."""
    async with created(service, new_room()) as alice:
        with Probe(alice.session, service.udp) as here, Probe(alice.session, service.udp) as there:
            here.count, there.count = 1000, 2000
            here.send({"resume": {"cookie": "", "epoch": 1, "offset": 1, "next": 1}})
            cookie = here.until("retry")["retry"]
            assert list(there.resume(cookie)[0]) == ["retry"]
            here.count = there.count  # a resume is taken only with a higher count than the one before
            assert list(here.resume(cookie)[0]) == ["resumed"]


@pytest.mark.parametrize("suite", ["aes-128-gcm", "plain"])
async def test_a_retry_is_smaller_than_what_it_answers(service: Gateway, new_room: NewRoom, suite: str) -> None:
    async with created(service, new_room(), suites=(suite,)) as alice:
        with Probe(alice.session, service.udp) as probe:
            probe.count = 1000
            for lines in ([], [{"ping": 7}], [{"ping": 77777777777}]):
                sent = probe.send(*lines)
                answer = await asyncio.to_thread(probe.packet, 0.1)
                assert answer is None or len(answer) < len(sent)


async def test_noise(service: Gateway, new_room: NewRoom) -> None:
    """Whatever begins as a packet, of this session or of none: no answer."""
    async with created(service, new_room()) as alice, attacker_at(service) as attacker:
        noise = [bytes((0, kind)) + name + os.urandom(size) for kind in range(8) for size in range(0, 1200, 40)
                 for name in (alice.session.id, alice.session.id[:8], os.urandom(16))]  # fmt: skip
        assert await answers(attacker, noise) == []
        await alice.ping()


async def test_replayed_to_a_client_of_the_sdk(service: Gateway, new_room: NewRoom, tmp_path: Path) -> None:
    """All that it has received comes again, its retry too: it hears nothing twice, and does not resume."""
    room, settings = new_room(), tsudoi.Settings(known_servers=tmp_path / "known")
    async with created(service, room) as alice, relay_to(service.udp) as relay:
        server = replace(at(service), udp=relay.address[1])
        async with await tsudoi.join(room, name="sdk", server=server, dialect="tsudoi-2", settings=settings) as sdk:
            await alice.say("one")
            await sdk.say("two")
            await asyncio.sleep(0.6)  # until a retry would be heard again
            for packet in relay.down * 3:
                relay.inject_down(packet)
            for packet in forged(relay.down[:60], 1_000, 9):
                relay.inject_down(packet)
                await asyncio.sleep(0)
            await alice.say("three")
            heard = [event.text async for event in until_three(sdk)]
            assert heard == ["one", "three"]
            assert resumes(relay) == 1


async def until_three(chat: tsudoi.ChatClient) -> AsyncIterator[tsudoi.Message]:
    async for heard in chat:
        if isinstance(heard, tsudoi.Message):
            yield heard
            if heard.text == "three":
                break


async def test_packets_of_an_earlier_run(service: Gateway, new_room: NewRoom) -> None:
    """Replayed from the member's own address, they do not make it resume for ever."""
    async with overheard(service, new_room()) as (alice, bob, relay):
        await relay.rebind(service.udp)
        await bob.ping()  # the server finds it at another address: another run
        assert resumes(relay) == 2
        earlier = [packet for packet in relay.up[:30] if packet[18:24] != bytes(6)]
        await asyncio.sleep(0.6)  # until a retry would be heard again
        before = resumes(relay)
        for packet in earlier:
            relay.inject(packet)
        await go_on(alice, bob)
        assert resumes(relay) == before
