"""Define a member's commands as methods; PROTOCOL.md, "Commands"."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from typing import TypeVar

from tsudoi import errors, events
from tsudoi.command_outcomes import PendingCommand, PendingList, are_same_name
from tsudoi.protocol import names
from tsudoi.protocol.client import slash_commands
from tsudoi.protocol.client.refusals import MUTED
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.client.slash_commands import Command, serialize
from tsudoi.protocol.errors import InvalidName

QUIET_S = 0.3
"""A list of unknown length counts as complete when no part of it has come for this time."""
_C = TypeVar("_C", bound=Command)
_R = TypeVar("_R", events.Person, events.RoomInfo, events.Sanction, events.Past, events.CommandHelp)


class Commands(ABC):
    """The commands of `ChatClient`, its subclass.

    In the dialects `tsudoi-2` (version 2 of the protocol, the default) and `tsudoi`, a command returns when the server
    has carried it out, with a value if it asks for one. In other dialects it is only sent, and its answer is a Notice.
    A listener may have commands switched off (`--no-commands`): then they go to the room as messages. PROTOCOL.md,
    "Commands", has the rights and limits. Commands of several tasks go one after the other: an answer does not name its
    command.

    Raises, each of the commands:
        CommandRefused: the server did not carry it out; `code` has the reason (PROTOCOL.md, "Phrases").
        NoAnswer: none came within `settings.answer_timeout_s` (10 s).
        NotInDialect: it asks for a value, and this dialect has no form for that.
        InvalidText, NotInRoom: as `say`.
    """

    name: str
    closed: bool

    def __init__(self, is_native: bool, answer_timeout_s: float) -> None:
        self._is_native = is_native
        self._answer_timeout_s = answer_timeout_s
        self._ask_again_s: float | None = None
        """After which to ask for a list again; None: never."""
        self._one_at_a_time = asyncio.Lock()
        self._waiting: PendingCommand | PendingList | None = None
        self._arrived = asyncio.Event()

    @property
    @abstractmethod
    def position(self) -> tuple[int, int] | None:
        """Epoch and offset up to which this client has received all; None: not known in this dialect."""

    @abstractmethod
    async def say(self, text: str) -> int | None:
        """Send a line as the member would type it."""

    async def command(self, line: str) -> None:
        """Send a line that begins with a slash, as a person types it; the answer is an event.

        Raises:
            InvalidText, NotInRoom: as `say`.
        """
        await self.say(line)

    # --- commands that return values ---

    async def who(self) -> list[events.Person]:
        """Return the members of the room."""
        return await self._ask_pages("who", slash_commands.Who, events.Person)

    async def rooms(self) -> list[events.RoomInfo]:
        """Return the rooms of the server."""
        return await self._ask_pages("rooms", slash_commands.Rooms, events.RoomInfo)

    async def bans(self) -> list[events.Sanction]:
        """Return the bans and mutes of this room. For the host."""
        return await self._ask_pages("bans", slash_commands.Bans, events.Sanction)

    async def history(self, count: int = 20, before: int = 0) -> list[events.Past]:
        """Return the last `count` messages, 1 to 50, oldest first.

        Args:
            count: how many, 1 to 50.
            before: a position, for those before it; 0: the newest, in `tsudoi-2` up to `position`. With the `offset` of
                the oldest one that it has, a client pages as far as the room's log reaches.
        """
        if not before and self.position is not None:
            # The answer is the same whenever it is asked for, so parts that have come need not come again.
            before = self.position[1] + 1
        pending = await self._ask(slash_commands.History(count, before), PendingList("history", before=before))
        return sorted(_of_kind(pending, events.Past), key=lambda row: row.offset)

    async def help(self) -> list[events.CommandHelp]:
        """Return the commands that the server knows."""
        return _of_kind(await self._ask(slash_commands.Help(), PendingList("help")), events.CommandHelp)

    async def topic(self) -> str:
        """Return the topic of the room; empty if it has none."""
        self._check_native()
        answer = await self._act(slash_commands.Topic(), _answers("topic-is", "no-topic"))
        return answer.about if isinstance(answer, events.Answered) and answer.code == "topic-is" else ""

    # --- commands that change something ---

    async def msg(self, name: str, text: str) -> None:
        """Send a private message (a whisper) to a member; its text has at most `limit_of` bytes."""
        whisper = _as_taken(slash_commands.Whisper(_normal(name), text))
        await self._act(
            whisper, lambda e: isinstance(e, events.Private) and (e.sender, e.text) == (self.name, whisper.text)
        )

    async def reply(self, text: str) -> None:
        """Send a private message to the member that sent the last one to this member."""
        reply = _as_taken(slash_commands.Reply(text))
        await self._act(
            reply, lambda e: isinstance(e, events.Private) and (e.sender, e.text) == (self.name, reply.text)
        )

    async def me(self, text: str) -> None:
        """Send an action, such as `waves`; in `tsudoi-2` it returns when it is kept, as `say` does."""
        try:
            await self.say(serialize(slash_commands.Act(text)))
        except errors.LineRefused as exc:
            raise _refused(exc) from exc

    async def nick(self, name: str) -> None:
        """Change this member's name."""
        await self._act(
            slash_commands.Rename(name),
            lambda e: isinstance(e, events.Renamed) and e.name == self.name and are_same_name(e.to, name),
        )

    async def kick(self, name: str, reason: str = "") -> None:
        """Remove a member, with a reason of at most 400 bytes. For the host."""
        name = _normal(name)
        await self._act(
            slash_commands.Kick(name, reason),
            lambda e: isinstance(e, events.Left) and (e.name, e.reason) == (name, "kicked"),
        )

    async def ban(self, who: str, minutes: int = 0) -> None:
        """Remove a member, or all members at an IP address, and keep them out; or stop a webhook. For the host.

        `minutes`: 1 to 525,600, or 0 for until the room closes.
        """
        named, address = (
            _answers("name-banned", "both-banned", "webhook-stopped", about=who),
            _answers("address-banned"),
        )
        await self._act(slash_commands.Ban(who, minutes), lambda e: named(e) or address(e))

    async def unban(self, who: str) -> None:
        """Lift the ban of a name or an IP address. For the host."""
        await self._act(slash_commands.Unban(who), _answers("unbanned", about=who))

    async def mute(self, name: str, minutes: int = 0) -> None:
        """Mute a member, or a webhook, for 1 to 525,600 minutes, or (0) until the room closes. For the host."""
        name = _normal(name)
        stopped = _answers("webhook-stopped", about=name)
        await self._act(
            slash_commands.Mute(name, minutes),
            lambda e: stopped(e) or (isinstance(e, events.Muted) and e.name == name),
        )

    async def unmute(self, name: str) -> None:
        """Unmute a member, also one that has left. For the host."""
        name, lifted = _normal(name), _answers("unmuted", about=name)
        await self._act(
            slash_commands.Unmute(name), lambda e: lifted(e) or (isinstance(e, events.Unmuted) and e.name == name)
        )

    async def set_topic(self, topic: str) -> None:
        """Set the topic, of at most 400 bytes; empty: remove it. For the host."""
        change, has_none = _as_taken(slash_commands.Topic(topic.strip())), _answers("no-topic")
        topic = " ".join((change.text or "").split("\n"))
        await self._act(
            change,
            lambda e: (isinstance(e, events.TopicChanged) and e.topic == topic) or (not topic and has_none(e)),
        )

    async def set_password(self, password: str) -> None:
        """Set the password that joining needs from now on; empty: none. For the host.

        The server takes it without control characters, or white space around it. If nothing is left of one that is not
        empty, InvalidText is raised: the room is not unlocked by mistake.
        """
        lock, has_none = _as_taken(slash_commands.Lock(password)), _answers("no-password")
        locked = bool(lock.password)
        if password and not locked:
            raise errors.InvalidText("the password has white space and control characters only")
        await self._act(
            lock,
            lambda e: (isinstance(e, events.LockChanged) and e.locked == locked) or (not locked and has_none(e)),
        )

    async def hand_over(self, name: str) -> None:
        """Make another member the host. For the host."""
        name = _normal(name)
        await self._act(slash_commands.HandOver(name), lambda e: isinstance(e, events.HostChanged) and e.name == name)

    async def close_room(self) -> None:
        """Close the room for all. For the host."""
        await self._act(slash_commands.Close(), lambda e: isinstance(e, events.RoomClosed))

    # --- sending and waiting ---

    def _offer(self, event: events.Event) -> bool:
        """Offer an event to the command that waits; return whether it belongs to that alone."""
        self._arrived.set()
        return self._waiting is not None and self._waiting.offer(event)

    def _check_native(self) -> None:
        if not self._is_native:
            raise errors.NotInDialect("the server answers with values in the dialects tsudoi-2 and tsudoi only")

    async def _act(self, command: Command, is_done: Callable[[events.Event], bool]) -> events.Event | None:
        """Send a command; return the event that shows its effect, None in dialects where it is only sent."""
        line = serialize(command)
        if not self._is_native:
            await self.say(line)
            return None
        pending = PendingCommand(is_done, getattr(command, "name", ""))
        await self._wait_for(line, pending)
        if pending.refusal is not None:
            raise errors.CommandRefused(pending.refusal.text, pending.refusal.code)
        if pending.done is None:
            raise errors.NoAnswer(f"the server did not answer {line.split()[0]} in time")
        return pending.done

    async def _ask(self, command: Command, pending: PendingList) -> PendingList:
        self._check_native()
        await self._wait_for(serialize(command), pending)
        if pending.refusal is not None and pending.refusal.code != "no-history":
            raise errors.CommandRefused(pending.refusal.text, pending.refusal.code)
        if pending.refusal is None and not pending.has_begun:
            raise errors.NoAnswer(f"the server did not answer /{pending.what} in time")
        if pending.refusal is None and pending.is_incomplete:
            raise errors.NoAnswer(f"only a part of the server's answer to /{pending.what} has come")
        return pending

    async def _ask_pages(
        self,
        what: str,
        command: type[slash_commands.Who] | type[slash_commands.Rooms] | type[slash_commands.Bans],
        kind: type[_R],
    ) -> list[_R]:
        rows: list[_R] = []
        page, pages = 1, 1
        while page <= pages:
            try:
                pending = await self._ask(command(page), PendingList(what, page))
            except errors.CommandRefused as exc:
                if page > 1 and exc.code == "no-such-page":  # the list has become shorter meanwhile
                    break
                raise
            rows += _of_kind(pending, kind)
            page, pages = page + 1, pending.pages
        return rows

    async def _wait_for(self, line: str, waiting: PendingCommand | PendingList) -> None:
        """Send a line and wait until the answer is complete, or the time is over."""
        async with self._one_at_a_time:
            self._waiting = waiting
            try:
                await self._say_and_wait(line, waiting)
            finally:
                self._waiting = None

    async def _say_and_wait(self, line: str, waiting: PendingCommand | PendingList) -> None:
        await self._say_command(line, waiting)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._answer_timeout_s
        again_at = loop.time() + (self._ask_again_s or inf) if isinstance(waiting, PendingList) else inf
        while not waiting.over and not self.closed:
            open_end = isinstance(waiting, PendingList) and waiting.has_begun and waiting.expected is None
            if isinstance(waiting, PendingList) and loop.time() >= again_at:
                await self._say_command(line, waiting)
                again_at = loop.time() + (self._ask_again_s or inf)
            until = min(deadline, again_at)
            left_s = min(QUIET_S, until - loop.time()) if open_end else until - loop.time()
            self._arrived.clear()
            try:
                async with asyncio.timeout(max(left_s, 0.0)):
                    await self._arrived.wait()
            except TimeoutError:
                if open_end or loop.time() >= deadline:
                    return

    async def _say_command(self, line: str, waiting: PendingCommand | PendingList) -> None:
        """Send a line; in `tsudoi-2` that also waits for the server, but not for longer than for an answer."""
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self.say(line)
        except TimeoutError:
            pass
        except errors.LineRefused as exc:
            raise _refused(exc) from exc
        except errors.NotInRoom:
            if not waiting.over:  # A command may end the membership.
                raise


def _refused(exc: errors.LineRefused) -> errors.CommandRefused:
    """Return the error for a command that was refused as a line: then no answer has the code."""
    return errors.CommandRefused(str(exc), "muted" if str(exc).startswith(MUTED) else "")


def _of_kind(pending: PendingList, kind: type[_R]) -> list[_R]:
    return [row for row in pending.rows if isinstance(row, kind)]


def _normal(name: str) -> str:
    try:
        return names.user_name(name)
    except InvalidName as exc:
        raise errors.InvalidName(str(exc)) from exc


def _as_taken(command: _C) -> _C:
    """Return a command as the server takes it: without control characters, or white space around its text."""
    taken = slash_commands.parse_untrusted(clean(serialize(command)))
    return taken if isinstance(taken, type(command)) else command


def _answers(*codes: str, about: str | None = None) -> Callable[[events.Event], bool]:
    """Return what says whether an event is an answer with one of these codes; `about`: about that name alone."""
    return lambda event: (
        isinstance(event, events.Answered)
        and event.code in codes
        and (about is None or are_same_name(event.about, about))
    )
