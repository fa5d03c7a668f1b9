"""TCPServer: the doors for handshakes. Carries out what a `JoinConversation` says; decides nothing."""

import asyncio
import contextlib
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic, time

from gateway import addresses
from gateway.config import Door, Settings
from gateway.core import Core
from gateway.join import (
    Announce,
    AskForRooms,
    AskToEnter,
    Command,
    Declined,
    Entered,
    Event,
    Finish,
    JoinConversation,
    Listed,
    Quiet,
    Received,
    Send,
    State,
    WaitBriefly,
)
from gateway.members import Member
from gateway.trust import Gate
from protocol.backbone import Answer, Create, Granted, Join, ListRooms, Question, Refused, Rooms
from protocol.codes import LeaveReason, Operation, Status
from protocol.errors import PeerError, SettingError
from protocol.names import hash_token

logger = logging.getLogger("gateway.tcp")

BRIEFLY_S = 0.03
"""How long bytes that belong to what came already may lag behind it."""
PORT_S = 5.0
"""How long a client that has its token may take to announce its port."""
LISTED_S = 60.0
LISTED_ADDRESSES = 10_000
LISTED_ROOMS = 1_000
"""The newest; the seed's list holds fewer."""
BACKLOG = 1_024
READ_SIZE = 4_096


class TCPServer:
    """All TCP doors of a gateway."""

    def __init__(self, core: Core, settings: Settings, settle: Callable[[], None], gate: Gate | None = None) -> None:
        """Serve nothing yet.

        Args:
            core: what decides about members.
            settings: see there.
            settle: carries out what the core has left to do.
            gate: checks signed tokens; None: names are free.
        """
        self._gate = gate
        self._core = core
        self._settings = settings
        self._settle = settle
        self._servers: list[asyncio.Server] = []
        self._open = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listed: OrderedDict[str, float] = OrderedDict()
        """IP address → when it asked for the room list on a connection of its own."""

    async def open(self, door: Door) -> Door:
        """Bind a door and serve it; return where it really is.

        Raises:
            SettingError: the address can not be bound.
        """

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(reader, writer, door.dialect)

        try:
            server = await asyncio.start_server(serve, door.host, door.port, backlog=BACKLOG, limit=READ_SIZE)
        except OSError as exc:
            raise SettingError(f"can not listen on TCP {door}: {_reason(exc)}") from exc
        self._servers.append(server)
        return Door(door.host, server.sockets[0].getsockname()[1], door.dialect)

    async def close(self, grace_s: float) -> None:
        """Take no new connections, let those that asked get their answer, then end the rest."""
        for server in self._servers:
            server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dialect: str) -> None:
        peer = writer.get_extra_info("peername")
        if self._open >= self._settings.connections or peer is None:
            self._core.counters.connections_refused += 1
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open += 1
        ip = str(peer[0])
        conversation = JoinConversation(
            dialect, self._settings.payload_limit, self._listed_lately(ip), self._gate is not None
        )
        shell = _Shell(self._core, self._settings, self._settle, self._gate, conversation, reader, writer, ip)
        try:
            await shell.run()
        except (OSError, EOFError, asyncio.CancelledError) as exc:  # OSError covers TimeoutError
            logger.debug("%s gave up in %s: %r", ip, conversation.state.name, exc)
            shell.give_up()
        finally:
            if conversation.listed:
                self._note_listed(ip)
            self._open -= 1
            self._tasks.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    def _listed_lately(self, ip: str) -> bool:
        return monotonic() - self._listed.get(ip, float("-inf")) < LISTED_S

    def _note_listed(self, ip: str) -> None:
        self._listed.pop(ip, None)
        self._listed[ip] = monotonic()
        if len(self._listed) > LISTED_ADDRESSES:
            self._listed.popitem(last=False)


class _Shell:
    """One connection: feeds its conversation what happens, and carries out what that returns."""

    def __init__(
        self,
        core: Core,
        settings: Settings,
        settle: Callable[[], None],
        gate: Gate | None,
        conversation: JoinConversation,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ip: str,
    ) -> None:
        self._core = core
        self._settings = settings
        self._settle = settle
        self._gate = gate
        self._conversation = conversation
        self._reader = reader
        self._writer = writer
        self._ip = ip
        self._member: Member | None = None
        self._told = False
        """The client has its token."""

    async def run(self) -> None:
        """Go on until the conversation is finished, or raise OSError or EOFError when it can not be."""
        deadline = monotonic() + self._settings.first_byte_s
        begun = False
        wait_s: float | None = None
        while self._conversation.state is not State.DONE:
            if self._conversation.begun != begun:
                begun = self._conversation.begun
                deadline = monotonic() + (self._settings.request_s if begun else self._settings.first_byte_s)
            if self._conversation.state is State.AWAITING_PORT and wait_s is None:
                wait_s = PORT_S
            event = await self._next(deadline, wait_s)
            wait_s = None
            pending: list[Event] = [event]
            while pending:
                for command in self._conversation.handle(pending.pop(0)):
                    if isinstance(command, WaitBriefly):
                        wait_s = BRIEFLY_S
                    elif isinstance(command, Finish):
                        return
                    else:
                        answer = await self._carry_out(command)
                        if answer is not None:
                            pending.append(answer)

    def give_up(self) -> None:
        """The connection ended: a member that never got its token is nobody's."""
        if self._member is not None and not self._told and not self._member.leaving:
            self._core.leave(self._member, LeaveReason.LEFT, monotonic())
            self._settle()

    async def _next(self, deadline: float, wait_s: float | None) -> Event:
        left = deadline - monotonic()
        brief = wait_s is not None and wait_s < left
        try:
            async with asyncio.timeout(wait_s if brief else max(left, 0.0)):
                data = await self._reader.read(READ_SIZE)
        except TimeoutError:
            if not brief or wait_s == PORT_S:
                raise
            return Quiet()
        if not data:
            if wait_s == BRIEFLY_S:
                return Quiet()
            raise EOFError("the client closed the connection")
        return Received(data)

    async def _carry_out(self, command: Command) -> Event | None:
        match command:
            case Send(frames, pause_s):
                await self._send(frames, pause_s)
            case AskForRooms():
                answer = await self._ask(ListRooms(LISTED_ROOMS))
                return Listed(answer.names) if isinstance(answer, Rooms) else Declined(Status.BUSY)
            case AskToEnter():
                return await self._enter(command)
            case Announce(port):
                if self._member is not None:
                    self._core.announce(self._member, addresses.pack(self._ip, port), monotonic())
                    self._settle()
        return None

    async def _send(self, frames: list[bytes], pause_s: float) -> None:
        for number, frame in enumerate(frames):
            if number:
                await asyncio.sleep(pause_s)
            if self._writer.transport.is_closing():
                raise EOFError("the client closed the connection before it had its answer")
            self._writer.write(frame)
            await self._writer.drain()
        self._told = self._member is not None

    async def _ask(self, body: Question) -> Answer | None:
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

        def on_answer(answer: Answer | None, _: float) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._core.link.ask(body, monotonic(), on_answer)
        self._settle()
        return await answered

    async def _enter(self, command: AskToEnter) -> Event:
        counters = self._core.counters
        counters.handshakes += 1
        user, password, rights = command.user, command.password, 0
        if self._gate is not None:
            try:
                admitted = self._gate.admit_untrusted(command.operation, command.room, user, password, time())
            except PeerError as exc:
                counters.handshakes_refused += 1
                counters.tokens_refused += 1
                return Declined(exc.status, str(exc))
            user, password, rights = admitted.user, admitted.password, int(admitted.rights)
        token = secrets.token_hex(16)
        fields = (
            command.room,
            user,
            password,
            hash_token(token.encode()),
            command.dialect.name,
            self._ip.partition("%")[0],
            int(self._settings.idle_timeout_s * 1000),
            rights,
        )
        answer = await self._ask(Create(*fields) if command.operation is Operation.CREATE else Join(*fields))
        if not isinstance(answer, Granted):
            counters.handshakes_refused += 1
            if isinstance(answer, Refused):
                return Declined(_status(answer.status), answer.detail)
            return Declined(Status.BUSY)
        ready = asyncio.Event()
        self._member = self._core.enter(answer, token.encode(), monotonic(), ready.set)
        self._settle()
        # News of the room must come here before the client is told that it is in. If the proof does not come in time
        # the client is told all the same: what it misses shows as a gap, and is repaired.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.request_timeout_s):
                await ready.wait()
        return Entered(answer.room_name, answer.user, token)


def _status(number: int) -> Status:
    return Status(number) if number in Status.__members__.values() else Status.BAD_REQUEST


def _reason(exc: OSError) -> str:
    """Return the system's words alone: asyncio wraps them in a text of its own."""
    return os.strerror(exc.errno) if exc.errno else str(exc)
