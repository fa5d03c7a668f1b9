"""A member of a room, as programs use it; its subclasses speak one version of the protocol each."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from tsudoi import errors
from tsudoi.events import Event, Message
from tsudoi.net.line import Line
from tsudoi.net.room_commands import Commands
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.server_address import Server
from tsudoi.session import Membership
from tsudoi.settings import Settings

_HALF = "the text has half a character (a lone surrogate)"


def check_type(what: str, value: object, kind: type) -> None:
    """Raise TypeError for a value of another type: programs without type checks pass one."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} is to be a {kind.__name__}, and is {value!r:.50}")


class ChatClient(Commands):
    """A member of a room. Iterate over it for events; at the end of an `async with` block it leaves the room.

    Events wait in a queue of `settings.queue_size`. When it is full, the oldest is dropped for each that comes, and
    `dropped` counts it: a slow reader misses old events, not new ones. The last event is never dropped.
    """

    def __init__(self, dialect: Dialect, membership: Membership, room: str, server: Server, settings: Settings) -> None:
        """Use `tsudoi.create` or `tsudoi.join` instead."""
        self.room = room
        self.name = membership.user
        """As the server assigned it, if the dialect reports it: `alice#2` if there is an alice already."""
        self.dialect = dialect
        self.server = server
        self.dropped = 0
        """Events that were dropped because the queue was full."""
        self.repeated = 0
        """Events that came a second time and were left out, in dialects that have positions."""
        self.malformed = 0
        """Datagrams that could not be parsed."""
        self.unreachable = 0
        """Times that the server's machine refused a datagram."""
        self.closed = False
        """Whether the membership has ended; events that came before can still be read."""
        super().__init__(settings.answer_timeout_s)
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._membership = membership
        self._inbox: asyncio.Queue[Event | None] = asyncio.Queue()
        self._turn = asyncio.Lock()
        """Held by the `say` whose line is next: lines of several tasks go in the order of the calls."""
        self._allowance = float(settings.burst)
        self._paid_at = 0.0

    def __repr__(self) -> str:
        return f"<{self.name!r} in {self.room!r} at {self.server}, {self.dialect.name}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        self._check_loop()
        event = await self._inbox.get()
        if event is None:
            self._inbox.put_nowait(None)
            raise StopAsyncIteration
        return event

    def messages(self) -> AsyncIterator[Message]:
        """Iterate over the members' messages alone."""
        return _Messages(self)

    @property
    def waiting(self) -> int:
        """How many lines are neither kept nor refused, in `tsudoi-2`."""
        return 0

    @property
    def has_receipts(self) -> bool:
        """Whether the server tells which lines are kept, and what comes of a command: in `tsudoi-2`."""
        return False

    @property
    def has_commands(self) -> bool:
        """Whether a line that begins with a slash is a command here. Only in `tsudoi-2` this is known; else it is True.

        Where there are none, such a line raises InvalidText: a whisper would be said to the room.
        """
        return self._membership.has_commands

    @property
    def position(self) -> tuple[int, int] | None:
        """The room's (epoch, offset) up to which this client has received all, in `tsudoi-2`; None in other dialects.

        Right after `join` it is the place of the member's own entry. A room that is made anew under the same name
        counts offsets from 1 again.
        """
        return None

    @property
    def text_limit(self) -> int:
        """The largest size, in bytes, of a message that `say` accepts: no member's dialect needs to cut it.

        Whispers and actions (`msg`, `reply`, `me`, and lines with `/msg`, `/r`, `/me`) have about half: see `limit_of`.
        """
        return self._membership.text_limit

    def limit_of(self, line: str) -> int:
        """Return the largest size, in bytes as JSON, of the text in a line like this: `/msg bob hi`, `/me waves`, `hi`.

        It depends on the names: `tsudoi` sends a whisper's text and names twice, as values and in words.
        """
        return self._membership.limit_of(line)

    def pieces(self, line: str) -> list[str]:
        """Split a line into lines that `say` accepts; behind a space where there is one.

        A long `/msg bob …` becomes several to bob, a long `/me` several actions, and a message messages: no piece of a
        message is a command.

        Raises:
            InvalidText: a command with line feeds, or one that is too long and can not be split, such as `/r`; half a
                character; a command where there are none (`has_commands`).
        """
        try:
            return self._membership.pieces(line)
        except UnicodeEncodeError as exc:
            raise errors.InvalidText(_HALF) from exc

    def as_text(self, line: str) -> str:
        """Return the line that says `line` to the room, also `/close` or `alice: /close`, which would be commands."""
        return self._membership.as_text(line)

    @abstractmethod
    async def say(self, text: str) -> int | None:
        """Send `text` to the room, at the rate that the settings allow.

        In `tsudoi-2`, wait until it is kept, also while the server is away. In all other dialects it is one datagram,
        which may get lost on its way to the server.

        Returns:
            the message's position in `tsudoi-2`; None for a command, if the position of a message that is kept has not
            come within 30 s, and in all other dialects.

        Raises:
            InvalidText: empty, too long (`text_limit`, `limit_of`, `pieces`), not Unicode, or a word that the dialect
                reserves.
            LineRefused: the server refuses it; the message is the server's. In `tsudoi-2` only.
            NotInRoom: the membership has ended.
        """

    def post(self, text: str) -> Line:
        """Say a text without waiting, in `tsudoi-2`; lines are kept in the order of the calls.

        Raises:
            InvalidText, NotInRoom: as `say`.
            TooManyLines: `settings.lines_waiting` lines are not kept yet.
            NotInDialect: in other dialects no line is known to be kept.
        """
        raise errors.NotInDialect(f"{self.dialect.name} does not tell which lines are kept")

    async def _give(self, text: str) -> Line:
        raise errors.NotInDialect(f"{self.dialect.name} does not number lines")

    @abstractmethod
    async def leave(self) -> None:
        """Leave the room and close."""

    @abstractmethod
    async def vanish(self) -> None:
        """Close without a word to the server, like a client that crashes."""

    @abstractmethod
    async def move(self, server: Server) -> None:
        """Go on at another gateway of the same service, as the same member; raise NotInRoom or ServerUnreachable."""

    @abstractmethod
    def stop_keep_alives(self) -> None:
        """Send no more keep-alives; the server then removes this member unless it sends messages."""

    def _check_text(self, text: str) -> None:
        check_type("a text", text, str)
        if not text:
            raise errors.InvalidText("there is nothing to say: the text is empty")
        try:
            size, limit = self._membership.size_of(text), self._membership.limit_of(text)
        except UnicodeEncodeError as exc:
            raise errors.InvalidText(_HALF) from exc
        if size > limit:
            raise errors.InvalidText(f"the text has {size} bytes and must have at most {limit}")
        self._membership.check(text)
        if text in self._membership.reserved:
            raise errors.InvalidText(f"{text!r} is a command in the dialect {self.dialect.name}")

    async def _wait_for_turn(self) -> None:
        """Wait until `burst` and `rate_per_s` allow a message."""
        rate, burst = self._settings.rate_per_s, self._settings.burst
        if not rate:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._allowance = min(float(burst), self._allowance + (now - self._paid_at) * rate) - 1
        self._paid_at = now
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / rate)

    def _check_inside(self) -> None:
        self._check_loop()
        if self.closed:
            raise errors.NotInRoom(f"not in {self.room} any more")

    def _check_loop(self) -> None:
        """Raise RuntimeError in another event loop, in another thread, and in the child after `os.fork`.

        A child that went on would seal its packets with the nonces and line numbers of its parent.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is not self._loop:
            raise RuntimeError("this client belongs to the event loop, thread and process in which it was made")

    def _keep(self, event: Event) -> None:
        if self._inbox.qsize() >= self._settings.queue_size:
            self._inbox.get_nowait()
            self.dropped += 1
        self._inbox.put_nowait(event)

    def _end_events(self) -> None:
        self.closed = True
        self._forget_commands()
        self._inbox.put_nowait(None)


class _Messages:
    """No generator: a time-out in `anext` would end that for good."""

    def __init__(self, chat: ChatClient) -> None:
        self._chat = chat

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while not isinstance(event := await anext(self._chat), Message):
            pass
        return event
