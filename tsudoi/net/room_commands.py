"""Define a member's commands as methods; PROTOCOL.md, "Commands"."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TypeVar

from tsudoi import errors, events
from tsudoi.command_outcomes import PendingCommand, PendingList
from tsudoi.net.line import Line
from tsudoi.ops.bounded import put_newest
from tsudoi.protocol import names
from tsudoi.protocol.client import slash_commands
from tsudoi.protocol.client.refusals import MUTED
from tsudoi.protocol.client.sanitize import clean
from tsudoi.protocol.client.slash_commands import Command, serialize
from tsudoi.protocol.errors import InvalidName

ASK_AGAIN_S = 1.5
"""After which a list is asked for again: its parts are sent once, and may be lost."""
REMEMBERED = 64
"""Lines of commands that wait no more, the newest: their late answers are theirs alone, too."""
_R = TypeVar("_R", events.Person, events.RoomInfo, events.Sanction, events.Past, events.CommandHelp)


class Commands(ABC):
    """The commands of `ChatClient`, its subclass.

    In version 2, the default, a command returns when the server has carried it out, with a value if it asks for one:
    what comes of it names its line (PROTOCOL.md, "Bodies"). In all other dialects it is only sent, and its answer is an
    event. A listener may have commands switched off (`--no-commands`): then InvalidText is raised in version 2, and in
    other dialects they go to the room as messages. The rights and limits: PROTOCOL.md, "Commands".

    Raises, each of the commands:
        CommandRefused: the server did not carry it out; `code` has the reason (PROTOCOL.md, "Phrases").
        NoAnswer: none came within `settings.answer_timeout_s` (10 s).
        NotInDialect: it asks for a value, and this dialect does not tell which answer is whose.
        InvalidText, NotInRoom: as `say`.
    """

    closed: bool

    def __init__(self, answer_timeout_s: float) -> None:
        self._answer_timeout_s = answer_timeout_s
        self._commands: dict[int, PendingCommand | PendingList] = {}
        """Those that were given by methods and wait, by the numbers of their lines."""
        self._given_up: dict[int, PendingCommand | PendingList] = {}
        """The last ones that wait no more."""
        self._is_room_closed = False
        """The membership has ended because its room was closed: all that a `/close` is answered with."""
        self._arrived = asyncio.Event()

    @property
    @abstractmethod
    def has_receipts(self) -> bool:
        """Whether the server tells which lines are kept, and what comes of a command: in version 2."""

    @property
    @abstractmethod
    def position(self) -> tuple[int, int] | None:
        """Epoch and offset up to which this client has received all; None: not known in this dialect."""

    @abstractmethod
    async def say(self, text: str) -> int | None:
        """Send a line as the member would type it."""

    @abstractmethod
    async def _give(self, text: str) -> Line:
        """Send a line in its turn, and do not wait until it is kept; in version 2."""

    async def command(self, line: str) -> None:
        """Send a line that begins with a slash, as a person types it; the answer is an event.

        Raises:
            InvalidText, NotInRoom: as `say`.
        """
        await self.say(line)

    # --- commands that return values ---

    async def who(self) -> list[events.Person]:
        """Return the members of the room.

        More than 20 are asked for in pages, one after the other: one that moves up to a page before, as another member
        has left, is missing. So it is with `rooms` and `bans`.
        """
        return await self._ask_pages(slash_commands.Who, events.Person)

    async def rooms(self) -> list[events.RoomInfo]:
        """Return the rooms of the server."""
        return await self._ask_pages(slash_commands.Rooms, events.RoomInfo)

    async def bans(self) -> list[events.Sanction]:
        """Return the bans and mutes of this room. For the host."""
        return await self._ask_pages(slash_commands.Bans, events.Sanction)

    async def history(self, count: int = 20, before: int = 0) -> list[events.Past]:
        """Return the last `count` messages, 1 to 50, oldest first.

        Args:
            count: how many, 1 to 50.
            before: a position, for those before it; 0: the newest. In `tsudoi-2` none beyond `position`. With the
                `offset` of the oldest one that it has, a client pages as far as the room's log reaches.
        """
        if self.position is not None:
            # The answer is the same whenever it is asked for, so parts that have come need not come again.
            newest = self.position[1] + 1
            before = min(before or newest, newest)
        pending = await self._ask(slash_commands.History(count, before), PendingList())
        return sorted(_of_kind(pending, events.Past), key=lambda row: row.offset)

    async def help(self) -> list[events.CommandHelp]:
        """Return the commands that the server knows."""
        return _of_kind(await self._ask(slash_commands.Help(), PendingList()), events.CommandHelp)

    async def topic(self) -> str:
        """Return the topic of the room; empty if it has none."""
        self._check_receipts()
        answer = await self._act(slash_commands.Topic())
        return answer.about if isinstance(answer, events.Answered) and answer.code == "topic-is" else ""

    # --- commands that change something ---

    async def msg(self, name: str, text: str) -> None:
        """Send a private message (a whisper) to a member; its text has at most `limit_of` bytes."""
        await self._act(slash_commands.Whisper(_normal(name), text))

    async def reply(self, text: str) -> None:
        """Send a private message to the member that sent the last one to this member."""
        await self._act(slash_commands.Reply(text))

    async def me(self, text: str) -> None:
        """Send an action, such as `waves`; in `tsudoi-2` it returns when it is kept, as `say` does."""
        try:
            await self.say(serialize(slash_commands.Act(text)))
        except errors.LineRefused as exc:
            raise _refused(exc) from exc

    async def nick(self, name: str) -> None:
        """Change this member's name."""
        await self._act(slash_commands.Rename(name))

    async def kick(self, name: str, reason: str = "") -> None:
        """Remove a member, with a reason of at most 400 bytes. For the host."""
        await self._act(slash_commands.Kick(_normal(name), reason))

    async def ban(self, who: str, minutes: int = 0) -> None:
        """Remove a member, or all members at an IP address, and keep them out; or stop a webhook. For the host.

        `minutes`: 1 to 525,600, or 0 for until the room closes.
        """
        await self._act(slash_commands.Ban(who, minutes))

    async def unban(self, who: str) -> None:
        """Lift the ban of a name or an IP address. For the host."""
        await self._act(slash_commands.Unban(who))

    async def mute(self, name: str, minutes: int = 0) -> None:
        """Mute a member, or a webhook, for 1 to 525,600 minutes, or (0) until the room closes. For the host."""
        await self._act(slash_commands.Mute(_normal(name), minutes))

    async def unmute(self, name: str) -> None:
        """Unmute a member, also one that has left. For the host."""
        await self._act(slash_commands.Unmute(_normal(name)))

    async def set_topic(self, topic: str) -> None:
        """Set the topic, of at most 400 bytes; empty: remove it. For the host."""
        await self._act(slash_commands.Topic(topic.strip()))

    async def set_password(self, password: str) -> None:
        """Set the password that joining needs from now on; empty: none. For the host.

        The server takes it without control characters, or white space around it. If nothing is left of one that is not
        empty, InvalidText is raised: the room is not unlocked by mistake.
        """
        lock = slash_commands.Lock(password)
        taken = slash_commands.parse_untrusted(clean(serialize(lock)))
        if password and not (isinstance(taken, slash_commands.Lock) and taken.password):
            raise errors.InvalidText("the password has white space and control characters only")
        await self._act(lock)

    async def hand_over(self, name: str) -> None:
        """Make another member the host. For the host."""
        await self._act(slash_commands.HandOver(_normal(name)))

    async def close_room(self) -> None:
        """Close the room for all. For the host."""
        await self._act(slash_commands.Close())

    # --- sending and waiting ---

    def _offer(self, event: events.Event, cause: int | None) -> bool:
        """Offer an event to the command with this number; return whether it belongs to that alone."""
        if cause is None or (pending := self._commands.get(cause) or self._given_up.get(cause)) is None:
            return False
        is_its_own = pending.offer(event, cause)
        self._arrived.set()
        return is_its_own

    def _forget_commands(self) -> None:
        """Give up the commands that wait, and forget all lines: those of another membership have the same numbers."""
        for pending in self._commands.values():
            pending.is_lost = True
        self._commands.clear()
        self._given_up.clear()
        self._arrived.set()

    def _check_receipts(self) -> None:
        if not self.has_receipts:
            raise errors.NotInDialect("only version 2 of the protocol tells which answer belongs to which command")

    async def _act(self, command: Command) -> events.Event | None:
        """Give a command; return the first event that comes of it, None in dialects where it is only sent."""
        line = serialize(command)
        if not self.has_receipts:
            await self.say(line)
            return None
        pending = PendingCommand()
        await self._carry_out(line, pending, None)
        if pending.over or not (self._is_room_closed and isinstance(command, slash_commands.Close)):
            self._check_answered(line, pending)
        return pending.result

    async def _ask(self, command: Command, pending: PendingList) -> PendingList:
        self._check_receipts()
        line = serialize(command)
        await self._carry_out(line, pending, ASK_AGAIN_S)
        self._check_answered(line, pending)
        return pending

    def _check_answered(self, line: str, pending: PendingCommand | PendingList) -> None:
        word = line.split()[0]
        if (refusal := pending.refusal) is not None:
            raise errors.CommandRefused(refusal.text, refusal.code)
        if pending.over:
            return
        if pending.is_lost:
            raise errors.NotInRoom(f"the membership has ended; what came of {word} is not known")
        if isinstance(pending, PendingList) and pending.is_partial:
            raise errors.NoAnswer(f"only a part of the server's answer to {word} has come")
        raise errors.NoAnswer(f"the server did not answer {word} in time")

    async def _ask_pages(
        self,
        command: type[slash_commands.Who] | type[slash_commands.Rooms] | type[slash_commands.Bans],
        kind: type[_R],
    ) -> list[_R]:
        rows: list[_R] = []
        page, pages = 1, 1
        while page <= pages:
            try:
                pending = await self._ask(command(page), PendingList())
            except errors.CommandRefused as exc:
                if page > 1 and exc.code == "no-such-page":  # the list has become shorter meanwhile
                    break
                raise
            rows += _of_kind(pending, kind)
            page, pages = page + 1, pending.pages
        return rows

    async def _carry_out(self, line: str, pending: PendingCommand | PendingList, again_s: float | None) -> None:
        """Give a command, and wait until what comes of it has come, or the time is over.

        `again_s`: after which it is given again.
        """
        numbers: list[int] = []
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                while True:
                    given = await self._give(line)
                    self._commands[given.number] = pending
                    numbers.append(given.number)
                    await given.kept()
                    with suppress(TimeoutError):
                        await self._wait(pending, again_s)
                    if pending.over or pending.is_lost:
                        return
        except TimeoutError:
            pass
        except errors.LineRefused as exc:
            raise _refused(exc) from exc
        except errors.NotInRoom:
            if not pending.over:  # A command may end the membership.
                raise
        finally:
            for number in numbers:
                if self._commands.get(number) is pending:  # not one of another membership
                    put_newest(self._given_up, number, self._commands.pop(number), REMEMBERED)

    async def _wait(self, pending: PendingCommand | PendingList, seconds: float | None) -> None:
        async with asyncio.timeout(seconds):
            while not pending.over and not pending.is_lost:
                self._arrived.clear()
                await self._arrived.wait()


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
