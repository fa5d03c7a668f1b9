"""The corpus that is kept: a folder for each target, each input in a file called by its hash."""

import hashlib
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TARGET_SIZE = 13_000
"""Bytes that are kept of a target's inputs."""


def name_of(data: bytes) -> str:
    """Return what an input's file is called, by libFuzzer too."""
    return hashlib.sha1(data).hexdigest()


def inputs(target: str) -> list[bytes]:
    """Return the inputs that are kept."""
    return [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]


def keep(target: str, found: list[bytes]) -> int:
    """Keep these inputs, and no others; the shortest, if there are too many. Return how many that are."""
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    size = count = 0
    for data in sorted(set(found), key=lambda data: (len(data), data)):
        size += len(data)
        if size > TARGET_SIZE:
            break
        (folder / name_of(data)).write_bytes(data)
        count += 1
    return count
