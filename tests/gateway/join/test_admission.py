"""gateway/join/admission.py: who may enter, decided without a socket."""

from dataclasses import dataclass, field

import jwt
import pytest

from gateway.join.admission import Admission, AdmissionRules
from gateway.join.key_forms import parse_shared_secret
from gateway.join.password_attempts import PENDING
from gateway.join.quotas import Verdict
from gateway.join.session_tokens import SessionTokens
from gateway.join.signed_tokens import TokenVerifier
from gateway.join.steps import AskToEnter, Declined, Entered
from gateway.join.token_keys import TokenKeys
from gateway.listeners import sockaddr
from gateway.listeners.options import Listener
from gateway.settings import Settings
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
class Entrance:
    """A gateway's rules, and clients that ask to enter."""

    settings: Settings = field(default_factory=lambda: Settings(unlimited=()))
    verifier: TokenVerifier | None = None

    def __post_init__(self) -> None:
        self.gateway = ScriptedGateway(self.settings)
        self.counters = self.gateway.counters
        self.rules = AdmissionRules(self.settings, self.counters, self.gateway.core, SessionTokens(1), self.verifier)

    def client(self, verdict: Verdict = Verdict.SERVE, ip: str = IP) -> Admission:
        return Admission(self.rules, Listener("127.0.0.1", 0), ip, verdict)

    def decide(
        self, admission: Admission, operation: Operation = JOIN, user: str = "alice", password: str | None = None
    ) -> Create | Join | Declined | None:
        request = AskToEnter(TSUDOI, operation, "den", user, password)
        return admission.decide(request, self.gateway.now, WALL_NOW)

    def left(self) -> list[Item]:
        return [item for item in self.gateway.published() if item.kind == EntryKind.LEFT]


@pytest.mark.parametrize(("operation", "kind"), [(CREATE, Create), (JOIN, Join)])
def test_a_granted_client_is_a_member_with_a_token_of_which_the_directory_has_the_hash(
    operation: Operation, kind: type[Create]
) -> None:
    entrance = Entrance()
    admission = entrance.client()
    question = entrance.decide(admission, operation, password="moon")
    assert type(question) is kind
    assert (question.room, question.user, question.password, question.ip) == ("den", "alice", "moon", IP)
    grant = a_grant(1)
    entered = admission.answered(grant, entrance.gateway.now)
    assert isinstance(entered, Entered)
    assert (entered.room, entered.user) == (grant.room_name, grant.user)
    assert hash_token(entered.token.encode()) == question.token_hash
    assert list(entrance.gateway.members.by_token) == [entered.token.encode()]
    assert entrance.counters.handshakes_admitted == 1


@pytest.mark.parametrize("verdict", [Verdict.ANSWER_BUSY, Verdict.CLOSE])
def test_a_connection_that_is_not_served_is_asked_about_nothing(verdict: Verdict) -> None:
    entrance = Entrance()
    admission = entrance.client(verdict)
    assert not admission.is_within_rates
    expected = Declined(Status.BUSY, close=True) if verdict is Verdict.ANSWER_BUSY else None
    assert entrance.decide(admission) == expected


def test_a_further_request_counts_like_a_connection() -> None:
    entrance = Entrance(Settings(unlimited=(), address_rate=0.1))
    admission = entrance.client()
    for _ in range(2):
        assert isinstance(entrance.decide(admission), Join)
        assert isinstance(admission.answered(Refused(Status.ROOM_NOT_FOUND, ""), entrance.gateway.now), Declined)
    assert entrance.decide(admission) == Declined(Status.BUSY, close=True)
    assert entrance.decide(admission) is None
    assert entrance.counters.handshakes_limited == 2


def test_rooms_and_members_of_an_address_are_limited() -> None:
    entrance = Entrance(Settings(unlimited=(), create_rate=0.1, address_members=1))
    assert isinstance(entrance.decide(entrance.client(), CREATE), Create)
    assert entrance.decide(entrance.client(), CREATE) == Declined(Status.BUSY)
    admission = entrance.client()
    assert isinstance(entrance.decide(admission), Join)
    admission.answered(a_grant(1, ip=IP), entrance.gateway.now)
    assert entrance.decide(entrance.client()) == Declined(Status.BUSY, "your address has its most members (1)")
    assert isinstance(entrance.decide(entrance.client(ip="192.0.2.2")), Join)


@pytest.mark.parametrize(("password", "is_counted"), [("", False), ("moon", True)])
def test_who_finds_the_room_created_has_created_none_unless_its_password_may_have_been_hashed(
    password: str, is_counted: bool
) -> None:
    entrance = Entrance(Settings(unlimited=(), create_rate=0.1))
    admission = entrance.client()
    assert isinstance(entrance.decide(admission, CREATE, password=password), Create)
    admission.answered(Refused(Status.ROOM_EXISTS, ""), entrance.gateway.now)
    assert isinstance(entrance.decide(entrance.client(), CREATE), Declined) is is_counted


def test_passwords_are_limited_for_joins_alone() -> None:
    entrance = Entrance(Settings(unlimited=(), password_tries=1, create_rate=1_000.0))
    admission = entrance.client()
    question = entrance.decide(admission, password="moon")
    assert isinstance(question, Join)
    wrong = admission.answered(Refused(Status.WRONG_PASSWORD, ""), entrance.gateway.now)
    assert wrong == Declined(Status.WRONG_PASSWORD)
    over = entrance.decide(entrance.client(), password="sun")
    assert isinstance(over, Join)
    assert (question.known_only, over.known_only) == (False, True)
    assert isinstance(entrance.decide(entrance.client()), Join)
    assert isinstance(entrance.decide(entrance.client(), CREATE, password="sun"), Create)
    assert entrance.counters.passwords_limited == 1


def test_a_password_that_nobody_checked_frees_its_place() -> None:
    entrance = Entrance()
    for _ in range(3 * PENDING):
        admission = entrance.client()
        question = entrance.decide(admission, password="moon")
        assert isinstance(question, Join)
        assert not question.known_only
        assert admission.answered(None, entrance.gateway.now) == Declined(Status.BUSY)


def test_a_signed_token_gives_name_and_rights_or_a_refusal_of_its_own() -> None:
    entrance = Entrance(verifier=TokenVerifier(TokenKeys((parse_shared_secret(SECRET),)), required=True))
    refusal = entrance.decide(entrance.client())
    assert refusal == Declined(Status.WRONG_PASSWORD, "a token is needed here", counted_as="token_refused")
    token = jwt.encode({"name": "carol", "moderator": True, "exp": WALL_NOW + 60}, SECRET)
    question = entrance.decide(entrance.client(), user=token, password="moon")
    assert isinstance(question, Join)
    assert (question.user, question.password) == ("carol", "moon")
    assert question.rights == Rights.VERIFIED | Rights.MODERATOR
    late = jwt.encode({"name": "carol", "exp": WALL_NOW - 60}, SECRET)
    assert isinstance(entrance.decide(entrance.client(), user=late), Declined)


@pytest.mark.parametrize(
    ("number", "status"), [(int(Status.ROOM_EXISTS), Status.ROOM_EXISTS), (99, Status.BAD_REQUEST)]
)
def test_a_refusal_is_passed_on_and_an_unknown_one_is_a_bad_request(number: int, status: Status) -> None:
    entrance = Entrance()
    admission = entrance.client()
    entrance.decide(admission)
    assert admission.answered(Refused(number, "words"), entrance.gateway.now) == Declined(status, "words")


def test_a_new_room_is_in_the_next_list() -> None:
    entrance = Entrance()
    entrance.rules.rooms.ask(entrance.gateway.now, lambda _: None)
    admission = entrance.client()
    entrance.decide(admission, CREATE)
    admission.answered(a_grant(1), entrance.gateway.now)
    entrance.rules.rooms.ask(entrance.gateway.now, lambda _: None)
    assert len(entrance.gateway.asked(ListRooms)) == 2


def test_a_member_whose_client_was_never_sent_its_token_leaves() -> None:
    entrance = Entrance()
    for is_sent in (True, False):
        admission = entrance.client()
        entrance.decide(admission)
        admission.answered(a_grant(1 + is_sent), entrance.gateway.now)
        if is_sent:
            admission.token_sent()
        assert admission.abandon(entrance.gateway.now) is not is_sent
        assert not admission.abandon(entrance.gateway.now)
    assert entrance.left() == [Item(EntryKind.LEFT, 1, 1, "", LeaveReason.LEFT)]
    assert not entrance.client().abandon(entrance.gateway.now)


def test_a_port_is_where_the_members_datagrams_go() -> None:
    entrance = Entrance()
    admission = entrance.client()
    admission.announce(sockaddr.pack(IP, 50_000), entrance.gateway.now)
    entrance.decide(admission)
    admission.answered(a_grant(1), entrance.gateway.now)
    admission.announce(sockaddr.pack(IP, 50_000), entrance.gateway.now)
    (member,) = entrance.gateway.members.by_token.values()
    assert member.address == sockaddr.pack(IP, 50_000)
