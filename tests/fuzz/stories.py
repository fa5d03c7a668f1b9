"""What has a state: a connection, a gateway, a broker and its operators' office, told any frames in any order."""

from collections import deque
from dataclasses import dataclass

from websockets.frames import Frame, Opcode

from broker.admin.service import AdminService
from broker.core import Core as BrokerCore
from gateway.chat.dispatch import ChatCore
from gateway.chat.receive import Receiver
from gateway.counters import Counters
from gateway.explain.explain import explain_request
from gateway.join.account import log_values
from gateway.join.conversation import JoinConversation, State
from gateway.join.password_attempts import PasswordAttempts
from gateway.join.rate_keys import RateKeys
from gateway.join.room_list import Listing
from gateway.join.signed_tokens import TokenVerifier
from gateway.join.steps import (
    AskForRooms,
    AskToEnter,
    Declined,
    Entered,
    Event,
    Finish,
    Listed,
    Quiet,
    Received,
    Report,
    WaitBriefly,
)
from gateway.join.token_keys import TokenKeys
from gateway.settings import Settings
from gateway.web import conversation as web_listener
from gateway.web.session import Session
from gateway.webhook import conversation as webhooks
from gateway.webhook.rules import Rules
from tests.broker.operated import OperatedBroker
from tests.broker.scripted import A, B, a_join
from tests.fuzz.pieces import Pieces
from tests.gateway.web.surfing import Surfer
from tests.support.fakes import BROKER as ENDPOINT
from tests.support.fakes import ScriptedGateway, World, address_of
from tsudoi.protocol import backbone
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.recognise import AUTO
from tsudoi.protocol.codes import Status

CONVERSATION = (JoinConversation.handle,)
WEBHOOK = (webhooks.Conversation.receive, Rules.read_head, Rules.read_body, Rules.answered)
WEB = (web_listener.Conversation.receive, Session.receive)
GATEWAY = (ChatCore.handle_news, ChatCore.handle_answer, Receiver.handle_datagrams)
BROKER = (BrokerCore.handle_untrusted, BrokerCore.parts_untrusted)
OFFICE = (AdminService.handle_untrusted,)

UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
MEMBERS = 3
STEP_S = 1.0
WALL = 1_800_000_000.0


def conversation(data: bytes) -> None:
    """A connection whose bytes come in pieces. Of each piece's kind, bits say how the directory answers, and whether
    there is silence after it."""
    pieces = Pieces(data)
    listener = pieces.one_of([AUTO, *DIALECTS])
    flags = pieces.byte()
    talk = JoinConversation(listener, bool(flags & 1), bool(flags & 2))
    for kind, part in pieces.each():
        events: deque[Event] = deque([Received(part)])
        while events:
            for command in talk.handle(events.popleft()):
                match command:
                    case WaitBriefly() if kind & 1:
                        events.append(Quiet())
                    case AskForRooms() | AskToEnter() if kind & 2:
                        events.append(Declined(list(Status)[kind >> 4 & 3 or 1], "why"))
                    case AskForRooms():
                        events.append(Listed(Listing(["den", "部屋"])))
                    case AskToEnter(_, _, room, user):
                        assert room
                        events.append(Entered(room, user or "alice", "0123456789abcdef" * 2))
                    case Report(account):
                        log_values(account)
                        explained = explain_request(account.opening)
                        assert sum(each.end - each.begin for each in explained.fields) == len(explained.data)
                    case Finish():
                        assert talk.state is State.DONE
                        return
        assert talk.state not in (State.AWAITING_LIST, State.AWAITING_GRANT, State.DONE)
    if (unanswered := talk.abandon("the client closed the connection")) is not None:
        log_values(unanswered)


@dataclass(frozen=True, slots=True)
class Believing(TokenKeys):
    """Takes any token for true, and for one with these claims, so that they are read."""

    claims: bytes

    def verify_untrusted(self, token: str) -> bytes:
        """Return the claims."""
        return self.claims


WEBHOOK_CLAIMS = b'{"exp": 1900000000, "aud": "tsudoi-webhook", "rooms": ["d*n"]}'
BROKER_SAYS: tuple[backbone.Answer | None, ...] = (
    backbone.Posted("ci[bot]", 1, 7, True),
    backbone.Posted("ci[bot]", 1, 7, False),
    *(backbone.Refused(status, "why") for status in Status),
    None,
)


def webhook(data: bytes) -> None:
    """A connection of webhooks whose bytes come in pieces. A piece's kind says what the broker answers, if it is asked,
    and whether the time is up afterwards."""
    pieces, settings, counters = Pieces(data), Settings(), Counters()
    verifier = TokenVerifier(Believing((), WEBHOOK_CLAIMS), required=False)
    rate_keys = RateKeys(settings)
    rules = Rules(settings, counters, verifier, PasswordAttempts(settings, counters, rate_keys), rate_keys)
    talk = webhooks.Conversation(rules, "192.0.2.1", lambda now: True)
    for number, (kind, part) in enumerate(pieces.each()):
        commands = talk.receive(part, number, WALL)
        while any(isinstance(command, webhooks.Ask) for command in commands):
            commands = talk.answered(BROKER_SAYS[kind % len(BROKER_SAYS)], number, WALL)
        if kind & 128 and not talk.is_over:
            commands = talk.time_is_up(WALL)
        assert talk.is_over == any(isinstance(command, webhooks.Finish) for command in commands)
        if talk.is_over:
            assert talk.receive(part, number, WALL) == []
            return


def web(data: bytes) -> None:
    """A WebSocket whose frames come in pieces, whole (even kinds) or as they are; its session asks a real broker."""
    world = World(1)
    node = world.start_gateway()
    surfer = Surfer(world, node)
    surfer.enter()
    talk = web_listener.Conversation({}, ())
    for command in talk.receive(UPGRADE):
        assert not isinstance(command, web_listener.Finish)
    is_over = False
    for kind, part in Pieces(data).each():
        piece = part if kind & 1 else Frame(Opcode.TEXT, part).serialize(mask=True)
        for command in talk.receive(piece):
            if isinstance(command, web_listener.Message) and not surfer.port.closed:
                surfer.raw_bytes(command.text)
            is_over = is_over or isinstance(command, web_listener.Finish)
        if is_over:
            break
    world.run(0.1)
    assert not surfer.port.closed or surfer.port.closed[0][0] >= 3000


def gateway(data: bytes) -> None:
    """A gateway with members, to which the broker and clients say anything."""
    told = ScriptedGateway()
    for number in range(1, MEMBERS + 1):
        told.enter(number, ("tsudoi", "tcrp", "classic")[number % 3], address=address_of(number))
    for kind, part in Pieces(data).each():
        match kind & 7:
            case 0 | 1:
                told.core.handle_answer(ENDPOINT, part, told.now)
            case 2:
                told.core.handle_news(ENDPOINT, backbone.room_topic(1) + part, told.now)
            case 3:
                told.core.handle_news(ENDPOINT, backbone.own_topic(told.instance) + part, told.now)
            case 4:
                told.core.handle_news(ENDPOINT, part, told.now)
            case 5:
                told.core.handle_datagrams(0, [(part, address_of(kind >> 3 & 3))], told.now)
            case 6:
                told.receive(kind >> 3 & 3, part, address_of(kind >> 5 & 3))
            case _:
                told.wait((kind >> 3) * STEP_S)
        told.listen()
    told.wait(STEP_S)


def broker(data: bytes) -> None:
    """A broker with two gateways and a room, to which they and a stranger say anything."""
    core = OperatedBroker().broker
    core.create(peer=A)
    core.ask(B, a_join())
    for kind, part in Pieces(data).each():
        match kind & 7:
            case 6:
                core.core.subscribed(part)
            case 7:
                core.now += (kind >> 3) * STEP_S
                core.core.tick(core.moment)
            case _:
                core.receive((A, B, "/stranger", "")[kind & 3], part)
        for job in core.turn().passwords:
            core.hash(job)
    core.turn()


def office(data: bytes) -> None:
    """A broker whose operator says anything."""
    admin = OperatedBroker()
    admin.broker.create(peer=A)
    for kind, part in Pieces(data).each():
        if kind & 1:
            admin.broker.now += STEP_S
            admin.tick()
        admin.service.handle_untrusted(part, admin.broker.moment)
        admin.broker.turn()
    admin.tick()
