"""A member in version 2 of the protocol: in order, exactly once; `tsudoi.protocol.sealed.client` decides."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import SystemRandom, sample
from weakref import WeakKeyDictionary, WeakSet

import msgspec

from tsudoi import errors, events
from tsudoi.events import LAST, Event, Kicked, Message, Renamed, RoomClosed, ServerAway, ServerBack, TimedOut
from tsudoi.net.chat import ChatClient
from tsudoi.net.line import Line
from tsudoi.net.rejoining import Enter, HandshakeResult, Rejoining
from tsudoi.net.roaming import RoamingSockets
from tsudoi.net.sockets import Address, addresses_of
from tsudoi.net.tcp_ways import TcpWays
from tsudoi.pieces import command_in
from tsudoi.protocol.client.dialect import Dialect
from tsudoi.protocol.client.sanitize import clean, clean_line
from tsudoi.protocol.client.slash_commands import Close, Leave
from tsudoi.protocol.errors import MalformedMessage
from tsudoi.protocol.sealed import client_events as sealed
from tsudoi.protocol.sealed.client import SealedClient
from tsudoi.protocol.sealed.client_link import AWAY_S
from tsudoi.protocol.sealed.client_path import is_tcp
from tsudoi.server_address import Server
from tsudoi.session import SealedMembership
from tsudoi.settings import Settings

LEAVE_S = 1.0
"""How long `leave` waits for the server's answer."""
_members: "WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[SealedChat]]" = WeakKeyDictionary()
"""Those of each event loop. When one has no answer, the others at its server ask at once whether they have one: in a
silent room they would with their next ping, up to 25 s later."""


class SealedChat(ChatClient):
    """See `ChatClient`."""

    def __init__(
        self,
        dialect: Dialect,
        room: str,
        entered: HandshakeResult,
        server: Server,
        settings: Settings,
        join_again: Enter,
    ) -> None:
        """Use `tsudoi.create` or `tsudoi.join` instead."""
        grant, addresses, self._first_seen = entered
        super().__init__(
            dialect, SealedMembership(dialect, room, grant.name, grant.has_commands), room, server, settings
        )
        self._core = SealedClient(grant, self._loop.time(), SystemRandom(), len(addresses), has_tcp=True)
        self._sockets = RoamingSockets(addresses, self._received, self._moved, self._woken)
        self._tcp = TcpWays(addresses, server, self._received, self._lost)
        self._earlier = tuple(
            events.Past(clean_line(line.sender), clean(line.text), line.offset, line.at_ms, line.acted)
            for line in grant.history
        )
        self._lines: dict[int, Line] = {}
        """By number, those that are neither kept nor refused."""
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        """When it rings; uvloop's timers do not always know."""
        self._ended = asyncio.Event()
        self._flushed = asyncio.Event()
        self._leaves_at_once = False
        self._is_leaving = False
        self._is_silent = False
        self._moving: asyncio.Task[None] | None = None
        self._rejoining = Rejoining(
            join_again,
            max(settings.rejoin_after_s - AWAY_S, 0.0),
            self._woken,
            self._notify_of_distrust,
            self._go_on_as,
            self._over,
        )

    async def open(self) -> None:
        """Begin; raise ServerUnreachable."""
        await self._sockets.open()
        _members.setdefault(self._loop, WeakSet()).add(self)
        self._notify_of_first_contact(self._first_seen)
        if self._earlier:
            self._keep(events.Earlier(self._earlier))
        self._core.tick(self._loop.time())
        self._pump()

    async def say(self, text: str) -> int | None:
        return await (await self._give(text)).kept()

    async def _give(self, text: str) -> Line:
        self._check_text(text)
        async with self._turn:
            await self._wait_for_turn()
            while len(self._lines) >= self._settings.lines_waiting and not self.closed:
                self._flushed.clear()
                await self._flushed.wait()
            return self._post(text)

    def post(self, text: str) -> Line:
        self._check_text(text)
        if len(self._lines) >= self._settings.lines_waiting:
            raise errors.TooManyLines(f"{len(self._lines)} lines wait to be kept")
        return self._post(text)

    async def leave(self) -> None:
        """Leave the room and close, when the lines that wait are kept; at the latest after `settings.flush_s`.

        If this is cancelled, the next call does not wait for lines.
        """
        self._check_loop()
        if not self.closed and not self._leaves_at_once:
            try:
                async with asyncio.timeout(self._settings.flush_s):
                    while self._lines and not self.closed:
                        self._flushed.clear()
                        await self._flushed.wait()
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                self._leaves_at_once = True
                raise
        if not self.closed:
            self._is_leaving = True
            self._core.leave(self._loop.time())
            self._pump()
            try:
                async with asyncio.timeout(LEAVE_S):
                    await self._ended.wait()
            except TimeoutError:
                pass
        self._end()

    async def vanish(self) -> None:
        self._end()

    def stop_keep_alives(self) -> None:
        """See `ChatClient`; nothing at all is sent any more."""
        self._is_silent = True

    async def move(self, server: Server) -> None:
        index = await self.add_gateway(server)
        self.server = server
        self.go_to(index)

    async def add_gateway(self, server: Server) -> int:
        """Note another gateway of the same service, where this client may go on when its own one does not answer.

        Returns:
            its index, for `go_to`.

        Raises:
            NotInRoom, ServerUnreachable
        """
        self._check_inside()
        indices = [self._add(address, server) for address in await addresses_of(server)]
        self._core.set_servers(len(self._sockets.addresses))
        return indices[0]

    def _add(self, address: Address, server: Server) -> int:
        """Note an address of a gateway; return its index."""
        index = self._sockets.add(address)
        self._tcp.put(index, address, server)
        return index

    def go_to(self, index: int) -> None:
        """Go on at another gateway that is known; raise NotInRoom."""
        self._check_inside()
        self._core.go_to(index, len(self._sockets.addresses), self._loop.time())
        self._pump()

    async def _go_on(self, places: tuple[str, ...]) -> None:
        """Go on at one of these places, each `HOST:TCP:UDP`; if there is none, this client stays where it is."""
        for place in sample(places, len(places)):
            with suppress(ValueError, errors.ServerUnreachable, errors.NotInRoom):
                await self.move(replace(Server.parse(place), tls=self.server.tls, tls_ca=self.server.tls_ca))
                return

    @property
    def waiting(self) -> int:
        return len(self._lines)

    @property
    def has_receipts(self) -> bool:
        return True

    @property
    def position(self) -> tuple[int, int]:
        return self._core.position

    # --- the core ---

    def _post(self, text: str) -> Line:
        self._check_inside()
        is_command = command_in(self._membership.as_taken(text)) is not None
        number = self._core.say(self._membership.as_sent(text), self._loop.time(), is_command=is_command)
        line = self._lines[number] = Line(text, number)
        self._pump()
        return line

    def _received(self, data: bytes, server: int) -> None:
        if not self.closed:
            self._core.receive(data, self._loop.time(), server)
            self.malformed = self._core.malformed
            self._pump()

    def _lost(self, way: int) -> None:
        self._drive(SealedClient.lose, way)

    def _moved(self, has_moved: bool) -> None:
        self._drive(SealedClient.move if has_moved else SealedClient.rebind)

    def _woken(self) -> None:
        self._drive(SealedClient.resume)

    def _check(self) -> None:
        self._drive(SealedClient.check)

    def _tick(self) -> None:
        self._timer = None
        self._drive(SealedClient.tick)

    def _drive(self, step: Callable[..., None], *about: int) -> None:
        """Let the core, which may be another one by now, take a step."""
        if not self.closed:
            step(self._core, *about, self._loop.time())
            self._pump()

    def _pump(self) -> None:
        """Carry out what the core wants."""
        for datagram in self._core.datagrams_to_send():
            if self._is_silent:
                continue
            if is_tcp(datagram.server):
                self._tcp.send(datagram.data, datagram.server, is_fresh=datagram.is_fresh)
            else:
                self._sockets.send(datagram.data, datagram.server)
        if self._core.is_resumed:
            self._tcp.close_unused(self._core.way)
        self.unreachable = self._sockets.failures
        for event in self._core.events():
            if not self.closed:
                self._take(event)
        at = None if self.closed else self._core.deadline
        if self._timer is not None and at != self._timer_at:
            self._timer.cancel()
            self._timer = None
        if at is not None and self._timer is None:
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._tick)

    def _take(self, event: sealed.ClientEvent) -> None:
        match event:
            case sealed.Delivered(_, raw, _, is_own, cause):
                self._take_line(raw, cause, is_own=is_own)
            case sealed.Told(raw, cause):
                self._take_line(raw, cause)
            case sealed.Kept(number, offset):
                self._settle(number).keep(offset)
            case sealed.LineRefused(number, text):
                self._settle(number).refuse(clean_line(text))
            case sealed.Gap(first, last):
                self._rename(self._core.name)
                self._keep(events.Gap(first, last))
            case sealed.Reset():
                self._rename(self._core.name)
                self._keep(events.Reset())
            case sealed.Silent():
                for other in _members[self._loop]:
                    if other.server == self.server and other._core.is_resumed:
                        self._loop.call_soon(other._check)
            case sealed.Away():
                self._keep(ServerAway(f"the server at {self.server} does not answer; what you say waits until it does"))
                self._rejoining.begin()
            case sealed.Back(missed):
                self._rejoining.stop()
                self._keep(ServerBack(missed))
            case sealed.Rerouted(by_tcp):
                self._keep(events.Rerouted(by_tcp))
            case sealed.Moving(to):
                self._moving = asyncio.create_task(self._go_on(to), name="go on at another server")
            case sealed.Ended():
                self._ended.set()
                self._settle_last(event.reason)
                # To a host that leaves, the server says that the room is closed.
                self._end(None if self._is_leaving else _last_event(event, self.room), is_whole=event.is_whole)

    def _notify_of_distrust(self, why: str) -> None:
        self._keep(ServerAway(f"the server at {self.server} does not answer, and {why}", why))

    def _notify_of_first_contact(self, sha256: str) -> None:
        if sha256:
            self._keep(events.FirstContact(str(self.server), sha256))

    def _go_on_as(self, entered: HandshakeResult) -> None:
        """Go on as another member, from the position of the one before."""
        grant, addresses, first_seen = entered
        self._rejoining.stop()
        indices = [self._add(address, self.server) for address in addresses]
        epoch, offset = self._core.position
        grant = msgspec.structs.replace(grant, epoch=epoch, offset=offset)
        self._core = SealedClient(
            *(grant, self._loop.time(), SystemRandom(), len(self._sockets.addresses), indices[0]),
            has_tcp=True,
            before=self._core.members,
        )
        self._give_up_lines("the server did not know you any more")
        self._lines.clear()
        self._forget_commands()
        self._membership.has_commands = grant.has_commands
        self._rename(grant.name)
        self._notify_of_first_contact(first_seen)
        self._keep(events.Rejoined(self.name))
        self._core.tick(self._loop.time())
        self._pump()

    def _over(self, why: str) -> None:
        """End the membership, which the server does not know any more; the room can not be joined again."""
        why = f"the server at {self.server} does not know you in {self.room} any more: {why}"
        self._end(TimedOut(why, is_forgotten=True))

    def _settle_last(self, reason: str) -> None:
        """Settle the command that has ended the membership, which the server does not tell as kept."""
        kinds = {"left": Leave, "closed": Close}
        for line in self._lines.values():
            if reason in kinds and isinstance(command_in(self._membership.as_taken(line.text)), kinds[reason]):
                self._settle(line.number).keep(None)
                return

    def _settle(self, number: int) -> Line:
        self._flushed.set()
        return self._lines.pop(number)

    def _take_line(self, raw: bytes, cause: int | None, *, is_own: bool = False) -> None:
        try:
            event = self._membership.receive(raw)
        except MalformedMessage:
            self.malformed += 1
            return
        if is_own and isinstance(event, Message) and not self._settings.own_messages:
            return
        if not self._offer(event, cause):
            self._keep(event)
        if isinstance(event, Renamed) and event.name == self.name:
            self._rename(event.to)
        if isinstance(event, LAST):
            self._end()

    def _rename(self, name: str) -> None:
        self.name = self._membership.user = clean_line(name)

    def _end(self, last: Event | None = None, *, is_whole: bool = False) -> None:
        if self.closed:
            return
        if last is not None:
            self._keep(last)
        self._is_room_closed = isinstance(last, RoomClosed)
        if self._timer is not None:
            self._timer.cancel()
        self._sockets.close()
        self._tcp.close()
        self._rejoining.stop()
        self._end_events()
        self._ended.set()
        self._give_up_lines(f"not in {self.room} any more", is_whole=is_whole)

    def _give_up_lines(self, why: str, *, is_whole: bool = False) -> None:
        """Settle the lines that are not kept; `is_whole`: a message among them was not said, as it has not come."""
        for line in self._lines.values():
            if is_whole and command_in(self._membership.as_taken(line.text)) is None:
                line.give_up(f"{why}; this was not said: {line.text[:50]}", is_refused=True)
            else:
                line.give_up(f"{why}; whether this was said is not known: {line.text[:50]}")
        self._flushed.set()


def _last_event(ended: sealed.Ended, room: str) -> Event | None:
    """Return the event that tells why a membership has ended; None: by this client's own will."""
    text = clean(ended.text)
    match ended.reason:
        case "left":
            return None
        case "closed":
            return RoomClosed(text)
        case "idle":
            return TimedOut(text)
        case "gone":
            return TimedOut(f"You are not in {room} any more. Join it again.")
        case _:
            return Kicked(text, banned=ended.reason == "banned")
