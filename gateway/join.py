"""One TCP connection's conversation in any dialect, from its first byte to its token; PROTOCOL.md, "Handshake".

Events in, commands out; no socket, no clock. The states and what may happen in each are the table `TRANSITIONS`.
"""

from dataclasses import dataclass
from enum import Enum, auto

from gateway.listing import Listing
from gateway.trust import looks_like_token
from tsudoi.protocol import names
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.dialects import CLASSIC, DIALECTS
from tsudoi.protocol.client.handshake import PORT, Request, encode_grant, encode_refusal, parse_request_untrusted
from tsudoi.protocol.client.header import HEADER_SIZE, Header
from tsudoi.protocol.client.recognise import AUTO, asks_for_rooms, recognise
from tsudoi.protocol.codes import Operation, Status
from tsudoi.protocol.errors import MalformedMessage, PeerError

CHARACTER_SIZE = 4
"""Bytes of the longest character in UTF-8: a request may have so many times what its header promises, in characters."""
ROOM_SIZE_LIMIT = 1_024
"""Bytes of a bare room name: more than any valid one, so that a longer one is refused rather than cut."""


# --- events: what happened -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes came."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Quiet:
    """`WaitBriefly` is over and nothing more came."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The directory's rooms."""

    rooms: Listing


@dataclass(frozen=True, slots=True)
class Entered:
    """The directory granted the request; names as assigned."""

    room: str
    user: str
    token: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The directory refused the request, or could not be asked."""

    status: Status
    detail: str = ""
    for_good: bool = False
    """The client may not try again on this connection, though its dialect would let it."""


Event = Received | Quiet | Listed | Entered | Declined


# --- commands: what to do ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send each frame in a segment of its own, with a pause between two."""

    frames: list[bytes]
    pause_s: float


@dataclass(frozen=True, slots=True)
class WaitBriefly:
    """Say Quiet if nothing comes in a moment: a size counted in characters leaves bytes behind, which came at once."""


@dataclass(frozen=True, slots=True)
class AskForRooms:
    """Ask the directory for the rooms, then say Listed or Declined."""


@dataclass(frozen=True, slots=True)
class AskToEnter:
    """Ask the directory to create or join, then say Entered or Declined."""

    dialect: Dialect
    operation: Operation
    room: str
    user: str
    """In normal form; or a signed token, where these are taken."""
    password: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Announce:
    """The client's datagrams shall go to this port of its host."""

    port: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Close the connection."""


Command = Send | WaitBriefly | AskForRooms | AskToEnter | Announce | Finish


class State(Enum):
    """Where a conversation stands."""

    AWAITING_REQUEST = auto()
    AWAITING_LIST = auto()
    """The directory was asked for rooms on behalf of a list request or a classic join."""
    AWAITING_ROOM = auto()
    """A classic join has its list; the client's user reads it and chooses."""
    AWAITING_GRANT = auto()
    AWAITING_PORT = auto()
    """The token is sent; two bytes with the UDP port come."""
    DONE = auto()


# A missing pair is a bug of the caller, not of the client.
TRANSITIONS: dict[tuple[State, type[Event]], str] = {
    (State.AWAITING_REQUEST, Received): "_request_bytes",
    (State.AWAITING_REQUEST, Quiet): "_request_settled",
    (State.AWAITING_LIST, Listed): "_listed",
    (State.AWAITING_LIST, Declined): "_declined",
    (State.AWAITING_ROOM, Received): "_room_bytes",
    (State.AWAITING_ROOM, Quiet): "_room_settled",
    (State.AWAITING_GRANT, Entered): "_entered",
    (State.AWAITING_GRANT, Declined): "_declined",
    (State.AWAITING_PORT, Received): "_port_bytes",
}


class JoinConversation:
    """What a gateway says on one TCP connection."""

    def __init__(self, dialect: str, payload_limit: int, listed_before: bool, takes_tokens: bool = False) -> None:
        """Begin.

        Args:
            dialect: the door's, or `auto`.
            payload_limit: bytes of payload that a request may have.
            listed_before: this client's address lately asked for the room list on another connection.
            takes_tokens: a signed token may stand for the user's name; the one who is asked to enter checks it.
        """
        self.state = State.AWAITING_REQUEST
        self.listed = False
        """This connection asked for the room list alone."""
        self.begun = False
        """The first byte of a request has come, so the rest of it must come soon."""
        self._door = dialect
        self._payload_limit = payload_limit
        self._listed_before = listed_before
        self._takes_tokens = takes_tokens
        self._buffer = bytearray()
        self._dialect = DIALECTS.get(dialect, CLASSIC)
        self._header = Header(0, 0, 0, 0)
        self._request: Request | None = None
        self._room = ""
        self.refused_with: Status | None = None
        """Why a request was refused just now, for whoever counts it."""

    def handle(self, event: Event) -> list[Command]:
        """Return what is to be done about `event`. Bad bytes end in a refusal, never in an exception."""
        handler = getattr(self, TRANSITIONS[self.state, type(event)])
        try:
            commands: list[Command] = handler(event)
        except PeerError as exc:
            commands = self._refuse(exc.status, str(exc))
        return commands

    @property
    def dialect(self) -> Dialect:
        """The client's dialect, as far as it is known."""
        return self._dialect

    @property
    def held(self) -> int:
        """How much of what the client said is kept: what is not a whole request yet, or not answered."""
        asked = self._request
        return len(self._buffer) + (len(asked.room) + len(asked.user) + len(asked.password or "") if asked else 0)

    # --- the request ----------------------------------------------------------------------------------------------

    def _request_bytes(self, event: Received) -> list[Command]:
        self._buffer += event.data
        self.begun = bool(self._buffer)
        size = len(self._buffer) - HEADER_SIZE
        if size < 0:
            return []
        self._header = header = Header.parse_untrusted(bytes(self._buffer[:HEADER_SIZE]))
        if header.payload_size > self._payload_limit:
            raise MalformedMessage(f"the payload is larger than {self._payload_limit} bytes")
        if size > self._most(header):
            raise MalformedMessage("more bytes came than the header can mean")
        if size < header.body_size:
            return []
        # ASCII alone leaves no doubt about how its sizes were counted; anything else might have more to come.
        sure = size == header.body_size and self._buffer[HEADER_SIZE:].isascii()
        return self._request_settled(Quiet()) if sure else [WaitBriefly()]

    def _most(self, header: Header) -> int:
        """Return how many bytes may come after a header, however its sizes were counted."""
        room, payload = CHARACTER_SIZE * header.room_size, CHARACTER_SIZE * header.payload_size
        return room + min(payload, self._payload_limit)

    def _request_settled(self, _: Quiet) -> list[Command]:
        header, body = self._header, bytes(self._buffer[HEADER_SIZE:])
        self._buffer.clear()
        self.begun = False
        if self._door == AUTO:
            self._dialect = recognise(header, body, self._listed_before)
        if asks_for_rooms(header) and self._dialect.lists_rooms:
            self.listed = True
            self.state = State.AWAITING_LIST
            return [AskForRooms()]
        self._room = ""
        self._request = request = parse_request_untrusted(self._dialect, header, body)
        self._room = request.room
        if request.operation is Operation.JOIN and self._dialect.join_lists_rooms and not request.room:
            self._user(request)
            self.state = State.AWAITING_LIST
            return [AskForRooms()]
        return self._ask(request, request.room)

    def _ask(self, request: Request, room: str) -> list[Command]:
        self._room = room
        room, user = names.room_name(room), self._user(request)
        self.state = State.AWAITING_GRANT
        return [AskToEnter(self._dialect, request.operation, room, user, request.password, request.port)]

    def _user(self, request: Request) -> str:
        """Return the user's name in normal form, or the token that stands for it."""
        if self._takes_tokens and looks_like_token(request.user.strip()):
            return request.user.strip()
        # One that goes with a token in the place of the password may be left empty: the token's counts.
        if self._takes_tokens and not request.user and looks_like_token((request.password or "").partition(" ")[0]):
            return ""
        return names.user_name(request.user)

    # --- the room list --------------------------------------------------------------------------------------------

    def _listed(self, event: Listed) -> list[Command]:
        if self._request is None:
            self.state = State.DONE
            return [Send([event.rooms.framed], 0.0), Finish()]
        self.state = State.AWAITING_ROOM
        return [Send([event.rooms.seed], 0.0)]

    def _room_bytes(self, event: Received) -> list[Command]:
        self._buffer += event.data
        if len(self._buffer) > ROOM_SIZE_LIMIT:
            raise MalformedMessage("the room's name is too long")
        # A bare name has no size: it is what comes at once. One of ASCII is short and comes in one segment; another may
        # lack the rest of a character.
        return self._room_settled(Quiet()) if self._buffer and self._buffer.isascii() else [WaitBriefly()]

    def _room_settled(self, _: Quiet) -> list[Command]:
        raw = bytes(self._buffer)
        self._buffer.clear()
        assert self._request is not None
        try:
            return self._ask(self._request, raw.decode())
        except UnicodeDecodeError:
            raise MalformedMessage("the room's name is not UTF-8") from None

    # --- the answer -----------------------------------------------------------------------------------------------

    def _entered(self, event: Entered) -> list[Command]:
        assert self._request is not None
        request, self._request = self._request, None
        frames = encode_grant(self._dialect, request, event.room, event.user, event.token)
        send = Send(frames, self._dialect.pause_s)
        if self._dialect.port is PortPlace.AFTER_TOKEN:
            self.state = State.AWAITING_PORT
            return [send]
        self.state = State.DONE
        port: list[Command] = [Announce(request.port)] if request.port else []
        return [*port, send, Finish()]

    def _port_bytes(self, event: Received) -> list[Command]:
        self._buffer += event.data
        if len(self._buffer) < PORT.size:
            return []
        self.state = State.DONE
        (port,) = PORT.unpack(self._buffer[: PORT.size])
        self._buffer.clear()
        return [Announce(port), Finish()] if port else [Finish()]

    def _declined(self, event: Declined) -> list[Command]:
        return self._refuse(event.status, event.detail, event.for_good)

    def _refuse(self, status: Status, detail: str = "", for_good: bool = False) -> list[Command]:
        self.refused_with = status
        self._buffer.clear()
        self._request = None
        send = Send(encode_refusal(self._dialect, self._header, self._room, status, detail), self._dialect.pause_s)
        if self._dialect.stays_open and self.state is State.AWAITING_GRANT and not for_good:
            self.state = State.AWAITING_REQUEST
            return [send]
        self.state = State.DONE
        return [send, Finish()]
