"""Look for a file. Since Python 3.14 `Path.exists` takes "it can not be seen" for "it is not there"; this does not."""

from pathlib import Path


def is_there(path: Path) -> bool:
    """Return whether something is at `path`; raise OSError if that can not be seen."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no file's name can have a NUL
        return False
    return True
