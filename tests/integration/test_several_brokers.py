"""Brokers share a database: one is killed, frozen, stopped, or the database goes, and nothing is lost or doubled."""

import asyncio
import itertools
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest

from scenarios.ports import steady_port
from tests.support import postgres
from tests.support.cluster_client import ClusterGateway
from tests.support.services import ROOT, Broker
from tsudoi.ops.program import program_command
from tsudoi.protocol.backbone import SHARDS, Granted

TAKE_OVER_S = 4.0
"""Within this time the shards of a broker that is gone are served by another one."""
SILENCE_S = 1.0
"""No room stands still for this long while a broker comes or leaves in good order."""

pytestmark = pytest.mark.slow


class Cluster:
    """Brokers on one database, and rooms in which a gateway talks."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._url, self._stack = url, stack
        self.brokers: list[Broker] = []
        self.admins: list[str] = []
        """Where operators come to each."""
        self.hosts: list[Granted] = []
        self.said = 0
        self.silence_s = 0.0
        """The longest time in which nothing was accepted, since this was last set to 0."""
        self._talking: asyncio.Task[None] | None = None
        self.gateway: ClusterGateway

    async def add(self, *options: str) -> Broker:
        admin = f"tcp://127.0.0.1:{steady_port()}"
        bind = f"tcp://127.0.0.1:{steady_port(2)}"
        broker = Broker(self._url, "--admin", admin, *options, bind=bind, name=f"broker {len(self.brokers)}")
        self.admins.append(admin)
        await asyncio.to_thread(self._stack.enter_context, broker)
        self.brokers.append(broker)
        return broker

    async def served_by(self, *brokers: Broker, patience_s: float = 30.0) -> None:
        """Wait until exactly these brokers serve all shards, to this gateway's knowledge."""
        wanted = {broker.endpoint for broker in brokers}
        gateway = self.gateway
        await gateway.until(lambda: {owner for _, owner in gateway.owners.values()} == wanted, patience_s)
        await gateway.owned(patience_s)

    async def talk(self) -> None:
        """Let all hosts talk from now on; return when they do."""
        self._talking = asyncio.create_task(self._talk())
        await self.gateway.until(lambda: self.said > 20)

    async def _talk(self) -> None:
        gateway, moved_at, before = self.gateway, time.monotonic(), 0
        while True:
            for host in self.hosts:
                gateway.say(host, str(self.said))
            self.said += 1
            await asyncio.sleep(0.02)
            stuck = max(len(link.publisher) for link in gateway.links.values())
            now = time.monotonic()
            if stuck <= before or stuck < 10:
                moved_at = now
            before = stuck
            self.silence_s = max(self.silence_s, now - moved_at)

    async def check(self) -> None:
        """Stop talking, and find each line once and in order in each room."""
        if self._talking is not None:
            self._talking.cancel()
        await self.gateway.until(lambda: not self.gateway.unaccepted)
        expected = [str(number) for number in range(self.said)]
        for host in self.hosts:
            assert await self.gateway.log(host) == expected


@asynccontextmanager
async def cluster(primary: postgres.Instance, url: str = "") -> AsyncIterator[Cluster]:
    """Two brokers that have half of the shards each, and a gateway that talks in some rooms of both."""
    with ExitStack() as stack:
        made = Cluster(url or primary.empty(), stack)
        one = await made.add()
        two = await made.add()
        async with ClusterGateway(one.endpoint) as made.gateway:
            await made.served_by(one, two)
            names = (f"room {number}" for number in itertools.count())
            for owner in (one, two):
                for _ in range(4):
                    room = next(name for name in names if made.gateway.owner(name) == owner.endpoint)
                    made.hosts.append(await made.gateway.create(room))
            yield made


async def test_a_broker_that_is_killed_is_replaced_within_seconds(
    postgresql_pair: postgres.Pair,
) -> None:
    async with cluster(postgresql_pair[0]) as made:
        one, two = made.brokers
        await made.talk()
        two.kill()
        killed_at = time.monotonic()
        await made.served_by(one)
        took_s = time.monotonic() - killed_at
        print(f"taken over after {took_s:.2f} s")
        assert took_s <= TAKE_OVER_S
        await made.check()
        await asyncio.to_thread(two.start)
        await made.served_by(one, two)


async def test_a_broker_that_stood_still_does_no_harm(
    postgresql_pair: postgres.Pair,
) -> None:
    async with cluster(postgresql_pair[0]) as made:
        one, two = made.brokers
        await made.talk()
        two.freeze()
        await made.served_by(one)
        await made.gateway.until(lambda: made.said > 300)
        two.resume()
        await made.served_by(one, two)
        await made.check()
        assert "all shards are dropped" in two.stderr.text


async def test_brokers_come_and_leave_in_good_order_without_a_second_of_silence(
    postgresql_pair: postgres.Pair,
) -> None:
    async with cluster(postgresql_pair[0]) as made:
        one, two = made.brokers
        await made.talk()
        made.silence_s = 0.0
        await asyncio.to_thread(two.stop)
        await made.served_by(one)
        await asyncio.to_thread(two.start)
        await made.served_by(one, two)
        three = await made.add()
        await made.served_by(one, two, three)
        print(f"the longest silence was {made.silence_s:.2f} s")
        assert made.silence_s <= SILENCE_S
        await made.check()
        shards = {broker.endpoint: 0 for broker in made.brokers}
        for _, owner in made.gateway.owners.values():
            shards[owner] += 1
        assert max(shards.values()) <= -(-SHARDS // 3)


async def test_an_operator_asks_one_broker_and_sees_all(
    postgresql_pair: postgres.Pair,
) -> None:
    async with cluster(postgresql_pair[0]) as made:

        async def admin(*words: str) -> Any:
            options = ("--admin", made.admins[0], "admin", "--json", *words)
            command = [*program_command("broker"), *options]
            done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, check=True)
            return json.loads(done.stdout)

        shards = (await admin("shards"))["shards"]
        assert {row["broker"] for row in shards} == {broker.endpoint for broker in made.brokers}
        assert (len(shards), sum(row["members"] for row in shards)) == (SHARDS, len(made.hosts))
        names = {host.room_name for host in made.hosts}
        assert {room["name"] for room in (await admin("rooms"))["rooms"]} == names
        assert (await admin("ban", "alice"))["done"] == len(made.hosts)
        assert (await admin("rooms"))["rooms"] == []


async def test_the_database_is_started_again_and_the_brokers_stay(
    postgresql_pair: postgres.Pair,
) -> None:
    primary, _ = postgresql_pair
    async with cluster(primary) as made:
        pids = [broker.pid for broker in made.brokers]
        await made.talk()
        await asyncio.to_thread(primary.stop)
        await made.gateway.until(lambda: not any(owner for _, owner in made.gateway.owners.values()))
        await asyncio.to_thread(primary.start)
        await made.served_by(*made.brokers)
        await made.check()
        assert [broker.pid for broker in made.brokers] == pids
        assert all(broker.popen.poll() is None for broker in made.brokers)


async def test_a_broker_with_a_wrong_address_takes_no_rooms(
    postgresql_pair: postgres.Pair,
) -> None:
    async with cluster(postgresql_pair[0]) as made:
        await made.talk()
        nowhere = f"tcp://127.0.0.1:{steady_port(2)}"
        wrong = await made.add("--advertise", nowhere)
        said = "no gateway reaches this broker at " + nowhere
        assert await asyncio.to_thread(wrong.stderr.wait_for, lambda line: said in line, 30.0)
        assert {owner for _, owner in made.gateway.owners.values()} == {each.endpoint for each in made.brokers[:2]}
        assert made.silence_s < SILENCE_S
        await made.check()
