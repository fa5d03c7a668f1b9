"""Serve one TCP connection: pass events to its `JoinConversation`, and carry out the commands that it returns.

It uses callbacks, not a task: at thousands of handshakes a second, a task with its reader and time-outs for each would
cost more than the handshake.
"""

import asyncio
import os
import ssl
from collections import deque
from enum import Enum, auto
from functools import partial
from time import monotonic, time
from typing import TYPE_CHECKING

from tsudoi.ops import logs
from tsudoi.protocol.backbone import Answer
from tsudoi.protocol.codes import Status

from ..explain.opening import Opening
from ..join import steps as join
from ..join.account import Account, Outcome
from ..join.admission import Admission
from ..join.conversation import JoinConversation
from ..join.quotas import Verdict
from ..join.room_list import Listing
from ..join.steps import Command, Declined, Entered, Event, Listed, Quiet, Received
from . import sockaddr
from .accepted import AcceptedConnection
from .deadlines import Deadlines
from .first_bytes import Spoken, recognise_spoken
from .options import Listener
from .packet_connection import PacketConnection
from .tls_transport import TlsTransport

if TYPE_CHECKING:
    from .tcp import TCPServer

logger = logs.get("gateway.tcp")

BRIEFLY_S = 0.03
"""How long the rest of a request may lag behind its first part."""
UNREAD = 4_096
"""Bytes that are kept while the client's request is being answered; beyond that its socket is not read."""
END = b""
"""Marks the client's end of file among the unread bytes."""


class State(Enum):
    """The state of a connection. States follow in this order, except that READING and ANSWERING alternate,
    and either CARRYING or CLOSING follows on them."""

    NEW = auto()
    OPENING = auto()
    """It counts like any other, but its TLS handshake is not done."""
    READING = auto()
    """What the client sends goes to the conversation."""
    ANSWERING = auto()
    """An answer is awaited or being sent; what the client sends waits in `_unread`."""
    CARRYING = auto()
    """The client sends packets of version 2, and no requests."""
    CLOSING = auto()
    """The conversation is over; written bytes are on their way to the client."""
    ABORTED = auto()
    """Nothing more is sent; the transport reports its end soon."""
    CLOSED = auto()


class Connection(AcceptedConnection):
    """A client's connection from accept to close."""

    _transport: asyncio.Transport
    _conversation: JoinConversation
    _admission: Admission

    def __init__(self, server: "TCPServer", listener: Listener) -> None:
        super().__init__()
        self._server = server
        self._listener = listener
        self.state = State.NEW
        self._held = 0
        """Bytes held for it, as last reported to the server."""
        self._unread: list[bytes] = []
        self._todo: deque[Command] = deque()
        self._packets: PacketConnection | None = None
        """The client sends packets of version 2."""
        self._first: bytes | None = b""
        """What has come before it is known whether the client speaks TLS or sends packets; None: it is known."""
        self.waiting_since = monotonic()
        """When its present deadline began: for its first byte, for the rest of its request, …"""
        self._quiet_timer: asyncio.TimerHandle | None = None

    # --- callbacks (asyncio.Protocol) -----------------------------------------------------------------------------

    def _admit(self) -> bool:
        ip = self.ip
        verdict = self._server.enter(self, ip)
        if verdict is Verdict.CLOSE:
            return False
        self.state = State.OPENING
        rules = self._server.rules
        listed_before = rules.rooms.listed_lately(ip, monotonic())
        self._conversation = JoinConversation(self._listener.dialect, listed_before, rules.verifier is not None)
        self._admission = Admission(rules, self._listener, ip, verdict)
        if self._listener.tls:
            self._move_deadline(self._server.asking)
        return True

    @property
    def carries_packets(self) -> bool:
        """Whether its client sends packets of version 2."""
        return self.state is State.CARRYING

    @property
    def awaits_client(self) -> bool:
        """Whether it waits for its client, and not for the broker or its own end."""
        if self._packets is not None and self.state is State.CARRYING:
            return not self._packets.is_used
        return self.state in (State.OPENING, State.READING, State.CLOSING)

    def _begin(self, transport: asyncio.Transport) -> None:
        self.state = State.READING
        self._admission.is_secure = isinstance(transport, TlsTransport)
        # Call `resume_writing` only when all written bytes have left, not when most have.
        transport.set_write_buffer_limits(0)
        self._choose_deadline()

    def data_received(self, data: bytes) -> None:
        """Handle received bytes."""
        if self._packets is not None:
            if self.state is State.CARRYING:
                self._packets.receive(data)
        elif self._first is not None:
            self._recognise(data)
        else:
            self._receive(data)

    def _recognise(self, data: bytes) -> None:
        """Find out what the client speaks, and serve it."""
        assert self._first is not None
        data, may_be_tls = self._first + data, self._server.shown is not None and not self._listener.tls
        spoken = recognise_spoken(data, may_be_tls=may_be_tls, may_be_packets=self._server.packets is not None)
        self._first = data if spoken is Spoken.UNKNOWN else None
        match spoken:
            case Spoken.UNKNOWN:
                self._choose_deadline()
            case Spoken.PACKETS:
                self._carry_packets(data)
            case Spoken.TLS if self._server.shown is not None:
                self.state = State.OPENING
                self._move_deadline(self._server.asking)
                self._server.over_tls(self, self._server.shown).take_over(self._transport, data)
            case _:
                self._receive(data)

    def _carry_packets(self, data: bytes) -> None:
        assert self._server.packets is not None
        if self._admission.is_within_rates and self._server.may_carry(self):
            self._packets = self._server.packets.add(self._transport, self.give_up, self._count_held)
        if self._packets is None:
            self.give_up("its address connects too often, or has its most connections that serve members")
            return
        self.state = State.CARRYING
        self._move_deadline(None)
        self._packets.receive(data)

    def _receive(self, data: bytes) -> None:
        if self.state is State.READING:
            self._handle(Received(data))
        elif self.state is State.ANSWERING:
            self._unread.append(data)
            if sum(map(len, self._unread)) > UNREAD:
                self._transport.pause_reading()
            self._count_held()

    def eof_received(self) -> bool:
        """Handle the client's end of file; it may still wait for its answer."""
        self._unread.append(END)
        if self.state is State.READING:
            self._go_on()
        return self._packets is None  # packets go both ways

    def resume_writing(self) -> None:
        """Continue: all written bytes have left."""
        self._count_held()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the connection's place."""
        if self.state in (State.NEW, State.CLOSED):
            return
        if self.state in (State.OPENING, State.READING, State.ANSWERING):
            self._abandon(_how_lost(exc))
        if self._packets is not None:
            self._packets.lose()
        self._enter_state(State.CLOSED)
        self._server.leave(self)

    def time_is_up(self) -> None:
        """End the connection."""
        self.give_up("its time was up")

    def give_up(self, why: str) -> None:
        """End the connection at once, even during a request."""
        if self.state in (State.ABORTED, State.CLOSED):
            return
        if self.state not in (State.CARRYING, State.CLOSING):
            self._abandon(why)
        self._enter_state(State.ABORTED)
        self._abort()

    # --- events to the conversation, its commands to the world ---------------------------------------------------

    def _handle(self, event: Event) -> None:
        self._stop_quiet_timer()
        self._todo.extend(self._conversation.handle(event))
        self._go_on()

    def _go_on(self) -> None:
        """Carry out commands until one must wait; then go on with what the client sent meanwhile."""
        while self._todo and self.state is State.READING:
            self._carry_out(self._todo.popleft())
        if self.state is State.READING and self._unread:
            self._read_on()
        self._choose_deadline()
        self._count_held()

    def _read_on(self) -> None:
        """Handle what came while an answer was being sent."""
        data, ended = b"".join(self._unread), not self._unread[-1]
        self._unread = [END] if ended else []
        if data:
            self._transport.resume_reading()
            self._handle(Received(data))
        elif self._quiet_timer is not None:
            self._handle(Quiet())
        else:
            self.give_up("the client closed the connection")

    def _carry_out(self, command: Command) -> None:
        match command:
            case join.Send(frames, pause_s):
                self._send(frames, pause_s)
            case join.WaitBriefly():
                self._quiet_timer = self._server.loop.call_later(BRIEFLY_S, self._handle, Quiet())
            case join.AskForRooms(alone):
                self._ask_for_rooms(alone)
            case join.AskToEnter():
                self._ask_to_enter(command)
            case join.Announce(port):
                self._admission.announce(self._udp_address(port), monotonic(), is_guess=port is None)
                self._server.settle_soon()
            case join.Report(account):
                self._report(account)
            case join.Finish():
                # Close once everything is sent; the deadline ends a client that does not take it.
                self._enter_state(State.CLOSING)
                self._move_deadline(self._server.asking)
                self._transport.close()

    def _udp_address(self, port: int | None) -> bytes | None:
        """Return the address of a UDP port of the client, with this end of the connection as the local address.

        Without a port it is that of the connection. None: the connection is lost, and its ends are not known any more.
        """
        peer, here = (self._transport.get_extra_info(end) for end in ("peername", "sockname"))
        return sockaddr.beside(peer, peer[1] if port is None else port, here) if peer and here else None

    def _send(self, frames: list[bytes], pause_s: float) -> None:
        if self.state not in (State.READING, State.ANSWERING):
            return
        first, *rest = frames
        self._transport.write(first)
        if rest:
            self.state = State.ANSWERING
            self._server.loop.call_later(pause_s, self._send, rest, pause_s)
            self._count_held()
            return
        self._admission.token_sent()
        if self.state is State.ANSWERING:
            self.state = State.READING
            self._go_on()

    def _ask_for_rooms(self, alone: bool) -> None:
        if alone:
            self._server.rules.rooms.note_listed(self.ip, monotonic())
        if not self._admission.is_within_rates:
            self._handle(Declined(Status.BUSY))
            return
        self.state = State.ANSWERING
        self._server.rules.rooms.ask(monotonic(), self._on_listing)
        self._server.settle_soon()

    def _on_listing(self, listing: Listing | None) -> None:
        if self.state is State.ANSWERING:
            self._take_answer(Declined(Status.BUSY) if listing is None else Listed(listing))

    def _ask_to_enter(self, request: join.AskToEnter) -> None:
        decision = self._admission.decide(request, monotonic(), time())
        match decision:
            case Declined():
                self._handle(decision)
            case None:
                self.give_up("its address asks too often")
            case _:
                self.state = State.ANSWERING
                self._server.routes.ask_about(decision.room, decision, monotonic(), self._on_answer)
                self._server.settle_soon()

    def _on_answer(self, answer: Answer | None, now: float) -> None:
        event = self._admission.answered(answer, now)
        self._server.settle_soon()
        if self.state is not State.ANSWERING:
            self._admission.abandon(now)
        elif isinstance(event, Entered) and (question := self._admission.question_before) is not None:
            self._server.routes.ask_about(event.room, question, now, partial(self._on_earlier_lines, event))
        else:
            self._take_answer(event)

    def _on_earlier_lines(self, entered: Entered, answer: Answer | None, now: float) -> None:
        if self.state is State.ANSWERING:
            self._take_answer(self._admission.with_earlier_lines(entered, answer))
        else:
            self._admission.abandon(now)

    def _take_answer(self, event: Event) -> None:
        self.state = State.READING
        self._handle(event)

    # --- deadlines, held bytes, the end ----------------------------------------------------------------------------

    def _choose_deadline(self) -> None:
        """Give a request that has begun less time than a client that sends nothing."""
        if self.state not in (State.READING, State.ANSWERING):
            return
        if self._conversation.begun or self._first:
            self._move_deadline(self._server.asking)
        elif self._conversation.awaits_port and self.state is State.READING:
            self._move_deadline(self._server.announcing)
        else:
            self._move_deadline(self._server.silent)

    def _move_deadline(self, deadlines: Deadlines | None) -> None:
        if deadlines is not self._deadlines:
            self._wait(deadlines)
            if deadlines is not None:
                self.waiting_since = monotonic()

    def _count_held(self) -> None:
        """Report the bytes held for this client: unanswered requests and answers it has not taken.

        May end the connection, so this comes last.
        """
        if self.state in (State.OPENING, State.ABORTED, State.CLOSED):
            return
        if self._packets is not None:
            self._report_held(self._packets.unsent)
            return
        unsent = self._transport.get_write_buffer_size()
        self._report_held(self._conversation.held + sum(map(len, self._unread)) + unsent)

    def _report_held(self, size: int) -> None:
        if size != self._held:
            self._held = size
            self._server.hold(self, size)

    def _abandon(self, why: str) -> None:
        """Abort the conversation."""
        if (account := self._unreported(why)) is not None:
            self._report(account)
        if self._admission.abandon(monotonic()):
            self._server.settle_soon()

    def _report(self, account: Account) -> None:
        if account.counted_as:
            self._server.rules.counters.refusals[account.counted_as] += 1
        self._server.log_handshake(self._listener, self.ip, self.port, account)

    def _unreported(self, why: str) -> Account | None:
        """Return what there is to log of a request whose answer has not been sent."""
        if self.state is State.OPENING:
            return Account(Opening(self.peeked, self._listener.dialect), Outcome.NO_TLS, why=why)
        reports = [command.account for command in self._todo if isinstance(command, join.Report)]
        if reports:
            words = ", ".join(filter(None, (reports[0].why, f"but {why} before the answer was sent")))
            return reports[0]._replace(why=words)
        return self._conversation.abandon(why)

    def _enter_state(self, state: State) -> None:
        """Enter one of the last three states; nothing that the client sends counts any more."""
        self.state = state
        self._unread.clear()
        self._stop_quiet_timer()
        if state is not State.CLOSING:
            self._move_deadline(None)
            self._report_held(0)

    def _stop_quiet_timer(self) -> None:
        if self._quiet_timer is not None:
            self._quiet_timer.cancel()
            self._quiet_timer = None


def _how_lost(exc: Exception | None) -> str:
    """Return how a connection ended, for the log."""
    if isinstance(exc, ssl.SSLError) and exc.reason:
        return exc.reason.lower().replace("_", " ")
    if isinstance(exc, OSError) and exc.errno:
        return f"the connection was lost: {os.strerror(exc.errno)}"
    return "the connection was lost"
