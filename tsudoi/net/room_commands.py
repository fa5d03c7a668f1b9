"""What a member can ask and order, typed: the SDK's side of PROTOCOL.md, "Commands"."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from tsudoi import errors
from tsudoi.events import (
    Answered,
    CommandHelp,
    Event,
    HostChanged,
    Left,
    LockChanged,
    Muted,
    Past,
    Person,
    Private,
    Renamed,
    RoomClosed,
    RoomInfo,
    Row,
    Sanction,
    TopicChanged,
    Unmuted,
)
from tsudoi.pending import Order, Question
from tsudoi.protocol import names
from tsudoi.protocol.client import slash_commands
from tsudoi.protocol.client.slash_commands import Command, serialize
from tsudoi.protocol.errors import InvalidName

QUIET_S = 0.3
"""A list whose length is not told is whole when nothing of it came for so long."""
_R = TypeVar("_R", Person, RoomInfo, Sanction, Past, CommandHelp)


class Commands(ABC):
    """Commands for `ChatClient`, whose part this is.

    In the dialect `tsudoi`, orders return when they are done, and questions return values; errors are CommandRefused
    (its `code` says why) and NoAnswer. In other dialects orders are only sent, what comes of them is a Notice in words,
    and questions raise NotInDialect. A listener may take no commands (`--no-commands`): then they are said to the room.
    """

    _waiting: list[Order | Question]
    _arrived: asyncio.Event
    _answer_timeout_s: float
    _is_native: bool

    async def command(self, line: str) -> None:
        """Send a line that begins with a slash, as a person types it; what comes of it is an event.

        Raises:
            InvalidText, NotInRoom: as `say`.
        """
        await self._send_line(line)

    # --- questions ------------------------------------------------------------------------------------------------

    async def who(self) -> list[Person]:
        """Return who is in the room."""
        return await self._ask_pages("who", slash_commands.Who, Person)

    async def rooms(self) -> list[RoomInfo]:
        """Return which rooms there are on the server."""
        return await self._ask_pages("rooms", slash_commands.Rooms, RoomInfo)

    async def bans(self) -> list[Sanction]:
        """Return who is kept out of this room, or muted in it. For the host."""
        return await self._ask_pages("bans", slash_commands.Bans, Sanction)

    async def history(self, count: int = 20) -> list[Past]:
        """Return what was said last, oldest first; at most 50."""
        return self._of_kind(await self._ask(slash_commands.History(count), Question("history")), Past)

    async def help(self) -> list[CommandHelp]:
        """Return which commands the server knows."""
        return self._of_kind(await self._ask(slash_commands.Help(), Question("help")), CommandHelp)

    async def topic(self) -> str:
        """Return what the room is about; empty if about nothing."""
        self._check_native()
        answers: list[Answered] = []

        def is_it(event: Event) -> bool:
            if isinstance(event, Answered) and event.code in ("topic-is", "no-topic"):
                answers.append(event)
                return True
            return False

        await self._order(slash_commands.Topic(), is_it)
        return answers[0].about if answers[0].code == "topic-is" else ""

    # --- orders ---------------------------------------------------------------------------------------------------

    async def msg(self, name: str, text: str) -> None:
        """Say something to one member alone."""
        name = _normal(name)
        await self._order(
            slash_commands.Whisper(name, text),
            lambda e: isinstance(e, Private) and (e.sender, e.text) == (self._me(), text),
        )

    async def reply(self, text: str) -> None:
        """Answer who said something to this member alone last."""
        await self._order(
            slash_commands.Reply(text), lambda e: isinstance(e, Private) and (e.sender, e.text) == (self._me(), text)
        )

    async def me(self, text: str) -> None:
        """Say what this member does, in the third person: `waves`. Not waited for, as `say`."""
        await self._send_line(serialize(slash_commands.Act(text)))

    async def nick(self, name: str) -> None:
        """Take another name."""
        await self._order(slash_commands.Rename(name), lambda e: isinstance(e, Renamed) and e.name == self._me())

    async def kick(self, name: str, reason: str = "") -> None:
        """Remove a member. For the host."""
        name = _normal(name)
        await self._order(
            slash_commands.Kick(name, reason), lambda e: isinstance(e, Left) and (e.name, e.reason) == (name, "kicked")
        )

    async def ban(self, who: str, minutes: int = 0) -> None:
        """Remove a member, or whoever comes from an IP address, and keep it out. For the host."""
        await self._order(slash_commands.Ban(who, minutes), _answers("name-banned", "address-banned", "both-banned"))

    async def unban(self, who: str) -> None:
        """Let a name or an IP address in again. For the host."""
        await self._order(slash_commands.Unban(who), _answers("unbanned"))

    async def mute(self, name: str, minutes: int = 0) -> None:
        """Let nobody hear a member, for some minutes or (0) until the room closes. For the host."""
        name = _normal(name)
        await self._order(slash_commands.Mute(name, minutes), lambda e: isinstance(e, Muted) and e.name == name)

    async def unmute(self, name: str) -> None:
        """Let a member speak again, or somebody who has gone. For the host."""
        name, lifted = _normal(name), _answers("unmuted")
        await self._order(
            slash_commands.Unmute(name), lambda e: lifted(e) or (isinstance(e, Unmuted) and e.name == name)
        )

    async def set_topic(self, topic: str) -> None:
        """Let the room be about something; empty: about nothing. For the host."""
        await self._order(slash_commands.Topic(topic), lambda e: isinstance(e, TopicChanged) and e.topic == topic)

    async def set_password(self, password: str) -> None:
        """Let nobody in without this from now on; empty: everybody. For the host."""
        locked = bool(password)
        await self._order(slash_commands.Lock(password), lambda e: isinstance(e, LockChanged) and e.locked == locked)

    async def hand_over(self, name: str) -> None:
        """Make another member the host. For the host."""
        name = _normal(name)
        await self._order(slash_commands.HandOver(name), lambda e: isinstance(e, HostChanged) and e.name == name)

    async def close_room(self) -> None:
        """Close the room for all. For the host."""
        await self._order(slash_commands.Close(), lambda e: isinstance(e, RoomClosed))

    # --- how ------------------------------------------------------------------------------------------------------

    @abstractmethod
    async def _send_line(self, line: str) -> None:
        """Say a line as the member would type it."""

    @abstractmethod
    def _me(self) -> str:
        """Return the member's name as it is now."""

    def _offer(self, event: Event) -> bool:
        """Give an event to those who wait; say whether it was for one of them alone."""
        taken = False
        for waiting in self._waiting:
            if waiting.offer(event):
                taken = True
                break
        if self._waiting:
            self._arrived.set()
        return taken

    def _check_native(self) -> None:
        if not self._is_native:
            raise errors.NotInDialect("only in tsudoi does the server answer in values")

    async def _order(self, command: Command, is_done: Callable[[Event], bool]) -> None:
        line = serialize(command)
        if not self._is_native:
            await self._send_line(line)
            return
        order = Order(is_done)
        await self._wait_for(line, order)
        if order.refusal is not None:
            raise errors.CommandRefused(order.refusal.text, order.refusal.code)
        if not order.done:
            raise errors.NoAnswer(f"the server did not answer {line.split()[0]} in time")

    async def _ask(self, command: Command, question: Question) -> Question:
        self._check_native()
        await self._wait_for(serialize(command), question)
        if question.refusal is not None and question.refusal.code != "no-history":
            raise errors.CommandRefused(question.refusal.text, question.refusal.code)
        if question.refusal is None and not question.heard:
            raise errors.NoAnswer(f"the server did not answer /{question.what} in time")
        return question

    async def _ask_pages(
        self,
        what: str,
        command: type[slash_commands.Who] | type[slash_commands.Rooms] | type[slash_commands.Bans],
        kind: type[_R],
    ) -> list[_R]:
        rows: list[_R] = []
        page, pages = 1, 1
        while page <= pages:
            question = await self._ask(command(page), Question(what, page))
            rows += self._of_kind(question, kind)
            page, pages = page + 1, question.pages
        return rows

    @staticmethod
    def _of_kind(question: Question, kind: type[_R]) -> list[_R]:
        rows: list[Row] = question.rows
        return [row for row in rows if isinstance(row, kind)]

    async def _wait_for(self, line: str, waiting: Order | Question) -> None:
        """Send a line and wait until its answer is there, or no more of it comes."""
        self._waiting.append(waiting)
        try:
            await self._send_line(line)
            loop = asyncio.get_running_loop()
            deadline = loop.time() + self._answer_timeout_s
            while not waiting.over and not self._has_ended():
                open_end = isinstance(waiting, Question) and waiting.heard and waiting.expected is None
                left_s = min(QUIET_S, deadline - loop.time()) if open_end else deadline - loop.time()
                self._arrived.clear()
                try:
                    async with asyncio.timeout(max(left_s, 0.0)):
                        await self._arrived.wait()
                except TimeoutError:
                    return
        finally:
            self._waiting.remove(waiting)

    @abstractmethod
    def _has_ended(self) -> bool:
        """Say whether nothing more will be heard."""


def _normal(name: str) -> str:
    try:
        return names.user_name(name)
    except InvalidName as exc:
        raise errors.InvalidName(str(exc)) from exc


def _answers(*codes: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Answered) and event.code in codes
