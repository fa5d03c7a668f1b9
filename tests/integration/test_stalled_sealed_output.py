"""Output that stands still (a pager, a terminal after Ctrl-S) ends no membership of version 2, and loses no line."""

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

import tsudoi
from tests.support import forked
from tests.support.services import ROOT, Gateway, at, hear

PATIENCE_S = 60.0
LINES = 300
"""Of 1,000 bytes each: more than a pipe and a terminal take."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway("--notices", "on", data=tmp_path_factory.mktemp("stalled")) as gateway:
        yield gateway


@contextmanager
def client(gateway: Gateway, *options: str, **streams: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the terminal client as a member of `den`."""
    command = [sys.executable, "-m", "client", "join", "den", "--name", "alice", "--server", str(at(gateway)), *options]
    env = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": "/nowhere", "LANG": "C.UTF-8"}
    with forked.Popen(
        command, cwd=ROOT, stderr=subprocess.DEVNULL, env=env, start_new_session=True, **streams
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def host(gateway: Gateway) -> AsyncIterator[tsudoi.ChatClient]:
    """The host of `den`, which a client that is started next joins."""
    async with await tsudoi.create(
        "den", name="bob", server=at(gateway), settings=tsudoi.Settings(rate_per_s=0)
    ) as bob:
        yield bob


async def joined(bob: tsudoi.ChatClient) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async for event in bob:
            if isinstance(event, tsudoi.Joined) and event.name == "alice":
                return


async def flood(bob: tsudoi.ChatClient) -> None:
    lines = [bob.post(f"{number} {'x' * 1_000}") for number in range(LINES)]
    async with asyncio.timeout(PATIENCE_S):
        for line in lines:
            await line.kept()


def numbers(data: bytes) -> list[int]:
    # What the terminal answers while no line is typed is echoed by the kernel, anywhere.
    return [int(found) for found in re.findall(rb"(\d+) x{900}", data.replace(b"^[[1;1R", b""))]


def read_until(reader: int, words: bytes, answers: int = -1) -> bytes:
    """Read until these words have come; `answers` gets what a terminal says of its cursor, if it is asked."""
    data = b""
    while words not in data:
        assert select.select([reader], [], [], PATIENCE_S)[0], data[-2_000:]
        piece = os.read(reader, 65_536)
        data += piece
        if answers >= 0 and b"\x1b[6n" in piece:
            os.write(answers, b"\x1b[1;1R")
    return data


async def test_a_pager_behind_the_client_loses_no_line(gateway: Gateway) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    async with host(gateway) as bob:
        with client(gateway, stdin=subprocess.PIPE, stdout=writer) as alice:
            os.close(writer)
            assert alice.stdin is not None
            await joined(bob)
            await flood(bob)
            alice.stdin.write(b"still here\n")
            alice.stdin.flush()
            assert (await hear(bob, "still here"))[-1] == "still here"
            data = await asyncio.to_thread(read_until, reader, f"bob: {LINES - 1} {'x' * 1_000}\n".encode())
            assert numbers(data) == list(range(LINES))
            alice.stdin.close()
            assert await asyncio.to_thread(alice.wait, PATIENCE_S) == 0
    os.close(reader)


@pytest.mark.parametrize("options", [["--plain"], []], ids=["plain", "whole screen"])
async def test_a_terminal_that_stands_still_ends_no_membership(gateway: Gateway, options: list[str]) -> None:
    ours, theirs = pty.openpty()
    try:
        async with host(gateway) as bob:
            with client(gateway, *options, stdin=theirs, stdout=theirs) as alice:
                ready = b"alice\x1b[0m:" if options else b"You are in den"
                await asyncio.to_thread(read_until, ours, ready, ours)
                await joined(bob)
                await flood(bob)
                os.write(ours, b"still here\r")
                assert (await hear(bob, "still here"))[-1] == "still here"
                if options:
                    # When the terminal goes on, all that was said stands there, once and in order.
                    data = await asyncio.to_thread(read_until, ours, f"{LINES - 1} {'x' * 900}".encode(), ours)
                    assert numbers(data) == list(range(LINES))
                alice.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(alice.wait, PATIENCE_S) == 143
            async with asyncio.timeout(PATIENCE_S):
                left = [event async for event in first(bob, tsudoi.Left)]
            assert (left[0].name, left[0].reason) == ("alice", "left")
    finally:
        os.close(theirs)
        os.close(ours)


async def first(chat: tsudoi.ChatClient, kind: type[tsudoi.Left]) -> AsyncIterator[tsudoi.Left]:
    async for event in chat:
        if isinstance(event, kind):
            yield event
            return
