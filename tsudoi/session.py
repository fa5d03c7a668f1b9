"""The client's side of every dialect, without I/O.

A conversation is one TCP connection: send the bytes that `start` returns; feed received bytes and send those that
`feed` returns, until it is `done`. Then a Membership makes the datagrams to send, and parses received ones. A dialect's
profile says which of these there are, and in which order; no code here is for one dialect.
"""

from typing import TypeAlias

import msgspec

from tsudoi.errors import InvalidText
from tsudoi.events import Event, Kicked, Message, RoomClosed, TimedOut
from tsudoi.notice_events import event_of
from tsudoi.ops.bounded import put_newest
from tsudoi.pieces import as_taken, check_one_line, command_in, split_message, split_speech
from tsudoi.protocol.client.datagram import MAX_UP, serialize
from tsudoi.protocol.client.dialect import Dialect, PortPlace
from tsudoi.protocol.client.downlink_decoder import NoticeKind, Said, parse_down_untrusted, tells_removal
from tsudoi.protocol.client.downlink_encoder import MAX_DOWN, carried_size, json_size
from tsudoi.protocol.client.handshake import PORT, serialize_request
from tsudoi.protocol.client.header import Header
from tsudoi.protocol.client.lines import has_too_many_lines
from tsudoi.protocol.client.notices import said_limit
from tsudoi.protocol.client.own_name import own_names
from tsudoi.protocol.client.reply_decoder import AnswerReader, Granted, HandshakeRefused, JoinListReader, RoomsReader
from tsudoi.protocol.client.sanitize import clean, clean_line
from tsudoi.protocol.client.slash_commands import SLASHES, Act, Reply, Whisper, escaped, escaped_text
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.names import MAX_NAME_SIZE
from tsudoi.protocol.sealed.client import MAX_SAID

_LONGEST_FRAME = 64
"""Bytes that any dialect puts around a text and a name, and some more (`{"n":…,"from":"","text":""}` has 46)."""
_LONGEST_NUMBER = "#99999"
"""What a server may append to a name without saying so."""


class ListRooms:
    """Asks for the names of all rooms, on a connection of its own. Its methods are those of `Enter`."""

    waits_for_silence = False

    def __init__(self) -> None:
        self._reader = RoomsReader()
        self.rooms: list[str] | None = None

    @property
    def done(self) -> bool:
        return self.rooms is not None

    def start(self) -> bytes:
        return Header(0, Operation.JOIN, 0, 0).serialize()

    def feed(self, data: bytes) -> bytes:
        self.rooms = self._reader.feed_untrusted(data)
        return b""

    def settle(self) -> None:
        raise MalformedMessage("the connection ended before the room list")


class Enter:
    """Creates or joins a room."""

    def __init__(
        self,
        dialect: Dialect,
        operation: Operation,
        room: str,
        user: str,
        password: str | None = None,
        port: int = 0,
    ) -> None:
        """`port` is the UDP port at which this client listens, for dialects that announce it."""
        self._dialect = dialect
        self._room = room
        self._port = port
        self._request = serialize_request(dialect, operation, room, user, password, port)
        self._list = JoinListReader() if dialect.join_lists_rooms and operation is Operation.JOIN else None
        self._answer = AnswerReader(dialect, operation)
        self.rooms: list[str] | None = None
        """The rooms that the server listed before its answer, in dialects where it does."""
        self.result: Granted | HandshakeRefused | None = None

    @property
    def done(self) -> bool:
        return self.result is not None

    @property
    def waits_for_silence(self) -> bool:
        """Whether the answer may be complete; call `settle` when the server is silent for a while, or hangs up."""
        return (self._list or self._answer).waits_for_silence

    def start(self) -> bytes:
        return self._request

    def feed(self, data: bytes) -> bytes:
        """Take received bytes and return the bytes to send next; raise MalformedMessage."""
        if self._list is not None:
            self.rooms = self._list.feed_untrusted(data)
            if self.rooms is None:
                return b""
            self._list = None
            return self._room.encode()
        self.result = self._answer.feed_untrusted(data)
        announces = isinstance(self.result, Granted) and self._dialect.port is PortPlace.AFTER_TOKEN
        return PORT.pack(self._port) if announces else b""

    def settle(self) -> None:
        """Note that no more bytes come; raise MalformedMessage if the answer is not complete."""
        self.result = (self._list or self._answer).settle_untrusted()


class JoinList(Enter):
    """A join that ends when the list of rooms has come, in dialects where a join returns it."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect, Operation.JOIN, "", "rooms")

    @property
    def done(self) -> bool:
        return self.rooms is not None or super().done

    def feed(self, data: bytes) -> bytes:
        super().feed(data)
        return b""


Conversation: TypeAlias = ListRooms | Enter
"""One request and its answer on a TCP connection."""


def lists_first(dialect: Dialect) -> bool:
    """Return whether clients of a dialect list the rooms before a join, by which a server may recognise the dialect."""
    return dialect.lists_rooms and dialect.marker_key is None


class Membership:
    """A member's datagrams, to and from the server."""

    def __init__(self, dialect: Dialect, room: str, user: str, token: str) -> None:
        """`user` is the name as the server assigned it."""
        self._dialect = dialect
        self._room = room
        self.user = clean_line(user)
        self._first_names = own_names(self.user)
        """A client may go on to write these before its texts after it has another name."""
        self._token = token
        self.reserved = dialect.register_words | dialect.leave_words
        """Texts that a server of this dialect does not deliver: they are commands."""
        self.has_commands = True
        """Where there are no commands, they are refused here: a whisper would be said aloud."""
        self._before = ""
        """The server's words in the last datagram, if they were a notice: perhaps the reason for a removal."""

    @property
    def text_limit(self) -> int:
        """The size (`size_of`) of a message up to which no server needs to cut it for any member."""
        # A second `alice` becomes `alice#2`, which not every dialect reports; `_LONGEST_FRAME` has room for it.
        room_size, user_size, keys = len(self._room.encode()), json_size(self.user), self._dialect.up_keys
        overhead = 0 if keys is None else user_size + len("".join(keys))
        up = MAX_UP - 2 - room_size - len(self._token) - overhead
        return min(up, MAX_DOWN - room_size - user_size) - _LONGEST_FRAME

    def limit_of(self, line: str) -> int:
        """Return the largest size of what a line of this kind says: a message, a whisper, an action, a command."""
        own = self.user + _LONGEST_NUMBER
        match command_in(self.as_taken(line)):
            case Whisper(name, _):
                return said_limit(own, name)
            case Reply():
                # To any member; it may have the longest name, all quotes.
                return said_limit(own, '"' * MAX_NAME_SIZE)
            case Act():
                return said_limit(own)
        return self.text_limit

    def size_of(self, line: str) -> int:
        """Return the bytes that the text of a line takes in the longest form that a dialect gives it."""
        match command_in(self.as_taken(line)):
            case Whisper(_, text) | Reply(text) | Act(text):
                return json_size(text)
        return carried_size(line)

    def fits(self, line: str) -> bool:
        """Return whether no server needs to cut what a line says."""
        return self.size_of(line) <= self.limit_of(line)

    def pieces(self, line: str) -> list[str]:
        """Split a line into lines that fit, with at most `MAX_LINES` lines each; behind a space where there is one.

        The pieces of a whisper are whispers to the same member, those of an action actions, and all others messages.

        Raises:
            InvalidText: the line is a command that has more lines, or is too long and can not be split; or as `check`.
        """
        self.check(line)
        taken = self.as_taken(line)
        check_one_line(taken)
        command = command_in(taken)
        if self.fits(line) and (isinstance(command, Reply) or not has_too_many_lines(taken)):
            return [line] if line else []
        limit = self.limit_of(line)
        match command:
            case None:
                return split_message(line, limit, self._own_names(), self.reserved)
            case Whisper() | Act():
                return split_speech(command, limit)
            case Reply():
                # Another member may whisper between two pieces, and would get the rest.
                raise InvalidText(f"an answer by /r has at most {limit} bytes; /msg NAME TEXT may have more")
        raise InvalidText(f"the command has {self.size_of(line)} bytes and must have at most {limit}")

    def check(self, line: str) -> None:
        """Raise InvalidText for a command where there are none."""
        if not self.has_commands and command_in(self.as_taken(line)) is not None:
            raise InvalidText("there are no commands here; put a second slash in front to say it as a text")

    def as_text(self, line: str) -> str:
        """Return the line that says `line` to the room, also one that a server would take for a command."""
        taken = self.as_taken(line)
        return escaped(taken) if taken.startswith(SLASHES) else line

    def as_sent(self, line: str) -> str:
        """Return a line that passed `check` as it goes to the server: without a second slash that this would keep."""
        return line if self.has_commands else escaped_text(self.as_taken(line)) or line

    def as_taken(self, line: str) -> str:
        """Return a line as a server takes it."""
        return as_taken(line, self._own_names())

    def _own_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*own_names(self.user), *self._first_names)))

    def register(self) -> bytes:
        """Return the datagram that makes this client's address known, and keeps it so."""
        return self._up(min(self._dialect.register_words, default=""))

    def say(self, text: str) -> bytes:
        """Return the datagram that sends `text`."""
        keys = self._dialect.up_keys
        return self._up(text if keys is None else msgspec.json.encode({keys[0]: self.user, keys[1]: text}).decode())

    def leave(self) -> bytes | None:
        """Return the datagram that leaves the room; None where the dialect has no word for it."""
        word = min(self._dialect.leave_words, default=None)
        return None if word is None else self._up(word)

    def receive(self, data: bytes) -> Event:
        """Return the event of a received datagram; raise MalformedMessage if it is not one of the dialect."""
        heard = parse_down_untrusted(self._dialect, self._room, data)
        text, before = clean(heard.text), self._before
        self._before = "" if isinstance(heard, Said) else text
        if isinstance(heard, Said):
            return Message(clean_line(heard.sender), text, heard.offset)
        match heard.kind:
            case NoticeKind.CLOSED if tells_removal(self._room, before):
                return Kicked(before)
            case NoticeKind.CLOSED:
                return RoomClosed(text)
            case NoticeKind.TIMED_OUT:
                return TimedOut(text)
            case NoticeKind.KICKED if not heard.fields:
                return Kicked(text)
            case _:
                return event_of(str(heard.fields.get("notice", "")), {**heard.fields, "text": text}, clean)

    def _up(self, text: str) -> bytes:
        return serialize(self._room, self._token, text)


class SealedMembership(Membership):
    """A member in version 2: its texts and those that it hears; it has no datagrams of its own."""

    def __init__(self, dialect: Dialect, room: str, user: str, has_commands: bool) -> None:
        super().__init__(dialect, room, user, "")
        self.has_commands = has_commands

    @property
    def text_limit(self) -> int:
        return min(MAX_SAID, super().text_limit)

    def _own_names(self) -> tuple[str, ...]:
        return ()  # In version 2 a server leaves the sender's name before a text where it is.


RECENT = 1_024
"""Events that are remembered."""


class Recent:
    """Recognises the last events: after a handover a gateway may send the newest again.

    It compares whole events, not positions alone: positions begin anew when a room's log was lost.
    """

    def __init__(self) -> None:
        self._seen: dict[Event, None] = {}

    def has_seen(self, event: Event) -> bool:
        """Return whether this event came lately, and remember it. An event without a position is always new."""
        if getattr(event, "offset", None) is None:
            return False
        if event in self._seen:
            return True
        put_newest(self._seen, event, None, RECENT)
        return False
