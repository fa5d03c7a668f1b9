"""Chat on pipes: send the lines of standard input, write messages to standard output."""

import asyncio
import os
import threading
from concurrent.futures import CancelledError
from typing import TextIO

from tsudoi import ChatClient, InvalidText, NotInRoom
from tsudoi.event_lines import is_speech, notice_line, speech_line

from .lines import LineReader

_READ_SIZE = 65536


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
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
    _start_reading(source, chunks)
    reader = LineReader()
    all_sent = True
    while chunk := await chunks.get():
        for line in reader.feed(chunk):
            all_sent &= await _send_line(room, line, notices)
    for line in reader.end():
        all_sent &= await _send_line(room, line, notices)
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


def _start_reading(source: int, chunks: asyncio.Queue[bytes]) -> None:
    """Read in a thread: asyncio can not wait for a file, and a terminal should not be made non-blocking.

    The thread may still be reading when the program ends. It reads the descriptor, so that it holds no lock of
    `sys.stdin` then.
    """
    loop = asyncio.get_running_loop()

    def read() -> None:
        data = b"?"
        while data:
            try:
                data = os.read(source, _READ_SIZE)
            except OSError:
                data = b""
            put = chunks.put(data)
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except (RuntimeError, CancelledError):
                # The loop has ended; nobody takes these lines any more.
                put.close()
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()
