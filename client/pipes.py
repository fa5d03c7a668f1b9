"""Chat on pipes: send the lines of standard input, write messages to standard output."""

import asyncio
import os
import sys
import threading
from collections import deque
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from typing import TextIO

from tsudoi import (
    ChatClient,
    Earlier,
    Event,
    InvalidText,
    Kicked,
    Line,
    LineRefused,
    Listed,
    NotInRoom,
    Past,
    RoomClosed,
    ServerAway,
    TimedOut,
)
from tsudoi.event_lines import earlier_line, is_speech, notice_line, one_line, speech_line
from tsudoi.ops import standard_streams
from tsudoi.ops.threaded_output import ThreadedOutput
from tsudoi.protocol.client.words import Language

from . import words
from .error_words import explain_text, not_kept, refused
from .state.event_words import ending, notice

LINE_LIMIT = 1 << 20
"""Bytes; a longer line is split there, so that input without line feeds takes no memory without a bound."""
WAITING = 200
"""Lines that may wait to be kept before more of the input is read."""
PATIENCE_S = 5.0
"""How long the input's last lines are waited for when none of them is kept meanwhile."""


async def chat_by_lines(
    room: ChatClient,
    source: int,
    messages: TextIO,
    notices: TextIO,
    linger_s: float,
    commands: bool,
    language: Language,
) -> bool:
    """Send the lines of the file descriptor `source` until the membership ends, or `linger_s` after the last line.

    While the reader of `messages` stands still, as a pager does, the member stays in its room: events wait in the
    client's own queue, which drops the oldest. Without `commands`, a line that begins with a slash is said like any
    other.

    Returns:
        whether all lines were sent; in `tsudoi-2`, whether all are kept.

    Raises:
        OSError: `messages` can not be written.
    """
    printer = _Printer(messages, notices)
    receiving = asyncio.create_task(_receive(room, printer, language))
    sending = asyncio.create_task(_send(room, source, printer, commands, language))
    try:
        await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            await asyncio.wait({receiving}, timeout=linger_s)
        if receiving.done():
            receiving.result()
        return not sending.done() or sending.result()
    finally:
        for task in (receiving, sending):
            task.cancel()
        await asyncio.gather(receiving, sending, return_exceptions=True)


class _Printer:
    """Prints lines from threads."""

    def __init__(self, messages: TextIO, notices: TextIO) -> None:
        self._messages = standard_streams.track(ThreadedOutput(messages))
        self._notices = standard_streams.track(ThreadedOutput(notices))

    async def print_message(self, line: str) -> None:
        """Print a message, and wait until it is written; raise OSError if it can not be."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[OSError | None] = loop.create_future()
        self._messages.put(f"{line}\n", lambda problem: loop.call_soon_threadsafe(_resolve, written, problem))
        if (problem := await written) is not None:
            raise problem

    def print_notice(self, line: str) -> None:
        """Print a notice, if that is possible."""
        self._notices.put(f"{line}\n")


def _resolve(written: "asyncio.Future[OSError | None]", problem: OSError | None) -> None:
    if not written.done():
        written.set_result(problem)


async def _receive(room: ChatClient, printer: _Printer, language: Language) -> None:
    dropped = 0
    async for event in room:
        if room.dropped > dropped:
            printer.print_notice(words.LOST_OUTPUT.text(language, count=room.dropped - dropped))
            dropped = room.dropped
        if isinstance(event, Earlier):
            for row in event.rows:
                await printer.print_message(earlier_line(row))
        elif is_speech(event):
            await printer.print_message(speech_line(event))
        else:
            for line in _notice_lines(event, room, language):
                printer.print_notice(line)


def _notice_lines(event: Event, room: ChatClient, language: Language) -> list[str]:
    """Return the lines for a notice: one, or for a list one for each of its rows."""
    if not isinstance(event, Listed):
        return [_notice(event, room, language)]
    if event.what != "history":  # names have no line feeds
        return (event.text if language == "en" else notice(event, language)).split("\n")
    head, _, rest = event.text.partition("\n")
    rows = [row for row in event.rows if isinstance(row, Past)]
    if not rows:
        return [one_line(f"{head} {rest}".strip())]
    return [head, *(f"{_utc(row.at_ms)} {earlier_line(row)}" for row in rows)]


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M")


def _notice(event: Event, room: ChatClient, language: Language) -> str:
    if language == "en":
        return notice_line(event)  # programs may read it
    match event:
        case RoomClosed() | TimedOut() | Kicked():
            return ending(event, room.room, language)
        case ServerAway(distrusted=""):
            return (words.AWAY_WAITS if room.has_receipts else words.AWAY_NOW).text(language)
    return one_line(notice(event, language))


async def _send(room: ChatClient, source: int, printer: _Printer, commands: bool, language: Language) -> bool:
    lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=100)
    _start_reading(source, lines)
    sender = _Sender(room, printer, language)
    while line := await lines.get():
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode(sys.stdin.encoding, errors="replace")
        await sender.send(text if commands else room.as_text(text))
    await sender.finish()
    return sender.all_said


class _Sender:
    """Says lines in order; where the server tells which are kept, waits for that at the end."""

    def __init__(self, room: ChatClient, printer: _Printer, language: Language) -> None:
        self.all_said = True
        self._room, self._printer, self._language = room, printer, language
        self._lines: deque[Line] = deque()

    async def send(self, text: str) -> None:
        """Say a line, in as many messages as it needs."""
        room = self._room
        try:
            for piece in room.pieces(text):
                if not room.has_receipts:
                    await room.say(piece)
                    continue
                while len(self._lines) >= WAITING:
                    await self._settle(self._lines.popleft())
                self._lines.append(room.post(piece))
        except NotInRoom:
            self.all_said = False
        except InvalidText as exc:
            why = str(exc) if self._language == "en" else explain_text(room, text, exc, self._language)
            self._complain(why)

    async def finish(self) -> None:
        """Wait for the lines that are not kept yet, as long as some are kept from time to time; name the others."""
        while self._lines:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._settle(self._lines[0])
            except TimeoutError:
                break
            self._lines.popleft()
        for text in not_kept([line.text for line in self._lines], self._language):
            self._printer.print_notice(text)
        self.all_said &= not self._lines

    async def _settle(self, line: Line) -> None:
        try:
            await line.kept()
        except LineRefused as exc:
            self._complain(refused(exc, self._language))
        except NotInRoom:
            self._printer.print_notice(words.NOT_KEPT.text(self._language, text=one_line(line.text)))
            self.all_said = False

    def _complain(self, why: str) -> None:
        self.all_said = False
        said = f"not said: {why}" if self._language == "en" else words.NOT_SAID.text(self._language, why=why)
        self._printer.print_notice(said)


def _start_reading(source: int, lines: asyncio.Queue[bytes]) -> None:
    """Read lines in a thread: asyncio can not wait for a file, and a terminal should not be made non-blocking.

    The thread may still be reading when the program ends, so it has a reader of its own: it holds no lock of
    `sys.stdin` then. The last item is empty.
    """
    loop = asyncio.get_running_loop()
    reader = os.fdopen(source, "rb", closefd=False)

    def read() -> None:
        line = b"?"
        while line:
            try:
                line = reader.readline(LINE_LIMIT)
            except OSError:
                line = b""
            put = lines.put(line)
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except (RuntimeError, CancelledError):
                # The loop has ended; drop these lines.
                put.close()
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()
