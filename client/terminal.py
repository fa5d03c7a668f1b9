"""Chat in a terminal: edit lines below while messages scroll by above."""

import asyncio
import os
import zlib

from prompt_toolkit import PromptSession
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.patch_stdout import patch_stdout

import tsudoi
from tsudoi.event_lines import notice_line
from tsudoi.protocol.client.lines import FURTHER
from tsudoi.protocol.client.notices import action_line

from .history import open_history
from .screen import Screen

HELP = "Type a line and press Enter to say it. /help tells what else there is; /quit, Ctrl-D or Ctrl-C leaves."
_COLOURS = (36, 32, 33, 35, 34, 91, 96)
"""SGR codes that can be read on light and on dark."""
_QUIET = "3;90"
_LOUD = "1;33"


async def chat_in_terminal(room: tsudoi.ChatClient, greeting: str) -> None:
    """Let the user chat until the user leaves or the membership ends."""
    screen = Screen()
    # Prints go above the line being typed, in order and many lines at a time. prompt_toolkit's `print_formatted_text`
    # does neither: [measured] 3,000 lines took ten seconds, and some came before earlier ones.
    with screen.used(), patch_stdout(raw=True):
        # In a dialect that echoes, the typed line would stand there twice, so it is erased when it is sent.
        session: PromptSession[str] = PromptSession(history=open_history(), erase_when_done=room.dialect.echo)
        _tell(greeting)
        _tell(HELP)
        receiving = asyncio.create_task(_receive(room, screen))
        typing = asyncio.create_task(_type(room, session))
        try:
            await asyncio.wait({receiving, typing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (receiving, typing):
                if task.done():
                    task.result()
        finally:
            for task in (receiving, typing):
                task.cancel()
            await asyncio.gather(receiving, typing, return_exceptions=True)


async def _receive(room: tsudoi.ChatClient, screen: Screen) -> None:
    dropped = 0
    async for event in room:
        await screen.keep_up()
        if room.dropped > dropped:
            _tell(f"{room.dropped - dropped} messages or notices are lost: the terminal stood still.")
            dropped = room.dropped
        _show(event)


async def _type(room: tsudoi.ChatClient, session: PromptSession[str]) -> None:
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
                # Commands and `//` go to the server as they are: it knows which there are.
                await _say(room, line)


async def _say(room: tsudoi.ChatClient, line: str) -> None:
    try:
        for piece in room.pieces(line):
            await room.say(piece)
    except tsudoi.InvalidText as exc:
        _tell(f"Not said: {exc}")
    except tsudoi.NotInRoom:
        return


def _show(event: tsudoi.Event) -> None:
    match event:
        case tsudoi.Emote():
            _print(action_line(_name(event.sender), event.text))
        case tsudoi.Private():
            _print(f"{_name(event.sender)} {_styled('→', _QUIET)} {_name(event.to)}: {event.text}")
        case tsudoi.Message():
            _print(f"{_name(event.sender)}: {event.text}" if event.sender else event.text)
        case tsudoi.Announced():
            _print(event.text, _LOUD)
        case tsudoi.RoomClosed() | tsudoi.TimedOut() | tsudoi.Kicked() | tsudoi.ServerAway():
            line = notice_line(event)
            _tell(f"{line[:1].upper()}{line[1:]}.")
        case tsudoi.Listed():
            # Each line is a row of a table, whose head may have come in another datagram.
            for line in event.text.split("\n"):
                _tell(line)
        case _:
            # The server's texts have their full stops.
            _tell(event.text)


def _tell(text: str) -> None:
    _print(text, _QUIET)


def _print(text: str, codes: str = "") -> None:
    """Print one message, its further lines marked as such."""
    first, *further = text.split("\n")
    for line in (first, *(f"{FURTHER}{line}" for line in further)):
        print(_styled(line, codes) if codes else line)


def _name(name: str) -> str:
    """Return a name in its colour; the same name always has the same one."""
    return _styled(name, f"1;{_COLOURS[zlib.crc32(name.encode(errors='replace')) % len(_COLOURS)]}")


def _styled(text: str, codes: str) -> str:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{codes}m{text}\x1b[0m"
