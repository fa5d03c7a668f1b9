"""Frames between a gateway and a broker of one machine, on a stream; ARCHITECTURE.md, "One machine".

    | size: 4 | kind: 1 | content: size bytes |      the size is big-endian

The content of SAY and NEWS is what the sockets of ZeroMQ carry elsewhere (`backbone.py`).
"""

import struct
from collections import deque
from collections.abc import Sequence
from enum import IntEnum

from tsudoi.protocol.errors import MalformedMessage

STREAM = "unix://"
"""How endpoints begin that are reached so."""
MAX_FRAME_SIZE = 16 * 2**20
WRITE_SIZE = 2**18
"""Bytes after which no more frames are put together for one write."""
_HEAD = struct.Struct("!IB")
HEAD_SIZE = _HEAD.size


class Kind(IntEnum):
    """What a frame is."""

    INSTANCE = 1
    """The gateway's instance: the first frame of a connection, and only that."""
    SAY = 2
    """A command to the broker, or an answer to the gateway."""
    SUBSCRIBE = 3
    """A topic whose news the gateway wants."""
    UNSUBSCRIBE = 4
    NEWS = 5
    """A topic and its news."""


SAY, NEWS = int(Kind.SAY), int(Kind.NEWS)
"""As plain numbers, for what passes most."""


def head(kind: int, size: int) -> bytes:
    """Return what stands before a content of `size` bytes."""
    return _HEAD.pack(size, kind)


class Writer:
    """Frames that wait to be written to a stream, in order: whole ones, but of the first perhaps only the rest."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self.size = 0
        """Bytes that wait."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, kind: int, content: bytes) -> None:
        """Let one more frame wait."""
        self._waiting.append(head(kind, len(content)) + content)
        self.size += HEAD_SIZE + len(content)

    def begin(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Let these go before all others: what a connection begins with."""
        self._waiting.extendleft(head(kind, len(content)) + content for kind, content in reversed(frames))
        self.size += sum(HEAD_SIZE + len(content) for _, content in frames)

    def clear(self) -> None:
        """Let nothing wait any more."""
        self._waiting.clear()
        self.size = 0

    def next_bytes(self) -> bytes:
        """Return the first of what waits, about as much as one write may carry."""
        waiting = self._waiting
        if len(waiting) == 1:
            return waiting[0]
        frames, size = [], 0
        for frame in waiting:
            frames.append(frame)
            size += len(frame)
            if size >= WRITE_SIZE:
                break
        return b"".join(frames)

    def sent(self, size: int) -> None:
        """So many bytes of that were written."""
        waiting = self._waiting
        self.size -= size
        while size:
            frame = waiting.popleft()
            if size < len(frame):
                waiting.appendleft(frame[size:])
                return
            size -= len(frame)


class Reader:
    """Takes a stream apart, however its bytes come in."""

    def __init__(self, most: int = MAX_FRAME_SIZE) -> None:
        """Take contents of at most so many bytes."""
        self._most = most
        self._begun = bytearray()
        """Of a frame that has not come whole."""

    def feed_untrusted(self, data: bytes | memoryview) -> list[tuple[int, bytes]]:
        """Return the frames that are whole now, (kind, content) each, or raise MalformedMessage: then nothing that
        comes after can be read.

        The kind may be none of `Kind`.
        """
        begun, frames, at = self._begun, [], 0
        if begun:
            begun += data
        with memoryview(begun or data) as view:
            end = len(view)
            while end - at >= HEAD_SIZE:
                size, kind = _HEAD.unpack_from(view, at)
                if size > self._most:
                    raise MalformedMessage(f"a frame of {size} bytes: at most {self._most} are taken")
                start = at + HEAD_SIZE
                if start + size > end:
                    break
                at = start + size
                frames.append((kind, bytes(view[start:at])))
        if begun:
            del begun[:at]
        elif at < end:
            begun += data[at:]
        return frames
