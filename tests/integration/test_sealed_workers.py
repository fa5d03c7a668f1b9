"""Members of version 2 at a gateway of several workers (`--workers`), by UDP and by TCP; the workers die one by one."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import tsudoi
from tests.integration.test_workers import workers_of
from tests.support.services import Gateway, at
from tsudoi.net.sealed_chat import SealedChat
from tsudoi.protocol.sealed.client_path import is_tcp

SETTINGS = tsudoi.Settings(rate_per_s=0)
ROOMS, MEMBERS, LINES = 2, 3, 40
PATIENCE_S = 60.0


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway("--workers", "2", data=tmp_path) as gateway:
        yield gateway


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A UDP port at which nothing answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class Talk:
    """A room's members, and what each has heard."""

    def __init__(self, members: list[tsudoi.ChatClient]) -> None:
        self.members = members
        self.heard: list[list[tuple[int | None, str]]] = [[] for _ in members]
        self._listening = [asyncio.create_task(self._listen(at)) for at in range(len(members))]

    @classmethod
    async def enter(cls, room: str, server: tsudoi.Server) -> "Talk":
        settings = tsudoi.Settings(rate_per_s=0, own_messages=True)
        host = await tsudoi.create(room, name="p0", server=server, settings=settings)
        names = [f"p{number}" for number in range(1, MEMBERS)]
        return cls([host, *[await tsudoi.join(room, name=name, server=server, settings=settings) for name in names]])

    async def _listen(self, at: int) -> None:
        async for event in self.members[at]:
            assert not isinstance(event, tsudoi.Gap | tsudoi.Reset | tsudoi.Rejoined), event
            if isinstance(event, tsudoi.Message):
                self.heard[at].append((event.offset, event.text))

    async def speak(self) -> None:
        """Let all members say lines at the same time; return when all are kept."""
        lines = []
        for number in range(LINES):
            lines += [member.post(f"{member.name} {number}") for member in self.members]
            await asyncio.sleep(0.02)
        async with asyncio.timeout(PATIENCE_S):
            for line in lines:
                await line.kept()

    async def check(self, rounds: int) -> None:
        """Check that all have heard each line once, in one order."""
        expected = rounds * LINES * len(self.members)
        async with asyncio.timeout(PATIENCE_S):
            while any(len(heard) < expected for heard in self.heard):  # noqa: ASYNC110 - each listens for itself
                await asyncio.sleep(0.05)
        assert all(heard == self.heard[0] for heard in self.heard)
        assert len({offset for offset, _ in self.heard[0]}) == expected

    async def leave(self) -> None:
        await asyncio.gather(*(member.leave() for member in self.members), *self._listening)


@pytest.mark.parametrize("way", ["udp", pytest.param("tcp", marks=pytest.mark.slow)])
async def test_nothing_is_lost_or_doubled_while_workers_die(gateway: Gateway, deaf_port: int, way: str) -> None:
    server = at(gateway)
    if way == "tcp":
        server = tsudoi.Server(server.host, server.tcp, deaf_port)
    talks = [await Talk.enter(f"room {number}", server) for number in range(ROOMS)]
    await asyncio.gather(*(talk.speak() for talk in talks))
    for talk in talks:
        await talk.check(1)
        assert all(isinstance(m, SealedChat) and is_tcp(m._core.way) == (way == "tcp") for m in talk.members)
    for worker in sorted(workers_of(gateway)):
        speaking = [asyncio.create_task(talk.speak()) for talk in talks]
        os.kill(worker, signal.SIGKILL)
        await asyncio.gather(*speaking)
        # Its successor is there before the other one dies.
        async with asyncio.timeout(PATIENCE_S):
            while len(workers_of(gateway) - {worker}) < 2:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
    for talk in talks:
        await talk.check(3)
        await talk.leave()
