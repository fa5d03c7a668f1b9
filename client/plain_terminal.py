"""Chat in a terminal without the whole screen: edit lines below while messages scroll by above (`--plain`)."""

import asyncio
import contextlib
import os
import sys
import zlib
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
from .state.event_words import ending, greeting, notice
from .state.mentions import mentions

_YES = frozenset({"y", "yes", "ｙ", "はい"})
_NO = frozenset({"n", "no", "ｎ", "いいえ"})
_QUIET = f"3;38;5;{palette.QUIET}"
_LOUD = f"1;38;5;{palette.LOUD}"


async def chat_in_terminal(room: tsudoi.ChatClient, is_host: bool, wished: str, language: Language) -> None:
    """Let the user, who asks for the name `wished`, chat until the user leaves or the membership ends."""
    screen = Screen()
    # Prints go above the line being typed, in order and many lines at a time. prompt_toolkit's `print_formatted_text`
    # does neither: [measured] 3,000 lines took ten seconds, and some came before earlier ones.
    with screen.used():
        # In a dialect that echoes, the typed line would stand there twice, so it is erased when it is sent.
        keys = Keys(sys.stdin)
        session: PromptSession[str] = PromptSession(
            input=keys, history=open_history(), erase_when_done=room.dialect.echo, key_bindings=_bindings(keys)
        )
        _tell(greeting(room.room, room.name, wished, is_host, language))
        _tell(words.PLAIN_HELP.text(language))
        hosting = Hosting(is_host)
        receiving = asyncio.create_task(_receive(room, screen, hosting, language))
        typing = asyncio.create_task(_type_raw(room, session, screen, hosting, language))
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
                if _watching:
                    _tell(words.WAITING.text(language, count=len(_watching)))
                    await room.leave()
            finally:  # also if the user does not wait for it and presses Ctrl-C: then it leaves at once
                if _watching:
                    # What was typed stands in the terminal as if it were said: name what is not kept in the end.
                    await room.leave()
                    await asyncio.gather(*_watching, return_exceptions=True)
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


class Hosting:
    """Whether the room closes for other members when the user leaves."""

    def __init__(self, is_host: bool) -> None:
        self.is_host = is_host
        self._others: int | None = 0 if is_host else None
        """The number of other members; None: not known."""

    def hear(self, event: tsudoi.Event, me: str) -> None:
        """Take an event of the room."""
        match event:
            case tsudoi.HostChanged(name=name):
                self.is_host = name == me
            case tsudoi.PeopleChanged():
                self._others = None
            case tsudoi.Joined() if self._others is not None:
                self._others += 1
            case tsudoi.Left() if self._others is not None:
                self._others = max(self._others - 1, 0)

    def question(self, room: str, language: Language) -> str:
        """Return what to ask before the user leaves; nothing if no other member is there, or the user is no host."""
        if not self.is_host or self._others == 0:
            return ""
        asked = words.LEAVE_AS_HOST if self._others else words.LEAVE_AS_HOST_UNKNOWN
        return asked.text(language, room=room, others=self._others)


async def _receive(room: tsudoi.ChatClient, screen: Screen, hosting: Hosting, language: Language) -> None:
    dropped = 0
    async for event in room:
        await screen.keep_up()
        if room.dropped > dropped:
            _tell(words.LOST_EVENTS.text(language, count=room.dropped - dropped))
            dropped = room.dropped
        hosting.hear(event, room.name)
        _show(event, room, language)


async def _may_leave(question: str, screen: Screen, language: Language) -> tuple[bool, str]:
    """Ask a host before the room closes for others; a second Ctrl-C or Ctrl-D means yes.

    Return the answer, and what the user typed on instead of one: that is a no.
    """
    if not question:
        return True, ""
    keys = words.QUESTION_KEYS.text(language)
    _tell(f"{question} {keys}" if is_dumb_terminal() else question)
    session: PromptSession[str] = PromptSession(input=Keys(sys.stdin))  # with no history: it is for lines
    try:
        answer = await _read(session, screen, f"{keys}: ")
    except (EOFError, KeyboardInterrupt):
        return True, ""
    word = answer.strip().lower()
    return word in _YES, "" if word in _YES | _NO else answer


async def _type_raw(
    room: tsudoi.ChatClient, session: PromptSession[str], screen: Screen, hosting: Hosting, language: Language
) -> None:
    # Also between two prompts, when the terminal would show keys at once, and again in the next prompt.
    with contextlib.nullcontext() if is_dumb_terminal() else session.input.raw_mode():
        await _type(room, session, screen, hosting, language)


async def _type(
    room: tsudoi.ChatClient, session: PromptSession[str], screen: Screen, hosting: Hosting, language: Language
) -> None:
    typed = ""
    while True:
        try:
            line = await _read(session, screen, lambda: ANSI(f"{_name(room.name)}: "), typed)  # /nick changes it
        except (EOFError, KeyboardInterrupt):
            line = "/leave"
        typed = ""
        match line.strip().replace("／", "/").split():
            case []:
                continue
            case ["/quit" | "/exit" | "/leave"]:
                leaves, typed = await _may_leave(hosting.question(room.room, language), screen, language)
                if leaves:
                    return
            case ["/help"]:
                _tell(words.PLAIN_HELP.text(language))
                await _say(room, "/help", language)
            case _:
                # Commands and `//` go to the server as they are: it knows which there are.
                await _say(room, line, language)


async def _read(session: PromptSession[str], screen: Screen, prompt: AnyFormattedText, typed: str = "") -> str:
    """Return a line that the user types; `typed` stands there already, except in a dumb terminal."""
    # While a line is typed, what is printed takes the keys from the user for a moment.
    screen.above.finish()
    if is_dumb_terminal():  # with no prompt: what is printed would stand behind it, as if the user said it
        return await read_cooked_line()
    # Its handler of SIGINT would leave none behind: Ctrl-C could not cut the waiting at the end short.
    return await session.prompt_async(prompt, default=typed, handle_sigint=False)


async def _say(room: tsudoi.ChatClient, line: str, language: Language) -> None:
    try:
        for piece in room.pieces(line):
            if room.has_receipts:
                # Typing goes on meanwhile, also while the server is away.
                _watch(room.post(piece), language)
            else:
                await room.say(piece)
    except tsudoi.TooManyLines as exc:
        _tell(words.NOT_SAID.text(language, why=explain(exc, room.room, str(room.server), language)))
    except tsudoi.InvalidText as exc:
        _tell(words.NOT_SAID.text(language, why=explain_text(room, line, exc, language)))
    except tsudoi.NotInRoom:
        return


_watching: set[asyncio.Task[None]] = set()
"""Held here: asyncio does not hold them."""


def _watch(line: tsudoi.Line, language: Language) -> None:
    """Tell the user if the server refuses a line."""

    async def wait() -> None:
        try:
            await line.kept()
        except tsudoi.LineRefused as exc:
            _tell(words.NOT_SAID.text(language, why=refused(exc, language)))
        except tsudoi.NotInRoom:
            _tell(words.NOT_KEPT.text(language, text=line.text))

    task = asyncio.create_task(wait())
    _watching.add(task)
    task.add_done_callback(_watching.discard)


def _show(event: tsudoi.Event, room: tsudoi.ChatClient, language: Language) -> None:
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
    """Return a name in its colour; the same name always has the same one."""
    number = palette.NAMES[zlib.crc32(name.encode(errors="replace")) % len(palette.NAMES)]
    return _styled(name, f"1;38;5;{number}")


def _styled(text: str, codes: str) -> str:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{codes}m{text}\x1b[0m"
