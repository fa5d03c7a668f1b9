"""Hold the conversation on one TCP connection, in any dialect, from its first byte to its token.

Events in, commands out (`steps.py`); no socket, no clock. `TRANSITIONS` lists the events that each state takes, and the
states that may follow; PROTOCOL.md, "Handshake".
"""

from enum import Enum, auto

from tsudoi.protocol import names
from tsudoi.protocol.client.dialect import PortPlace
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS, TSUDOI, TSUDOI_2
from tsudoi.protocol.client.handshake import (
    PORT,
    Request,
    encode_grant,
    encode_refusal,
    parse_request_untrusted,
    refusal_words,
)
from tsudoi.protocol.client.header import HEADER_SIZE, PAYLOAD_LIMIT, Header
from tsudoi.protocol.client.recognise import AUTO, Rule, asks_for_rooms, recognise
from tsudoi.protocol.client.signed_token import is_signed_token
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage, PeerError

from ..explain.opening import Opening, keep
from .account import Account, Outcome
from .room_list import Listing
from .steps import (
    Announce,
    AskForRooms,
    AskToEnter,
    Command,
    Declined,
    Entered,
    Event,
    Finish,
    Listed,
    Quiet,
    Received,
    Report,
    Send,
    WaitBriefly,
)

CHARACTER_SIZE = 4
"""Bytes of the longest UTF-8 character. Some dialects count a request's sizes in characters, so a request may have this
many times the bytes that its header promises."""
ROOM_SIZE_LIMIT = 1_024
"""Bytes of a bare room name. More than any valid name has, so that a longer one is refused rather than cut."""


class State(Enum):
    """The state of a conversation."""

    AWAITING_REQUEST = auto()
    AWAITING_LIST = auto()
    """The directory was asked for its rooms, for a list request or a classic join."""
    AWAITING_ROOM = auto()
    """A classic join has its list; the user reads it and chooses a room."""
    AWAITING_GRANT = auto()
    AWAITING_PORT = auto()
    """The token is sent; two bytes with the client's UDP port follow."""
    DONE = auto()


_AFTER_REQUEST = frozenset({State.AWAITING_REQUEST, State.AWAITING_LIST, State.AWAITING_GRANT, State.DONE})
_AFTER_ROOM = frozenset({State.AWAITING_ROOM, State.AWAITING_GRANT, State.DONE})

TRANSITIONS: dict[tuple[State, type[Event]], frozenset[State]] = {
    # Received leaves a state only when the request is complete; DONE follows when it is refused.
    (State.AWAITING_REQUEST, Received): _AFTER_REQUEST,
    (State.AWAITING_REQUEST, Quiet): _AFTER_REQUEST - {State.AWAITING_REQUEST},
    (State.AWAITING_LIST, Listed): frozenset({State.AWAITING_ROOM, State.DONE}),
    (State.AWAITING_LIST, Declined): frozenset({State.DONE}),
    (State.AWAITING_ROOM, Received): _AFTER_ROOM,
    (State.AWAITING_ROOM, Quiet): _AFTER_ROOM - {State.AWAITING_ROOM},
    (State.AWAITING_GRANT, Entered): frozenset({State.AWAITING_PORT, State.DONE}),
    # Some dialects let the client ask again on the same connection.
    (State.AWAITING_GRANT, Declined): frozenset({State.AWAITING_REQUEST, State.DONE}),
    (State.AWAITING_PORT, Received): frozenset({State.AWAITING_PORT, State.DONE}),
}
"""(state, event) → the states that may follow. A pair that is missing is a bug of the caller, not of the client."""


class UnexpectedEvent(Exception):
    """An event came in a state that does not take it, or led to a state that may not follow: a bug here."""


class JoinConversation:
    """Decides what a gateway sends on one TCP connection."""

    def __init__(self, dialect: str, listed_before: bool, accepts_tokens: bool = False) -> None:
        """Begin at a listener with this dialect, or `auto`.

        `listed_before`: the client's address lately asked for the room list on another connection. `accepts_tokens`: a
        signed token may stand in the place of the user's name; `admission.py` verifies it.
        """
        self.state = State.AWAITING_REQUEST
        self.begun = False
        """The first byte of a request has come, so the rest of it must come soon."""
        self._listener_dialect = dialect
        self._listed_before = listed_before
        self._accepts_tokens = accepts_tokens
        self._buffer = bytearray()
        self._dialect = DIALECTS.get(dialect, CLASSIC)
        self._header = Header(0, 0, 0, 0)
        self._request: Request | None = None
        self._room = ""
        self._kept = b""
        """The bytes of the request that awaits its answer, or that was refused, as far as they are explained."""
        self._is_cut = False
        self._rule: Rule | None = None
        self._chosen = b""
        """The bare room name of a classic join."""
        self._reported = False
        """A request has ended, and the client has sent no other."""

    @property
    def awaits_port(self) -> bool:
        """Whether the client is to tell its UDP port."""
        return self.state is State.AWAITING_PORT

    @property
    def held(self) -> int:
        """Return how many bytes of the client are kept: of an incomplete request, or of one without an answer."""
        asked = self._request
        # The request as it was read, and as it came.
        read = len(asked.room) + len(asked.user) + len(asked.password or "") if asked else 0
        return len(self._buffer) + read + len(self._kept)

    def handle(self, event: Event) -> list[Command]:
        """Return what to do about `event`. Bad bytes end in a refusal, never in an exception.

        Raises:
            UnexpectedEvent: the caller reported an event that can not happen now.
        """
        before = self.state
        allowed = TRANSITIONS.get((before, type(event)))
        if allowed is None:
            raise UnexpectedEvent(f"{type(event).__name__} in {before.name}")
        try:
            commands = self._decide(event)
        except PeerError as exc:
            commands = self._refuse(Declined(exc.status, str(exc)))
        if self.state not in allowed:
            raise UnexpectedEvent(f"{type(event).__name__} led from {before.name} to {self.state.name}")
        return commands

    def _decide(self, event: Event) -> list[Command]:
        match event:
            case Received(data):
                self._reported = False
                self._buffer += data
                if self.state is State.AWAITING_REQUEST:
                    return self._read_request()
                return self._read_room() if self.state is State.AWAITING_ROOM else self._read_port()
            case Quiet():
                return self._take_request() if self.state is State.AWAITING_REQUEST else self._take_room()
            case Listed(rooms):
                return self._send_rooms(rooms)
            case Entered():
                return self._grant(event)
            case Declined():
                return self._refuse(event)

    def abandon(self, why: str) -> Account | None:
        """Return what there is to report of a request that gets no answer; None if there is none.

        `why`: how the connection ended. Call it once, after the last event.
        """
        if self.state is State.DONE or self.state is State.AWAITING_PORT or self._reported:
            return None
        if self.state is State.AWAITING_REQUEST:
            self._keep(bytes(self._buffer))
            outcome = Outcome.INCOMPLETE if self._buffer else Outcome.SILENT
        else:
            outcome = Outcome.NO_ROOM_CHOSEN if self.state is State.AWAITING_ROOM else Outcome.UNANSWERED
        was_read = self.state is not State.AWAITING_REQUEST
        return Account(self._opening(was_read, is_all=True), outcome, self._room, why)

    def _report(
        self, outcome: Outcome, room: str = "", why: str = "", counted_as: str = "", was_read: bool = True
    ) -> Report:
        """Return the report of the request, and forget its bytes."""
        account = Account(self._opening(was_read, is_all=was_read), outcome, room, why, counted_as)
        self._kept = self._chosen = b""
        self._rule = None
        self._reported = True
        return Report(account)

    def _keep(self, data: bytes) -> None:
        self._kept, self._is_cut = keep(data)

    def _opening(self, was_read: bool, is_all: bool) -> Opening:
        """Return what the client sent; `was_read`: it was read in `_dialect`."""
        dialect = self._dialect if was_read else None
        rule = self._rule if was_read else None
        return Opening(self._kept, self._listener_dialect, dialect, rule, is_all, self._chosen, self._is_cut)

    # --- the request ----------------------------------------------------------------------------------------------

    def _read_request(self) -> list[Command]:
        self.begun = bool(self._buffer)
        size = len(self._buffer) - HEADER_SIZE
        if size < 0:
            return []
        self._header = header = Header.parse_untrusted(bytes(self._buffer[:HEADER_SIZE]))
        if header.payload_size > PAYLOAD_LIMIT:
            raise MalformedMessage(f"the payload is larger than {PAYLOAD_LIMIT} bytes")
        # The sizes count bytes or characters.
        payload_size = min(CHARACTER_SIZE * header.payload_size, PAYLOAD_LIMIT)
        if size > CHARACTER_SIZE * header.room_size + payload_size:
            raise MalformedMessage("more bytes came than the header can mean")
        if size < header.body_size:
            return []
        # In ASCII, bytes and characters are the same number. Any other request may have more bytes to come.
        is_complete = size == header.body_size and self._buffer[HEADER_SIZE:].isascii()
        return self._take_request() if is_complete else [WaitBriefly()]

    def _take_request(self) -> list[Command]:
        header, data = self._header, bytes(self._buffer)
        body = data[HEADER_SIZE:]
        self._buffer.clear()
        self.begun = False
        self._keep(data)
        if self._listener_dialect == AUTO:
            self._dialect, self._rule = recognise(header, body, self._listed_before)
        elif self._listener_dialect == TSUDOI.name:
            self._dialect = TSUDOI_2 if recognise(header, body, False).dialect is TSUDOI_2 else TSUDOI
        if asks_for_rooms(header) and self._dialect.lists_rooms:
            self.state = State.AWAITING_LIST
            return [AskForRooms(alone=True)]
        self._room = ""
        self._request = request = parse_request_untrusted(self._dialect, header, body)
        self._room = request.room
        if request.operation is Operation.JOIN and self._dialect.join_lists_rooms and not request.room:
            self._user(request)
            self.state = State.AWAITING_LIST
            return [AskForRooms(alone=False)]
        return self._ask_to_enter(request, request.room)

    def _ask_to_enter(self, request: Request, room: str) -> list[Command]:
        self._room = room
        room, user = names.room_name(room), self._user(request)
        self.state = State.AWAITING_GRANT
        password, suites, language = request.password, request.suites, request.language
        return [AskToEnter(self._dialect, request.operation, room, user, password, suites, language)]

    def _user(self, request: Request) -> str:
        """Return the user's name in normal form, or the signed token in its place."""
        if self._accepts_tokens and is_signed_token(request.user.strip()):
            return request.user.strip()
        # With a token in the place of the password, the name may be empty: the token has one.
        if self._accepts_tokens and not request.user and is_signed_token((request.password or "").partition(" ")[0]):
            return ""
        return names.user_name(request.user)

    # --- the room list --------------------------------------------------------------------------------------------

    def _send_rooms(self, rooms: Listing) -> list[Command]:
        if self._request is None:
            self.state = State.DONE
            return [Send([rooms.framed], 0.0), self._report(Outcome.LISTED), Finish()]
        self.state = State.AWAITING_ROOM
        return [Send([rooms.seed], 0.0)]

    def _read_room(self) -> list[Command]:
        if len(self._buffer) > ROOM_SIZE_LIMIT:
            raise MalformedMessage("the room's name is too long")
        # A bare name carries no size: it is the bytes that come at once. An ASCII name is short and comes in one
        # segment; any other may lack the rest of a character.
        return self._take_room() if self._buffer and self._buffer.isascii() else [WaitBriefly()]

    def _take_room(self) -> list[Command]:
        raw = bytes(self._buffer)
        self._buffer.clear()
        self._chosen = raw
        assert self._request is not None
        try:
            return self._ask_to_enter(self._request, raw.decode())
        except UnicodeDecodeError:
            raise MalformedMessage("the room's name is not UTF-8") from None

    # --- the answer -----------------------------------------------------------------------------------------------

    def _grant(self, event: Entered) -> list[Command]:
        assert self._request is not None
        request, self._request = self._request, None
        frames = encode_grant(self._dialect, request, event.room, event.user, event.token, event.session)
        send = Send(frames, self._dialect.pause_s)
        creates = request.operation is Operation.CREATE
        report = self._report(Outcome.CREATED if creates else Outcome.JOINED, event.room)
        if self._dialect.port is PortPlace.AFTER_TOKEN:
            self.state = State.AWAITING_PORT
            return [send, report]
        self.state = State.DONE
        is_source = self._dialect.port is PortPlace.TCP_SOURCE
        port: list[Command] = [Announce(request.port)] if request.port or is_source else []
        return [*port, send, report, Finish()]

    def _read_port(self) -> list[Command]:
        if len(self._buffer) < PORT.size:
            return []
        self.state = State.DONE
        (port,) = PORT.unpack(self._buffer[: PORT.size])
        self._buffer.clear()
        return [Announce(port), Finish()] if port else [Finish()]

    def _refuse(self, why: Declined) -> list[Command]:
        was_read = bool(self._kept)
        if not was_read:
            # Refused by its header, or by more bytes than that can mean: the rest may not have come.
            self._keep(bytes(self._buffer))
        elif self.state is State.AWAITING_ROOM:
            self._chosen = bytes(self._buffer) or self._chosen
        self._buffer.clear()
        self._request = None
        frames = encode_refusal(self._dialect, self._header, self._room, why.status, why.detail)
        send = Send(frames, self._dialect.pause_s)
        counted_as, words = why.counted_as or why.status.name.lower(), refusal_words(why.status, why.detail)
        report = self._report(Outcome.REFUSED, self._room, words, counted_as, was_read)
        if self._dialect.stays_open and self.state is State.AWAITING_GRANT and not why.close:
            self.state = State.AWAITING_REQUEST
            return [send, report]
        self.state = State.DONE
        return [send, report, Finish()]
