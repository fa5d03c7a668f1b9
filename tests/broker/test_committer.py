"""broker/net/committer.py, and the server's turns while a commit runs in its thread"""

import asyncio
import threading
import time
from itertools import chain, count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.net import committer as committer_module
from broker.net.committer import SLOW_S, Committer
from broker.store.interface import Batch
from broker.store.memory import MemoryStore
from tests.broker.scripted import a_create, said
from tests.broker.test_server import PATIENCE_S, Gateway, running
from tests.support.waiting import until
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Granted, Publish, Reply, Request
from tsudoi.protocol.codes import EntryKind
from tsudoi.protocol.errors import StoreError


class Held(MemoryStore):
    """A store over a network: commits wait until they are let go."""

    is_long_commit_due = False
    pause_s = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.may_commit = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.is_held = self.is_full = False
        self.threads: list[int] = []

    def commit(self, *batches: Batch) -> None:
        self.threads.append(threading.get_ident())
        time.sleep(self.pause_s)
        if self.is_held:
            self.begun.release()
            assert self.may_commit.acquire(timeout=PATIENCE_S)
        if self.is_full:
            raise StoreError("no room")
        super().commit(*batches)

    async def commit_begins(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=PATIENCE_S)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(committer_module, "SLOW_S", -1.0)  # every commit goes to the thread
    return f"ipc://{tmp_path}/b"


async def test_a_commit_that_folds_leaves_the_loop_and_makes_no_others_slow() -> None:
    store = Held()
    committer = Committer(store)
    store.is_long_commit_due = True
    assert committer.is_slow
    store.pause_s = 20 * SLOW_S
    committer.commit(Batch())
    store.is_long_commit_due, store.pause_s = False, 0.0
    assert not committer.is_slow


async def test_quick_commits_stay_in_the_loop_and_slow_ones_leave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = chain([0.0, 0.0], count(0.0, 100 * SLOW_S))
    monkeypatch.setattr("broker.net.committer.time.monotonic", lambda: next(clock))
    store = Held()
    committer = Committer(store)
    committer.commit(Batch())
    usual = [committer.is_slow]
    committer.commit(Batch())
    usual.append(committer.is_slow)
    assert usual == [False, True]
    done = asyncio.Event()
    committer.start(lambda: committer.commit(Batch()), lambda error: done.set())
    busy = [committer.is_busy]
    await done.wait()
    busy.append(committer.is_busy)
    assert busy == [True, False]
    assert store.threads[0] == store.threads[1] != store.threads[2]
    committer.close()


async def host_of_a_room(gateway: Gateway) -> Granted:
    """Let a gateway have a room's only member, and hear its own news: with these it is told what is accepted."""
    await gateway.greet()
    gateway.subscribe(backbone.own_topic(gateway.instance))
    host = await gateway.ask(a_create())
    assert isinstance(host, Granted)
    await gateway.say(backbone.Canary(1))
    async with asyncio.timeout(PATIENCE_S):
        while 1 not in (await bundle(gateway)).canaries:
            await gateway.say(backbone.Canary(1))
    return host


async def bundle(gateway: Gateway) -> backbone.Bundle:
    _, body = await gateway.frame()
    return backbone.parse_bundle_untrusted(body)


async def next_accepted(gateway: Gateway) -> int:
    while not (number := (await bundle(gateway)).accepted):
        pass
    return number


async def test_nothing_is_told_before_it_is_committed_and_the_next_turn_is_collected_meanwhile(where: str) -> None:
    store = Held()
    async with running(store, where) as (server, new_gateway):
        one = new_gateway("1")
        host = await host_of_a_room(one)
        store.is_held = True
        await one.say(Publish(1, [said(host, "first")]))
        await store.commit_begins()
        await one.say(Publish(2, [said(host, "second")]))
        await one.say(Publish(3, [said(host, "third")]))
        # A replay waits for the commit of what was said before it.
        await one.say(Request(7, backbone.Replay(host.room, 1, 0, 100)))
        await until(lambda: server.core.directory.rooms[host.room].last >= 4)
        waiting = asyncio.create_task(next_accepted(one))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        store.may_commit.release()
        assert await waiting == 1
        await store.commit_begins()
        store.may_commit.release()
        assert await next_accepted(one) == 3
        reply = await one.hear()
        assert isinstance(reply, Reply)
        assert isinstance(reply.body, backbone.Replayed)
        assert reply.body.last == 4
        texts = [entry.text for entry in reply.body.entries if entry.kind == EntryKind.SAID]
        assert texts == ["first", "second", "third"]
        store.is_held = False


async def test_a_replay_ends_with_what_is_committed_though_more_is_decided(where: str) -> None:
    store = Held()
    async with running(store, where) as (server, new_gateway):
        one = new_gateway("1")
        host = await host_of_a_room(one)
        store.is_held = True
        # In one frame, so in one turn: it is answered when that is committed.
        frames = [
            backbone.encode(Publish(1, [said(host, "first")])),
            backbone.encode(Request(7, backbone.Replay(host.room, 1, 0, 100))),
        ]
        for frame in backbone.pack_frames(frames):
            await one.say_parts(frame)
        await store.commit_begins()
        await one.say(Publish(2, [said(host, "second")]))
        await until(lambda: server.core.directory.rooms[host.room].last >= 3)
        store.may_commit.release()
        reply = await one.hear()
        assert isinstance(reply, Reply)
        assert isinstance(reply.body, backbone.Replayed)
        assert (reply.body.last, len(reply.body.entries)) == (2, 2)
        store.is_held = False
        store.may_commit.release()


async def test_a_commit_that_fails_in_the_thread_ends_the_broker_and_nothing_is_told(where: str) -> None:
    store, failed = Held(), asyncio.Event()
    async with running(store, where, failed.set) as (_, new_gateway):
        one = new_gateway("1")
        await one.greet()
        host = await one.ask(a_create())
        store.is_full = True
        await one.say(Publish(1, [said(host, "lost")]))
        async with asyncio.timeout(PATIENCE_S):
            await failed.wait()
        with pytest.raises(TimeoutError):
            await one.hear(0.2)


async def test_when_it_stops_a_commit_that_runs_is_finished_and_what_came_meanwhile_is_kept(where: str) -> None:
    store = Held()
    async with running(store, where) as (server, new_gateway):
        one = new_gateway("1")
        await one.greet()
        host = await one.ask(a_create())
        assert isinstance(host, Granted)
        store.is_held = True
        await one.say(Publish(1, [said(host, "first")]))
        await store.commit_begins()
        await one.say(Publish(2, [said(host, "second")]))
        await until(lambda: server.core.directory.rooms[host.room].last >= 3)
        store.may_commit.release(2)
    assert store.load().ends == {host.room: (1, 3)}


async def test_a_commit_that_takes_long_is_logged_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_module, "LATE_S", 0.01)
    store = Held()
    committer = Committer(store)
    with capture_logs() as lines:
        committer.commit(Batch())
        store.pause_s = 0.01
        committer.commit(Batch())
        committer.commit(Batch())
        monkeypatch.setattr(committer_module, "TELL_AGAIN_S", 0.0)
        committer.commit(Batch())
    committer.close()
    assert [line["event"].partition(",")[0] for line in lines] == ["a commit took long"] * 2
