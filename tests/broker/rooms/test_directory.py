"""broker/rooms/directory.py"""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import broker as broker_package
from broker.rooms.directory import Directory
from broker.rooms.free_name import NUMBERS
from broker.rooms.room_and_member import Member
from broker.store.interface import Batch, MemberRow, RoomRow, Snapshot
from tsudoi.protocol.backbone import Entry
from tsudoi.protocol.codes import EntryKind, LeaveReason
from tsudoi.protocol.names import RoomName, UserName

NOW_MS = 1_700_000_000_000


class Here:
    """A directory, and who is let into it without much ado."""

    def __init__(self) -> None:
        self.directory = Directory(Snapshot())
        self.tokens = 0
        self._batch = Batch()
        self._entries: dict[int, list[Entry]] = {}

    def row(self, gateway: str = "a/1") -> MemberRow:
        self.tokens += 1
        return MemberRow(0, 0, "", self.tokens.to_bytes(16, "big"), "tcrp", "::1", b"", gateway, 1000, False, 0)

    def create(self, name: str = "den", user: str = "alice", gateway: str = "a/1", password_hash: str = "") -> Member:
        return self.directory.create(RoomName(name), password_hash, UserName(user), self.row(gateway), NOW_MS)

    def join(self, name: str = "den", user: str = "bob", gateway: str = "a/1") -> Member:
        room = self.directory.find(RoomName(name))
        return self.directory.join(room, UserName(user), self.row(gateway), NOW_MS)

    def entries(self, room: int) -> list[Entry]:
        """The entries since the batch was asked last."""
        self._take()
        return self._entries.get(room, [])

    def batch(self) -> Batch:
        """The changes since this was asked last."""
        self._take()
        self._entries.clear()
        batch, self._batch = self._batch, Batch()
        return batch

    def _take(self) -> None:
        changes = self.directory.records.take()
        for room, entries in changes.entries.items():
            self._entries.setdefault(room, []).extend(entries)
        for field in Batch.__struct_fields__:
            mine, new = getattr(self._batch, field), getattr(changes.batch, field)
            if not isinstance(mine, int):
                mine.extend(new) if isinstance(mine, list) else mine.update(new)


@pytest.fixture
def here() -> Here:
    return Here()


def test_a_room_comes_with_its_host(here: Here) -> None:
    host = here.create("den", "alice", "a/1", "hash")
    room = host.room
    assert host.is_host
    assert (room.name, room.host, room.password_hash, room.created_ms) == ("den", host.id, "hash", NOW_MS)
    assert (room.first, room.last, room.epoch) == (1, 1, NOW_MS)
    assert here.directory.find(RoomName("den")) is room
    assert [(entry.offset, entry.kind, entry.member, entry.sender) for entry in here.entries(room.id)] == [
        (1, EntryKind.JOINED, host.id, "alice")
    ]
    batch = here.batch()
    assert batch.rooms == {room.id: room.row()}
    assert batch.members == {host.id: host.row()}


def test_offsets_have_no_gaps_whatever_happens(here: Here) -> None:
    host = here.create()
    room, directory = host.room, here.directory
    guests = [here.join() for _ in range(3)]
    directory.say(guests[0], ["one"], NOW_MS)
    directory.leave(guests[1], LeaveReason.IDLE, NOW_MS)
    directory.locate(guests[0], b"192.0.2.1 5 0", room.last)
    directory.move(guests[0], "b/1", room.last)
    directory.say(host, ["two"], NOW_MS)
    directory.leave(host, LeaveReason.LEFT, NOW_MS)
    entries = here.entries(room.id)
    assert [entry.offset for entry in entries] == list(range(1, len(entries) + 1))
    assert [entry.kind for entry in entries] == [2, 2, 2, 2, 1, 3, 1, 4]
    assert {entry.at_ms for entry in entries} == {NOW_MS}


# --- leaving and closing ------------------------------------------------------------------------------------------


def test_a_guest_that_leaves_is_gone_and_its_name_is_free(here: Here) -> None:
    here.create()
    guest = here.join(user="bob")
    here.batch()
    here.directory.leave(guest, LeaveReason.IDLE, NOW_MS)
    assert here.entries(guest.room.id)[-1].code == LeaveReason.IDLE
    assert guest.id not in here.directory.members
    assert guest.token_hash not in here.directory.by_token
    assert list(here.directory.served_by("a/1")) == [guest.room.members[guest.room.host]]
    assert here.batch().members == {guest.id: None}
    assert here.join(user="bob").name == "bob"


@pytest.mark.parametrize(
    ("reason", "told"), [(LeaveReason.LEFT, LeaveReason.HOST_LEFT), (LeaveReason.IDLE, LeaveReason.HOST_IDLE)]
)
def test_a_room_closes_when_its_host_leaves(here: Here, reason: LeaveReason, told: LeaveReason) -> None:
    host = here.create()
    guest = here.join(gateway="b/1")
    here.batch()
    here.directory.leave(host, reason, NOW_MS)
    last = here.entries(host.room.id)[-1]
    assert (last.kind, last.member, last.sender, last.code) == (EntryKind.CLOSED, host.id, "alice", told)
    directory = here.directory
    assert (directory.rooms, directory.by_name) == ({}, {})
    # Its members are kept for their gateways, which have to tell them.
    assert directory.closed == {host.room.id: host.room}
    assert list(directory.served_by("b/1")) == [guest]
    batch = here.batch()
    assert batch.rooms == {host.room.id: host.room.row()}
    assert host.room.row().closed_ms == NOW_MS
    assert batch.members == {}


def test_who_has_been_told_that_its_room_is_closed_is_forgotten(here: Here) -> None:
    host, guest = here.create(), here.join()
    here.directory.close(host.room, LeaveReason.HOST_LEFT, NOW_MS)
    here.batch()
    said = len(here.entries(host.room.id))
    for member in (host, guest):
        here.directory.leave(member, LeaveReason.LEFT, NOW_MS)
    assert len(here.entries(host.room.id)) == said
    assert here.batch() == Batch(members={host.id: None, guest.id: None})
    assert here.directory.members == {}
    assert here.directory.departed == {host.id: "a/1", guest.id: "a/1"}


def test_a_purged_room_is_forgotten_with_those_who_were_not_told(here: Here) -> None:
    host, guest = here.create(), here.join(gateway="b/1")
    here.directory.close(host.room, LeaveReason.HOST_LEFT, NOW_MS)
    here.batch()
    here.directory.purge(host.room)
    assert here.batch() == Batch(members={host.id: None, guest.id: None}, purged={host.room.id})
    directory = here.directory
    assert (directory.closed, directory.members, directory.by_token) == ({}, {}, {})
    assert list(directory.served_by("b/1")) == []


def test_ids_are_never_given_twice(here: Here) -> None:
    ids: list[int] = []
    for _ in range(5):
        host = here.create()
        guests = [here.join() for _ in range(3)]
        ids += [host.room.id, host.id, *(guest.id for guest in guests)]
        here.directory.leave(host, LeaveReason.LEFT, NOW_MS)
    assert ids == sorted(set(ids))
    # Nor by a broker that has forgotten everything, a moment later.
    later = Directory(Snapshot()).create(RoomName("den"), "", UserName("alice"), here.row(), NOW_MS + 1)
    assert later.room.id > max(ids)


def test_ids_go_on_when_the_clock_is_set_back(here: Here) -> None:
    host = here.create()
    row = here.row()
    early = here.directory.create(RoomName("attic"), "", UserName("alice"), row, NOW_MS - 3_600_000)
    assert early.room.id > host.id


# --- names --------------------------------------------------------------------------------------------------------


def test_members_of_one_name_are_told_apart(here: Here) -> None:
    here.create(user="alice")
    assert [here.join(user="alice").name for _ in range(3)] == ["alice#2", "alice#3", "alice#4"]
    assert here.join(user="bob").name == "bob"


def test_a_name_that_looks_told_apart_is_a_name_too(here: Here) -> None:
    here.create(user="alice#2")
    assert [here.join(user="alice").name for _ in range(2)] == ["alice", "alice#3"]
    assert here.join(user="alice#2").name == "alice#2#2"


def test_a_name_that_left_can_be_had_again(here: Here) -> None:
    here.create(user="alice")
    second = here.join(user="alice")
    here.directory.leave(second, LeaveReason.LEFT, NOW_MS)
    names = {here.join(user="alice").name, here.join(user="alice").name, "alice"}
    assert len(names) == 3


def test_a_thousand_members_of_one_name_do_not_slow_the_next(here: Here) -> None:
    here.create(user="alice")
    names = {here.join(user="alice").name for _ in range(2_000)}
    assert len(names) == 2_000
    assert "alice#2001" in names


# --- who serves whom, and how far it has heard --------------------------------------------------------------------


def test_a_member_that_moves_is_served_by_its_new_gateway(here: Here) -> None:
    host = here.create(gateway="a/1")
    here.batch()
    here.directory.move(host, "b/1", 1)
    assert list(here.directory.served_by("a/1")) == []
    assert list(here.directory.served_by("b/1")) == [host]
    assert host.gateway == "b/1"
    assert here.batch().members == {host.id: host.row()}
    guest = here.join(gateway="a/1")
    here.directory.move(guest, "b/1", 1)
    here.directory.leave(guest, LeaveReason.LEFT, NOW_MS)
    assert list(here.directory.served_by("b/1")) == [host]


def test_who_is_not_live_has_heard_nothing_of_what_its_gateway_tells_others(here: Here) -> None:
    host = here.create()
    guest = here.join()
    for _ in range(10):
        here.directory.say(host, ["hi"], NOW_MS)
    here.directory.note_delivered([(host.room.id, host.room.epoch, 8)], "a/1")
    assert (host.received(), guest.received()) == (1, 2)
    here.directory.locate(host, b"192.0.2.1 5 0", 8)
    assert (host.received(), guest.received()) == (8, 2)
    here.directory.note_delivered([(host.room.id, host.room.epoch, 10)], "a/1")
    assert (host.received(), guest.received()) == (10, 2)


def test_who_moves_has_heard_what_its_old_gateway_told_it_and_no_more(here: Here) -> None:
    host = here.create(gateway="a/1")
    here.join(gateway="b/1")
    here.directory.locate(host, b"192.0.2.1 5 0", 1)
    for _ in range(10):
        here.directory.say(host, ["hi"], NOW_MS)
    here.directory.note_delivered([(host.room.id, host.room.epoch, 5)], "a/1")
    here.directory.note_delivered([(host.room.id, host.room.epoch, 12)], "b/1")
    here.directory.move(host, "b/1", host.received())
    assert host.received() == 5
    # It catches up there; what is reported meanwhile is about others still.
    here.directory.note_delivered([(host.room.id, host.room.epoch, 12)], "b/1")
    assert host.received() == 5
    here.directory.locate(host, b"192.0.2.1 5 0", 12)
    assert host.received() == 12


def test_what_was_delivered_never_goes_back_or_beyond_the_room(here: Here) -> None:
    host = here.create()
    here.directory.locate(host, b"192.0.2.1 5 0", 1)
    here.directory.say(host, ["hi"], NOW_MS)
    here.batch()
    here.directory.note_delivered([(host.room.id, host.room.epoch, 99)], "a/1")
    assert host.received() == 2
    here.directory.note_delivered([(host.room.id, host.room.epoch, 1)], "a/1")
    assert host.received() == 2
    assert here.batch().delivered == {(host.room.id, "a/1"): 2}
    here.directory.locate(host, b"192.0.2.1 5 0", 99)
    assert host.received() == 2


def test_members_may_go_while_those_of_a_gateway_are_looked_at(here: Here) -> None:
    host = here.create()
    for _ in range(5):
        here.join()
    here.directory.close(host.room, LeaveReason.HOST_LEFT, NOW_MS)
    seen = []
    for member in here.directory.served_by("a/1"):
        seen.append(member)
        if len(seen) == 1:
            here.directory.purge(host.room)
    assert len(seen) == 1


def test_a_forgotten_gateway_is_noted_for_the_store(here: Here) -> None:
    host = here.create()
    here.directory.note_delivered([(host.room.id, host.room.epoch, 1)], "b/1")
    here.directory.forget_gateways({"b/1"})
    assert here.batch().forgotten == {"b/1"}
    assert host.room.delivered == {}


# --- kept ---------------------------------------------------------------------------------------------------------


def test_numbers_of_names_are_known_for_so_many_of_them(here: Here) -> None:
    room = here.create("den", "alice").room
    for number in range(NUMBERS + 5):
        here.join("den", f"bob{number}")
        here.directory.leave(here.join("den", f"bob{number}"), LeaveReason.LEFT, NOW_MS)
    assert NUMBERS * 0.95 < len(room.numbers) <= NUMBERS
    assert here.join("den", "bob0").name == "bob0#2"


# --- nobody else writes -------------------------------------------------------------------------------------------

STORED = {field.name for row in (RoomRow, MemberRow) for field in fields(row)} | {"rare", "spoke_ms", "last", "first"}


def test_nothing_but_the_directory_assigns_to_rooms_and_members() -> None:
    broker = Path(broker_package.__file__).parent
    own = {broker / "rooms" / name for name in ("directory.py", "index.py", "records.py")}
    found = [
        f"{path.name}: {ast.unparse(target)}"
        for path in set(broker.rglob("*.py")) - own
        for node in ast.walk(ast.parse(path.read_text()))
        for target in _targets(node)
        if isinstance(target, ast.Attribute) and target.attr in STORED and ast.unparse(target.value) != "self"
    ]
    assert found == []


def _targets(node: ast.AST) -> list[ast.expr]:
    """What a statement assigns to."""
    targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
    if isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    return [each for target in targets for each in (target.elts if isinstance(target, ast.Tuple) else [target])]
