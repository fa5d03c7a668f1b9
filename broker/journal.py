"""What is committed but not in the database yet: records appended to a file, each with a number and a check.

    | owner: 8 |                                          once, at the start: which database it belongs to
    | size: 4 | crc: 4 | number: 8 | body: size bytes |   again and again; the CRC-32 is of number and body

To append is one write, where a database's transaction locks and writes pages: a fifth of its cost, on cold caches a
fifth too (benchmarks/RESULTS.md, "Parts"). A record that was not written whole ends the journal.
"""

import contextlib
import os
import struct
import zlib
from pathlib import Path

from protocol.errors import StoreError

SUFFIX = ".journal"
OWNER_SIZE = 8
_RECORD = struct.Struct("!II")
_NUMBER = struct.Struct("!Q")
_HEAD_SIZE = _RECORD.size + _NUMBER.size


def beside(store: Path) -> Path:
    """Return where a database's journal is. SQLite has a name of its own that ends in `-journal`: this is another."""
    return store.with_name(store.name + SUFFIX)


def parse(data: bytes, owner: bytes) -> tuple[dict[int, bytes], int]:
    """Return the records of a journal by their numbers, and the size of what can be read.

    Nothing if it is another's: a copy of the database was put in its place.
    """
    records: dict[int, bytes] = {}
    if data[:OWNER_SIZE] != owner:
        return records, 0
    at = OWNER_SIZE
    while at + _HEAD_SIZE <= len(data):
        size, crc = _RECORD.unpack_from(data, at)
        start, end = at + _RECORD.size, at + _HEAD_SIZE + size
        if end > len(data) or zlib.crc32(data[start:end]) != crc:
            break
        (number,) = _NUMBER.unpack_from(data, start)
        records[number] = data[start + _NUMBER.size : end]
        at = end
    return records, at


class Journal:
    """The file, open to append."""

    def __init__(self, path: Path, owner: bytes, is_synced: bool) -> None:
        """Open or create it, mode 0600, and cut off what can not be read.

        Args:
            path: where.
            owner: the database that it belongs to; another's journal is emptied.
            is_synced: each record is to be on the disk before it counts.

        Raises:
            OSError: that can not be.
        """
        self._is_synced = is_synced
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            data = b"".join(iter(lambda: os.read(self._file, 2**20), b""))
            self.found, self._size = parse(data, owner)
            """What was there, and how many bytes there are."""
            os.ftruncate(self._file, self._size)
            if not self._size:
                self._size = os.write(self._file, owner)
        except OSError:
            os.close(self._file)
            raise

    def append(self, number: int, body: bytes) -> None:
        """Keep a record, whole or not at all; raises StoreError if that can not be."""
        checked = _NUMBER.pack(number) + body
        record = _RECORD.pack(len(body), zlib.crc32(checked)) + checked
        try:
            if os.write(self._file, record) < len(record):
                raise OSError("there is no room")
            if self._is_synced:
                os.fdatasync(self._file)
        except OSError as exc:
            self._cut()
            raise StoreError(f"can not write to the store's journal: {exc.strerror or exc}") from exc
        self._size += len(record)

    def _cut(self) -> None:
        """Take away what was written of a record that does not count."""
        with contextlib.suppress(OSError):  # then its check does not fit, and it is cut off at the next start
            os.ftruncate(self._file, self._size)

    def clear(self) -> None:
        """All of it is in the database: begin anew."""
        if self._size > OWNER_SIZE:
            os.ftruncate(self._file, OWNER_SIZE)
            self._size = OWNER_SIZE

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
