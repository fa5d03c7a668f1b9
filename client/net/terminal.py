"""Chat in a terminal: lines are edited below while what is heard scrolls by above."""

import asyncio
import contextlib
import os
import zlib
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from client.lines import notice_line
from tsudoi.errors import InvalidText, NotInRoom
from tsudoi.events import Announced, Emote, Event, Kicked, Listed, Message, Private, RoomClosed, ServerAway, TimedOut
from tsudoi.net.chat import ChatClient

HELP = "Type a line and press Enter to say it. /help tells what else there is; /quit, Ctrl-D or Ctrl-C leaves."
_COLOURS = (36, 32, 33, 35, 34, 91, 96)
"""SGR codes that can be read on light and on dark."""
_QUIET = "3;90"
_LOUD = "1;33"
_FURTHER = "  | "
"""Before each further line of one message. No name begins with white space, so what a member writes behind a line feed
does not look like what another says, with colours or without."""


async def chat_in_terminal(room: ChatClient, greeting: str) -> None:
    """Let the user chat until he leaves or the room ends."""
    # What the server sends back would stand there twice, so there the typed line goes when it is said.
    session: PromptSession[str] = PromptSession(history=_history(), erase_when_done=room.dialect.echo)
    # What is printed in here goes above the line being typed, in order and many lines at a time; prompt_toolkit's own
    # way of printing keeps neither: [measured] 3,000 lines took ten seconds, and some came before earlier ones.
    with patch_stdout(raw=True):
        _tell(greeting)
        _tell(HELP)
        listening = asyncio.create_task(_listen(room))
        typing = asyncio.create_task(_type(room, session))
        try:
            await asyncio.wait({listening, typing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (listening, typing):
                if task.done():
                    task.result()
        finally:
            for task in (listening, typing):
                task.cancel()
            await asyncio.gather(listening, typing, return_exceptions=True)


async def _listen(room: ChatClient) -> None:
    async for event in room:
        _show(event)


async def _type(room: ChatClient, session: PromptSession[str]) -> None:
    while True:
        try:
            line = await session.prompt_async(lambda: ANSI(f"{_name(room.name)}: "))  # /nick changes it
        except (EOFError, KeyboardInterrupt):
            return
        match line.strip().replace("／", "/").split():
            case []:
                continue
            case ["/quit" | "/exit" | "/leave"]:
                return
            case ["/help"]:
                _tell(HELP)
                await _say(room, "/help")
            case _:
                # A line with a slash first is a command, and the server knows which there are; so it does of `//`.
                await _say(room, line)


async def _say(room: ChatClient, line: str) -> None:
    try:
        for piece in room.pieces(line):
            await room.say(piece)
    except InvalidText as exc:
        _tell(f"Not said: {exc}")
    except NotInRoom:
        return


def _show(event: Event) -> None:
    match event:
        case Emote():
            _print(f"* {_name(event.sender)} {event.text}")
        case Private():
            _print(f"{_name(event.sender)} {_styled('→', _QUIET)} {_name(event.to)}: {event.text}")
        case Message():
            _print(f"{_name(event.sender)}: {event.text}" if event.sender else event.text)
        case Announced():
            _print(event.text, _LOUD)
        case RoomClosed() | TimedOut() | Kicked() | ServerAway():
            line = notice_line(event)
            _tell(f"{line[:1].upper()}{line[1:]}.")
        case Listed():
            # A line is a row, and its head may be in another datagram.
            for line in event.text.split("\n"):
                _tell(line)
        case _:
            # What the server tells has its own full stops.
            _tell(event.text)


def _tell(text: str) -> None:
    _print(text, _QUIET)


def _print(text: str, codes: str = "") -> None:
    """Print one message, so that nobody takes its further lines for another."""
    first, *further = text.split("\n")
    for line in (first, *(f"{_FURTHER}{line}" for line in further)):
        print(_styled(line, codes) if codes else line)


def _name(name: str) -> str:
    """Return a name in the colour that is always its own."""
    return _styled(name, f"1;{_COLOURS[zlib.crc32(name.encode(errors='replace')) % len(_COLOURS)]}")


def _styled(text: str, codes: str) -> str:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{codes}m{text}\x1b[0m"


def _history() -> History:
    """Return the lines typed in earlier chats, kept where only this user can read them; none if nothing can be kept."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "tsudoi" / "history"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return FileHistory(path)
    return InMemoryHistory()
