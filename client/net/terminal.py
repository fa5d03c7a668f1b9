"""Chat in a terminal: lines are edited below while what is heard scrolls by above."""

import asyncio
import contextlib
import os
import zlib
from pathlib import Path

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout

from client.errors import InvalidText, NotInRoom
from client.events import Event, Message
from client.lines import notice_line
from client.net.chat import ChatClient

HELP = "Type a line and press Enter to say it. /quit, Ctrl-D or Ctrl-C leaves."
_COLOURS = ("ansicyan", "ansigreen", "ansiyellow", "ansimagenta", "ansiblue", "ansibrightred", "ansibrightcyan")


async def chat_in_terminal(room: ChatClient, greeting: str) -> None:
    """Let the user chat until he leaves or the room ends."""
    # What the server sends back would stand there twice, so there the typed line goes when it is said.
    session: PromptSession[str] = PromptSession(history=_history(), erase_when_done=room.dialect.echo)
    prompt = FormattedText([(f"bold {_colour(room.name)}", room.name), ("", ": ")])
    with patch_stdout():
        _tell(greeting)
        _tell(HELP)
        listening = asyncio.create_task(_listen(room))
        typing = asyncio.create_task(_type(room, session, prompt))
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


async def _type(room: ChatClient, session: PromptSession[str], prompt: FormattedText) -> None:
    while True:
        try:
            line = await session.prompt_async(prompt)
        except (EOFError, KeyboardInterrupt):
            return
        match line.strip().split():
            case []:
                continue
            case ["/quit" | "/exit" | "/leave"]:
                return
            case ["/help"]:
                _tell(HELP)
            case [word, *_] if word.startswith("/") and not word.startswith("//"):
                _tell(f"There is no command {word}, only /quit and /help. To say a line with / first, type it with //.")
            case _:
                await _say(room, line.removeprefix("/") if line.startswith("//") else line)


async def _say(room: ChatClient, line: str) -> None:
    try:
        for piece in room.pieces(line):
            await room.say(piece)
    except InvalidText as exc:
        _tell(f"Not said: {exc}")
    except NotInRoom:
        return


def _show(event: Event) -> None:
    if not isinstance(event, Message):
        line = notice_line(event)
        _tell(f"{line[:1].upper()}{line[1:]}.")
        return
    name = [(f"bold {_colour(event.sender)}", event.sender), ("", ": ")] if event.sender else []
    print_formatted_text(FormattedText([*name, ("", event.text)]))


def _tell(text: str) -> None:
    print_formatted_text(FormattedText([("italic ansibrightblack", text)]))


def _colour(name: str) -> str:
    """Return a colour that is always the same for the same name."""
    return _COLOURS[zlib.crc32(name.encode(errors="replace")) % len(_COLOURS)]


def _history() -> History:
    """Return the lines typed in earlier chats, kept where only this user can read them; none if nothing can be kept."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "tsudoi" / "history"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return FileHistory(path)
    return InMemoryHistory()
