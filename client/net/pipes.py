"""Chat by pipes: lines of standard input are said, what is heard goes to standard output."""

import asyncio
import os
import threading
from concurrent.futures import CancelledError
from typing import TextIO

from client.lines import LineReader, is_speech, notice_line, speech_line
from tsudoi.errors import InvalidText, NotInRoom
from tsudoi.net.chat import ChatClient

_READ_SIZE = 65536


async def chat_by_lines(room: ChatClient, source: int, heard: TextIO, notices: TextIO, linger_s: float) -> bool:
    """Say the lines that come from the file descriptor `source`; stop when the room ends, or some time after the lines.

    Returns:
        whether all lines that came could be said.
    """
    listening = asyncio.create_task(_listen(room, heard, notices))
    speaking = asyncio.create_task(_speak(room, source, notices))
    try:
        await asyncio.wait({listening, speaking}, return_when=asyncio.FIRST_COMPLETED)
        if speaking.done():
            await asyncio.wait({listening}, timeout=linger_s)
        if listening.done():
            listening.result()
        return not speaking.done() or speaking.result()
    finally:
        for task in (listening, speaking):
            task.cancel()
        await asyncio.gather(listening, speaking, return_exceptions=True)


async def _listen(room: ChatClient, heard: TextIO, notices: TextIO) -> None:
    async for event in room:
        if is_speech(event):
            print(speech_line(event), file=heard, flush=True)
        else:
            print(notice_line(event), file=notices, flush=True)


async def _speak(room: ChatClient, source: int, notices: TextIO) -> bool:
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
    _start_reading(source, chunks)
    reader = LineReader()
    all_said = True
    while chunk := await chunks.get():
        for line in reader.feed(chunk):
            all_said &= await _say(room, line, notices)
    for line in reader.end():
        all_said &= await _say(room, line, notices)
    return all_said


async def _say(room: ChatClient, line: str, notices: TextIO) -> bool:
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
    """Read in a thread, since a file can not be waited for and a terminal should not be made non-blocking.

    The thread may still be reading when the program ends, so it takes none of the locks of `sys.stdin`.
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
                # The loop is gone, and so is whoever would have said these lines.
                put.close()
                return

    threading.Thread(target=read, name="standard input", daemon=True).start()
