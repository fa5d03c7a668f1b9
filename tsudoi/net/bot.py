"""Bots: functions that answer commands and events of a room, and a member that joins again when it must."""

import asyncio
import contextlib
import inspect
import logging
import random
import re
import signal
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from tsudoi import errors
from tsudoi.events import LAST, Emote, Event, Message, Private, RoomClosed, TimedOut
from tsudoi.net.chat import ChatClient
from tsudoi.net.enter import DEFAULT_SERVER, DEFAULT_SETTINGS, create, join
from tsudoi.protocol.client.phrases import Phrase
from tsudoi.protocol.client.templates import template_pattern
from tsudoi.server_address import Server
from tsudoi.settings import Settings

logger = logging.getLogger("tsudoi.bot")

FIRST_PAUSE_S, LAST_PAUSE_S = 1.0, 30.0
"""Between two tries to enter; each time twice as long, and up to a quarter shorter or longer by chance."""
_LATER = (errors.ServerUnreachable, errors.NoAnswer, errors.Busy)
"""Errors that may be over later."""
_COMMAND = re.compile(r"(\S+)\s*(.*)", re.DOTALL)
_HOST_HAS_LEFT = tuple(map(template_pattern, Phrase.HOST_HAS_LEFT.words))


@dataclass(frozen=True, slots=True)
class Call:
    """A command that a member has given to a bot."""

    chat: ChatClient
    sender: str
    name: str
    text: str
    """What stands behind the command's name."""

    @property
    def words(self) -> list[str]:
        """The words behind the command's name."""
        return self.text.split()


CommandHandler: TypeAlias = Callable[[Call], Awaitable[str | None] | str | None]
_C = TypeVar("_C", bound=CommandHandler)
_E = TypeVar("_E", bound=Event)
_R = TypeVar("_R", bound=Awaitable[None] | None)


class Bot:
    """A member that answers.

    Handlers run one after the other, in the order of the room. One that fails is logged, and the bot goes on.
    """

    def __init__(
        self,
        room: str,
        *,
        name: str,
        server: Server = DEFAULT_SERVER,
        password: str | None = None,
        signed_token: str | None = None,
        prefix: str = "!",
        creates: bool = False,
        settings: Settings = DEFAULT_SETTINGS,
    ) -> None:
        """Args:
        signed_token: see `join`; its name replaces `name`.
        prefix: what stands before the names of commands; `/` is taken by the server's own.
        creates: create the room if it does not exist, and again when it was closed because its host has left or was
            silent for too long, such as this bot itself while its machine slept.
        """
        self.room, self.name, self.server, self.password = room, name, server, password
        self.chat: ChatClient | None = None
        """The bot as a member, while it is one."""
        self._signed_token, self._prefix, self._creates, self._settings = signed_token, prefix, creates, settings
        self._commands: dict[str, CommandHandler] = {}
        self._events: list[tuple[type, Callable[..., object]]] = []

    def command(self, name: str) -> Callable[[_C], _C]:
        """Let a function answer the command `name`: it gets a Call, and what it returns is said to the room.

        It may be `async def` or `def`; all others wait for it.

        The first line of its docstring is shown by `help`, which every bot has that has commands.
        """
        given: object = name
        if not isinstance(given, str) or len(given.split()) != 1:  # such as `@bot.command` without a name
            raise TypeError('name the command, in one word: @bot.command("roll")')
        key = name.lower()

        def take(handler: _C) -> _C:
            self._commands[key] = handler
            return handler

        return take

    def on(self, kind: type[_E]) -> Callable[[Callable[[ChatClient, _E], _R]], Callable[[ChatClient, _E], _R]]:
        """Let a function take the events of one kind: it gets the ChatClient and the event.

        What the bot itself says, does or whispers is no event here. A last event is: the chat is closed then.
        """
        try:
            isinstance(None, kind)
        except TypeError:  # such as `@bot.on` without a kind, or a text
            raise TypeError("name a kind of event: @bot.on(tsudoi.Message)") from None

        def take(handler: Callable[[ChatClient, _E], _R]) -> Callable[[ChatClient, _E], _R]:
            self._events.append((kind, handler))
            return handler

        return take

    def run(self) -> None:
        """Run until the room is closed, the bot is removed from it (see `serve`), or it leaves at Ctrl-C or SIGTERM."""
        with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(self._serve_until_sigterm())

    async def _serve_until_sigterm(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            with contextlib.suppress(RuntimeError):  # Windows, or a thread that gets no signals
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await self.serve()

    async def serve(self) -> None:
        """Join the room and answer, until the room is closed or the bot is removed from it.

        While the server can not be reached, or is busy, it tries again. It joins again when the service has lost the
        membership, as after a long sleep of this machine; one that `creates` its room, when its host is gone.

        Raises:
            ClientError: the server refuses the bot for another reason, such as a wrong password.
        """
        while True:
            try:
                async with await self._enter() as self.chat:
                    ended = await self._answer(self.chat)
            finally:
                self.chat = None
            if not (isinstance(ended, TimedOut) or (self._creates and _has_lost_its_host(ended))):
                if ended is not None:
                    logger.warning("this bot is not in %s any more: %s", self.room, ended.text)
                return

    async def _enter(self) -> ChatClient:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await self._enter_once()
            except _LATER as exc:
                logger.warning("%s; trying again in %.0f s", exc, pause_s)
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _enter_once(self) -> ChatClient:
        try:
            return await self._enter_by(join)
        except errors.RoomNotFound:
            if not self._creates:
                raise
        with contextlib.suppress(errors.RoomExists):  # another client has created it meanwhile
            return await self._enter_by(create)
        return await self._enter_by(join)

    async def _enter_by(self, enter: Callable[..., Awaitable[ChatClient]]) -> ChatClient:
        chat = await enter(
            self.room,
            name=self.name,
            server=self.server,
            password=self.password,
            signed_token=self._signed_token,
            settings=self._settings,
        )
        if chat.name.startswith(f"{self.name}#"):
            logger.warning("the name %s is taken, so this bot is %s: is it running twice?", self.name, chat.name)
        return chat

    async def _answer(self, chat: ChatClient) -> Event | None:
        """Answer until the membership ends; return its last event."""
        async for event in chat:
            if isinstance(event, Message | Emote | Private) and event.sender == chat.name:
                continue  # else a bot that answers would answer itself
            for kind, handler in self._events:
                if isinstance(event, kind):
                    await self._try(handler, chat, event)
            if isinstance(event, Message):
                await self._obey(chat, event)
            elif isinstance(event, LAST):
                return event
        return None

    async def _obey(self, chat: ChatClient, message: Message) -> None:
        """Carry out the command in a message, if it is one; the prefix may be wide, as Japanese input methods write."""
        start, rest = message.text[: len(self._prefix)], message.text[len(self._prefix) :]
        if self._prefix not in (start, unicodedata.normalize("NFKC", start)) or not (words := _COMMAND.fullmatch(rest)):
            return
        name, text = words[1].lower(), words[2].rstrip()
        handler = self._commands.get(name, self._help if name == "help" and self._commands else None)
        if handler is not None:
            said = await self._try(handler, Call(chat, message.sender, name, text))
            if said is not None and not isinstance(said, str):
                logger.error("what the command %s returns is not said, as it is no str: %.50r", name, said)
            elif said:
                for piece in chat.pieces(chat.as_text(said)):
                    await self._try(chat.say, piece)

    def _help(self, call: Call) -> str:
        # With a head: a text that begins with a command would be one to other bots.
        rows = (
            f"{self._prefix}{name}  {(inspect.getdoc(handler) or '').partition(chr(10))[0]}".rstrip()
            for name, handler in sorted(self._commands.items())
        )
        return "\n".join(("Commands:", *rows))

    async def _try(self, handler: Callable[..., object], *arguments: object) -> object:
        name = getattr(handler, "__name__", repr(handler))
        try:
            said = handler(*arguments)
            return await said if inspect.isawaitable(said) else said
        except errors.NotInRoom:
            return None  # The last event follows.
        except errors.ClientError as exc:
            logger.warning("%s: %s", name, exc)
            return None
        except Exception:
            logger.exception("the handler %s failed", name)
            return None


def _has_lost_its_host(ended: Event | None) -> bool:
    """Return whether a room was closed because its host is gone, and not by the host or the operator."""
    return isinstance(ended, RoomClosed) and any(words.fullmatch(ended.text) for words in _HOST_HAS_LEFT)
