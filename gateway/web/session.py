"""Hold one session: what a client sends over its WebSocket, and the rooms that it is in; PROTOCOL.md, "WebSocket".

Calls are carried out at once, and what the broker answers comes back as callbacks; no I/O and no clock.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from tsudoi.ops.token_bucket import Bucket
from tsudoi.protocol import names
from tsudoi.protocol.backbone import Posted
from tsudoi.protocol.client.refusals import ADDRESS_IS_FULL, GAVE_WAY
from tsudoi.protocol.codes import LeaveReason
from tsudoi.protocol.errors import InvalidName, MalformedMessage
from tsudoi.protocol.web import commands, replies
from tsudoi.protocol.web.codes import Close, Ending, Error
from tsudoi.protocol.web.commands import Command, Connect, Publish, Rpc, Subscribe
from tsudoi.version import __version__

from ..chat.members import Member, Recipients
from ..chat.recovery import Missed
from ..chat.speak import LineRefusal
from ..join.account import Outcome
from ..join.admission import AdmissionRules
from . import questions
from .entering import Entering, WebClient
from .member_tokens import is_session, token_of
from .recovered_reply import Recovered, epoch_of, recover
from .refusals import in_language
from .rules import FRAMES, FRAMES_S, MAX_ROOMS, PING_S, QUESTIONS, QUESTIONS_S


class Port(Protocol):
    """What carries a session: `listeners/web.py`."""

    @property
    def write(self) -> Callable[[bytes], object]:
        """What writes the bytes of a frame."""

    @property
    def is_behind(self) -> bool:
        """Whether much waits already for the client to take it."""

    def send(self, payload: bytes) -> None:
        """Send a text in a frame of its own, after all that groups have collected."""

    def new_group(self) -> Recipients:
        """Return an empty group of streams."""

    def close(self, code: Close, reason: str) -> None:
        """Close the connection with a code that tells its client whether to come back."""

    def has_place(self, room: str, now: float) -> bool:
        """Return whether the address has a place for this connection in that room, or another one can give way."""

    def take_place(self, room: str, now: float) -> None:
        """Close another connection of the address if this one has entered that room in its place."""

    def log(self, outcome: str, room: str) -> None:
        """Log how an attempt to connect, or to enter a room (it may be empty), ended, unless there are too many."""


class RefusedCommand(Exception):
    """The command is refused with this error."""

    def __init__(self, code: Error, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(eq=False, slots=True)
class _Room:
    """A room that the client has subscribed to."""

    member: Member | None = None
    """None: the directory has not answered yet."""
    is_live: bool = False
    """The subscribe command has its reply."""
    ending: Ending | None = None
    """Why the member was taken from the client before that."""


class Session:
    """The client of one connection."""

    __slots__ = (
        "_commands",
        "_has_no_place",
        "_ip",
        "_is_over",
        "_language",
        "_port",
        "_questions",
        "_rooms",
        "_rules",
        "_secret",
        "_who",
    )

    def __init__(self, rules: AdmissionRules, ip: str, port: Port, now: float) -> None:
        """Begin with a connection from `ip` that has just become a WebSocket."""
        self._rules = rules
        self._port = port
        self._ip = ip
        self._secret = ""
        self._who: WebClient | None = None
        """None: the connect command has not come."""
        self._language = ""
        """Of the reader; empty: the listener's."""
        self._has_no_place = False
        """It was refused for lack of a place."""
        self._rooms: dict[str, _Room] = {}
        self._commands = Bucket(FRAMES, now)
        self._questions = Bucket(QUESTIONS, now)
        self._is_over = False

    @property
    def is_in_no_room(self) -> bool:
        """Whether no room has been asked for, or all have ended."""
        return not self._rooms

    @property
    def has_no_place(self) -> bool:
        """Whether it is in no room since its address has its most connections there."""
        return self._has_no_place and not self._rooms

    def members(self) -> list[Member]:
        """Return the members that it is."""
        return [room.member for room in self._rooms.values() if room.member is not None]

    @property
    def is_connected(self) -> bool:
        """Whether the connect command has come."""
        return self._who is not None

    # --- what members need: `chat.members.Stream`, whose docstrings hold here -----------------------------------------

    @property
    def write(self) -> Callable[[bytes], object]:
        return self._port.write

    @property
    def is_behind(self) -> bool:
        return self._port.is_behind

    @property
    def group_mark(self) -> int:
        return 0  # all connections get the same bytes

    def send(self, payload: bytes) -> None:
        self._port.send(payload)

    def send_entries(self, after: int, to: int, payloads: Sequence[bytes]) -> None:
        if payloads:
            self._port.send(b"\n".join(payloads))

    def new_group(self) -> Recipients:
        return self._port.new_group()

    def interrupt(self, member: Member) -> None:
        self.end(member, Ending.INSUFFICIENT)

    def end(self, member: Member, ending: Ending, why: str = "", last: int | None = None) -> None:
        if member.stream is not self:
            return
        channel = member.room.name
        room = self._rooms.pop(channel, None)
        self._rules.core.streams.detach(member)
        if room is not None:
            room.ending = ending
            if room.is_live and not self._is_over:
                self._port.send(replies.unsubscribe(channel, ending, why or _WORDS[ending]))

    # --- what the connection tells ------------------------------------------------------------------------------------

    def receive(self, text: bytes, now: float, wall_now: float) -> None:
        """Handle a message of the client."""
        for room in self._rooms.values():
            if room.member is not None:
                room.member.seen = now
        try:
            found = commands.parse_untrusted(text)
        except MalformedMessage as exc:
            self._close(Close.BAD_REQUEST, str(exc))
            return
        if not self._commands.touch(now, FRAMES_S, FRAMES, len(found)):
            self._close(Close.TOO_MANY, "too many commands")
            return
        for command in found:
            if self._is_over:
                return
            if command.id or command.connect is not None:
                self._take(command, now, wall_now)

    def ping(self) -> None:
        """Ask whether the client is there; its answer is `{}`."""
        self._port.send(replies.PING)

    def displace(self) -> None:
        """Close the connection, since another one of its address needs the place."""
        self._close(Close.DISPLACED, in_language(GAVE_WAY, self._language))

    def lost(self, now: float) -> None:
        """Handle the end of the connection: its members stay for a while."""
        self._is_over = True
        rooms, self._rooms = self._rooms, {}
        for room in rooms.values():
            if room.member is not None:
                room.member.seen = now
                self._rules.core.streams.detach(room.member)

    # --- commands -----------------------------------------------------------------------------------------------------

    def _take(self, command: Command, now: float, wall_now: float) -> None:
        if self._who is None and command.connect is None:
            self._close(Close.BAD_REQUEST, "the first command must be connect")
            return
        try:
            self._carry_out(command, now, wall_now)
        except RefusedCommand as exc:
            if command.connect is not None or command.subscribe is not None:
                self._log_refusal(str(exc), command.subscribe.channel if command.subscribe is not None else "")
            self._error(command.id, exc.code, str(exc))

    def _carry_out(self, command: Command, now: float, wall_now: float) -> None:
        reply, on_error = partial(self._reply, command.id), partial(self._error, command.id)
        if (connect := command.connect) is not None:
            self._connect(command.id, connect)
        elif (publish := command.publish) is not None:
            self._publish(command.id, publish, now)
        elif (subscribe := command.subscribe) is not None:
            self._allow_question(now)
            self._subscribe(command.id, subscribe, now, wall_now)
        elif (unsubscribe := command.unsubscribe) is not None:
            self._unsubscribe(command.id, unsubscribe.channel, now)
        elif (history := command.history) is not None:
            member = self._member(history.channel)
            self._allow_question(now)
            questions.Looking(self._rules, member, history, partial(reply, "history"), on_error).begin(now)
        elif (presence := command.presence) is not None:
            member = self._member(presence.channel)
            self._allow_question(now)
            questions.presence(self._rules, member, now, partial(reply, "presence"), on_error)
        elif (stats := command.presence_stats) is not None:
            size = self._member(stats.channel).room.size
            reply("presence_stats", {"num_clients": size, "num_users": size})
        elif (rpc := command.rpc) is not None:
            self._allow_question(now)
            questions.list_rooms(self._rules, _page(rpc), now, partial(reply, "rpc"), on_error)
        else:
            raise RefusedCommand(Error.METHOD_NOT_FOUND, "there is no such method here")

    def _connect(self, number: int, connect: Connect) -> None:
        if self._who is not None:
            raise RefusedCommand(Error.BAD_REQUEST, "this connection has connected already")
        verifies = self._rules.verifier is not None
        try:
            data = commands.parse_connect_data_untrusted(connect.data)
            self._language = data.language
            name = names.user_name(data.name) if data.name else ""
        except (MalformedMessage, InvalidName) as exc:
            raise RefusedCommand(Error.BAD_REQUEST, str(exc)) from exc
        if not name and not (connect.token and verifies):
            raise RefusedCommand(Error.UNAUTHORIZED, 'give your "name" in "data"' + " or a signed token" * verifies)
        if data.session and not is_session(data.session):
            raise RefusedCommand(Error.BAD_REQUEST, '"session" is a secret of 32 to 128 letters, digits, - and _')
        self._secret = data.session or secrets.token_hex(16)
        self._who = WebClient(self._ip, name, connect.token, data.language)
        about = {"name": name, "session": self._secret}
        client = secrets.token_hex(8)
        result = {"client": client, "version": f"tsudoi {__version__}", "ping": PING_S, "pong": True, "data": about}
        self._reply(number, "connect", result)

    def _subscribe(self, number: int, subscribe: Subscribe, now: float, wall_now: float) -> None:
        channel, who = subscribe.channel, self._who
        assert who is not None
        if channel in self._rooms:
            raise RefusedCommand(Error.ALREADY_SUBSCRIBED, "you have subscribed to this room already")
        if len(self._rooms) >= MAX_ROOMS:
            raise RefusedCommand(Error.LIMIT_EXCEEDED, f"one connection has {MAX_ROOMS} rooms at most")
        try:
            data = commands.parse_subscribe_data_untrusted(subscribe.data)
            normal = names.room_name(channel)
            name = names.user_name(data.name) if data.name else who.name
        except (MalformedMessage, InvalidName) as exc:
            raise RefusedCommand(Error.BAD_REQUEST, str(exc)) from exc
        if channel != normal:
            raise RefusedCommand(Error.BAD_REQUEST, f"write the room's name in its normal form: {normal}")
        who = replace(who, name=name, signed=subscribe.token or who.signed)
        token = token_of(self._secret, channel)
        if not (self._rooms or self._takes_over(token) or self._port.has_place(channel, now)):
            self._has_no_place = True
            raise RefusedCommand(Error.TOO_MANY, ADDRESS_IS_FULL)
        room = self._rooms[channel] = _Room()

        def on_error(code: Error, why: str) -> None:
            if self._rooms.get(channel) is room:
                del self._rooms[channel]
                self._log_refusal(why, channel)
                self._error(number, code, why)

        def on_member(member: Member, outcome: Outcome, now: float) -> None:
            if self._rooms.get(channel) is room:
                room.member = member
                self._port.take_place(channel, now)
                self._port.log(outcome.value.en, channel)
                self._entered(number, subscribe, room, outcome is not Outcome.RETURNED, now)
            elif not self._is_over and channel not in self._rooms:
                # It has unsubscribed meanwhile.
                self._rules.core.leave(member, LeaveReason.LEFT, now)

        Entering(self._rules, who, channel, token, data, on_member, on_error).begin(now, wall_now)

    def _entered(self, number: int, subscribe: Subscribe, room: _Room, is_new: bool, now: float) -> None:
        """Serve a member; tell the client what it has missed, or where it begins."""
        member, channel = room.member, subscribe.channel
        assert member is not None
        streams = self._rules.core.streams
        streams.attach(member, self, now)

        def on_recovered(recovered: Recovered | None, now: float) -> None:
            if room.ending is not None:
                code = Error.INTERNAL if room.ending is Ending.INSUFFICIENT else Error.PERMISSION_DENIED
                self._error(number, code, _WORDS[room.ending])
            elif self._rooms.get(channel) is not room:
                self._error(number, Error.PERMISSION_DENIED, "you have left this room")
            elif recovered is None:
                del self._rooms[channel]
                streams.detach(member)
                self._error(number, Error.INTERNAL, "the broker is away or busy: try again")
            else:
                room.is_live = True
                self._reply(number, "subscribe", _subscribed(member, subscribe, recovered))
                streams.begin(member, recovered.after, now)

        start = member.cursor if is_new else member.room.position
        if subscribe.recover:
            recover(self._rules, member, subscribe.epoch, subscribe.offset, start, now, on_recovered)
        else:
            on_recovered(Recovered(Missed(start, False), start, []), now)

    def _unsubscribe(self, number: int, channel: str, now: float) -> None:
        room = self._rooms.pop(channel, None)
        if room is not None and room.member is not None:
            member = room.member
            self._rules.core.streams.detach(member)
            self._rules.core.leave(member, LeaveReason.LEFT, now)
        self._reply(number, "unsubscribe", {})

    def _publish(self, number: int, publish: Publish, now: float) -> None:
        member = self._member(publish.channel)
        try:
            data = commands.parse_publish_data_untrusted(publish.data)
        except MalformedMessage as exc:
            raise RefusedCommand(Error.BAD_REQUEST, str(exc)) from exc

        def on_outcome(outcome: Posted | LineRefusal) -> None:
            if isinstance(outcome, LineRefusal):
                self._error(number, *outcome)
            else:
                epoch = epoch_of(member.room.id, outcome.epoch)
                self._reply(number, "publish", {"epoch": epoch, "offset": outcome.offset})

        self._rules.core.speak.say(member, data.text, data.number, now, on_outcome)

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _member(self, channel: str) -> Member:
        room = self._rooms.get(channel)
        if room is None or room.member is None or not room.is_live or room.member.leaving:
            raise RefusedCommand(Error.PERMISSION_DENIED, "you are not in this room: subscribe first")
        return room.member

    def _takes_over(self, token: str) -> bool:
        """Return whether the member with a token has another connection, which leaves its place to this one."""
        member = self._rules.core.streams.find(token.encode())
        return member is not None and member.stream is not None

    def _allow_question(self, now: float) -> None:
        if not self._questions.touch(now, QUESTIONS_S, QUESTIONS):
            self._rules.counters.questions_limited += 1
            raise RefusedCommand(Error.TOO_MANY, "too many questions: ask again later")

    def _reply(self, number: int, method: str, result: Any) -> None:
        if not self._is_over:
            self._port.send(replies.reply(number, method, result))

    def _error(self, number: int, code: Error, why: str) -> None:
        if not self._is_over:
            self._port.send(replies.error(number, code, in_language(why, self._language)))

    def _log_refusal(self, why: str, room: str) -> None:
        if not self._is_over:
            self._port.log(f"{Outcome.REFUSED.value.en}: {why}", room)

    def _close(self, code: Close, reason: str) -> None:
        if not self._is_over:
            self._port.close(code, reason)


def _page(rpc: Rpc) -> int:
    if rpc.method != "rooms":
        raise RefusedCommand(Error.METHOD_NOT_FOUND, 'there is no such method here: there is "rooms"')
    try:
        return commands.parse_page_untrusted(rpc.data)
    except MalformedMessage as exc:
        raise RefusedCommand(Error.BAD_REQUEST, str(exc)) from exc


def _subscribed(member: Member, subscribe: Subscribe, recovered: Recovered) -> dict[str, Any]:
    room = member.room
    about: dict[str, Any] = {"name": member.name, "members": max(room.size, len(room.members))}
    if recovered.missed.lost is not None:
        about["lost"] = dict(zip(("from", "to"), recovered.missed.lost, strict=True))
    result: dict[str, Any] = {"recoverable": True, "positioned": True, "epoch": epoch_of(room.id, room.epoch)}
    result |= {"offset": recovered.missed.offset, "data": about}
    if subscribe.recover:
        result |= {"was_recovering": True, "recovered": recovered.missed.is_complete}
        result["publications"] = recovered.publications
    return result


_WORDS = {
    Ending.LEFT: "you have left",
    Ending.CLOSED: "the room is closed",
    Ending.KICKED: "you were removed",
    Ending.BANNED: "you were banned",
    Ending.REMOVED: "the operator has removed you",
    Ending.IDLE: "you were silent for too long",
    Ending.ELSEWHERE: "another connection has your place here now",
    Ending.INSUFFICIENT: "subscribe again: messages or your place here are lost",
}
