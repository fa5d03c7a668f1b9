"""Use the standard streams as they are found: closed, full, without a reader, or unable to show a character."""

import os
import signal
import sys
from contextlib import suppress
from typing import TextIO

from .printable import escaped
from .threaded_output import ThreadedOutput

BROKEN_PIPE = 128 + getattr(signal, "SIGPIPE", 13)
"""Exit status when the reader of the output is gone (`… | head -1`): what a shell reports of a program that SIGPIPE
ended."""
FLUSH_S = 1.0
"""How long the end of a program waits for an output that stands still."""

_NAMES = {"stdin": (0, "r"), "stdout": (1, "w"), "stderr": (2, "w")}
_outputs: list[ThreadedOutput] = []


def prepare() -> None:
    """Open closed streams as /dev/null, and let no stream fail at a character that it can not show.

    Otherwise the next socket or file would get the number of a closed stream, and whatever writes to standard error
    would write into it.
    """
    for name, (number, mode) in _NAMES.items():
        if getattr(sys, name) is None:
            _open(number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            # A byte that is no character becomes half of one, which no name or text may have.
            stream.reconfigure(errors="surrogateescape" if name == "stdin" else "backslashreplace")


def _open(number: int) -> None:
    with suppress(OSError):
        os.fstat(number)
        return
    found = os.open(os.devnull, os.O_RDWR)
    if found != number:
        os.dup2(found, number)
        os.close(found)
    os.set_inheritable(number, True)


def track(output: ThreadedOutput) -> ThreadedOutput:
    """Have `finish` wait for this output; return it."""
    _outputs.append(output)
    return output


def print_line(line: str) -> None:
    """Print a line on standard output, after earlier log lines. Never fails, and never waits long for its reader."""
    flush()
    track(ThreadedOutput(sys.stdout)).put(f"{line}\n")


def complain(line: str) -> None:
    """Print a line on standard error, after what waits for it, if that is possible in a second."""
    flush()
    errors = ThreadedOutput(sys.stderr)
    with suppress(OSError):
        errors.put(f"{escaped(line)}\n")
        errors.flush(FLUSH_S)


def flush() -> None:
    """Wait until what was printed from threads is written, but not long."""
    for output in _outputs:
        output.flush(FLUSH_S)


def finish(program: str, status: int, text: str = "") -> int:
    """Print `text` and what is left, and return the exit status: not `status` if the output could not be written.

    What can not be written is thrown away: the interpreter would try again at its end, and report it in its own words.
    """
    flush()
    try:
        if text:
            print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        status = BROKEN_PIPE
    except OSError as exc:
        discard(sys.stdout)
        complain(f"{program}: can not write the output: {exc.strerror}")
        status = status or 1
    try:
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)
    return status


def discard(stream: TextIO) -> None:
    """Throw away what is buffered for a stream, and what will be written."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
