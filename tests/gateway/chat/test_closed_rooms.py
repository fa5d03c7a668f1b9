"""A room is closed: each of its members hears its last words and its end once, wherever it is just then."""

import json

import pytest

from broker.core import CLOSED_S
from gateway.settings import Settings
from tests.gateway.chat.scripting import ALICE, BOB, answer_replay, replayed
from tests.support.fakes import (
    FakeClient,
    ScriptedGateway,
    World,
    a_grant,
    address_of,
    entry,
    room_name,
    said,
    token_of,
)
from tsudoi.protocol.backbone import Replay, Replayed, Resume
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.codes import EntryKind, LeaveReason

SETTINGS = Settings(idle_timeout_s=1_000.0)
CLOSED = entry(4, EntryKind.CLOSED, 9, LeaveReason.HOST_LEFT)


class Den:
    """A room with its host at one gateway and a guest at another, who is heard there."""

    def __init__(self, seed: int = 1, *names: str) -> None:
        self.world = World(seed, settings=SETTINGS)
        self.near, self.far = (self.world.start_gateway(name) for name in names or ("", ""))
        self.host = self.world.enter_now(self.near, "den")
        self.guest = self.world.enter_now(self.far, "den")
        self.world.run(1.0)

    def close(self) -> None:
        """Let the host say something and leave."""
        self.host.send(self.near, "bye all")
        self.host.send(self.near, "/leave")
        self.world.run(1.0)

    def check_told_once(self, client: FakeClient) -> None:
        assert client.offsets() == self.world.expected(client)
        assert len(client.offsets()) == 1
        assert client.notices() == ["closed"]

    def check_all_gone(self) -> None:
        directory = self.world.broker.core.directory
        assert (directory.members, directory.by_name) == ({}, {})
        for node in self.world.nodes:
            assert node.is_dead or node.gateway.members.rooms == {}


def test_a_guest_of_a_dead_gateway_is_told_when_it_sends_something_elsewhere() -> None:
    den = Den()
    den.world.kill(den.far)
    den.close()
    assert den.guest.notices() == []
    den.guest.send(den.near, "hello?")
    den.world.run(4.0)
    den.check_told_once(den.guest)
    den.check_all_gone()


def test_a_guest_of_a_dead_gateway_is_told_by_another_of_its_name() -> None:
    den = Den(1, "g", "g")
    den.world.kill(den.far)
    den.close()
    den.world.run(4.0)
    den.check_told_once(den.guest)
    den.check_all_gone()


def test_a_guest_is_told_also_by_a_broker_that_was_started_again() -> None:
    den = Den()
    den.world.kill(den.far)
    den.close()
    den.world.restart_broker()
    den.world.run(3.0)
    den.guest.send(den.near)
    den.world.run(4.0)
    den.check_told_once(den.guest)
    den.check_all_gone()


def test_a_frozen_gateway_does_not_tell_again_what_another_told() -> None:
    den = Den()
    den.far.is_frozen = True
    den.world.run(3.0)
    den.guest.send(den.near)
    den.world.run(1.0)
    den.close()
    den.check_told_once(den.guest)
    den.far.is_frozen = False
    den.world.run(5.0)
    den.check_told_once(den.guest)
    den.check_all_gone()


def test_a_frozen_gateway_tells_its_own_when_it_wakes() -> None:
    den = Den()
    den.far.is_frozen = True
    den.close()
    den.world.run(5.0)
    den.far.is_frozen = False
    den.world.run(5.0)
    den.check_told_once(den.guest)
    den.check_all_gone()


@pytest.mark.parametrize("seed", range(5))
def test_a_guest_on_its_way_from_one_gateway_to_another_is_told(seed: int) -> None:
    den = Den(seed)
    den.guest.send(den.near)
    den.host.send(den.near, "bye all")
    den.host.send(den.near, "/leave")
    den.guest.send(den.far)
    den.world.run(3.0)
    den.check_told_once(den.guest)
    den.check_all_gone()


def test_a_guest_whose_address_comes_late_is_told() -> None:
    den = Den()
    late = den.world.enter_now(den.far, "den", register=False)
    den.close()
    assert late.heard == []
    late.send(den.far)
    den.world.run(1.0)
    den.check_told_once(late)
    den.check_all_gone()


def test_nobody_speaks_in_a_closed_room() -> None:
    den = Den()
    den.world.kill(den.far)
    den.close()
    log = den.world.broker.log(den.guest.member.room)
    for text in ("hello?", "is anybody there?", "/leave"):
        den.guest.send(den.near, text)
        den.world.run(1.0)
    den.world.run(3.0)
    assert den.world.broker.log(den.guest.member.room) == log
    assert den.host.notices() == ["closed"]


def test_a_member_is_told_once_that_its_room_is_closed() -> None:
    den = Den()
    den.close()
    for node in (den.far, den.near) * 2:
        den.guest.send(node, "hello?")
        den.world.run(6.0)
    den.check_told_once(den.guest)


def test_after_a_while_a_closed_room_is_forgotten() -> None:
    den = Den()
    den.world.kill(den.far)
    den.close()
    den.world.run(CLOSED_S + 2)
    den.check_all_gone()
    assert den.world.broker.core.directory.closed == {}
    assert den.world.broker.store.load().rooms == []
    den.guest.send(den.near)
    den.world.run(2.0)
    assert den.guest.heard == []


def test_a_member_that_is_behind_hears_what_it_missed_before_the_closing() -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, "tsudoi", address=address_of(1), offset=3)
    behind = gateway.enter(2, "tsudoi", address=address_of(2), offset=1)
    (asked,) = gateway.asked(Replay)
    gateway.news(CLOSED)
    assert len(gateway.outbound.to(address_of(1))) == 1
    assert gateway.outbound.to(address_of(2)) == []
    gateway.reply(asked.id, Replayed(1, 1, 2, 4, [said(2, 9, "bye"), said(3, 9, "all"), CLOSED]))
    assert len(gateway.outbound.to(address_of(2))) == 3
    assert gateway.members.rooms == {}
    left = [item.member for item in gateway.published() if item.kind == EntryKind.LEFT]
    assert left == [1, behind.id]


def test_a_gateway_repeats_to_the_directory_that_a_member_was_told_of_the_closing() -> None:
    gateway = ScriptedGateway()
    gateway.enter(1, address=address_of(1), offset=3)
    gateway.news(CLOSED)
    told = len(gateway.outbound.sent)
    assert [item.kind for item in gateway.published()][-1] == EntryKind.LEFT
    gateway.receive(1, "hello?", address_of(1))
    (asked,) = gateway.asked(Resume)
    gateway.reply(asked.id, a_grant(1, offset=3, address=b"192.0.2.1 20001 0"))
    assert gateway.members.rooms == {}
    assert token_of(1) not in gateway.members.by_token
    assert len(gateway.outbound.sent) == told
    assert [item.kind for item in gateway.published()] == [EntryKind.LEFT]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_closing_is_told_in_each_dialects_words(gateway: ScriptedGateway, dialect: object) -> None:
    name = getattr(dialect, "name", "")
    gateway.enter(1, name, address=ALICE)
    gateway.enter(2, name)
    gateway.news(said(2, 9, "last words"), entry(3, EntryKind.CLOSED, 9, LeaveReason.HOST_LEFT, "アリス"))
    heard = gateway.outbound.to(ALICE)
    assert len(heard) == 1 + len(DIALECTS[name].closed)
    for payload, template in zip(heard[1:], DIALECTS[name].closed, strict=True):
        words = template.format(user="アリス", room=room_name(1))
        assert words in (json.loads(payload)["text"] if name == "tsudoi" else payload.decode(errors="replace"))
    assert gateway.outbound.to(BOB) == []
    assert gateway.members.rooms == {}
    assert gateway.members.by_token == {}
    assert gateway.outbound.topics == []


def test_after_its_end_a_room_has_no_news(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(entry(2, EntryKind.CLOSED, 9), said(3, 9, "ghost"))
    gateway.news(said(3, 9, "ghost"))
    assert len(gateway.outbound.to(ALICE)) == len(DIALECTS["tcrp"].closed)


def test_a_room_whose_closing_was_missed_is_read_to_its_end(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(epoch=0, last=3)
    answer_replay(gateway, said(2, 9, "bye"), entry(3, EntryKind.CLOSED, 9, LeaveReason.HOST_LEFT, "アリス"), after=1)
    heard = [payload.decode() for payload in gateway.outbound.to(ALICE)]
    assert heard == ["m9: bye", "ホストのアリスがルームを退出しました．", "exit!"]


def test_a_room_whose_end_nobody_knows_is_closed_all_the_same(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(epoch=0, last=3)
    (request,) = gateway.asked(Replay)
    gateway.reply(request.id, Replayed(1, 0, 4, 3, []))
    assert gateway.outbound.to(ALICE)[-1] == b"exit!"
    assert gateway.members.rooms == {}
    assert gateway.counters.lost_entries == 2


def test_a_room_whose_end_could_not_be_read_is_tried_again(gateway: ScriptedGateway) -> None:
    gateway.enter(1, address=ALICE)
    gateway.news(epoch=0, last=3)
    gateway.asked(Replay)
    gateway.wait(gateway.settings.request_timeout_s + 0.5)
    request = gateway.asked(Replay)[-1]
    gateway.reply(request.id, replayed(said(2, 9, "bye"), entry(3, EntryKind.CLOSED, 9)))
    assert gateway.members.rooms == {}
