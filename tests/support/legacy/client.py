"""What all stand-ins share: a TCP request, then a UDP socket, one thing at a time and blocking.

A dialect is a subclass: its request, its way of reading the answer, its words, and what it makes of a datagram. What
public programs of one dialect do differently from each other is in `Habits`, so that a test can ask for any mixture.
"""

import contextlib
import json
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from tests.support.legacy.wire import (
    CREATE,
    JOIN,
    PATIENCE_S,
    Address,
    Counts,
    Deadline,
    Listener,
    Stream,
    datagram,
    header,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Weaknesses that real programs mix freely. None means: as this dialect's client does."""

    counts: Counts | None = None
    """What the sizes count."""
    binds_early: bool | None = None
    """Has a UDP port before it sends anything."""
    connects_udp: bool | None = None
    """Connects its UDP socket, so that it receives only from the address that it sends to."""
    tcp_from: str = "127.0.0.1"
    udp_from: str = "127.0.0.1"
    udp_ports: Sequence[int] = (0,)
    """Ports to try for its UDP socket, in this order."""
    announced_host: str = "0.0.0.0"
    """The address that it announces, in dialects that do; many programs announce this one."""
    password: str | None = None
    ascii_json: bool = True
    """JSON with escapes (`json.dumps` as it comes), or with the characters themselves."""
    create_state: int = 0
    """The state in a request to create; some of the seed's kind send 1."""
    joins_by_room: bool = False
    """A client of the seed's kind that names the room in its join, and so gets no list."""


PLAIN = Habits()


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request ended."""

    token: bytes | None
    """None when the client understood that it was refused."""
    error: str = ""
    """The text that it would show then."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One received datagram, raw and parsed."""

    raw: bytes
    origin: Address
    sender: str | None
    """None where the datagram has no field for it."""
    text: str
    shown: str
    """The line on its user's screen; empty when it shows nothing."""


class LegacyClient(ABC):
    """One user of one public program. Use it as a context manager; it closes its sockets."""

    dialect: ClassVar[str]
    counts: ClassVar[Counts] = Counts.BYTES
    prefix: ClassVar[str] = ""
    separator: ClassVar[str] = ": "
    """Separates name and text on its screen."""
    registration: ClassVar[str | None] = None
    """The first datagram's text, which no member may receive; None: the client sends no such datagram."""
    leave_word: ClassVar[str | None] = None
    echoes: ClassVar[bool] = False
    """It waits for its own text to come back and shows that; otherwise it would show it twice."""
    announces: ClassVar[bool] = False
    """It tells its UDP port on TCP."""
    connects_udp: ClassVar[bool] = False
    receives: ClassVar[int] = 4096
    """The size that it gives to `recv` on UDP."""

    def __init__(self, name: str, listener: Listener, habits: Habits = PLAIN) -> None:
        self.name = name
        self.listener = listener
        self.habits = habits
        self.room = ""
        self.token = b""
        self.stopped: str | None = None
        """The text that made it end, if one did."""
        self.stream: Stream | None = None
        self._udp: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.dialect} {self.name!r}>"

    def close(self) -> None:
        self.hang_up()
        if self._udp is not None:
            self._udp.close()
            self._udp = None

    # The TCP half.

    def dial(self) -> None:
        """Connect without sending; some programs then ask their user what to send."""
        self.stream = Stream(self.listener.tcp, self.habits.tcp_from)

    def hang_up(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None

    def create(self, room: str) -> Answer:
        return self._request(CREATE, room)

    def join(self, room: str) -> Answer:
        return self._request(JOIN, room)

    def _request(self, operation: int, room: str) -> Answer:
        if self.habits.binds_early or self.announces:
            self._bind()
        if self.stream is None:
            self.dial()
        assert self.stream is not None
        self.room = room
        answer = self.converse(self.stream, operation, room)
        if answer.token is not None:
            self.token = answer.token
            self.hang_up()
        return answer

    @abstractmethod
    def converse(self, stream: Stream, operation: int, room: str) -> Answer:
        """Send the request and read what this program reads."""

    def send_request(self, stream: Stream, operation: int, room: str, payload: bytes, state: int = 0) -> None:
        counts = self.habits.counts or self.counts
        head = header(counts.of_room(room), operation, state, self.payload_size(payload, counts))
        stream.send(head + room.encode() + payload)

    def send_json(self, stream: Stream, operation: int, room: str, content: object) -> None:
        payload = json.dumps(content, ensure_ascii=self.habits.ascii_json)
        self.send_request(stream, operation, room, payload.encode())

    def payload_size(self, payload: bytes, counts: Counts) -> int:
        return counts.of_payload(payload)

    # The UDP half.

    def _bind(self) -> socket.socket:
        if self._udp is None:
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for port in self.habits.udp_ports:
                with contextlib.suppress(OSError):  # taken
                    self._udp.bind((self.habits.udp_from, port))
                    break
            connects = self.habits.connects_udp
            if connects or (connects is None and self.connects_udp):
                self._udp.connect(self.listener.udp)
        return self._udp

    @property
    def udp_port(self) -> int:
        port = self._bind().getsockname()[1]
        assert isinstance(port, int)
        return port

    def start(self) -> None:
        """Send what the program sends by itself once it has its token."""
        if self.registration is not None:
            self.send(self.registration)

    def say(self, text: str) -> None:
        """Send a line that the user typed."""
        self.send(f"{self.name}{self.prefix}{text}" if self.prefix else text)

    def leave(self) -> None:
        """End as the program does, with its leave word."""
        assert self.leave_word is not None, f"{self!r} has no way to leave"
        self.send(self.leave_word)

    def send(self, text: str) -> None:
        self.send_raw(self.datagram(text))

    def datagram(self, text: str) -> bytes:
        """Return the bytes of one datagram up."""
        return datagram(self.room, self.token, text, self.habits.counts or self.counts)

    def send_raw(self, data: bytes) -> None:
        self._bind().sendto(data, self.listener.udp)

    def move(self) -> socket.socket:
        """Go on from a new port, as behind a NAT that forgot. Returns the old socket, for the caller to close."""
        old = self._bind()
        self._udp = None
        self._bind()
        return old

    def hear(self, patience_s: float = PATIENCE_S) -> Heard:
        """Return the next datagram; raise AssertionError if none comes."""
        heard = self.listen(patience_s)
        assert heard is not None, f"{self!r} heard nothing for {patience_s} s"
        return heard

    def hear_until(self, wanted: Callable[[Heard], bool], patience_s: float = PATIENCE_S) -> list[Heard]:
        """Receive up to and with the datagram that is `wanted`."""
        deadline, heard = Deadline(patience_s), list[Heard]()
        while not heard or not wanted(heard[-1]):
            following = self.listen(deadline.left)
            assert following is not None, f"{self!r} waited in vain; it heard only {heard}"
            heard.append(following)
        return heard

    def hear_line(self, line: str) -> list[Heard]:
        """Receive up to and with the datagram that shows as `line`."""
        return self.hear_until(lambda heard: heard.shown == line)

    def pending(self) -> list[Heard]:
        """Return the datagrams that have arrived and were not read, without waiting."""
        heard = list[Heard]()
        while self.stopped is None and (following := self.listen(0.0)) is not None:
            heard.append(following)
        return heard

    def listen(self, patience_s: float) -> Heard | None:
        """Return the next datagram, or None if none comes in that time."""
        assert self.stopped is None, f"{self!r} has ended at {self.stopped!r}"
        assert self._udp is not None, f"{self!r} has no UDP socket yet and can hear nobody"
        self._udp.settimeout(patience_s)
        try:
            raw, origin = self._udp.recvfrom(self.receives)
        except (TimeoutError, BlockingIOError):
            return None
        sender, text = self.parse(raw)
        if self.ends_at(text, raw):
            self.stopped = text
        return Heard(raw, origin, sender, text, self.shows(sender, text))

    # What the program makes of a datagram.

    @abstractmethod
    def parse(self, raw: bytes) -> tuple[str | None, str]:
        """Return (sender, text), the sender None where there is no field for it; AssertionError: a real one breaks."""

    @abstractmethod
    def down(self, sender: str, text: str) -> bytes:
        """Return the datagram that this program's own server sends for a line."""

    def ends_at(self, text: str, raw: bytes) -> bool:
        """Say whether the program ends at this text."""
        return False

    def shows(self, sender: str | None, text: str) -> str:
        return text if sender is None else f"{sender}{self.separator}{text}"

    def line(self, sender: str, text: str) -> str:
        """Return what this program shows for a message."""
        return f"{sender}{self.separator}{text}"


class RawClient(LegacyClient):
    """Takes a datagram as one text and prints it."""

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        return None, raw.decode()

    def down(self, sender: str, text: str) -> bytes:
        return self.line(sender, text).encode()


class NamedClient(LegacyClient):
    """Takes a datagram as `| name size: 1 | name | text |`."""

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        assert raw, "an empty datagram has no name"
        return raw[1 : 1 + raw[0]].decode(), raw[1 + raw[0] :].decode()

    def down(self, sender: str, text: str) -> bytes:
        return bytes((len(sender.encode()),)) + sender.encode() + text.encode()


class MirrorClient(LegacyClient):
    """Takes a datagram in the form that it sends: a room, no token, and a text."""

    def parse(self, raw: bytes) -> tuple[str | None, str]:
        assert len(raw) >= 2, raw
        return None, raw[2 + raw[0] + raw[1] :].decode()

    def down(self, sender: str, text: str) -> bytes:
        return bytes((len(self.room.encode()), 0)) + self.room.encode() + self.line(sender, text).encode()
