"""Chat in a terminal without the whole screen: edit lines below while messages scroll by above (`--plain`)."""

import asyncio
import contextlib
import os
import sys
from dataclasses import replace
from datetime import datetime

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, AnyFormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.utils import is_dumb_terminal

import tsudoi
from tsudoi.protocol.client.lines import FURTHER
from tsudoi.protocol.client.notices import action_line
from tsudoi.protocol.client.words import Language

from . import palette, words
from .error_words import explain, explain_text, refused
from .history import open_history
from .plain_screen import Keys, Screen, read_cooked_line
from .state import roster
from .state.event_words import ending, greeting, leaving_question, notice
from .state.mentions import mentions
from .state.model import Room

_YES = frozenset({"y", "yes", "ｙ", "はい"})
_NO = frozenset({"n", "no", "ｎ", "いいえ"})
_QUIET = f"3;38;5;{palette.QUIET}"
_LOUD = f"1;38;5;{palette.LOUD}"


async def chat_in_terminal(chat: tsudoi.ChatClient, is_host: bool, wished: str, language: Language) -> None:
    """Let the user, who asks for the name `wished`, chat until the user leaves or the membership ends."""
    screen = Screen()
    # Prints go above the line being typed, in order and many lines at a time. prompt_toolkit's `print_formatted_text`
    # does neither: [measured] 3,000 lines took ten seconds, and some came before earlier ones.
    with screen.used():
        # In a dialect that echoes, the typed line would stand there twice, so it is erased when it is sent.
        keys = Keys(sys.stdin)
        session: PromptSession[str] = PromptSession(
            input=keys, history=open_history(), erase_when_done=chat.dialect.echo, key_bindings=_bindings(keys)
        )
        _tell(greeting(chat.room, chat.name, wished, is_host, language))
        _tell(words.PLAIN_HELP.text(language))
        plain = PlainChat(chat, session, screen, is_host, language)
        receiving = asyncio.create_task(plain.receive())
        typing = asyncio.create_task(plain.type_raw())
        showing = asyncio.create_task(screen.above.show())
        try:
            await asyncio.wait({receiving, typing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (receiving, typing):
                if task.done():
                    task.result()
        finally:
            for task in (receiving, typing):
                task.cancel()
            await asyncio.gather(receiving, typing, return_exceptions=True)
            try:
                await plain.leave()
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)
                screen.above.finish()


def _bindings(keys: Keys) -> KeyBindings:
    """Let Ctrl-C clear the line first (on an empty line it leaves), and Ctrl-Z go back to the shell."""
    bindings = KeyBindings()
    bindings.add("c-c", filter=Condition(lambda: bool(get_app().current_buffer.text)))(
        lambda event: event.current_buffer.reset()
    )

    @bindings.add("c-z")
    def _(event: KeyPressEvent) -> None:
        run_in_terminal(keys.suspend)

    return bindings


class PlainChat:
    """What the user types and hears in one room."""

    def __init__(
        self, chat: tsudoi.ChatClient, session: PromptSession[str], screen: Screen, is_host: bool, language: Language
    ) -> None:
        self._chat, self._session, self._screen, self._language = chat, session, screen, language
        self._room = Room(chat.room, chat.name)
        """Who is in it, for the question before a host leaves."""
        if is_host:
            self._room = roster.make_host(replace(self._room, count=1), chat.name)
        self._watching: set[asyncio.Task[None]] = set()
        """For lines that are not kept yet. Held here: asyncio does not hold them."""

    async def receive(self) -> None:
        """Show what comes, until the membership ends."""
        chat, dropped = self._chat, 0
        async for event in chat:
            await self._screen.keep_up()
            if chat.dropped > dropped:
                _tell(words.LOST_EVENTS.text(self._language, count=chat.dropped - dropped))
                dropped = chat.dropped
            self._room = roster.take(replace(self._room, me=chat.name), event)
            if isinstance(event, tsudoi.PeopleChanged):
                self._room = replace(self._room, count=0)
            show(event, chat, self._language)

    async def type_raw(self) -> None:
        """Take what the user types, until the user leaves."""
        # Raw also between two prompts, when the terminal would show keys at once, and again in the next prompt.
        with contextlib.nullcontext() if is_dumb_terminal() else self._session.input.raw_mode():
            await self._type()

    async def leave(self) -> None:
        """Leave the room; what was typed stands in the terminal as if it were said, so name what is not kept."""
        if not self._watching:
            return
        _tell(words.WAITING.text(self._language, count=len(self._watching)))
        try:
            await self._chat.leave()
        finally:  # also if the user does not wait for it and presses Ctrl-C: then it leaves at once
            if self._watching:
                await self._chat.leave()
                await asyncio.gather(*self._watching, return_exceptions=True)

    async def _type(self) -> None:
        chat, typed = self._chat, ""
        while True:
            try:
                line = await self._read(self._session, lambda: ANSI(f"{_name(chat.name)}: "), typed)  # /nick changes it
            except (EOFError, KeyboardInterrupt):
                line = "/leave"
            typed = ""
            match line.strip().replace("／", "/").split():
                case []:
                    continue
                case ["/quit" | "/exit" | "/leave"]:
                    leaves, typed = await self._may_leave()
                    if leaves:
                        return
                case ["/help"]:
                    _tell(words.PLAIN_HELP.text(self._language))
                    await self._say("/help")
                case _:
                    # Commands and `//` go to the server as they are: it knows which there are.
                    await self._say(line)

    async def _read(self, session: PromptSession[str], prompt: AnyFormattedText, typed: str = "") -> str:
        """Return a line that the user types; `typed` stands there already, except in a dumb terminal."""
        # While a line is typed, what is printed takes the keys from the user for a moment.
        self._screen.above.finish()
        if is_dumb_terminal():  # with no prompt: what is printed would stand behind it, as if the user said it
            return await read_cooked_line()
        # Its handler of SIGINT would leave none behind: Ctrl-C could not cut the waiting at the end short.
        return await session.prompt_async(prompt, default=typed, handle_sigint=False)

    async def _may_leave(self) -> tuple[bool, str]:
        """Ask a host before the room closes for others; a second Ctrl-C or Ctrl-D means yes.

        Return the answer, and what the user typed on instead of one: that is a no.
        """
        question = leaving_question(self._room, self._language)
        if not question:
            return True, ""
        keys = words.QUESTION_KEYS.text(self._language)
        _tell(f"{question} {keys}" if is_dumb_terminal() else question)
        session: PromptSession[str] = PromptSession(input=Keys(sys.stdin))  # with no history: it is for lines
        try:
            answer = await self._read(session, f"{keys}: ")
        except (EOFError, KeyboardInterrupt):
            return True, ""
        word = answer.strip().lower()
        return word in _YES, "" if word in _YES | _NO else answer

    async def _say(self, line: str) -> None:
        chat, language = self._chat, self._language
        try:
            for piece in chat.pieces(line):
                if chat.has_receipts:
                    # Typing goes on meanwhile, also while the server is away.
                    task = asyncio.create_task(self._watch(chat.post(piece)))
                    self._watching.add(task)
                    task.add_done_callback(self._watching.discard)
                else:
                    await chat.say(piece)
        except tsudoi.TooManyLines as exc:
            _tell(words.NOT_SAID.text(language, why=explain(exc, chat.room, str(chat.server), language)))
        except tsudoi.InvalidText as exc:
            _tell(words.NOT_SAID.text(language, why=explain_text(chat, line, exc, language)))
        except tsudoi.NotInRoom:
            return

    async def _watch(self, line: tsudoi.Line) -> None:
        """Tell the user if the server does not keep a line."""
        try:
            await line.kept()
        except tsudoi.LineRefused as exc:
            _tell(words.NOT_SAID.text(self._language, why=refused(exc, self._language)))
        except tsudoi.NotInRoom:
            _tell(words.NOT_KEPT.text(self._language, text=line.text))


def show(event: tsudoi.Event, room: tsudoi.ChatClient, language: Language) -> None:
    match event:
        case tsudoi.Emote():
            _print(_bell(event, room.name) + action_line(_name(event.sender), event.text))
        case tsudoi.Private():
            to = _name(event.to)
            _print(f"{_bell(event, room.name)}{_name(event.sender)} {_styled('→', _QUIET)} {to}: {event.text}")
        case tsudoi.Message():
            start = f"{_name(event.sender)}: " if event.sender else ""
            _print(f"{_bell(event, room.name)}{start}{event.text}")
        case tsudoi.Earlier() | tsudoi.Listed(what="history", rows=[_, *_]):
            for row in event.rows:
                assert isinstance(row, tsudoi.Past)
                time = datetime.fromtimestamp(row.at_ms / 1000).strftime("%H:%M")
                said = action_line(_name(row.sender), row.text) if row.acted else f"{_name(row.sender)}: {row.text}"
                _print(f"{_styled(time, _QUIET)} {said}")
        case tsudoi.Announced():
            _print(notice(event, language), _LOUD)
        case tsudoi.RoomClosed() | tsudoi.TimedOut() | tsudoi.Kicked():
            _tell(ending(event, room.room, language))
        case tsudoi.ServerAway(distrusted=""):
            _tell((words.AWAY_WAITS if room.has_receipts else words.AWAY_NOW).text(language))
        case tsudoi.Listed():
            # Each line is a row of a table, whose head may have come in another datagram.
            for line in notice(event, language).split("\n"):
                _tell(line)
        case _:
            _tell(notice(event, language))


def _bell(event: tsudoi.Emote | tsudoi.Private | tsudoi.Message, me: str) -> str:
    """Return the bell for a line of another member that is for the user; nothing for others."""
    is_for_me = isinstance(event, tsudoi.Private) or mentions(event.text, me)
    return "\a" if is_for_me and event.sender != me else ""


def _tell(text: str) -> None:
    _print(text, _QUIET)


def _print(text: str, codes: str = "") -> None:
    """Print one message, its further lines marked as such."""
    first, *further = text.split("\n")
    for line in (first, *(f"{FURTHER}{line}" for line in further)):
        print(_styled(line, codes) if codes else line)


def _name(name: str) -> str:
    return _styled(name, f"1;38;5;{palette.NAMES[palette.place_of(name)]}")


def _styled(text: str, codes: str) -> str:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{codes}m{text}\x1b[0m"
