"""The rooms in which the user is: one ChatClient each, what it hears and what it sends."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import tsudoi
from tsudoi import ChatClient, Line
from tsudoi.protocol.client.dialect import WITH_VALUES
from tsudoi.protocol.client.words import Language

from .. import words
from ..error_words import explain, explain_text
from ..state.events import Ended, Entered, Event, Notified, Posted, Received, Settled, Taken
from ..state.model import Mark, SpeechKind, Tone
from ..state.typed import Spoken, spoken

ASKING = ("/who ", "/history ")
"""Lines that the client sends by itself."""


class Connect(Protocol):
    """Creates or joins a room at the user's server, in its dialect."""

    def __call__(self, room: str, *, creates: bool, password: str | None, name: str) -> Awaitable[ChatClient]: ...


@dataclass
class _OpenRoom:
    chat: ChatClient
    wished: str
    """The name that the user asks for, at last by `/nick`; the server may have given another one."""
    lines: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Sessions:
    """Holds the clients; tells `dispatch` what happens."""

    def __init__(
        self,
        connect: Connect,
        wished: str,
        dispatch: Callable[[Event], None],
        now: Callable[[], datetime],
        language: Language,
    ) -> None:
        """`wished`: the name that the user asks for; empty: a signed token has it."""
        self._connect = connect
        self._wished = wished
        self._dispatch = dispatch
        self._now = now
        self._language = language
        self._rooms: dict[str, _OpenRoom] = {}
        self._numbers = itertools.count(1)
        self.unsettled: dict[int, str] = {}
        """Lines of which the server has not said whether they are kept: number → text."""

    def is_in(self, room: str) -> bool:
        """Return whether the user is a member of a room."""
        return room in self._rooms and not self._rooms[room].chat.closed

    async def enter(self, room: str, creates: bool, password: str | None = None) -> None:
        """Create or join a room; raise ClientError. One that was removed keeps the name of its `/nick`."""
        opened, wished = self._rooms.get(room), self._wished
        if opened is not None and wished:
            wished = opened.wished
        self._open(await self._connect(room, creates=creates, password=password, name=wished), creates, wished)

    def add(self, chat: ChatClient, is_host: bool) -> None:
        """Take a client that has entered its room."""
        self._open(chat, is_host, self._wished)

    def _open(self, chat: ChatClient, is_host: bool, wished: str) -> None:
        opened = self._rooms[chat.room] = _OpenRoom(chat, wished)
        self._dispatch(
            Entered(
                chat.room,
                chat.name,
                self._now(),
                is_host,
                chat.has_receipts,
                chat.dialect.down.form in WITH_VALUES,
                chat.position,
                wished,
                has_commands=chat.has_commands,
            )
        )
        self._start(opened, self._receive(opened))
        self._start(opened, self._send(opened))

    def say(self, room: str, line: str) -> None:
        """Send the user's line, after those before it."""
        if self.is_in(room):
            self.ask(room, line)
        else:
            self._dispatch(Notified(words.NOT_IN_ROOM.text(self._language, room=room), self._now(), room))

    def ask(self, room: str, line: str) -> None:
        """Send a line of the client's own; where the membership is over, the user reads why, and needs no answer."""
        if self.is_in(room):
            self._rooms[room].lines.put_nowait(line)

    async def leave(self, room: str) -> None:
        """Leave a room."""
        if (opened := self._rooms.pop(room, None)) is not None:
            await opened.chat.leave()
            for task in opened.tasks:
                task.cancel()

    async def leave_all(self) -> None:
        """Leave all rooms, at the same time: each may wait for lines that are not kept yet."""
        await asyncio.gather(*(self.leave(room) for room in list(self._rooms)))

    def _start(self, opened: _OpenRoom, work: Any) -> None:
        task = asyncio.create_task(work)
        opened.tasks.add(task)
        task.add_done_callback(opened.tasks.discard)

    async def _receive(self, opened: _OpenRoom) -> None:
        chat, dropped = opened.chat, 0
        async for event in chat:
            if chat.dropped > dropped:
                text = words.LOST_EVENTS.text(self._language, count=chat.dropped - dropped)
                self._complain(chat.room, text)
                dropped = chat.dropped
            if isinstance(event, tsudoi.Renamed) and event.to == chat.name:
                opened.wished = event.to
            self._dispatch(Received(chat.room, event, self._now(), chat.name))
        if self._rooms.get(chat.room) is opened:
            self._dispatch(Ended(chat.room, words.LEFT.text(self._language), self._now()))

    async def _send(self, opened: _OpenRoom) -> None:
        chat = opened.chat
        while True:
            line = await opened.lines.get()
            try:
                for piece in chat.pieces(line):
                    await self._send_piece(opened, piece)
            except tsudoi.InvalidText as exc:
                why = explain_text(chat, line, exc, self._language)
                self._complain(chat.room, words.NOT_SAID.text(self._language, why=why))
            except tsudoi.ClientError as exc:
                if line.startswith(ASKING) and chat.closed:
                    continue  # as in `ask`
                why = explain(exc, chat.room, str(chat.server), self._language)
                self._complain(chat.room, why)

    async def _send_piece(self, opened: _OpenRoom, piece: str) -> None:
        """Send one line. Where there is a receipt for it, do not wait for that before the next."""
        chat = opened.chat
        said = spoken(piece, chat.name)
        number = next(self._numbers)
        if chat.has_receipts:
            line = chat.post(piece)
            if not piece.startswith(ASKING):
                self.unsettled[number] = piece
            if said is not None:
                self._dispatch(self._posted(chat, number, said, has_receipt=True))
            self._start(opened, self._watch(opened, line, number, said is not None))
            return
        await chat.say(piece)
        if said is None:
            self._dispatch(Taken(chat.room, piece))
        # A whisper is told to its sender, too.
        if said is not None and said.kind is not SpeechKind.WHISPERED and not chat.dialect.echo:
            self._dispatch(self._posted(chat, number, said, has_receipt=False))

    def _posted(self, chat: ChatClient, number: int, said: Spoken, has_receipt: bool) -> Posted:
        return Posted(chat.room, number, said.text, self._now(), said.kind, said.to, has_receipt)

    def _complain(self, room: str, text: str) -> None:
        self._dispatch(Notified(text, self._now(), room, Tone.LOUD))

    async def _watch(self, opened: _OpenRoom, line: Line, number: int, is_shown: bool) -> None:
        room, mark, offset, why = opened.chat.room, Mark.KEPT, None, ""
        try:
            offset = await line.kept()
        except tsudoi.NotInRoom:
            mark = Mark.UNKNOWN
            if line.state == "refused":
                mark, why = Mark.REFUSED, words.NOT_IN_ROOM.text(self._language, room=room)
        except tsudoi.ClientError as exc:
            mark, why = Mark.REFUSED, explain(exc, room, str(opened.chat.server), self._language)
            if not is_shown:
                self._complain(room, words.NOT_SAID.text(self._language, why=why))
        if mark is not Mark.UNKNOWN:
            self.unsettled.pop(number, None)
        if is_shown:
            self._dispatch(Settled(room, number, mark, self._now(), offset, why))
        else:
            self._dispatch(Taken(room, line.text))
