"""The SDK for asyncio programs: create, join and list rooms; chat in one."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from tsudoi import errors
from tsudoi.events import LAST, Event, Message, Renamed, ServerAway
from tsudoi.net.room_commands import Commands
from tsudoi.net.sockets import UdpChannel, connected, reason, udp_to
from tsudoi.protocol import names
from tsudoi.protocol.client.dialect import Dialect, DownForm
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.client.reply_decoder import Refused
from tsudoi.protocol.codes import Operation
from tsudoi.protocol.errors import InvalidName, MalformedMessage
from tsudoi.server_address import Server
from tsudoi.session import Enter, JoinList, ListRooms, Membership, Recent, lists_first
from tsudoi.settings import Settings

DEFAULT_SERVER = Server()
DEFAULT_SETTINGS = Settings()
_HALF = "the text has half a character (a lone surrogate)"
_REGISTER_AGAIN_S = 1.0
"""Pause before the first keep-alive: the datagram before may be lost, and the server needs one to learn the address."""


async def create(
    room: str,
    *,
    name: str = "",
    server: Server = DEFAULT_SERVER,
    dialect: str = "tsudoi",
    password: str | None = None,
    signed_token: str | None = None,
    settings: Settings = DEFAULT_SETTINGS,
) -> "ChatClient":
    """Create a room and join it as its host: the room closes when the host leaves.

    Args:
        room: its name.
        name: yours; may be left out if a signed token has it.
        dialect: the dialect to speak.
        password: the room's.
        signed_token: a token with your name, signed by a website that the server trusts; replaces the name.
        settings: time-outs and limits.

    Raises:
        ClientError: RoomExists, ServerUnreachable, or another of `tsudoi.errors`.
    """
    return await _enter(Operation.CREATE, room, name, server, _dialect(dialect), password, settings, signed_token)


async def join(
    room: str,
    *,
    name: str = "",
    server: Server = DEFAULT_SERVER,
    dialect: str = "tsudoi",
    password: str | None = None,
    signed_token: str | None = None,
    settings: Settings = DEFAULT_SETTINGS,
) -> "ChatClient":
    """Join a room; see `create`.

    Raises:
        ClientError: RoomNotFound, WrongPassword, ServerUnreachable, or another of `tsudoi.errors`.
    """
    return await _enter(Operation.JOIN, room, name, server, _dialect(dialect), password, settings, signed_token)


async def rooms(
    *, server: Server = DEFAULT_SERVER, dialect: str = "tsudoi", settings: Settings = DEFAULT_SETTINGS
) -> list[str]:
    """Return the names of the server's rooms.

    Raises:
        NotInDialect: the dialect has no way to ask.
        ClientError: ServerUnreachable, or another of `tsudoi.errors`.
    """
    profile = _dialect(dialect)
    if not profile.lists_rooms and not profile.join_lists_rooms:
        raise errors.NotInDialect(f"{profile.name} has no way to ask for the rooms")
    listing = ListRooms() if profile.lists_rooms else JoinList(profile)
    async with connected(server, settings) as line:
        await line.converse(listing, settings)
    if isinstance(listing, JoinList) and isinstance(listing.result, Refused):
        raise errors.refusal(listing.result.status, listing.result.reason, "")
    return listing.rooms or []


def _dialect(name: str) -> Dialect:
    try:
        return DIALECTS[name]
    except KeyError:
        raise errors.NotInDialect(f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}") from None


async def _enter(
    operation: Operation,
    room: str,
    name: str,
    server: Server,
    dialect: Dialect,
    password: str | None,
    settings: Settings,
    signed_token: str | None,
) -> "ChatClient":
    try:
        room, name = names.room_name(room), names.user_name(name) if name or not signed_token else ""
        f"{password}{signed_token}".encode()
    except InvalidName as exc:
        raise errors.InvalidName(str(exc)) from exc
    except UnicodeEncodeError as exc:
        raise errors.InvalidText("the password or the token has half a character (a lone surrogate)") from exc
    if password is not None and dialect.password_key is None:
        raise errors.NotInDialect(f"{dialect.name} has no passwords")
    if lists_first(dialect):
        await rooms(server=server, dialect=dialect.name, settings=settings)
    async with connected(server, settings) as line:
        try:
            udp = line.udp_beside(server.udp)
        except OSError as exc:
            raise errors.ServerUnreachable(f"no way to send to {server}: {reason(exc)}") from exc
        try:
            enter = Enter(dialect, operation, room, signed_token or name, password, udp.getsockname()[1])
            await line.converse(enter, settings)
            if isinstance(enter.result, Refused):
                raise errors.refusal(enter.result.status, enter.result.reason, room)
            assert enter.result is not None
        except BaseException:
            udp.close()
            raise
    assigned = enter.result.user or name
    chat = ChatClient(dialect, room, assigned, enter.result.token, server, settings)
    await chat._open(await UdpChannel.open(udp, chat._received, chat._failed))
    return chat


class ChatClient(Commands):
    """A member of a room. Iterate over it for events; at the end of an `async with` block it leaves the room.

    Events wait in a queue of `settings.queue_size`. When it is full, the oldest is dropped for each that comes, and
    `dropped` counts it: a slow reader misses old events, not new ones. The last event is never dropped.
    """

    def __init__(self, dialect: Dialect, room: str, name: str, token: str, server: Server, settings: Settings) -> None:
        """Use `create` or `join` instead."""
        self.room = room
        self.name = name
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
        super().__init__(dialect.down.form is DownForm.NATIVE, settings.answer_timeout_s)
        self._settings = settings
        self._membership = Membership(dialect, room, name, token)
        self._inbox: asyncio.Queue[Event | None] = asyncio.Queue()
        self._channels: list[UdpChannel] = []
        self._recent = Recent()
        self._away = False
        self._keep_alive: asyncio.Task[None] | None = None
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
        event = await self._inbox.get()
        if event is None:
            self._inbox.put_nowait(None)
            raise StopAsyncIteration
        return event

    async def messages(self) -> AsyncIterator[Message]:
        """Iterate over the members' messages alone."""
        async for event in self:
            if isinstance(event, Message):
                yield event

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
                character.
        """
        try:
            return self._membership.pieces(line)
        except UnicodeEncodeError as exc:
            raise errors.InvalidText(_HALF) from exc

    def as_text(self, line: str) -> str:
        """Return the line that says `line` to the room, also `/close` or `alice: /close`, which would be commands."""
        return self._membership.as_text(line)

    async def say(self, text: str) -> None:
        """Send `text` to the room, at the rate that the settings allow.

        It is one datagram, which may get lost on its way to the server.

        Raises:
            InvalidText: empty, too long (`text_limit`, `limit_of`, `pieces`), not Unicode, or a word that the dialect
                reserves.
            NotInRoom: the membership has ended.
        """
        if not text:
            raise errors.InvalidText("there is nothing to say: the text is empty")
        try:
            size, limit = self._membership.size_of(text), self._membership.limit_of(text)
        except UnicodeEncodeError as exc:
            raise errors.InvalidText(_HALF) from exc
        if size > limit:
            raise errors.InvalidText(f"the text has {size} bytes and must have at most {limit}")
        if text in self._membership.reserved:
            raise errors.InvalidText(f"{text!r} is a command in the dialect {self.dialect.name}")
        await self._wait_for_turn()
        await self._channel().send(self._membership.say(text))

    async def leave(self) -> None:
        """Leave the room and close. In a dialect without a leave word the server notices the silence."""
        if not self.closed:
            word = self._membership.leave()
            if word is not None:
                self._channels[-1].send_now(word)
        self._end()

    async def vanish(self) -> None:
        """Close without the leave word, like a client that crashes."""
        self._end()

    def stop_keep_alives(self) -> None:
        """Send no more keep-alives; the server then removes this member unless it sends messages."""
        if self._keep_alive is not None:
            self._keep_alive.cancel()

    async def move(self, server: Server) -> None:
        """Go on at another gateway of the same service, with the same token; raise NotInRoom or ServerUnreachable."""
        self._channel()
        channel = await UdpChannel.open(await udp_to(server), self._received, self._failed)
        # Datagrams that are under way to the old socket are still received.
        self._channels = [*self._channels[-1:], channel]
        self.server = server
        channel.send_now(self._membership.register())

    async def _open(self, channel: UdpChannel) -> None:
        self._channels.append(channel)
        if self._settings.register_at_once:
            channel.send_now(self._membership.register())
        if self._settings.keep_alive_s:
            self._keep_alive = asyncio.create_task(self._send_keep_alives(), name=f"keep-alive of {self.name}")

    async def _send_keep_alives(self) -> None:
        pause_s = min(_REGISTER_AGAIN_S, self._settings.keep_alive_s)
        while True:
            await asyncio.sleep(pause_s)
            self._channels[-1].send_now(self._membership.register())
            pause_s = self._settings.keep_alive_s

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

    def _channel(self) -> UdpChannel:
        if self.closed:
            raise errors.NotInRoom(f"not in {self.room} any more")
        return self._channels[-1]

    def _received(self, data: bytes) -> None:
        self._away = False
        try:
            event = self._membership.receive(data)
        except MalformedMessage:
            self.malformed += 1
            return
        if self.closed:
            return
        if self._recent.has_seen(event):
            self.repeated += 1
            return
        if not self._offer(event):
            self._keep(event)
        if isinstance(event, Renamed) and event.name == self.name:
            self.name = self._membership.user = event.to
        if isinstance(event, LAST):
            self._end()

    def _failed(self, exc: OSError) -> None:
        self.unreachable += 1
        if not self._away and not self.closed:
            self._away = True
            self._keep(ServerAway(f"the server at {self.server} does not answer: {reason(exc)}"))

    def _keep(self, event: Event) -> None:
        if self._inbox.qsize() >= self._settings.queue_size:
            self._inbox.get_nowait()
            self.dropped += 1
        self._inbox.put_nowait(event)

    def _end(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._arrived.set()
        self.stop_keep_alives()
        for channel in self._channels:
            channel.close()
        self._inbox.put_nowait(None)
