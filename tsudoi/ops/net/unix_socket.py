"""Ask whether a program listens at a Unix socket, whose file may be what a killed one left."""

import socket
from contextlib import closing
from pathlib import Path

KNOCK_S = 0.5


def is_served(path: Path) -> bool:
    """Return whether a program listens there."""
    with closing(socket.socket(socket.AF_UNIX)) as knock:
        knock.settimeout(KNOCK_S)
        try:
            knock.connect(str(path))
        except (BlockingIOError, TimeoutError):
            return True  # it listens, and accepts nothing now
        except OSError:
            return False
        return True
