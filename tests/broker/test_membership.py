"""broker/net/membership.py, and the server's turns where it serves several shards"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.config import Limits
from broker.core import Core
from broker.counters import Counters
from broker.net import membership
from broker.net.membership import Membership
from broker.net.ping import ping
from broker.net.server import Server
from broker.rooms.ids import Ids
from broker.shards import reach
from broker.shards.cores import Cores
from broker.shards.spread import spread
from broker.store.interface import Chunk, MemberRow, Snapshot
from broker.store.sharing import LEASE_S
from tests.support.cluster_client import ClusterGateway
from tests.support.shared_memory_store import SharedMemory, SharedMemoryStore
from tests.support.waiting import until
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Create, Granted, Refused
from tsudoi.protocol.errors import Full, StoreError
from tsudoi.protocol.names import RoomName, UserName

SHARDS = 8
LOOK_S = 0.02


class Broker:
    """A broker of this process, on a store in memory that it shares with others."""

    def __init__(self, shared: SharedMemory, bind: str) -> None:
        self.shared, self.store = shared, SharedMemoryStore(shared)
        counters, limits = Counters(), Limits()
        self.failed = False
        cores = Cores((), shared.shards)
        self.server = Server(cores, self.store, limits, bind, self._fail, counters=counters)

        def new_core(snapshot: Snapshot, shard: int, term: int) -> Core:
            run, now = f"{bind} {time.monotonic()}", time.monotonic()
            return Core(snapshot, run, limits, now, Ids(0, shard, shared.shards), counters, term)

        self.membership = Membership(self.store, self.server, new_core, self.server.endpoint, "")
        self.endpoint = self.server.endpoint
        self.server.start()
        self._starting = asyncio.create_task(self.membership.start())
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            self.store.tick()
            await asyncio.sleep(LOOK_S)

    def _fail(self) -> None:
        self.failed = True

    @property
    def shards(self) -> set[int]:
        return set(self.membership.served)

    async def freeze(self) -> None:
        """Let it lose touch with the store, as a broker that stands still does."""
        self._looking.cancel()
        self.store.is_cut_off = True

    def stop(self) -> None:
        self._looking.cancel()
        self.membership.close()
        self.server.stop()
        self.store.close()


NewBroker = Callable[[], Broker]


@asynccontextmanager
async def brokers(tmp_path: Path, shared: SharedMemory) -> AsyncIterator[NewBroker]:
    made: list[Broker] = []

    def new() -> Broker:
        made.append(Broker(shared, f"ipc://{tmp_path}/{len(made)}"))
        return made[-1]

    try:
        yield new
    finally:
        for each in made:
            each.stop()
        assert not any(each.failed for each in made)


@asynccontextmanager
async def talking(tmp_path: Path) -> AsyncIterator[tuple[Broker, ClusterGateway, Granted]]:
    """A broker alone, and a gateway with the host of a room, who has said "one"."""
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            host = await gateway.create("den")
            gateway.say(host, "one")
            await gateway.until(lambda: not gateway.unaccepted)
            yield one, gateway, host


def rooms_of_all_shards(gateway: ClusterGateway) -> dict[int, str]:
    """A room's name for each shard."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < SHARDS:
        number += 1
        found.setdefault(gateway.shard(f"room {number}"), f"room {number}")
    return found


async def test_a_broker_alone_serves_all_shards_and_commits_a_turn_at_once(tmp_path: Path) -> None:
    shared = SharedMemory(SHARDS)
    async with brokers(tmp_path, shared) as new_broker:
        one = new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            assert {owner for _, owner in gateway.owners.values()} == {one.endpoint}
            hosts = [await gateway.create(room) for room in rooms_of_all_shards(gateway).values()]
            before = len(one.store.commits)
            for number in range(20):
                for host in hosts:
                    gateway.say(host, f"{number}")
                await gateway.until(lambda: not gateway.unaccepted)
            for host in hosts:
                assert await gateway.log(host) == gateway.news[host.room] == [f"{number}" for number in range(20)]
            commits = one.store.commits[before:]
            assert max(map(len, commits)) == SHARDS
            assert all(len({batch.shard for batch in commit}) == len(commit) for commit in commits)
            for host in hosts:
                assert host.room % SHARDS == gateway.shard(host.room_name)


async def test_a_broker_that_no_gateway_reaches_leaves_its_shards_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "UNREACHED_S", 0.5)
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            lost = new_broker()
            lost.membership.endpoint = f"ipc://{tmp_path}/nowhere"
            await gateway.until(
                lambda: "no gateway reaches this broker at ipc://" in lost.membership.unhealthy_reason()
            )
            assert (len(one.shards), lost.shards) == (SHARDS, set())
            two = new_broker()
            await gateway.until(lambda: len(two.shards) == SHARDS // 2)
            assert (one.membership.unhealthy_reason(), two.membership.unhealthy_reason(), lost.shards) == (
                "",
                "",
                set(),
            )
        # Without any gateway nothing is known.
        await until(lambda: not lost.membership.unhealthy_reason())


async def test_a_room_of_another_shard_is_not_created(tmp_path: Path) -> None:
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            wrong = (gateway.shard("den") + 1) % SHARDS
            for password in (None, "secret"):
                create = Create("den", "alice", password, bytes(16), "tsudoi", "192.0.2.1", 1_000)
                assert isinstance(await gateway.ask(wrong, create), Refused)
            assert not any(core.directory.rooms for core in one.server.cores)


async def test_a_second_broker_gets_half_and_gives_it_back_when_it_leaves(tmp_path: Path) -> None:
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            hosts = [await gateway.create(room) for room in rooms_of_all_shards(gateway).values()]
            said: list[str] = []

            async def talk() -> None:
                while True:
                    said.append(f"{len(said)}")
                    for host in hosts:
                        gateway.say(host, said[-1])
                    await asyncio.sleep(0.01)

            talking = asyncio.create_task(talk())
            await gateway.until(lambda: len(said) > 10)
            other = new_broker()
            await gateway.until(lambda: len(other.shards) == SHARDS // 2 == len(one.shards))
            await gateway.until(
                lambda: {owner for _, owner in gateway.owners.values()} == {one.endpoint, other.endpoint}
            )
            await gateway.until(lambda: len(said) > 50)
            await other.membership.leave()
            await gateway.until(lambda: len(one.shards) == SHARDS)
            assert not other.shards
            talking.cancel()
            await gateway.until(lambda: not gateway.unaccepted)
            for host in hosts:
                assert await gateway.log(host) == said


async def test_a_broker_without_its_lease_publishes_nothing_and_another_serves_its_shards(tmp_path: Path) -> None:
    shared = SharedMemory(SHARDS)
    async with brokers(tmp_path, shared) as new_broker:
        one, other = new_broker(), new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.until(lambda: len(other.shards) == SHARDS // 2 == len(one.shards))
            await gateway.owned()
            room = next(each for each in rooms_of_all_shards(gateway).values() if gateway.shard(each) in one.shards)
            host = await gateway.create(room)
            gateway.say(host, "before")
            await gateway.until(lambda: gateway.news[host.room] == ["before"])
            await one.freeze()
            link = gateway.links[gateway.shard(room)]
            echoed = link.canary.back_at
            await gateway.until(lambda: link.canary.back_at > echoed)
            shared.now += LEASE_S - 0.5  # it may not serve any more, and no other broker may yet
            other.store.tick()
            back_at = link.canary.back_at
            gateway.say(host, "meanwhile")
            await gateway.until(lambda: not one.shards)
            assert gateway.owner(room) in ("", one.endpoint)
            shared.now += 1.0
            await gateway.until(lambda: len(other.shards) == SHARDS)
            assert link.canary.back_at <= back_at + 0.5
            await gateway.until(lambda: not gateway.unaccepted)
            assert await gateway.log(host) == gateway.news[host.room] == ["before", "meanwhile"]
            assert gateway.owner(room) == other.endpoint


async def test_a_commit_that_fails_drops_the_shards_and_they_are_taken_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as (one, gateway, host):
        terms = dict(one.membership.served)
        commit = one.store.commit

        def fails(*batches: object) -> None:
            one.store.commit = commit  # type: ignore[method-assign]
            raise StoreError("its outcome is not known")

        one.store.commit = fails  # type: ignore[method-assign]
        gateway.say(host, "two")
        await gateway.until(lambda: len(one.shards) == SHARDS and one.membership.served != terms)
        await gateway.until(lambda: not gateway.unaccepted)
        assert await gateway.log(host) == gateway.news[host.room] == ["one", "two"]
        assert all(one.membership.served[shard] > term for shard, term in terms.items())


async def test_a_turn_that_is_committed_when_the_lease_is_lost_is_not_published_by_this_broker(tmp_path: Path) -> None:
    async with talking(tmp_path) as (one, gateway, host):
        begun, may_end = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            may_end.wait(10.0)

        one.store.is_long_commit_due, one.store.before_commit = True, wait
        gateway.say(host, "two")
        await gateway.until(begun.is_set)
        one.store.lose("the lease is over")
        await gateway.until(lambda: not one.shards)
        await asyncio.sleep(10 * LOOK_S)
        # The thread may still commit to the store: no shard is taken before it has ended.
        assert not one.shards
        assert not one.store.terms
        one.store.before_commit = lambda: None
        may_end.set()
        await gateway.until(lambda: len(one.shards) == SHARDS)
        await gateway.until(lambda: not gateway.unaccepted)
        assert await gateway.log(host) == gateway.news[host.room] == ["one", "two"]


async def test_a_log_that_is_read_slowly_holds_no_turn_up(tmp_path: Path) -> None:
    async with talking(tmp_path) as (one, gateway, host):
        read, begun, may_end = one.store.read, threading.Event(), threading.Event()

        def slow(room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
            begun.set()
            may_end.wait(10.0)
            return read(room, after, limit, shard)

        one.store.read = slow  # type: ignore[method-assign]
        asking = asyncio.create_task(gateway.log(host))
        await gateway.until(begun.is_set)
        gateway.say(host, "two")
        await gateway.until(lambda: gateway.news[host.room] == ["one", "two"])
        assert not asking.done()
        may_end.set()
        assert await asking == ["one", "two"]


async def test_a_log_that_is_read_when_its_shard_is_given_away_is_no_failure(tmp_path: Path) -> None:
    shared = SharedMemory(SHARDS)
    async with brokers(tmp_path, shared) as new_broker:
        one = new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            hosts = [await gateway.create(room) for room in rooms_of_all_shards(gateway).values()]
            begun, may_end = threading.Event(), threading.Event()

            def refused(room: int, after: int, limit: int, shard: int = 0) -> list[Chunk]:
                begun.set()
                may_end.wait(10.0)
                raise StoreError("this broker does not own it")

            one.store.read = refused  # type: ignore[method-assign]
            wanted = spread(SHARDS, [("one", one.endpoint), ("other", f"ipc://{tmp_path}/1")])
            moved = next(host for host in hosts if wanted[host.room % SHARDS] == "other")
            asking = asyncio.create_task(gateway.log(moved))
            await gateway.until(begun.is_set)
            other = new_broker()
            await gateway.until(lambda: len(other.shards) == SHARDS // 2)
            terms = dict(one.membership.served)
            may_end.set()
            assert await asking == []
            assert one.membership.served == terms


async def test_a_hello_for_a_shard_that_is_being_loaded_is_answered_when_it_is_served(tmp_path: Path) -> None:
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        load, may_load = one.store.load, threading.Event()

        def slow(shard: int = 0) -> Snapshot:
            if shard == 5:
                may_load.wait(10.0)
            return load(shard)

        one.store.load = slow  # type: ignore[method-assign]
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.until(lambda: one.shards == {0, 1, 2, 3, 4})
            await gateway.until(lambda: all(gateway.links[shard].is_alive(time.monotonic()) for shard in range(5)))
            assert gateway.owners[5][1] == ""
            one.server.turns.incoming._handle(
                gateway.instance,
                (backbone.for_shard(5, backbone.encode(backbone.Hello(backbone.VERSION))), None, "", False),
            )
            may_load.set()
            await gateway.until(lambda: 5 in one.shards)
            core = next(core for core in one.server.cores if core.shard == 5)
            assert core.gateways.known[gateway.instance].greeted
            await gateway.owned()


async def test_a_shard_that_can_not_be_loaded_keeps_no_other_from_being_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "DAMAGED_S", 0.2)
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        load, is_damaged = one.store.load, True

        def damaged(shard: int = 0) -> Snapshot:
            if shard == 3 and is_damaged:
                raise StoreError("a turn in the store is damaged")
            return load(shard)

        one.store.load = damaged  # type: ignore[method-assign]
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.until(lambda: one.shards == set(range(SHARDS)) - {3})
            await gateway.until(lambda: "shard 3 can not be loaded: a turn in" in one.server.unhealthy_reason())
            room = next(each for each in rooms_of_all_shards(gateway).values() if gateway.shard(each) != 3)
            host = await gateway.create(room)
            terms = dict(one.membership.served)
            await asyncio.sleep(0.5)
            assert one.membership.served == terms
            is_damaged = False
            await gateway.until(lambda: 3 in one.shards)
            gateway.say(host, "one")
            await gateway.until(lambda: gateway.news[host.room] == ["one"])
            assert one.server.unhealthy_reason() == ""


async def test_a_client_that_is_no_gateway_learns_that_a_broker_answers(tmp_path: Path) -> None:
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        assert await asyncio.to_thread(ping, one.endpoint, 5.0)


async def test_frames_for_no_shard_and_broken_ones_are_counted(tmp_path: Path) -> None:
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            before = one.server.counters.malformed
            hello = backbone.encode(backbone.Hello(backbone.VERSION))
            frames = [b"S", b"S\x01", backbone.for_shard(SHARDS, hello), b"\xff", backbone.for_shard(1, b"\xff")]
            for frame in frames:
                gateway.send_raw(one.endpoint, frame)
            await gateway.until(lambda: one.server.counters.malformed == before + len(frames))


async def test_a_broker_at_the_endpoint_of_another_is_unhealthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "EQUAL_S", 0.5)
    shared = SharedMemory(SHARDS)
    async with brokers(tmp_path, shared) as new_broker:
        one, other = new_broker(), new_broker()
        one.membership.endpoint = other.endpoint
        await until(lambda: "too: give each" in one.membership.unhealthy_reason())
        one.membership.endpoint = one.endpoint
        await until(lambda: not one.membership.unhealthy_reason())


async def test_health_is_red_while_the_broker_is_registered_nowhere(tmp_path: Path) -> None:
    async with brokers(tmp_path, SharedMemory(SHARDS)) as new_broker:
        one = new_broker()
        assert one.server.unhealthy_reason() == "the broker has not registered yet"
        async with ClusterGateway(one.endpoint) as gateway:
            await gateway.owned()
            assert one.server.unhealthy_reason() == ""
            one.store.is_cut_off = True
            one.store.lose("the database is away")
            await gateway.until(lambda: not one.shards)
            assert one.server.unhealthy_reason() == "the database is away"
            await gateway.until(lambda: all(not owner for _, owner in gateway.owners.values()))
            one.store.is_cut_off = False
            await gateway.until(lambda: len(one.shards) == SHARDS)
            assert one.server.unhealthy_reason() == ""


def test_limits_of_rooms_count_all_shards_of_the_broker() -> None:
    limits = Limits(rooms=3)
    cores = Cores((Core(Snapshot(), "b", limits, 0.0, Ids(0, shard, SHARDS)) for shard in range(SHARDS)), SHARDS)

    def create(number: int) -> None:
        name = RoomName(f"room {number}")
        directory = next(core.directory for core in cores if core.directory.belongs(name))
        row = MemberRow(0, 0, "", bytes([number]) * 16, "tsudoi", "192.0.2.1", b"", "/1", 1_000, False, 0)
        directory.create(name, "", UserName("alice"), row, 1)

    for number in range(3):
        create(number)
    with pytest.raises(Full, match="most rooms"):
        create(3)
    limits.rooms, limits.rooms_per_address = 100, 3
    with pytest.raises(Full, match="your address"):
        create(3)
