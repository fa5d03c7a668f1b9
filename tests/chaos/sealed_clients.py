"""Members of version 2 in a run: the SDK itself, through the run's relays; `sealed_rules` judges what they saw."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

import tsudoi
from tests.chaos.plan import ClientPlan
from tests.support.legacy.wire import Address, Listener
from tsudoi.net.sealed_chat import SealedChat

ENTER_S = 30.0
BACKLOG = 8
"""With so many lines that are not kept a member whispers no more. A whisper waits for the line before it, and the next
line for the whisper: on a busy machine a fast speaker would come ever further behind."""
PATIENT = tsudoi.Settings(connect_timeout_s=ENTER_S, answer_timeout_s=ENTER_S)


def _more(line: int, each: int) -> str:
    """Return what one line in `each` has behind its text: so much that it goes in several parts."""
    return "" if line % each else " " + "long" * 480


@dataclass(slots=True)
class SealedSeen:
    """What one member of version 2 has said and heard."""

    said: dict[int, str] = field(default_factory=dict)
    """Number of a line → its text."""
    kept: dict[int, int | None] = field(default_factory=dict)
    """Number of a line that the client takes for kept → position."""
    refused: list[int] = field(default_factory=list)
    heard: list[tuple[int, str, str]] = field(default_factory=list)
    """Position, sender, text of each message and whisper, in the order of the events."""
    heard_at: list[float] = field(default_factory=list)
    """When each of these came, as `time.time()`."""
    odd: list[str] = field(default_factory=list)
    """Events that must not be: gaps and resets, since no history was lost."""
    notes: list[str] = field(default_factory=list)
    """When it took its server for away, for back, and went by TCP; and how it stood at the end."""
    repeated_nonces: list[str] = field(default_factory=list)
    nonces: int = 0
    ended: str = ""
    """The event that ended the membership."""
    has_left: bool = False


class SealedChaosClient:
    """One member of version 2. Its methods are those of `clients.ChaosClient`."""

    def __init__(
        self,
        plan: ClientPlan,
        room: str,
        friends: Sequence[str],
        seen: SealedSeen,
        on_heard: Callable[[int, str], None],
        on_socket: Callable[[Address, int], None],
        text_of: Callable[[int, int], str],
    ) -> None:
        """Args:
        friends: the names of other members of version 2 in the room, to whom it whispers in turn, if they are there.
        on_heard: called with the client and each text that it hears.
        on_socket: called with address and client for each socket that it opens.
        """
        self.plan = plan
        self.room = room
        self.gateway = plan.gateway
        self.is_in = False
        self.has_left = False
        self.lines_sent = 0
        self._friends = friends
        self._seen, self._on_heard, self._on_socket, self._text_of = seen, on_heard, on_socket, text_of
        self._chat: SealedChat | None = None
        self._listeners: list[Address] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._nonces: dict[bytes, bytes] = {}
        self._at = plan.gateway

    @property
    def waiting(self) -> int:
        """How many of its lines are neither kept nor refused."""
        return 0 if self._chat is None or self._chat.closed else self._chat.waiting

    def close(self) -> None:
        """End without a word."""
        for task in self._tasks:
            task.cancel()
        if self._chat is not None:
            self._seen.nonces = len(self._nonces)
            core = self._chat._core
            how = "served" if core.is_resumed else "not served"
            self._seen.notes.append(f"{time.time():.3f} {how} by way {core.way}, at {core.position}")
            self._chat._end()

    async def enter(self, tcp_listener: Listener, udp_listeners: list[Address]) -> bool:
        """Create or join the room; return whether that worked."""
        self._listeners = udp_listeners
        enter = tsudoi.create if self.plan.host else tsudoi.join
        server = tsudoi.Server(*tcp_listener.tcp, udp=udp_listeners[self.gateway][1])
        try:
            async with asyncio.timeout(ENTER_S):
                chat = await enter(self.room, name=self.plan.name, server=server, settings=PATIENT)
        except (tsudoi.ClientError, TimeoutError):
            return False
        assert isinstance(chat, SealedChat)
        self._chat = chat
        self._watch(chat)
        tcp = tcp_listener.tcp[1]
        self._index = [await chat.add_gateway(tsudoi.Server(host, tcp, udp=udp)) for host, udp in udp_listeners]
        self._at, self.is_in = self.gateway, True
        self._start(self._hear(chat))
        return True

    def say(self) -> int:
        """Say the next line; return its number."""
        chat = self._chat
        if chat is None or self.has_left or chat.closed:
            return self.lines_sent
        if self._at != self.gateway:
            self._at = self.gateway
            chat.go_to(self._index[self.gateway])
        self.lines_sent += 1
        line = chat.post(self._text_of(self.plan.id, self.lines_sent) + _more(self.lines_sent, 7))
        self._seen.said[line.number] = line.text
        self._start(self._settle(line))
        if self._friends and chat.waiting < BACKLOG:
            friend = self._friends[self.lines_sent % len(self._friends)]
            chat.post(f"/msg {friend} whisper {self.lines_sent} of {self.plan.id}" + _more(self.lines_sent, 5))
        return self.lines_sent

    def nudge(self) -> None:
        """Resume, as after a ping that had no answer."""
        if self._chat is not None and not self._chat.closed:
            self._chat._woken()

    def rebind(self) -> None:
        """Send from a new socket from now on, as behind a NAT that has forgotten this client: it does not know."""
        if self._chat is not None and not self._chat.closed:
            self._start(self._rebind(self._chat))

    def leave(self) -> None:
        """Leave, when all lines are kept."""
        if self._chat is not None and not self.has_left:
            self.has_left = self._seen.has_left = True
            self._start(self._chat.leave())

    async def _rebind(self, chat: SealedChat) -> None:
        await chat._sockets._open()
        self._note_sockets(chat)

    async def _hear(self, chat: SealedChat) -> None:
        async for event in chat:
            match event:
                case tsudoi.Message(sender, text, offset):
                    assert offset is not None
                    self._seen.heard.append((offset, sender, text))
                    self._seen.heard_at.append(time.time())
                    self._on_heard(self.plan.id, text)
                case tsudoi.Private(sender, _, text, offset):
                    self._seen.heard.append((offset, sender, text))
                    self._seen.heard_at.append(time.time())
                case tsudoi.RoomClosed() | tsudoi.Kicked() | tsudoi.TimedOut():
                    self._seen.ended = f"{time.time():.3f} {event!r}"
                case tsudoi.ServerAway() | tsudoi.ServerBack() | tsudoi.Rerouted():
                    self._seen.notes.append(f"{time.time():.3f} {type(event).__name__}")
                case tsudoi.Gap() | tsudoi.Reset():
                    self._seen.odd.append(f"{time.time():.3f} {event!r}")

    async def _settle(self, line: tsudoi.Line) -> None:
        try:
            self._seen.kept[line.number] = await line.kept()
        except tsudoi.LineRefused:
            self._seen.refused.append(line.number)
        except tsudoi.NotInRoom:
            pass

    def _watch(self, chat: SealedChat) -> None:
        """Note each nonce that comes or goes with this session's keys."""
        sockets = chat._sockets
        send, received = sockets.send, sockets._received
        self._note_sockets(chat)

        def noted_send(data: bytes, server: int) -> None:
            self._note(b"up", data)
            send(data, server)

        def noted_received(data: bytes, server: int) -> None:
            self._note(b"down", data)
            received(data, server)

        sockets.send, sockets._received = noted_send, noted_received  # type: ignore[method-assign]

    def _note(self, side: bytes, data: bytes) -> None:
        if len(data) > 30 and data[1] in (1, 2) and self._nonces.setdefault(side + data[18:30], data) != data:
            self._seen.repeated_nonces.append(f"{side.decode()} {data[18:30].hex()}")

    def _note_sockets(self, chat: SealedChat) -> None:
        for transport in chat._sockets._transports.values():
            port = transport.get_extra_info("sockname")[1]
            self._on_socket(("127.0.0.1", port), self.plan.id)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
