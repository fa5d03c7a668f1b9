"""Chat on pipes: send the lines of standard input, write messages to standard output."""

import asyncio
import os
import threading
from concurrent.futures import CancelledError
from typing import TextIO

from tsudoi import ChatClient, InvalidText, NotInRoom
from tsudoi.event_lines import is_speech, notice_line, speech_line

LINE_LIMIT = 1 << 20
"""Bytes; a longer line is split there, so that input without line feeds takes no memory without a bound."""


async def chat_by_lines(room: ChatClient, source: int, messages: TextIO, notices: TextIO, linger_s: float) -> bool:
    """Send the lines of the file descriptor `source` until the membership ends, or `linger_s` after the last line.

    Returns:
        whether all lines were sent.
    """
    receiving = asyncio.create_task(_receive(room, messages, notices))
    sending = asyncio.create_task(_send(room, source, notices))
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


async def _receive(room: ChatClient, messages: TextIO, notices: TextIO) -> None:
    async for event in room:
        if is_speech(event):
            print(speech_line(event), file=messages, flush=True)
        else:
            print(notice_line(event), file=notices, flush=True)


async def _send(room: ChatClient, source: int, notices: TextIO) -> bool:
    lines: asyncio.Queue[bytes] = asyncio.Queue(maxsize=100)
    _start_reading(source, lines)
    all_sent = True
    while line := await lines.get():
        text = line.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace")
        all_sent &= await _send_line(room, text, notices)
    return all_sent


async def _send_line(room: ChatClient, line: str, notices: TextIO) -> bool:
    for piece in room.pieces(line):
        try:
            await room.say(piece)
        except NotInRoom:
            return False
        except InvalidText as exc:
            print(f"not said: {exc}", file=notices, flush=True)
            return False
    return True


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
