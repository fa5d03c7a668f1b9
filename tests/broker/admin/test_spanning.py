"""broker/admin/spanning.py, with the services of brokers that share a store"""

from typing import Any

import pytest

from broker.admin import spanning
from broker.admin.service import AdminService
from broker.admin.shard_list import list_shards
from broker.admin.spanning import Brokers, Incomplete
from broker.config import Limits
from broker.core import Core
from broker.rooms.ids import Ids
from broker.shards.cores import Cores
from broker.store.interface import Snapshot
from broker.store.sharing import Broker, View
from broker.turn import Moment
from tsudoi.protocol.backbone import admin_frames, shard_of
from tsudoi.protocol.backbone.admin_frames import PAGE, AdminRefused, Answer, Done, Question
from tsudoi.protocol.errors import BackboneError
from tsudoi.protocol.names import RoomName

SHARDS = 8
HERE, THERE = "ipc://here", "tcp://there:2"


class Operated:
    """Two brokers that share a store, one with the even shards, and the operator of the first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.owners = ["a", "b"] * (SHARDS // 2)
        self.admin_of = {"a": HERE, "b": THERE}
        self.away: set[str] = set()
        self.asked: list[tuple[str, Question]] = []
        self.cores = {me: self._cores(me) for me in "ab"}
        self.services = {me: AdminService(cores) for me, cores in self.cores.items()}
        for me, service in self.services.items():
            service.shards = lambda me=me: self._list(me)  # type: ignore[misc]
        monkeypatch.setattr(spanning, "ask_broker", self._ask)
        monkeypatch.setattr("broker.admin.spanning.time.sleep", self._pause)
        monkeypatch.setattr(spanning, "FOR_S", 0.05)
        self.brokers = Brokers(HERE, None)
        self.paused: list[float] = []

    def _cores(self, me: str) -> Cores:
        own = [shard for shard, owner in enumerate(self.owners) if owner == me]
        return Cores((Core(Snapshot(), me, Limits(), 0.0, Ids(0, shard, SHARDS)) for shard in own), SHARDS)

    def _list(self, me: str) -> admin_frames.Shards:
        brokers = [Broker("a", "tcp://a:1", "", False), Broker("b", "tcp://b:1", self.admin_of["b"], False)]
        view = View(me, brokers, [(1, owner) for owner in self.owners])
        return list_shards(self.cores[me], view, f"tcp://{me}:1", self.admin_of[me])

    def _ask(self, endpoint: str, question: Question, key: object, answer_s: object) -> Answer:
        self.asked.append((endpoint, question))
        if endpoint in self.away:
            raise BackboneError(f"no broker answers at {endpoint}")
        me = next(me for me, admin in self.admin_of.items() if admin == endpoint)
        frame = admin_frames.encode(admin_frames.Ask(admin_frames.VERSION, question))
        answer = self.services[me].handle_untrusted(frame, Moment(1.0, 1_000))
        assert answer is not None
        return admin_frames.parse_answer_untrusted(admin_frames.encode(answer))

    def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    def ask(self, question: Question) -> Any:
        return self.brokers.ask(question)

    def move_all_to(self, me: str) -> None:
        """Let one broker have all shards; a new operator asks it."""
        self.owners = [me] * SHARDS
        self.cores[me] = self._cores(me)
        self.services[me]._cores = self.cores[me]


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch) -> Operated:
    return Operated(monkeypatch)


def rooms(count: int) -> list[str]:
    return [f"room {number}" for number in range(count)]


def test_a_rooms_broker_is_asked_alone(operated: Operated) -> None:
    for name in rooms(10):
        operated.asked.clear()
        assert operated.ask(admin_frames.Persist(name)) == Done(1)
        shard = shard_of(RoomName(name), SHARDS)
        assert operated.asked[-1][0] == (THERE if shard % 2 else HERE)
        (room,) = operated.ask(admin_frames.ListRooms(0, name)).rooms
        assert room.name == name
        assert room.id % SHARDS == shard


def test_lists_of_all_brokers_are_merged_in_the_order_of_ids_and_in_pages(operated: Operated) -> None:
    for name in rooms(PAGE + 200):
        operated.ask(admin_frames.Persist(name))
    found: list[admin_frames.Room] = []
    answer = operated.ask(admin_frames.ListRooms())
    found += answer.rooms
    while answer.more:
        answer = operated.ask(admin_frames.ListRooms(found[-1].id))
        found += answer.rooms
    assert sorted(room.name for room in found) == sorted(rooms(PAGE + 200))
    assert [room.id for room in found] == sorted(room.id for room in found)


def test_rooms_are_found_at_all_brokers(operated: Operated) -> None:
    for name in rooms(20):
        operated.ask(admin_frames.Persist(name))
    found = operated.ask(admin_frames.FindRooms("room 1"))
    assert sorted(room.name for room in found.rooms) == sorted(["room 1", *(f"room {n}" for n in range(10, 20))])
    assert not found.more
    found = operated.ask(admin_frames.FindRooms("", 12))
    assert (len(found.rooms), found.more) == (12, True)


def test_all_brokers_are_watched_and_one_that_is_away_is_told(operated: Operated) -> None:
    assert len(operated.ask(admin_frames.Watch()).brokers) == 2
    operated.away.add(THERE)
    assert len(operated.ask(admin_frames.Watch()).brokers) == 1
    assert operated.brokers.unreachable == {"tcp://b:1": f"no broker answers at {THERE}"}


def test_counters_are_sums_and_a_ban_is_listed_once(operated: Operated) -> None:
    for name in rooms(10):
        operated.ask(admin_frames.Persist(name))
    assert dict(operated.ask(admin_frames.Count()).counters)["rooms"] == 10
    assert operated.ask(admin_frames.Ban("bob", "", 0)) == Done(0, list(range(SHARDS)))
    assert [ban.name for ban in operated.ask(admin_frames.ListBans()).bans] == ["bob"]
    for cores in operated.cores.values():
        assert all(core.directory.bans_and_mutes.of_room(0) for core in cores)
    assert operated.ask(admin_frames.Unban("bob")).count == 2
    assert operated.ask(admin_frames.Unban("bob")) == AdminRefused("bob is not banned")
    assert operated.ask(admin_frames.ListBans()).bans == []


def test_an_order_names_the_shards_that_it_did_not_reach(operated: Operated) -> None:
    operated.away.add(THERE)
    with pytest.raises(
        Incomplete, match=r"in these shards: 1, 3, 5, 7 \(tcp://b:1: no broker answers at tcp://there:2\)"
    ):
        operated.ask(admin_frames.Ban("bob", "", 0))
    assert operated.paused


def test_an_order_reaches_shards_that_move_meanwhile(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spanning, "FOR_S", 60.0)
    operated.away.add(THERE)
    monkeypatch.setattr("broker.admin.spanning.time.sleep", lambda _: operated.move_all_to("a"))
    assert operated.ask(admin_frames.Ban("bob", "", 0)).shards == list(range(SHARDS))


def test_what_can_not_be_listed_is_told(operated: Operated) -> None:
    for name in rooms(10):
        operated.ask(admin_frames.Persist(name))
    operated.away.add(THERE)
    listed = operated.ask(admin_frames.ListRooms()).rooms
    assert 0 < len(listed) < 10
    assert operated.brokers.unreachable == {"tcp://b:1": "no broker answers at tcp://there:2"}
    away = next(name for name in rooms(10) if shard_of(RoomName(name), SHARDS) % 2)
    with pytest.raises(BackboneError, match="no broker answers"):
        operated.ask(admin_frames.CloseRoom(away))


def test_a_broker_without_an_address_for_operators_is_named(operated: Operated) -> None:
    operated.admin_of["b"] = ""
    away = next(name for name in rooms(10) if shard_of(RoomName(name), SHARDS) % 2)
    with pytest.raises(Incomplete, match=r"the broker at tcp://b:1 has no address for operators"):
        operated.ask(admin_frames.Persist(away))


def test_a_room_whose_shard_has_no_broker_is_not_asked_for(operated: Operated) -> None:
    operated.owners[1] = ""
    name = next(name for name in rooms(100) if shard_of(RoomName(name), SHARDS) == 1)
    with pytest.raises(Incomplete, match="no broker serves shard 1"):
        operated.ask(admin_frames.CloseRoom(name))


def test_the_shards_are_shown_with_what_each_broker_has(operated: Operated) -> None:
    for name in rooms(20):
        operated.ask(admin_frames.Persist(name))
    shards = operated.brokers.all_shards()
    assert [each.number for each in shards.shards] == list(range(SHARDS))
    assert [shards.brokers[each.broker - 1].endpoint for each in shards.shards] == ["tcp://a:1", "tcp://b:1"] * 4
    assert sum(each.rooms for each in shards.shards) == 20
    assert all(each.served for each in shards.shards)
