"""What a gateway whose key was stolen may cost the broker"""

import pytest

from broker.rooms import lost_gateways, replays
from broker.rooms.gateway_leases import Gateway
from broker.rooms.lost_gateways import RUNS
from broker.rooms.queries import LISTED_ROOMS
from tests.broker.scripted import A, B, Broker, a_create, a_token, addressed, said
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import (
    MAX_IDLE_MS,
    Canary,
    Create,
    Delivered,
    Granted,
    Hello,
    Item,
    ListRooms,
    Refused,
    Replay,
    Replayed,
    Rooms,
)
from tsudoi.protocol.client.datagram import MAX_UP
from tsudoi.protocol.client.member_options import MemberOptions
from tsudoi.protocol.codes import EntryKind, Status

KEY, OTHER = "gateway east", "gateway west"


class Keyed(Broker):
    """A broker whose gateways come with keys: A and C with one, B with another."""

    accounts = {A: KEY, B: OTHER}  # noqa: RUF012 (nobody changes it)

    def handle(self, peer: str, message: backbone.Upward) -> None:
        account = self.accounts.get(peer, KEY)
        self.core.handle_untrusted(peer, backbone.encode(message), self.moment, account)


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
    broker.publish(A, said(host, text))
    (taken,) = broker.texts(host.room)
    assert MAX_UP - 4 < len(taken.encode()) <= MAX_UP
    # Of a command, what was cut off could have another meaning.
    broker.publish(A, Item(EntryKind.COMMANDED, host.room, host.member, "/me " + text, 0))
    assert EntryKind.ACTED not in [entry.kind for entry in broker.log(host.room)]
    broker.publish(A, said(host, "x" * MAX_UP))
    assert broker.texts(host.room)[-1] == "x" * MAX_UP


def test_a_replay_has_a_bound_and_goes_on_from_there(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "REPLAY_SIZE", 250)
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
    monkeypatch.setattr(replays, "REPLAY_SIZE", 1)
    answer = broker.ask(A, Replay(host.room, host.epoch, 1, 1_000))
    assert isinstance(answer, Replayed)
    assert len(answer.entries) == 1


def test_what_carries_others_is_taken_apart_and_what_is_wrong_in_it_costs_itself_alone(broker: Broker) -> None:
    (carrier,) = backbone.pack_frames([b"nonsense", backbone.encode(backbone.Request(1, backbone.GetTime()))])
    assert len(broker.core.parts_untrusted(carrier)) == 2
    broker.receive(A, carrier)
    assert len(broker.turn().replies) == 1
    assert broker.core.counters.malformed == 1
    (nested,) = backbone.pack_frames([carrier, carrier])
    broker.receive(A, nested)
    assert broker.core.counters.malformed == 3


def test_options_have_no_more_bits_than_a_store_keeps(broker: Broker) -> None:
    """Like a NUL, one bit too many would end the turn, and with it all rooms of the broker."""
    create = a_create()
    create.options = 2**63 - 1
    assert isinstance(broker.ask(A, create), Granted)
    assert [member.options for member in broker.store.load().members] == [MemberOptions.ALL]


def test_the_runs_of_one_key_have_a_bound_and_others_are_remembered() -> None:
    broker = Keyed(None, A, B)
    member = broker.create(peer=A)
    runs = [f"/{number:016x}" for number in range(100, 2 * RUNS + 100)]
    for run in runs:
        broker.say(run, Hello(backbone.VERSION))
    broker.wait(5.0, A)
    known = broker.core.gateways.known
    assert [*known] == [A, B, *runs[-RUNS:]]
    assert member.member in broker.core.directory.members
    # Those with members are not counted.
    broker.wait(5.0)
    assert [*known] == [A, B, *runs[-RUNS:]]


def test_a_gateway_reports_deliveries_in_rooms_of_its_members_alone(broker: Broker) -> None:
    """Each report is remembered, and kept: runs times rooms would be very many."""
    member = broker.create(peer=A)
    broker.say(B, Hello(backbone.VERSION))
    report = Delivered([(member.room, member.epoch, 1)])
    assert broker.stored(lambda: broker.say(B, report)) == {}
    assert broker.core.directory.rooms[member.room].delivered == {}


@pytest.mark.parametrize("control", ["\0", "\x1b[2J", "\x9b"])
def test_no_control_character_comes_in_anywhere(control: str) -> None:
    """A database keeps no NUL: a turn that can not be committed would come again and again, and no other with it.

    And operators list members and gateways in terminals.
    """
    broker = Broker()
    for create in (a_create("one"), a_create("two")):
        create.dialect = control if create.room == "one" else "classic"
        create.ip = control if create.room == "two" else "192.0.2.1"
        refused = broker.ask(A, create)
        assert isinstance(refused, Refused)
        assert refused.status is Status.BAD_REQUEST
    assert broker.say(f"east/{control}", Hello(backbone.VERSION)) == []
    assert list(broker.core.gateways.known) == [A]
    granted = broker.create("den", "alice")
    broker.publish(A, addressed(granted, 1, f"192.0.2.1 {control} 0"))
    assert broker.core.directory.members[granted.member].address == b""


# --- when its key is taken away ---------------------------------------------------------------------------------------


def test_members_of_an_expelled_gateway_expire_soon() -> None:
    broker = Keyed()
    granted = broker.ask(A, patient(1))
    assert isinstance(granted, Granted)
    broker.core.expel("east", KEY, broker.moment)
    broker.wait(lost_gateways.EXPELLED_MS / 1000 - 1)
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
    broker.wait(lost_gateways.EXPELLED_MS / 1000 + 2, B)
    assert granted.room in broker.core.directory.rooms


def test_very_many_do_not_expire_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_gateways, "EXPIRED_A_SWEEP", 3)
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
    broker.core.gateways.known |= {"east/0": Gateway(broker.now), "west/0": Gateway(broker.now)}
    broker.core.expel("east", KEY, broker.moment)
    expelled = {instance for instance, gateway in broker.core.gateways.known.items() if gateway.expelled}
    assert expelled == {A, "/c", "east/0"}


def test_a_gateway_that_is_greeted_again_is_not_expelled_any_more() -> None:
    broker = Keyed()
    granted = broker.ask(A, patient(1))
    assert isinstance(granted, Granted)
    broker.core.expel("east", KEY, broker.moment)
    broker.say(A, Hello(backbone.VERSION), Canary(1))
    broker.say(A, backbone.Bye())
    broker.wait(lost_gateways.EXPELLED_MS / 1000 + 3)
    assert granted.member in broker.core.directory.members
