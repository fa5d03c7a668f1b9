"""The watch over shards' terms bites, and the logs are read as the broker writes them."""

import asyncio
from contextlib import closing

from broker.store.interface import Batch, Chunk
from broker.store.postgres import PostgresStore
from tests.chaos.cluster.database import Database
from tests.chaos.cluster.reading import TermWatch, read_log
from tests.chaos.history import Move
from tests.support import postgres
from tests.support.sharing_broker import SharingBroker
from tsudoi.protocol import backbone
from tsudoi.protocol.codes import EntryKind


class NoDatabase(Database):
    def __init__(self) -> None:
        self.nodes = []


def test_owners_that_follow_each_other_are_counted() -> None:
    watch = TermWatch(NoDatabase())
    watch.note([(0, 1, "a"), (1, 1, "a")], 10.0, 10.1)
    watch.note([(0, 1, "a"), (1, 2, "b")], 10.3, 10.4)
    assert (watch.complaints, watch.takeovers, watch.looks) == ([], 1, 2)
    assert watch.moves == [Move(1, 10.0, 10.4)]


def test_two_owners_in_one_term_are_reported() -> None:
    watch = TermWatch(NoDatabase())
    watch.note([(3, 7, "a")], 1.0, 1.0)
    watch.note([(3, 7, "b")], 1.0, 1.0)
    assert watch.complaints == ["shard 3 has two owners in term 7: a and b"]


def test_a_term_that_goes_back_is_reported() -> None:
    watch = TermWatch(NoDatabase())
    watch.note([(3, 7, "a")], 1.0, 1.0)
    watch.note([(3, 6, "b")], 1.0, 1.0)
    assert watch.complaints == ["shard 3 went back from term 7 to 6"]


def turn(offset: int, epoch: int = 1) -> Batch:
    entry = backbone.Entry(offset, EntryKind.SAID, 1, "alice", f"line {offset}", 0, 1_000)
    news = backbone.encode(backbone.News(epoch, offset, [entry]))
    return Batch(chunks=[Chunk(7, offset, offset, 1_000, news)], shard=7)


def test_logs_are_read_from_both_places_where_the_broker_keeps_them() -> None:
    with postgres.one() as server, closing(PostgresStore(server.url(), requires_synchronous=False)) as store:
        SharingBroker(store).serve(7)
        store.commit(turn(1))
        store.commit(turn(2))
        store.trim(100, 0)
        store.commit(turn(3))
        log = asyncio.run(read_log(server.url()))[7]
    assert log.epochs == {1}
    assert [entry.text for entry in log.entries] == ["line 1", "line 2", "line 3"]
