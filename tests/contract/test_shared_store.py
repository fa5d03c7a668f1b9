"""broker/store/sharing.py: what every engine must do that brokers share."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from broker.store.interface import Batch, Chunk, RoomRow
from broker.store.postgres import PostgresStore
from broker.store.sharing import LEASE_S, TRIMS, Broker, View
from tests.support.shared_memory_store import SharedMemory, SharedMemoryStore
from tests.support.sharing_broker import SharingBroker
from tsudoi.protocol.backbone import SHARDS
from tsudoi.protocol.errors import StoreError

Start = Callable[[], SharingBroker]


class Ticking(SharedMemoryStore):
    """With a thread, as the engines have one; time goes by `pace` times as fast."""

    def __init__(self, shared: SharedMemory, pace: float) -> None:
        super().__init__(shared)
        self._pace = pace
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def register(self, broker: Broker, on_view: Callable[[View], None], on_lost: Callable[[str], None]) -> None:
        super().register(broker, on_view, on_lost)
        self._thread.start()

    def _go_on(self) -> None:
        while not self._ended.wait(0.02):
            with self.shared.mutex:
                self.shared.now = time.monotonic() * self._pace
            self.tick()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        super().close()


@pytest.fixture(params=["memory", "postgres"])
def start(request: pytest.FixtureRequest, leases_that_last: None) -> Iterator[Start]:
    """Starts brokers that share one empty store, of each engine. No lease ends because the machine is busy."""
    yield from _start(request, pace=0.1)


@pytest.fixture(params=["memory", "postgres"])
def start_where_leases_end(request: pytest.FixtureRequest) -> Iterator[Start]:
    """The same, where a broker that stands still loses its shards within seconds."""
    yield from _start(request, pace=5.0)


def _start(request: pytest.FixtureRequest, pace: float) -> Iterator[Start]:
    shared = SharedMemory(SHARDS, time.monotonic() * pace)
    url = "" if request.param == "memory" else request.getfixturevalue("postgresql").empty()
    with contextlib.ExitStack() as closing:

        def open_one() -> SharingBroker:
            store = PostgresStore(url, requires_synchronous=False) if url else Ticking(shared, pace)
            closing.callback(store.close)
            return SharingBroker(store)

        yield open_one


def turn(shard: int, number: int) -> Batch:
    return Batch(chunks=[Chunk(1, number, number, 0, b"text")], accepted={"a/1": number}, shard=shard)


def ends(broker: SharingBroker, shard: int) -> int:
    return broker.store.load(shard).ends.get(1, (0, 0))[1]


# --- turns ----------------------------------------------------------------------------------------------------------


def test_a_turn_of_several_shards_is_one_commit(start: Start) -> None:
    broker = start()
    assert broker.store.shards == SHARDS
    broker.serve(3, 9, 63)
    room = RoomRow(3, "den", 1, 0, "", 1)
    broker.store.commit(Batch({3: room}, shard=9), turn(3, 1), turn(63, 1))
    assert [ends(broker, shard) for shard in (3, 9, 63)] == [1, 0, 1]
    assert [broker.store.load(shard).rooms for shard in (3, 9, 63)] == [[], [room], []]
    assert len(broker.store.read(1, 0, 9, 63)) == 1
    assert broker.store.read(1, 0, 9, 9) == []


def test_a_turn_with_a_shard_of_another_is_refused_as_a_whole(start_where_leases_end: Start) -> None:
    slow, fast = start_where_leases_end(), start_where_leases_end()
    slow.serve(1, 2)
    slow.store.commit(turn(1, 1), turn(2, 1))
    goes_on = slow.freeze()
    fast.serve_when_free(2)
    fast.store.commit(turn(2, 2))
    goes_on.set()
    with pytest.raises(StoreError):
        slow.store.commit(turn(1, 2), turn(2, 2))
    slow.wait_for_loss()
    (of_one,) = fast.serve_when_free(1)
    assert of_one.ends == {1: (1, 1)}
    assert fast.store.load(2).ends == {1: (1, 2)}


def test_a_turn_that_can_not_be_kept_ends_the_registration_and_keeps_nothing(start_where_leases_end: Start) -> None:
    broker = start_where_leases_end()
    broker.serve(1, 2)
    broker.store.commit(turn(1, 1))
    with pytest.raises(StoreError):
        broker.store.commit(turn(2, 1), turn(1, 1))
    assert len(broker.losses) == 1
    one, two = broker.serve_when_free(1, 2)
    assert one.ends == {1: (1, 1)}
    assert two.ends == {}


def test_a_shard_that_was_not_taken_can_not_be_used(start: Start) -> None:
    broker = start()
    broker.serve(1)
    for act in (lambda: broker.store.commit(turn(2, 1)), lambda: broker.store.load(2), lambda: broker.store.give([2])):
        with pytest.raises(StoreError, match="does not own shard 2"):
            act()
    broker.store.commit(turn(1, 1))


def test_trim_looks_at_all_shards(start: Start) -> None:
    broker = start()
    broker.serve(0, 5)
    for shard in (0, 5):
        rooms = [Chunk(shard * 100 + 1, first, first, 0, b"") for first in (1, 2)]
        broker.store.commit(Batch(chunks=rooms, shard=shard))
    found: dict[int, int] = {}
    for _ in range(TRIMS):
        found |= broker.store.trim(1, 0)
    assert found == {1: 2, 501: 2}


# --- who owns what --------------------------------------------------------------------------------------------------


def test_brokers_see_each_other_and_who_owns_what(start: Start) -> None:
    first, second = start(), start()
    view = second.wait_for(lambda view: len(view.brokers) == 2, "the second does not see the first")
    assert view.me != first.view().me
    assert view.brokers[0] == Broker(view.brokers[0].id, "tcp://a:1", "", False)
    assert view.owners == [(0, "")] * SHARDS
    first.serve(0, 7)
    me = first.view().me
    seen = second.wait_for(lambda view: view.owners[7][1] == me, "the second does not see what the first took")
    assert seen.owners[:8] == [(1, me), *[(0, "")] * 6, (1, me)]
    first.store.leave()
    second.wait_for(lambda view: any(each.is_leaving for each in view.brokers), "the second does not see it leave")


def test_brokers_know_which_of_them_gateways_reach(start: Start) -> None:
    first = start()
    first.store.note_reach(True, False)
    first.wait_for(lambda view: view.brokers[0].has_gateways, "the first does not see that it has gateways")
    second = start()
    me = second.wait_for(lambda view: len(view.brokers) == 2, "the second does not see the first").me
    reached = {each.id: (each.has_gateways, each.is_unreached) for each in second.view().brokers}
    assert reached == {first.view().me: (True, False), me: (False, True)}
    second.store.note_reach(True, False)
    first.wait_for(lambda view: all(each.has_gateways for each in view.brokers), "the first does not see the second's")
    assert not any(each.is_unreached for each in first.view().brokers)


def test_a_living_owners_shard_is_not_taken(start: Start) -> None:
    first, second = start(), start()
    assert first.store.take([1, 2]) == {1: 1, 2: 1}
    assert second.store.take([1, 2, 3]) == {3: 1}
    assert first.store.take([1]) == {}


def test_a_shard_that_is_given_is_anothers_in_the_next_term(start: Start) -> None:
    first, second = start(), start()
    first.serve(4)
    first.store.commit(turn(4, 1))
    first.store.give([4])
    second.wait_for(lambda view: view.owners[4] == (1, ""), "it does not become free")
    assert second.store.take([4]) == {4: 2}
    assert ends(second, 4) == 1
    second.store.commit(turn(4, 2))
    with pytest.raises(StoreError, match="does not own shard 4"):
        first.store.commit(turn(4, 2))
    second.store.give([4])
    first.serve_when_free(4)
    assert ends(first, 4) == 2


def test_only_one_of_several_takes_a_shard(start: Start) -> None:
    brokers = [start() for _ in range(3)]
    taken: list[dict[int, int]] = []
    threads = [
        threading.Thread(target=lambda each=each: taken.append(each.store.take(range(SHARDS)))) for each in brokers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(shard for each in taken for shard in each) == [*range(SHARDS)]


def test_a_broker_that_closes_leaves_its_shards_at_once(start: Start) -> None:
    first, second = start(), start()
    first.serve(1)
    first.store.commit(turn(1, 1))
    first.store.close()
    (snapshot,) = second.serve_when_free(1)
    assert snapshot.ends == {1: (1, 1)}


# --- leases ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_broker_that_stands_still_stops_and_loses_its_shards(start_where_leases_end: Start) -> None:
    first, second = start_where_leases_end(), start_where_leases_end()
    first.serve(1)
    assert first.store.may_serve()
    goes_on = first.freeze()
    served_while_owned: list[bool] = []
    second.on_view = lambda view: served_while_owned.append(view.owners[1][1] == "" and first.store.may_serve())
    begun = threading.Event()
    assert not begun.wait(LEASE_S - 0.9)
    assert not first.store.may_serve()
    second.serve_when_free(1)
    goes_on.set()
    first.wait_for_loss()
    assert not any(served_while_owned)
    # It comes back as another broker, without its shards.
    first.on_view = lambda view: None
    view = first.wait_for(lambda view: len(view.brokers) == 2, "it does not come back")
    assert view.owners[1][1] not in ("", view.me)
    assert first.store.take([1]) == {}


@pytest.mark.slow
def test_a_broker_that_works_keeps_its_lease(start_where_leases_end: Start) -> None:
    first, second = start_where_leases_end(), start_where_leases_end()
    first.serve(1)
    views = len(second.views)
    second.wait_for(lambda view: len(second.views) >= views + 5, "it does not look")
    assert second.owner(1) == first.view().me
    assert first.losses == []
    assert first.store.may_serve()
