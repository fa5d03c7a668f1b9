"""Log the steps of a program's life, never a message: lines for people, or JSON for machines.

    log = logs.get("gateway")
    log.info("broker is back", after_s=2.1)

Data from outside goes into values, never into the event's text. Unprintable characters are written as escapes, so that
they can not break a line or move a terminal's cursor. A thread writes the lines: a log that nothing reads, or a full
disk, stops no event loop.
"""

import codecs
import io
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

from . import standard_streams
from .printable import escaped
from .structlog_alone import structlog
from .threaded_output import ThreadedOutput

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["human", "json"]
Line = MutableMapping[str, Any]

_configured = "info"
"""The level that the settings name."""

# Python loads a codec on first use, which may be when no descriptor is left.
codecs.lookup("unicode_escape")


def get(name: str) -> Any:
    """Return the logger of a part of the program."""
    return structlog.stdlib.get_logger(name)


class _Handler(logging.Handler):
    """Passes lines to a thread."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.output = standard_streams.track(ThreadedOutput(stream, self._gap))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.output.put(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)

    def _gap(self, lines: int) -> str:
        event = {"event": "log lines are lost: nothing read them, or they could not be written", "lines": lines}
        told = {"name": "logs", "levelname": "WARNING", "msg": event, "_logger": None, "_name": "warning"}
        return f"{self.format(logging.makeLogRecord(told))}\n"


def lost_lines() -> int:
    """Return how many log lines of this process were lost."""
    return sum(handler.output.lost for handler in logging.getLogger().handlers if isinstance(handler, _Handler))


def set_up(level: str, form: Format, stream: TextIO | None = None, **about: object) -> None:
    """Write lines from `level` on to `stream`, or standard error, each with the values `about` this process.

    Call it once, before anything is logged.
    """
    stream = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )

    def add_about(_: object, __: str, line: Line) -> Line:
        return {**line, **about}

    common: list[Any] = [
        *([add_about] if about else []),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    last: list[Any] = [structlog.processors.JSONRenderer(ensure_ascii=False)]
    if form == "json":
        # Without local variables: passwords, tokens and texts are among them.
        transform = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        last.insert(0, structlog.processors.ExceptionRenderer(transform))
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), pad_event_to=0, pad_level=False, exception_formatter=_write_traceback
            )
        ]
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            # For lines that libraries log by the standard library.
            foreign_pre_chain=common,
            processors=[*common, structlog.stdlib.ProcessorFormatter.remove_processors_meta, _escape_all, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """Write lines from this level on."""
    global _configured
    _configured = level
    logging.getLogger().setLevel(level.upper())


def change_level(level: str) -> bool:
    """Write lines from this level on if the settings named another one before; return whether they did.

    Else all stays as it is: SIGUSR1 may have switched to debug.
    """
    if level == _configured:
        return False
    set_level(level)
    return True


def toggle_debug(logger: Any) -> None:
    """Switch between debug and the level that the settings name, and log it with the program's logger."""
    now = _configured if logging.getLogger().level == logging.DEBUG else "debug"
    logging.getLogger().setLevel(now.upper())
    logger.warning("log level changed", to=now)  # `level` is the line's own


def _write_traceback(out: TextIO, exc_info: Any) -> None:
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    # An exception may quote what came from outside.
    out.write("\n".join(map(escaped, plain.getvalue().split("\n"))))


def _escape_all(_: object, __: str, line: Line) -> Line:
    for key, value in line.items():
        if key == "exc_info":
            continue
        if not isinstance(value, int | float | bool | None):
            line[key] = escaped(str(value))
    return line
