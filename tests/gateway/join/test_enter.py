"""gateway/join/enter.py: who may enter, decided without a socket."""

from dataclasses import dataclass, field

import jwt
import pytest

from gateway.config import Listener, Settings
from gateway.join.conversation import AskToEnter, Declined, Entered
from gateway.join.enter import Entry, EntryRules
from gateway.join.password_attempts import PENDING
from gateway.join.quotas import Quotas, Verdict
from gateway.join.room_list import RoomList
from gateway.join.session_tokens import SessionTokens
from gateway.join.signed_tokens import TokenVerifier
from gateway.join.token_keys import parse_keys
from gateway.listeners import sockaddr
from tests.support.fakes import ScriptedGateway, a_grant
from tsudoi.protocol.backbone import Create, Item, Join, ListRooms, Refused
from tsudoi.protocol.client.dialects import TSUDOI
from tsudoi.protocol.codes import EntryKind, LeaveReason, Operation, Rights, Status
from tsudoi.protocol.names import hash_token

IP = "192.0.2.1"
CREATE, JOIN = Operation.CREATE, Operation.JOIN
SECRET = b"a secret of at least thirty-two bytes"
WALL_NOW = 1_800_000_000.0


@dataclass
class Door:
    """A gateway's rules, and clients that ask to enter."""

    settings: Settings = field(default_factory=lambda: Settings(unlimited=()))
    verifier: TokenVerifier | None = None

    def __post_init__(self) -> None:
        self.gateway = ScriptedGateway(self.settings)
        self.counters = self.gateway.counters
        self.quotas = Quotas(self.settings, self.counters)
        self.rooms = RoomList(self.gateway.link)
        self.rules = EntryRules(
            self.settings, self.counters, self.gateway.core, self.quotas, self.rooms, SessionTokens(1), self.verifier
        )

    def client(self, verdict: Verdict = Verdict.SERVE, ip: str = IP) -> Entry:
        return Entry(self.rules, Listener("127.0.0.1", 0), ip, verdict)

    def decide(
        self, entry: Entry, operation: Operation = JOIN, user: str = "alice", password: str | None = None
    ) -> Create | Join | Declined | None:
        request = AskToEnter(TSUDOI, operation, "den", user, password, None)
        return entry.decide(request, self.gateway.now, WALL_NOW)

    def left(self) -> list[Item]:
        return [item for item in self.gateway.published() if item.kind == EntryKind.LEFT]


@pytest.mark.parametrize(("operation", "kind"), [(CREATE, Create), (JOIN, Join)])
def test_a_granted_client_is_a_member_with_a_token_of_which_the_directory_has_the_hash(
    operation: Operation, kind: type[Create]
) -> None:
    door = Door()
    entry = door.client()
    question = door.decide(entry, operation, password="moon")
    assert type(question) is kind
    assert (question.room, question.user, question.password, question.ip) == ("den", "alice", "moon", IP)
    grant = a_grant(1)
    entered = entry.answered(grant, door.gateway.now)
    assert isinstance(entered, Entered)
    assert (entered.room, entered.user) == (grant.room_name, grant.user)
    assert hash_token(entered.token.encode()) == question.token_hash
    assert list(door.gateway.members.by_token) == [entered.token.encode()]
    assert door.counters.handshakes_admitted == 1


@pytest.mark.parametrize("verdict", [Verdict.ANSWER_BUSY, Verdict.CLOSE])
def test_a_connection_that_is_not_served_is_asked_about_nothing(verdict: Verdict) -> None:
    door = Door()
    entry = door.client(verdict)
    assert not entry.may_list
    expected = Declined(Status.BUSY, close=True) if verdict is Verdict.ANSWER_BUSY else None
    assert door.decide(entry) == expected


def test_a_further_request_counts_like_a_connection() -> None:
    door = Door(Settings(unlimited=(), address_rate=0.1))
    entry = door.client()
    for _ in range(2):
        assert isinstance(door.decide(entry), Join)
        assert isinstance(entry.answered(Refused(Status.ROOM_NOT_FOUND, ""), door.gateway.now), Declined)
    assert door.decide(entry) == Declined(Status.BUSY, close=True)
    assert door.decide(entry) is None
    assert door.counters.handshakes_limited == 2


def test_rooms_and_members_of_an_address_are_limited() -> None:
    door = Door(Settings(unlimited=(), create_rate=0.1, address_members=1))
    assert isinstance(door.decide(door.client(), CREATE), Create)
    assert door.decide(door.client(), CREATE) == Declined(Status.BUSY)
    entry = door.client()
    assert isinstance(door.decide(entry), Join)
    entry.answered(a_grant(1, ip=IP), door.gateway.now)
    assert door.decide(door.client()) == Declined(Status.BUSY, "your address has its most members (1)")
    assert isinstance(door.decide(door.client(ip="192.0.2.2")), Join)


def test_passwords_are_limited_for_joins_alone() -> None:
    door = Door(Settings(unlimited=(), password_tries=1, create_rate=1_000.0))
    entry = door.client()
    assert isinstance(door.decide(entry, password="moon"), Join)
    wrong = entry.answered(Refused(Status.WRONG_PASSWORD, ""), door.gateway.now)
    assert wrong == Declined(Status.WRONG_PASSWORD)
    assert door.decide(door.client(), password="sun") == Declined(Status.BUSY)
    assert isinstance(door.decide(door.client()), Join)
    assert isinstance(door.decide(door.client(), CREATE, password="sun"), Create)
    assert door.counters.passwords_limited == 1


def test_a_password_that_nobody_checked_frees_its_place() -> None:
    door = Door()
    for _ in range(3 * PENDING):
        entry = door.client()
        assert isinstance(door.decide(entry, password="moon"), Join)
        assert entry.answered(None, door.gateway.now) == Declined(Status.BUSY)


def test_a_signed_token_gives_name_and_rights_or_a_refusal_of_its_own() -> None:
    door = Door(verifier=TokenVerifier(parse_keys(SECRET), required=True))
    refusal = door.decide(door.client())
    assert refusal == Declined(Status.WRONG_PASSWORD, "a token is needed here", counted_as="token_refused")
    token = jwt.encode({"name": "carol", "moderator": True, "exp": WALL_NOW + 60}, SECRET)
    question = door.decide(door.client(), user=token, password="moon")
    assert isinstance(question, Join)
    assert (question.user, question.password) == ("carol", "moon")
    assert question.rights == Rights.VERIFIED | Rights.MODERATOR
    late = jwt.encode({"name": "carol", "exp": WALL_NOW - 60}, SECRET)
    assert isinstance(door.decide(door.client(), user=late), Declined)


@pytest.mark.parametrize(
    ("number", "status"), [(int(Status.ROOM_EXISTS), Status.ROOM_EXISTS), (99, Status.BAD_REQUEST)]
)
def test_a_refusal_is_passed_on_and_an_unknown_one_is_a_bad_request(number: int, status: Status) -> None:
    door = Door()
    entry = door.client()
    door.decide(entry)
    assert entry.answered(Refused(number, "words"), door.gateway.now) == Declined(status, "words")


def test_a_new_room_is_in_the_next_list() -> None:
    door = Door()
    door.rooms.ask(door.gateway.now, lambda _: None)
    entry = door.client()
    door.decide(entry, CREATE)
    entry.answered(a_grant(1), door.gateway.now)
    door.rooms.ask(door.gateway.now, lambda _: None)
    assert len(door.gateway.asked(ListRooms)) == 2


def test_a_member_whose_client_was_never_sent_its_token_leaves() -> None:
    door = Door()
    for is_sent in (True, False):
        entry = door.client()
        door.decide(entry)
        entry.answered(a_grant(1 + is_sent), door.gateway.now)
        if is_sent:
            entry.token_sent()
        assert entry.abandon(door.gateway.now) is not is_sent
        assert not entry.abandon(door.gateway.now)
    assert door.left() == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.LEFT)]
    assert not door.client().abandon(door.gateway.now)


def test_a_port_is_where_the_members_datagrams_go() -> None:
    door = Door()
    entry = door.client()
    entry.announce(50_000, door.gateway.now)
    door.decide(entry)
    entry.answered(a_grant(1), door.gateway.now)
    entry.announce(50_000, door.gateway.now)
    (member,) = door.gateway.members.by_token.values()
    assert member.address == sockaddr.pack(IP, 50_000)
