"""What a gateway whose key was stolen may cost: broker/core.py, requests.py, custody.py"""

import pytest

from broker import core, custody, requests
from broker.requests import CREATES, CREATES_S, LISTED_ROOMS
from tests.broker.scripted import A, B, Broker, a_create, a_token, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    MAX_IDLE_MS,
    Canary,
    Create,
    Granted,
    Hello,
    Item,
    ListRooms,
    Refused,
    Replay,
    Replayed,
    Rooms,
    Welcome,
)
from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.codes import EntryKind, Status

KEY, OTHER = "gateway east", "gateway west"


class Keyed(Broker):
    """A broker whose gateways come with keys: A and C with one, B with another."""

    accounts = {A: KEY, B: OTHER}  # noqa: RUF012 (nobody changes it)

    def handle(self, peer: str, message: backbone.Upward) -> None:
        account = self.accounts.get(peer, KEY)
        self.core.handle_part_untrusted(peer, backbone.encode(message), self.moment, account)


@pytest.fixture
def broker() -> Broker:
    return Broker()


def patient(number: int, idle_ms: int = 2**63 - 1) -> Create:
    create = a_create(f"room {number}", token=number)
    create.idle_ms = idle_ms
    return create


# --- what is asked --------------------------------------------------------------------------------------------------


def test_nobody_may_be_silent_for_ever(broker: Broker) -> None:
    granted = broker.ask(A, patient(1))
    assert isinstance(granted, Granted)
    assert granted.idle_ms == MAX_IDLE_MS


def test_gateways_of_one_key_make_rooms_at_a_bounded_rate() -> None:
    broker = Keyed(None, A, B, "/c")
    for number in range(int(CREATES)):
        broker.handle(A, backbone.Request(number, patient(number)))
    broker.turn()
    assert broker.ask("/c", patient(10_000)) == Refused(Status.BUSY, "")
    assert broker.core.counters.creates_limited == 1
    # Others make theirs, and who was granted a room hears of it again.
    assert isinstance(broker.ask(B, patient(10_001)), Granted)
    assert isinstance(broker.ask(A, patient(1)), Granted)
    broker.now += 1.5 / CREATES_S
    assert isinstance(broker.ask("/c", patient(10_000)), Granted)


def test_without_keys_rooms_have_no_rate(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "CREATES", 1.0)
    assert all(isinstance(broker.ask(A, patient(number)), Granted) for number in range(3))


def test_a_list_of_rooms_has_a_bound(broker: Broker) -> None:
    for number in range(LISTED_ROOMS + 1):
        broker.handle(A, backbone.Request(number, patient(number)))
    broker.turn()
    listed = broker.ask(A, ListRooms(2**62))
    assert isinstance(listed, Rooms)
    assert len(listed.names) == LISTED_ROOMS
    assert listed.names[-1] == f"room {LISTED_ROOMS}"


def test_a_text_is_cut_to_what_a_datagram_can_bring(broker: Broker) -> None:
    host = broker.create()
    text = "\u3042" * (MAX_UP - 4)
    broker.publish(A, said(host, text), Item(EntryKind.COMMANDED, host.room, host.member, "/me " + text, 0))
    texts = [entry.text for entry in broker.log(host.room) if entry.text]
    assert len(texts) == 2
    assert all(MAX_UP - 10 < len(each.encode()) <= MAX_UP for each in texts)
    broker.publish(A, said(host, "x" * MAX_UP))
    assert broker.texts(host.room)[-1] == "x" * MAX_UP


def test_a_replay_has_a_bound_and_goes_on_from_there(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "REPLAY_SIZE", 250)
    host = broker.create()
    for number in range(10):
        broker.publish(A, said(host, f"{number}" * 100))
    told, heard = [], 1
    while heard < 11:
        answer = broker.ask(A, Replay(host.room, host.epoch, heard, 1_000))
        assert isinstance(answer, Replayed)
        assert (answer.first, answer.last) == (heard + 1, 11)
        assert 1 <= len(answer.entries) <= 2
        told += [entry.text[0] for entry in answer.entries]
        heard = answer.entries[-1].offset
    assert told == list("0123456789")
    monkeypatch.setattr(core, "REPLAY_SIZE", 1)
    answer = broker.ask(A, Replay(host.room, host.epoch, 1, 1_000))
    assert isinstance(answer, Replayed)
    assert len(answer.entries) == 1


def test_what_carries_others_is_taken_apart_and_what_is_wrong_in_it_costs_itself_alone(broker: Broker) -> None:
    (carrier,) = backbone.pack_frames([b"nonsense", backbone.encode(backbone.Request(1, backbone.GetTime()))])
    assert len(broker.core.parts_untrusted(carrier)) == 2
    broker.core.handle_untrusted(A, carrier, broker.moment)
    assert len(broker.turn().replies) == 1
    assert broker.core.counters.malformed == 1
    (nested,) = backbone.pack_frames([carrier, carrier])
    broker.core.handle_untrusted(A, nested, broker.moment)
    assert broker.core.counters.malformed == 3


# --- gateways of one key ----------------------------------------------------------------------------------------------


def test_gateways_of_one_key_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "GATEWAYS_A_KEY", 3)
    broker = Keyed(None, A, B)
    for peer in ("/1", "/2"):
        assert broker.say(peer, Hello(backbone.VERSION)) == [Welcome("broker-1", 0, True)]
    assert broker.say("/3", Hello(backbone.VERSION)) == []
    assert broker.core.custody.turned_away == 1
    # One that is known may say it again, and others' keys are not concerned.
    assert broker.say("/2", Hello(backbone.VERSION)) == [Welcome("broker-1", 0, False)]
    broker.accounts = {**broker.accounts, "/4": OTHER}
    assert broker.say("/4", Hello(backbone.VERSION)) == [Welcome("broker-1", 0, True)]
    # One that is gone and serves nobody makes place; one that serves somebody does not.
    host = broker.create(peer="/1")
    broker.say("/1", backbone.Bye())
    broker.wait(1, A, B, "/2", "/4")
    assert broker.say("/3", Hello(backbone.VERSION)) == []
    broker.say("/2", backbone.Bye())
    assert broker.say("/3", Hello(backbone.VERSION)) == [Welcome("broker-1", 0, True)]
    assert {"/2"}.isdisjoint(broker.core.custody.gateways)
    assert host.member in broker.core.directory.members


def test_gateways_of_one_key_come_at_a_bounded_rate() -> None:
    broker = Keyed(None, A, B)
    for number in range(int(custody.NEWCOMERS)):
        broker.say(f"/{number}", Hello(backbone.VERSION))
        broker.say(f"/{number}", backbone.Bye())
    assert broker.core.custody.turned_away == 1
    assert len(broker.core.custody.gateways) <= custody.GATEWAYS_A_KEY + 1
    broker.wait(1 / custody.NEWCOMERS_S, A)
    assert broker.say("/late", Hello(backbone.VERSION)) == [Welcome("broker-1", 0, True)]


# --- when its key is taken away ---------------------------------------------------------------------------------------


def test_members_of_an_expelled_gateway_expire_soon_also_after_a_restart() -> None:
    broker = Keyed()
    granted = broker.ask(A, patient(1))
    assert isinstance(granted, Granted)
    broker.core.expel("east", KEY, broker.moment)
    broker.wait(2)
    assert broker.core.directory.members[granted.member].idle_ms == custody.EXPELLED_MS
    broker.start_again("broker-2")
    broker.wait(custody.EXPELLED_MS / 1000 - 1)
    assert granted.room in broker.core.directory.rooms
    broker.wait(3)
    assert granted.room not in broker.core.directory.rooms


def test_members_of_an_expelled_gateway_go_on_elsewhere() -> None:
    broker = Keyed(None, A, B)
    granted = broker.ask(A, patient(1, 100_000))
    assert isinstance(granted, Granted)
    broker.core.expel("east", KEY, broker.moment)
    resumed = broker.ask(B, backbone.Resume(a_token(1)))
    assert isinstance(resumed, Granted)
    assert resumed.idle_ms == 100_000
    broker.wait(custody.EXPELLED_MS / 1000 + 2, B)
    assert granted.room in broker.core.directory.rooms


def test_very_many_do_not_expire_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "EXPIRED_A_SWEEP", 3)
    broker = Broker(None, A, B)
    for number in range(7):
        broker.ask(A, patient(number, 1_000))
    broker.say(A, backbone.Bye())
    left = []
    while broker.core.directory.rooms:
        broker.wait(1, B)
        left.append(len(broker.core.directory.rooms))
    assert list(dict.fromkeys(left)) == [7, 4, 1, 0]


def test_all_gateways_of_a_key_are_expelled_and_no_others() -> None:
    broker = Keyed(None, A, B, "/c")
    broker.core.custody.gateways |= {"east/0": custody.Gateway(broker.now), "west/0": custody.Gateway(broker.now)}
    broker.core.expel("east", KEY, broker.moment)
    expelled = {instance for instance, gateway in broker.core.custody.gateways.items() if gateway.expelled}
    assert expelled == {A, "/c", "east/0"}


def test_a_gateway_that_is_greeted_again_is_not_expelled_any_more() -> None:
    broker = Keyed()
    granted = broker.ask(A, patient(1))
    assert isinstance(granted, Granted)
    broker.core.expel("east", KEY, broker.moment)
    broker.say(A, Hello(backbone.VERSION), Canary(1))
    broker.wait(3, A)
    assert broker.core.directory.members[granted.member].idle_ms == MAX_IDLE_MS
