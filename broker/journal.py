"""What is committed but not in the database yet: records appended to a file, each with a number and a check.

    | owner: 8 |                                          once, at the start: which database it belongs to
    | size: 4 | crc: 4 | number: 8 | body: size bytes |   again and again; the CRC-32 is of number and body

To append is one write, where a database's transaction locks and writes pages even for one message ("append to the log"
in benchmarks/RESULTS.md is what this costs). A record that was not written whole ends the journal.
"""

import contextlib
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from tsudoi.protocol.errors import StoreError

SUFFIX = ".journal"
OWNER_SIZE = 8
_RECORD = struct.Struct("!II")
_NUMBER = struct.Struct("!Q")
_HEAD_SIZE = _RECORD.size + _NUMBER.size
_FAR = 2**20
"""No journal has so many records."""


def beside(store: Path) -> Path:
    """Return where a database's journal is. SQLite has a name of its own that ends in `-journal`: this is another."""
    return store.with_name(store.name + SUFFIX)


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a journal."""

    records: dict[int, bytes]
    """By their numbers."""
    size: int
    """Bytes of what can be read."""
    is_broken: bool
    """Something behind that is a record: a part in the middle was lost, as it may be in a power cut."""


def parse(data: bytes, owner: bytes) -> Found:
    """Return what can be read of a journal: up to the first record that is not whole.

    Nothing if it is another's: a copy of the database was put in its place.
    """
    records: dict[int, bytes] = {}
    if data[:OWNER_SIZE] != owner:
        return Found(records, 0, False)
    at, last = OWNER_SIZE, 0
    while (end := _end_of_record(data, at)) is not None:
        (last,) = _NUMBER.unpack_from(data, at + _RECORD.size)
        records[last] = data[at + _HEAD_SIZE : end]
        at = end
    return Found(records, at, _goes_on(data, at + 1, last))


def _end_of_record(data: bytes, at: int) -> int | None:
    """Return where a record that begins here ends; None if there is none, or not all of it."""
    if at + _HEAD_SIZE > len(data):
        return None
    size, crc = _RECORD.unpack_from(data, at)
    end = at + _HEAD_SIZE + size
    return end if end <= len(data) and zlib.crc32(data[at + _RECORD.size : end]) == crc else None


def _goes_on(data: bytes, start: int, last: int) -> bool:
    """Say whether a record of a number after `last` begins anywhere from `start` on."""
    for at in range(start, len(data) - _HEAD_SIZE + 1):
        (number,) = _NUMBER.unpack_from(data, at + _RECORD.size)
        if last < number < last + _FAR and _end_of_record(data, at) is not None:
            return True
    return False


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
            self._found = parse(data, owner)
            self._size = self._found.size
            os.ftruncate(self._file, self._size)
            if not self._size:
                self._size = os.write(self._file, owner)
                if is_synced:
                    os.fsync(self._file)
                    _sync_folder(path.parent)
        except OSError:
            os.close(self._file)
            raise

    def take(self) -> Found:
        """Return what was there, and keep it no longer."""
        found, self._found = self._found, Found({}, 0, False)
        return found

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


def _sync_folder(path: Path) -> None:
    """Let a file's name be on the disk, too: to sync the file does not promise that."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
