"""One TCP connection: feeds its `JoinConversation` what happens, and carries out what that returns; decides nothing.

Callbacks and no task: a handshake is a few short steps, and at thousands a second a task, its reader and its time-outs
cost more than they do.
"""

import asyncio
from collections import deque
from time import monotonic, time
from typing import Protocol, cast

from gateway import addresses
from gateway.admission import Admission, Verdict
from gateway.config import Door, Settings
from gateway.core import Core
from gateway.counters import TOKEN_REFUSED
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
from gateway.listing import Listing, RoomList
from gateway.members import Member
from gateway.net.waits import Waits
from gateway.steering import Steering
from gateway.trust import Gate
from tsudoi.ops import logs
from tsudoi.protocol.backbone import Answer, Create, Granted, Join, Refused
from tsudoi.protocol.codes import LeaveReason, Operation, Status
from tsudoi.protocol.errors import PeerError
from tsudoi.protocol.names import hash_token

logger = logs.get("gateway.tcp")

BRIEFLY_S = 0.03
"""How long bytes that belong to what came already may lag behind it."""
PORT_S = 5.0
"""How long a client that has its token may take to announce its port."""
UNREAD = 4_096
"""Bytes that a client may say while it is being answered; beyond that nothing is read from it meanwhile."""

_STATUSES = frozenset(Status)


class Desk(Protocol):
    """What a connection needs of its server."""

    core: Core
    settings: Settings
    gate: Gate | None
    rooms: RoomList
    loop: asyncio.AbstractEventLoop
    silent: Waits
    """Connections that have said nothing, or whose user reads the list."""
    asking: Waits
    """Connections in the midst of a request, or that do not take their answer."""

    admission: Admission
    steering: Steering

    def enter(self, connection: "Connection", ip: str) -> Verdict:
        """Take a connection, or say that there are too many."""

    def leave(self, connection: "Connection", ip: str) -> None:
        """A connection has ended."""

    def hold(self, connection: "Connection", size: int) -> None:
        """A connection holds so many bytes now; if that is too much of all, whoever holds most is ended at once."""

    def settle_soon(self) -> None:
        """Let what the core has left to do be carried out, with what else happens at this moment."""

    def listed_lately(self, ip: str) -> bool:
        """Say whether this IP address lately asked for the room list on a connection of its own."""

    def note_listed(self, ip: str) -> None:
        """Note that it has."""


class Connection(asyncio.Protocol):
    """What a client says, and what it is told."""

    _transport: asyncio.Transport
    _conversation: JoinConversation

    def __init__(self, desk: Desk, door: Door) -> None:
        self._desk = desk
        self._door = door
        self.ip = ""
        """Where it comes from."""
        self._admitted = False
        self._welcome = True
        """Its request may be asked of the broker; otherwise it is answered busy."""
        self._held = 0
        """Bytes that are held for it, as the desk knows it."""
        self._connected = False
        self._lost = False
        self._ended = False
        """Whatever comes now comes too late."""
        self._eof = False
        """The client has said all that it will say; it may still want its answer."""
        self._aborted = False
        """Nothing is held for it any more: it is lost, or will be in a moment."""
        self._unread: list[bytes] = []
        self._todo: deque[Command] = deque()
        self._busy = False
        """An answer is awaited or being sent: what comes meanwhile waits."""
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_is_brief = False
        self._refused_as = ""
        """Why, where the status alone does not say it."""
        self._member: Member | None = None
        self._asked = False
        """It has asked to enter; what it asks after a refusal counts like another connection."""
        self._tries = False
        """It tries a password, and the answer is not there yet."""
        self._told = False
        """The client has its token."""

    # --- what happens (asyncio.Protocol) --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come, over TLS when that is done."""
        # Not asserted: uvloop's transports are no asyncio.Transport by name.
        self._transport = cast(asyncio.Transport, transport)
        self._connected = True
        if not self._admitted:
            peer = transport.get_extra_info("peername")
            if peer is None or not self.arrive(str(peer[0])):
                self._transport.abort()
                return
        # So we are told when all that was written is on its way, and not when most of it is.
        self._transport.set_write_buffer_limits(0)
        self._desk.silent.begin(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if not self._admitted or self._ended:
            return
        if self._busy or self._todo:
            self._unread.append(data)
            if sum(map(len, self._unread)) > UNREAD:
                self._transport.pause_reading()
            self._count_held()
        else:
            self._happen(Received(data))

    def eof_received(self) -> bool:
        """No more bytes will come."""
        self._eof = True
        if self._admitted and not self._busy:
            self._wait()
        # TLS has no half of a connection: who ends its half ends it all.
        return not self._door.tls

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        self._lost = True
        if self._admitted:
            self._end(f"the connection was lost: {exc!r}")
            self._abort()
            self._desk.asking.end(self)
            self._desk.leave(self, self.ip)

    def resume_writing(self) -> None:
        """All that was written is on its way."""
        self._count_held()

    def arrive(self, ip: str) -> bool:
        """Somebody comes from there: give it a place, or return False if it is to be turned away.

        A TLS door does so before anything is said, and calls `end_unless_connected` when the TLS handshake is over.
        """
        desk = self._desk
        self.ip = ip
        verdict = desk.enter(self, ip)
        if verdict is Verdict.CLOSE:
            return False
        self._admitted = True
        self._welcome = verdict is Verdict.WELCOME
        self._conversation = JoinConversation(
            self._door.dialect, desk.settings.payload_limit, desk.listed_lately(ip), desk.gate is not None
        )
        return True

    def end_unless_connected(self) -> bool:
        """Give the place of who arrived and never became a client to others; return whether it was so."""
        if not self._connected:
            self.connection_lost(None)
        return not self._connected

    def give_up(self, why: str) -> None:
        """End it, whatever the client still wants."""
        self._end(why)
        self._abort()

    # --- how ------------------------------------------------------------------------------------------------------

    def _happen(self, event: Event) -> None:
        """Tell the conversation, and do what it says as far as nothing has to be waited for."""
        self._stop_timer()
        self._todo.extend(self._conversation.handle(event))
        if self._conversation.refused_with is not None:
            self._count_refusal(self._conversation.refused_with)
        if self._conversation.begun is not self._begun:
            self._mind_the_time()
        self._go_on()

    def _count_refusal(self, status: Status) -> None:
        self._desk.core.counters.refusals[self._refused_as or status.name.lower()] += 1
        self._refused_as = ""
        self._conversation.refused_with = None

    def _go_on(self) -> None:
        todo = self._todo
        self._busy = False
        while todo and not self._busy and not self._ended:
            self._carry_out(todo.popleft())
        if not self._busy and not self._ended:
            self._wait()
        self._count_held()

    def _count_held(self) -> None:
        """Tell the desk what is held for this client: what it said and was not answered, what it was told and has not
        taken. May end the connection, so this comes last."""
        if self._aborted:
            return
        size = self._conversation.held + sum(map(len, self._unread)) + self._transport.get_write_buffer_size()
        if size != self._held:
            self._held = size
            self._desk.hold(self, size)

    def _abort(self) -> None:
        if not self._aborted:
            self._aborted = True
            # A TLS door ends by itself who is not connected yet.
            if self._connected and not self._lost:
                self._transport.abort()
            if self._held:
                self._held = 0
                self._desk.hold(self, 0)

    def _wait(self) -> None:
        """Go on with what came meanwhile, or see to it that we do not wait for the client for ever."""
        if self._ended:
            return
        if self._unread:
            data = b"".join(self._unread)
            self._unread.clear()
            self._transport.resume_reading()
            self._happen(Received(data))
        elif self._eof:
            if self._timer is not None and self._timer_is_brief:
                self._happen(Quiet())
            else:
                self.give_up("the client closed the connection")
        elif self._conversation.state is State.AWAITING_PORT and self._timer is None:
            self._start_timer(PORT_S, False)

    def _mind_the_time(self) -> None:
        """A request that has begun has less time than a client that says nothing."""
        self._begun = self._conversation.begun
        before, from_now = self._desk.silent, self._desk.asking
        if not self._begun:
            before, from_now = from_now, before
        before.end(self)
        from_now.begin(self)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Send(frames, pause_s):
                self._send(frames, pause_s)
            case WaitBriefly():
                self._start_timer(BRIEFLY_S, True)
            case AskForRooms() if not self._welcome:
                self._happen(Declined(Status.BUSY))
            case AskForRooms():
                self._busy = True
                self._desk.rooms.ask(monotonic(), self._listed)
                self._desk.settle_soon()
            case AskToEnter():
                self._ask_to_enter(command)
            case Announce(port):
                if self._member is not None:
                    self._desk.core.announce(self._member, addresses.pack(self.ip, port), monotonic())
                    self._desk.settle_soon()
            case Finish():
                self._finish()

    def _send(self, frames: list[bytes], pause_s: float) -> None:
        self._transport.write(frames[0])
        if len(frames) > 1:
            self._busy = True
            self._desk.loop.call_later(pause_s, self._send_next, frames[1:], pause_s)
        else:
            self._told = self._member is not None

    def _send_next(self, frames: list[bytes], pause_s: float) -> None:
        if not self._ended:
            self._send(frames, pause_s)
            if len(frames) == 1:
                self._go_on()
            else:
                self._count_held()

    def _listed(self, listing: Listing | None) -> None:
        self._answered(Declined(Status.BUSY) if listing is None else Listed(listing))

    def _ask_to_enter(self, command: AskToEnter) -> None:
        desk, creates = self._desk, command.operation is Operation.CREATE
        if self._asked:
            verdict = desk.admission.ask_again(self.ip, monotonic())
            if verdict is Verdict.CLOSE:
                self.give_up("its address asks too often")
                return
            self._welcome = verdict is Verdict.WELCOME
        self._asked = True
        if not self._welcome:
            self._happen(Declined(Status.BUSY, for_good=True))
            return
        if creates and not desk.admission.may_create(self.ip, monotonic()):
            self._happen(Declined(Status.BUSY))
            return
        if not desk.core.may_enter(self.ip):
            most = desk.settings.address_members
            self._happen(Declined(Status.BUSY, f"your address has its most members ({most})"))
            return
        user, password, rights = command.user, command.password, 0
        if desk.gate is not None:
            try:
                admitted = desk.gate.admit_untrusted(command.operation, command.room, user, password, time())
            except PeerError as exc:
                self._refused_as = TOKEN_REFUSED
                self._happen(Declined(exc.status, str(exc)))
                return
            user, password, rights = admitted.user, admitted.password, int(admitted.rights)
        if password and not creates:
            if not desk.admission.may_try(self.ip, command.room, monotonic()):
                self._happen(Declined(Status.BUSY))
                return
            self._tries = True
        token = desk.steering.new_token(command.room)
        question = (Create if creates else Join)(
            command.room,
            user,
            password,
            hash_token(token.encode()),
            command.dialect.name,
            self.ip.partition("%")[0],
            int(desk.settings.idle_timeout_s * 1000),
            rights,
            int(desk.settings.options(self._door, command.dialect)),
        )

        def on_answer(answer: Answer | None, now: float) -> None:
            if self._tries:
                self._tries = False
                desk.admission.tried(self.ip, command.room, _was_right(answer), now)
            if isinstance(answer, Granted):
                desk.core.counters.handshakes_admitted += 1
                desk.steering.entered(command.room, answer.size)
                if creates:
                    desk.rooms.forget()
                self._enter(answer, token, now)
                return
            if isinstance(answer, Refused):
                self._answered(Declined(_status(answer.status), answer.detail))
            else:
                self._answered(Declined(Status.BUSY))

        self._busy = True
        desk.core.link.ask(question, monotonic(), on_answer)
        desk.settle_soon()

    def _enter(self, granted: Granted, token: str, now: float) -> None:
        """The client is in. Nothing that is said from now on is kept from it, whenever its room's news begin to come
        here: what was missed shows as a gap, and is repaired."""
        self._member = self._desk.core.enter(granted, token.encode(), now, joined=True)
        if self._ended:
            self._forsake()
        self._answered(Entered(granted.room_name, granted.user, token))
        self._desk.settle_soon()

    def _answered(self, event: Event) -> None:
        if not self._ended:
            self._busy = False
            self._happen(event)

    # --- the end --------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Close when all that was written is sent; a client that does not take it can not hold us for ever."""
        self._end("")
        self._desk.asking.begin(self)
        self._transport.close()

    def time_is_up(self) -> None:
        """See `Waiting`."""
        self.give_up("its time was up")

    def _end(self, why: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._unread.clear()
        if why:
            logger.debug("gave up", ip=self.ip, state=self._conversation.state.name, why=why)
            self._forsake()
        self._stop_timer()
        desk = self._desk
        desk.silent.end(self)
        desk.asking.end(self)
        if self._conversation.listed:
            desk.note_listed(self.ip)

    def _forsake(self) -> None:
        """A member that never got its token is nobody's."""
        if self._member is not None and not self._told and not self._member.leaving:
            self._desk.core.leave(self._member, LeaveReason.LEFT, monotonic())
            self._desk.settle_soon()

    def _start_timer(self, wait_s: float, brief: bool) -> None:
        self._stop_timer()
        self._timer_is_brief = brief
        self._timer = self._desk.loop.call_later(wait_s, self._timed)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed(self) -> None:
        self._timer = None
        if self._timer_is_brief:
            self._happen(Quiet())
        else:
            self.give_up("it announced no port")


def _was_right(answer: Answer | None) -> bool | None:
    """Say whether a password was right; None: nobody has looked at it."""
    if isinstance(answer, Refused) and answer.status == Status.WRONG_PASSWORD:
        return False
    return True if isinstance(answer, Granted) else None


def _status(number: int) -> Status:
    return Status(number) if number in _STATUSES else Status.BAD_REQUEST
